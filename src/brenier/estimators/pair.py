"""A map between two sides without conditions, for any cost."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from brenier._processes import agree
from brenier.costs import SquaredEuclidean
from brenier.data.pairs import check_pair
from brenier.data.units import cost_units
from brenier.estimators.frames import frame_of
from brenier.estimators.intake import Problem
from brenier.estimators.sides import Side, pooled_deviations
from brenier.estimators.tasks import AbstractTask, Request
from brenier.geometry import AbstractGeometry, Moments, carry_flat
from brenier.training import DualObjective, Holdout, choose_config

__all__ = ["PairTask"]


class PairTask(AbstractTask):
    """A map from the distribution of one side to that of the other."""

    kind = "map"

    def __init__(self, problem: Problem, request: Request) -> None:
        self._sides, self._seed = request.split(problem), request.seeds[2]
        source, target = self._sides.each
        # Only an ICNN can leave a coordinate alone, as one along which a single side varies has to be.
        learned = request.changes.get("potential") is None and isinstance(problem.cost, SquaredEuclidean | None)
        self._carried = check_pair(source.sample, target.sample, one_sided=learned)
        self.dim, self.columns, self.rows = self._sides.dim, self._sides.columns, self._sides.rows
        self.enough, self.small = self._sides.enough, self._sides.small
        self.data = self._sides.remembered()
        self._moments = carry_flat(*agree((source.moments(request.drawing), target.moments(request.drawing))))
        units = cost_units(_scale(problem), pooled_deviations(*self._moments), source.sample)
        self._frame = frame_of(problem.cost, units, source, target, self._seed)
        sizes = [side.size for side in (source, target) if side.size is not None]
        config = choose_config(self.dim, min(sizes, default=None), **request.changes)
        self.config = self._frame.config(config, request.changes.get("widths"))

    def digests(self) -> dict[str, str]:
        return self._sides.digests()

    def coordinates(self) -> AbstractGeometry:
        return self._frame.between(*self._moments)

    def part(self) -> DualObjective:
        source, target = self._sides.each
        return self._objective(source, target, self._moments)

    def whole(self) -> DualObjective:
        rng = np.random.default_rng(self._seed)
        source, target = (side.whole(rng) for side in self._sides.each)
        return self._objective(source, target, carry_flat(source.moments(), target.moments()))

    def info(self, coordinates: AbstractGeometry) -> dict[str, Any]:
        """Numbers of the columns that are carried, if there are some."""
        return {"carried": self._carried} if self._carried else {}

    def _objective(self, x: Side, y: Side, moments: tuple[Moments, Moments]) -> DualObjective:
        coordinates = self._frame.between(*moments)
        weights = x.held_out_weights, y.held_out_weights
        holdout = Holdout.of(x.holdout, y.holdout, coordinates, self.config.solver, weights)
        degenerate = coordinates.degenerate(*moments)
        return DualObjective(
            x.source, y.source, coordinates, holdout, self.config, seed=self._seed, degenerate=degenerate
        )


def _scale(problem: Problem) -> str | ArrayLike:
    """The setting `scale`; without one, a cost that the user passed keeps the units of the data."""
    automatic = isinstance(problem.scale, str) and problem.scale == "auto"
    return "none" if automatic and not isinstance(problem.cost, SquaredEuclidean | None) else problem.scale
