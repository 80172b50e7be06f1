"""A family of maps, one for every condition."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from brenier.checkpoint.identity import data_digest
from brenier.conditions.space import ConditionSpace
from brenier.data.pairs import check_pair
from brenier.data.remembered import remember
from brenier.data.units import cost_units
from brenier.estimators.conditioned import Pair, make_pair
from brenier.estimators.intake import Problem
from brenier.estimators.sides import FEWEST_HELD_OUT, held_out_count, pooled_deviations
from brenier.estimators.tasks import AbstractTask, Request
from brenier.geometry import AbstractGeometry, ConditionalGeometry, carry_flat, moments
from brenier.geometry.between import conditional_between
from brenier.training import MOST_REFITTED, DualObjective, Holdout, TrainingConfig, choose_config

__all__ = ["ConditionalTask"]

_LARGEST_POOL = 1 << 16


class ConditionalTask(AbstractTask):
    """A map for every value of a condition, from one network."""

    kind = "conditional map"
    space: ConditionSpace

    def __init__(self, problem: Problem, request: Request) -> None:
        source, target = problem.samples
        x, y = source.table, target.table
        self._carried = check_pair(x, y, one_sided=False)
        self._seeds, self.dim, self.columns = request.seeds, x.values.shape[1], x.columns
        self.rows = len(x.values), len(y.values)
        self.data = {"source": remember(x.values), "target": remember(y.values)}
        each = moments(x.values, weights=source.weights), moments(y.values, weights=target.weights)
        self._units = cost_units(problem.scale, pooled_deviations(*carry_flat(*each)), x)
        self._pair, self.space = make_pair(source, target, problem.condition_types)
        self.config = _config(self._pair, self.space, request.changes)
        sizes = len(self._pair.x), len(self._pair.y)
        first, second = (
            held_out_count(size, request.holdout, self.config.holdout, request.least_held_out) for size in sizes
        )
        self._counts = first, second
        self.enough = min(self._counts) >= max(FEWEST_HELD_OUT, len(self.space.classes))
        self.small = max(sizes) <= MOST_REFITTED

    def digests(self) -> dict[str, str]:
        sides = zip("XY", (self._pair.x, self._pair.y), self._pair.weights, strict=True)
        return {f"points or conditions of `{name}`": data_digest(*side) for name, *side in sides}

    def coordinates(self) -> ConditionalGeometry:
        return self._between(self._pair)

    def part(self) -> DualObjective:
        held_out, training = self._split()
        return self._objective(training, held_out)

    def whole(self) -> DualObjective:
        return self._objective(self._pair, self._split()[0])

    def info(self, coordinates: AbstractGeometry) -> dict[str, Any]:
        """Numbers of the columns that are carried, if there are some."""
        return {"carried": self._carried} if self._carried else {}

    def _split(self) -> tuple[Pair, Pair]:
        """Held-out rows and training rows; the same split on every call."""
        return self._pair.split(self.space, self._counts, self._seeds[0])

    def _between(self, pair: Pair) -> ConditionalGeometry:
        return conditional_between(pair.x, pair.y, *self.space.scaled_ranges, self._units, self._seeds[2], pair.given)

    def _objective(self, training: Pair, held_out: Pair) -> DualObjective:
        coordinates, seed = self._between(training), self._seeds[2]
        x, y = held_out.match(self.dim, np.random.default_rng(seed))
        holdout = Holdout.of(x, y, coordinates, self.config.solver)
        source, target = training.sources(self.dim, np.random.default_rng(seed))
        return DualObjective(source, target, coordinates, holdout, self.config, seed=seed)


def _config(pair: Pair, space: ConditionSpace, asked: Mapping[str, Any]) -> TrainingConfig:
    """Settings that the rule gives for all samples, changed for a network that several classes share.

    - Decay and noise of the draws are those for the samples of one class: a map is known no more finely than they lie.
    - The pool grows with the number of classes, rounded down to a power of two, up to 65,536 points a side, so that the
      points of one class are coupled about as closely as in a fit of their own.
    - Networks are wider by half from two classes on: their units serve several maps.
    """
    dim, size, classes = pair.x.shape[1] - 1 - space.numbers, pair.size, len(space.classes)
    single = choose_config(dim, max(size // classes, 1), **asked)
    whole = choose_config(dim, size, **asked)
    changes: dict[str, Any] = {"decay": single.decay, "jitter": single.jitter}
    if classes > 1:
        changes["pool"] = min(whole.pool << (classes.bit_length() - 1), _LARGEST_POOL)
        changes["widths"] = tuple(width * 3 // 2 for width in whole.widths)
    return choose_config(dim, size, **changes | dict(asked))
