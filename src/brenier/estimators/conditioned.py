"""The two sides of a conditional fit: which rows take part, what is held out, and the weight of each."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brenier._errors import DataWarning, InputError, warn
from brenier.conditions.balance import Balance, balance
from brenier.conditions.space import ConditionSpace, Kinds, find_space
from brenier.data.streams import PointStream, part_generator
from brenier.data.table import itemise
from brenier.data.weights import draw_systematic, effective_size
from brenier.estimators.intake import Sample
from brenier.geometry.coupling import coupled_orders

__all__ = ["BalancedStream", "Pair", "make_pair"]

Matrix = NDArray[np.float64]

_FEWEST = 20
"""Fewest points of a class on each side."""

_CLASSES_APART = 1e3
"""Distance between two classes, where numbers are about one apart, so that classes are matched before numbers."""

_LEFT_OUT = 0.02
"""Share of the rows outside the common range above which a warning says so."""

_EFFECTIVE = 0.5
"""Effective share of the rows below which a warning says that conditions differ."""


class Pair(NamedTuple):
    """Both sides as rows: `d` coordinates, the number of the class, and `q` conditions that are numbers.

    Attributes:
        x: `(n, d + 1 + q)` rows of the source.
        y: `(m, d + 1 + q)` rows of the target.
        weights: Weights of all rows under which both sides have the same conditions.
        given: Weights that the user gave to the rows; None where all count alike.
    """

    x: Matrix
    y: Matrix
    weights: tuple[Matrix, Matrix]
    given: tuple[Matrix | None, Matrix | None]

    @classmethod
    def of(cls, x: Matrix, y: Matrix, given: tuple[Matrix | None, Matrix | None], space: ConditionSpace) -> "Pair":
        """Make a pair from rows, with the weights that balance their conditions."""
        return cls(x, y, _weights(x, y, given, space).sides, given)

    @property
    def size(self) -> int:
        """Rows of the smaller side; their effective number where they have weights."""
        sides = zip((self.x, self.y), self.given, strict=True)
        return min(len(rows) if weights is None else max(round(effective_size(weights)), 1) for rows, weights in sides)

    def split(self, space: ConditionSpace, counts: tuple[int, int], seed: int) -> "tuple[Pair, Pair]":
        """Split into held-out rows, about `counts` a side with each class in proportion, and training rows."""
        rng = np.random.default_rng(seed)
        chosen = [_choose_rows(rows, space, count, rng) for rows, count in zip((self.x, self.y), counts, strict=True)]
        return self._part(chosen[0], chosen[1], space), self._part(~chosen[0], ~chosen[1], space)

    def _part(self, of_x: NDArray[np.bool_], of_y: NDArray[np.bool_], space: ConditionSpace) -> "Pair":
        a, b = (None if shares is None else shares[rows] for shares, rows in zip(self.given, (of_x, of_y), strict=True))
        return Pair.of(self.x[of_x], self.y[of_y], (a, b), space)

    def match(self, dim: int, rng: np.random.Generator) -> tuple[Matrix, Matrix]:
        """Draw equally many rows of both sides by weight, paired so that partners have about the same condition."""
        count = 1 << (max(len(self.x), len(self.y)) - 1).bit_length()
        x, y = (source.draw(count) for source in self.sources(dim, rng))
        units = np.r_[_CLASSES_APART, np.ones(x.shape[1] - dim - 1)]
        order_x, order_y = coupled_orders(x[:, dim:] * units, y[:, dim:] * units)
        x, y = x[order_x], y[order_y]
        alike = x[:, dim] == y[:, dim]
        return x[alike], y[alike]

    def sources(self, dim: int, rng: np.random.Generator) -> "tuple[BalancedStream, BalancedStream]":
        """Supplies of training rows of both sides, whose points have `dim` columns."""
        x, y = (BalancedStream(*side, dim, rng) for side in zip((self.x, self.y), self.weights, strict=True))
        return x, y


class BalancedStream(PointStream):
    """Rows in proportion to their weights, with every class at its share in each draw.

    Systematic sampling in a random order within each class: a row of expected count k comes k times, rounded up or
    down. Classes take turns, so that every run of consecutive rows has them in their shares, too: a pool that replaces
    a part of its rows by a new draw keeps them.

    Args:
        rows: `(n, d + 1 + q)`.
        weights: `(n,)`, summing to one.
        class_column: Column that holds the number of the class.
        rng: Randomness of the draws.
    """

    def __init__(self, rows: Matrix, weights: Matrix, class_column: int, rng: np.random.Generator) -> None:
        self._rows, self._weights, self._class_column, self._rng = rows, weights, class_column, rng

    @property
    def dim(self) -> int:
        return self._rows.shape[1]

    @property
    def size(self) -> int:
        return self._rows.shape[0]

    def draw(self, n: int) -> Matrix:
        order = self._rng.permutation(self.size)
        order = order[np.argsort(self._rows[order, self._class_column], kind="stable")]
        rows = self._rows[order[draw_systematic(self._weights[order], n, self._rng.uniform())]]
        return rows[self._turns(rows[:, self._class_column])]

    def part(self, index: int, count: int) -> "BalancedStream":
        """All rows in another order: some of the rows would have other shares of the classes."""
        return BalancedStream(self._rows, self._weights, self._class_column, part_generator(self._rng, index))

    def state(self) -> dict[str, Any]:
        return {"rng": self._rng.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        self._rng.bit_generator.state = state["rng"]

    def _turns(self, classes: Matrix) -> NDArray[np.intp]:
        """An order of sorted classes in which they take turns: the k-th of c rows at about k / c of the way."""
        _, starts, counts = np.unique(classes, return_index=True, return_counts=True)
        within = np.arange(len(classes)) - np.repeat(starts, counts)
        way = (within + self._rng.uniform(size=len(classes))) / np.repeat(counts, counts)
        return np.argsort(way, kind="stable")


def make_pair(source: Sample, target: Sample, kinds: Kinds) -> tuple[Pair, ConditionSpace]:
    """Rows of both sides with their conditions, within the classes and the range that both sides have.

    Raises:
        InputError: Conditions that cannot be used together; a class with fewer than 20 points on a side.

    Warns:
        DataWarning: Rows were left out; conditions differ so much that few rows count; few points for their dimension.
    """
    samples = source, target
    space, notes = find_space(source.condition or [], target.condition or [], kinds)
    sides, given = [], []
    for sample, name in zip(samples, ("x_condition", "y_condition"), strict=True):
        codes, known = space.encode_known(sample.condition or [], name)
        inside = np.ones(len(codes), bool)
        inside[space.outside(codes)] = False
        if 1.0 - inside.mean() > _LEFT_OUT:
            notes.append(
                f"{100.0 * (1.0 - inside.mean()):.2g} % of the rows of `{name}` lie where the other side has no points."
            )
        sides.append(np.column_stack([sample.table.values[known][inside], codes[inside]]))
        given.append(None if sample.weights is None else sample.weights[known][inside])
    if notes:
        warn(
            f"{' '.join(notes)} These rows were left out, and the map does not know their conditions.",
            DataWarning,
        )
    _check_counts(sides[0], sides[1], space)
    weighted = _weights(sides[0], sides[1], (given[0], given[1]), space)
    _check_effective(weighted, space)
    return Pair(sides[0], sides[1], weighted.sides, (given[0], given[1])), space


def _weights(x: Matrix, y: Matrix, given: tuple[Matrix | None, Matrix | None], space: ConditionSpace) -> Balance:
    codes = 1 + space.numbers
    a, b = (np.ones(len(rows)) if weights is None else weights for rows, weights in zip((x, y), given, strict=True))
    return balance(x[:, -codes:], y[:, -codes:], *space.scaled_ranges, (a, b))


def _choose_rows(rows: Matrix, space: ConditionSpace, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A mask of about `count` rows, with each class in proportion."""
    order = rng.permutation(len(rows))
    order = order[np.argsort(rows[order, -1 - space.numbers], kind="stable")]
    chosen = np.zeros(len(rows), bool)
    if count:
        chosen[order[((np.arange(count) + 0.5) * (len(rows) / count)).astype(np.intp)]] = True
    return chosen


