"""Weights of samples: checked, and the supply of points that draws rows in proportion to them.

A weighted sample stands for the distribution that gives row i the share `w_i / sum w`. Whatever depends on this
distribution alone (moments, coordinates, dual values, distances, metrics) is, to rounding, what it would be if every
row were repeated as often as an integer weight says. What depends on how much has been *observed* (shrinkage, settings
chosen from the number of samples, standard errors, confidence) takes Kish's effective number of samples: repeating a
row adds no observation.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier._errors import DataWarning, InputError, warn
from brenier.data.frames import as_plain
from brenier.data.streams import PointStream, part_generator
from brenier.data.table import Matrix, Table, Unchecked, itemise

__all__ = ["WeightedStream", "as_weights", "draw_systematic", "effective_size", "warn_uneven", "weighted_table"]

_FEW = 0.05
"""Effective share of the rows below which a warning says that few rows decide everything."""


def as_weights(value: Unchecked, rows: int, name: str) -> Matrix | None:
    """Checked weights, divided by their sum; None where there are none.

    Args:
        value: One number for each of `rows` points: array, list, series, or a frame or array of one column.
        rows: Number of points.
        name: The argument's name in messages.

    Raises:
        InputError: Weights of another number, or that are not numbers, not finite, negative, or all zero.
    """
    if value is None:
        return None
    value = as_plain(value, name)
    try:
        raw = np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value)
        weights = np.array(raw, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"`{name}` must hold one number for each point: {error}.") from error
    if weights.ndim == 2 and weights.shape[1] == 1:
        weights = weights[:, 0]
    if weights.shape != (rows,) or raw.dtype.kind not in "biufO":
        raise InputError(
            f"`{name}` must be one number for each of the {rows} points; got shape {weights.shape}, dtype {raw.dtype}."
        )
    _check_finite(weights, name)
    negative = np.flatnonzero(weights < 0)
    if len(negative):
        share = -weights[negative].sum() / np.abs(weights).sum()
        raise InputError(
            f"`{name}` has {len(negative)} negative weights, {100 * share:.3g} % of the total magnitude, in rows "
            f"{itemise([str(row) for row in negative])}. No distribution has negative mass, so there is no transport "
            "map from or to it. Before the fit, move the negative weight to close neighbours (cell resampling), or "
            "replace all weights by a positive estimate of their local mean, from a classifier between rows of "
            "positive and of negative weight (neural resampling); both keep what can be observed. docs/weights.md says "
            "more."
        )
    total = weights.sum()
    if not total > 0:
        raise InputError(f"`{name}` must have a positive weight; all {rows} are zero.")
    return weights / total


def weighted_table(table: Table, value: Unchecked, name: str) -> tuple[Table, Matrix | None]:
    """The rows of a table that have a positive weight, and these weights; as they are where there are none.

    Args:
        table: Checked points.
        value: Their weights, as for `as_weights`.
        name: The argument's name in messages.

    Warns:
        DataWarning: So few rows carry the weight that they count as less than a twentieth of their number.
    """
    weights = as_weights(value, len(table.values), name)
    if weights is None:
        return table, None
    warn_uneven(weights, name)
    counted = weights > 0
    if counted.all():
        return table, weights
    return type(table)(table.values[counted], table.columns), weights[counted]


def warn_uneven(weights: Matrix, name: str) -> None:
    """Warn of shares so uneven that their rows count as less than a twentieth of their number."""
    effective = effective_size(weights)
    if effective < _FEW * len(weights):
        warn(
            f"`{name}` is so uneven that its {len(weights):,} points count as {effective:,.0f} in effect: the largest "
            f"weight is {100 * weights.max():.2g} % of the sum. The map is as uncertain as from so few points.",
            DataWarning,
        )


def effective_size(weights: Matrix) -> float:
    """Kish's number of equally weighted samples whose mean would be as certain: `(sum w)^2 / sum w^2`.

    References: Kish 1965, "Survey sampling", section 11.7.
    """
    return float(weights.sum() ** 2 / np.sum(np.square(weights)))


def draw_systematic(weights: Matrix, n: int, start: float) -> NDArray[np.intp]:
    """Draw rows, in their order, so that row i comes `n w_i / sum w` times, rounded up or down.

    Args:
        weights: `(size,)`, not negative.
        n: Number of rows to draw.
        start: A uniform random number from 0 to 1, which decides the roundings.

    References: Cochran 1977, "Sampling techniques", section 8.1.
    """
    ends = np.cumsum(weights)
    places = (start + np.arange(n)) / n * ends[-1]
    return np.minimum(np.searchsorted(ends, places, side="right"), len(weights) - 1)


class WeightedStream(PointStream):
    """Rows of an array in proportion to their weights, in random order.

    In every draw, row i comes as often as its share of the weight says, rounded up or down: for integer weights, as
    many draws as the sum of the weights hold every row exactly as often as its weight says.

    Args:
        values: `(size, dim)`, checked.
        weights: `(size,)`, positive.
        rng: Generator of the orders.
    """

    def __init__(self, values: Matrix, weights: Matrix, rng: np.random.Generator) -> None:
        self._values, self._weights, self._rng = values, weights, rng

    @property
    def dim(self) -> int:
        return self._values.shape[1]

    @property
    def size(self) -> int:
        return self._values.shape[0]

    def draw(self, n: int) -> Matrix:
        order = self._rng.permutation(self.size)
        rows = order[draw_systematic(self._weights[order], n, self._rng.uniform())]
        return self._values[self._rng.permutation(rows)]

    def part(self, index: int, count: int) -> "WeightedStream":
        """All rows in another order: some of the rows would have another share of the weight."""
        return WeightedStream(self._values, self._weights, part_generator(self._rng, index))

    def state(self) -> dict[str, Any]:
        return {"rng": self._rng.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        self._rng.bit_generator.state = state["rng"]


def _check_finite(weights: Matrix, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(weights))
    if len(bad):
        missing = int(np.isnan(weights).sum())
        raise InputError(
            f"`{name}` has {missing} missing and {len(bad) - missing} infinite entries, in rows "
            f"{itemise([str(row) for row in bad])}. Give these points a weight, or leave them out."
        )
