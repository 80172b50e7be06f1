"""A density: from samples to the map that makes them normal, by maximum likelihood."""

from typing import Any

import numpy as np

from brenier._errors import DataWarning, warn
from brenier.data.pairs import check_side
from brenier.data.table import itemise
from brenier.density.bases import Normal
from brenier.density.objective import LikelihoodObjective
from brenier.estimators.dequantizer import discrete_columns
from brenier.estimators.intake import Problem
from brenier.estimators.sides import Side
from brenier.estimators.tasks import AbstractTask, Request
from brenier.geometry import AbstractGeometry, Moments, QuadraticGeometry
from brenier.training import TrainingConfig, choose_config

__all__ = ["DensityTask", "choose_density_config"]

_STEPS = 3072


class DensityTask(AbstractTask):
    """The map from the distribution of a sample to independent normal columns with its means and deviations."""

    kind = "density"

    def __init__(self, problem: Problem, request: Request) -> None:
        self._sides, self._seed = request.split(problem), request.seeds[2]
        (side,) = self._sides.each
        check_side(side.sample, "X")
        discrete = discrete_columns(side.sample)
        if discrete:
            warn(
                f"`X` has discrete columns: {itemise(discrete)}. The likelihood of a density has no bound where values "
                'are tied. Fit with `dequantize` ("auto", or the width of their steps), which adds noise within one '
                "step.",
                DataWarning,
            )
        self.dim, self.columns, self.rows = self._sides.dim, self._sides.columns, self._sides.rows
        self.enough, self.small = self._sides.enough, self._sides.small
        self.data = self._sides.remembered()
        self._moments = side.moments(request.drawing)
        self.config = choose_density_config(self.dim, side.size, **request.changes)

    def digests(self) -> dict[str, str]:
        return self._sides.digests()

    def coordinates(self) -> QuadraticGeometry:
        return _between(self._moments)

    def part(self) -> LikelihoodObjective:
        return self._objective(self._sides.each[0], self._moments)

    def whole(self) -> LikelihoodObjective:
        side = self._sides.each[0].whole(np.random.default_rng(self._seed))
        return self._objective(side, side.moments())

    def _objective(self, side: Side, moments: Moments) -> LikelihoodObjective:
        coordinates = _between(moments)
        base = Normal(coordinates.mean_y, coordinates.scale)
        constant = float(base.log_density(moments.mean[None])[0]) + coordinates.log_volume
        held_out = side.holdout, side.held_out_weights
        return LikelihoodObjective(side.source, coordinates, *held_out, constant, self.config, seed=self._seed)

    def info(self, coordinates: AbstractGeometry) -> dict[str, Any]:
        """The base distribution, in the coordinates of the map: of all samples, or without the held-out ones."""
        assert isinstance(coordinates, QuadraticGeometry)
        base = Normal(coordinates.mean_y, coordinates.scale)
        return {"base": {"side": "target"} | base.record()}


def choose_density_config(dim: int, size: int | None, **changes: Any) -> TrainingConfig:  # noqa: ANN401
    """Settings of a density fit, from dimension, number of samples and budget.

    Widths, slopes and floor are those of `choose_config`. What differs:

    - `softplus` activations: densities contain second derivatives, which should be smooth.
    - Batches of 256 points, no more than a quarter of the samples; 3,072 steps.
    - Learning rate: 0.01, for every dimension and size.
    - Every draw of a sample gets noise of 2.2 standard deviations over the square root of the number of samples, at
      most 0.2: few samples would be learned by heart otherwise.

    Args:
        dim: Number of columns.
        size: Samples; `None` for samplers.
        changes: Settings to take instead of the rule's.
    """
    rule = choose_config(dim, size)
    config = rule.replace(
        activation="softplus",
        batch=256 if size is None else max(min(256, size // 4), 16),
        learning_rate=1e-2,
        decay=0.0,
        jitter=0.0 if size is None else min(2.2 / size**0.5, 0.2),
        cycle=64,
        validation=256,
        max_steps=_STEPS,
    )
    return config.replace(**changes)


def _between(moments: Moments) -> QuadraticGeometry:
    """The geometry between data with these moments and a normal distribution with the same means and deviations."""
    deviation = np.sqrt(np.diag(moments.covariance))
    target = Moments(moments.mean, np.diag(deviation**2), moments.count)
    return QuadraticGeometry.between(moments, target, deviation)