def _check_counts(x: Matrix, y: Matrix, space: ConditionSpace) -> None:
    dim = x.shape[1] - 1 - space.numbers
    counts = np.array([np.bincount(side[:, dim].astype(np.intp), minlength=len(space.classes)) for side in (x, y)])
    names = space.class_names()
    few = [f"'{name}' ({a} and {b})" for name, a, b in zip(names, *counts, strict=True) if min(a, b) < _FEWEST]
    if few:
        raise InputError(
            f"`x_condition` and `y_condition` have classes with fewer than {_FEWEST} points on a side: {itemise(few)}. "
            "Leave their points out, or merge them with other classes."
        )
    few = [f"'{name}' ({min(a, b)})" for name, a, b in zip(names, *counts, strict=True) if min(a, b) <= dim]
    if few and len(names) > 1:
        warn(
            f"Classes have no more points on a side than the {dim} dimensions: {itemise(few)}. Most directions of "
            "their covariances are unknown, and taken as uncorrelated. Use more points, or fewer columns.",
            DataWarning,
        )


def _check_effective(weighted: Balance, space: ConditionSpace) -> None:
    low = weighted.effective.min(axis=1)
    few = [f"'{name}' ({100 * share:.0f} %)" for name, share in zip(space.class_names(), low, strict=True)]
    few = [text for text, share in zip(few, low, strict=True) if share < _EFFECTIVE]
    if few:
        warn(
            "The numbers of `x_condition` and `y_condition` are distributed so differently that, weighted to agree, a "
            f"side is left with few rows in effect: {itemise(few)}. Where a side has few points, the map is uncertain.",
            DataWarning,
        )
