"""The rows that a page is about: which ones, how much each counts, where the map sends them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.conditions import ConditionSpace
from brenier.conditions.balance import weights_towards
from brenier.data.checks import as_points
from brenier.data.conditions import is_single, read_conditions
from brenier.data.table import Matrix, Unchecked, itemise
from brenier.data.weights import as_weights, effective_size
from brenier.maps import Inverse, TransportMap
from brenier.report.words import clean, tally

__all__ = ["Cloud", "Sides", "read_sides"]

_LEAST_OF_A_CLASS = 2


@dataclass(frozen=True, eq=False)
class Cloud:
    """The rows of one side that a report uses.

    Attributes:
        name: What the page calls the side.
        points: `(n, d)`.
        rows: `(n,)` their numbers in the input, from 0.
        shares: `(n,)` weights, summing to one.
        given: Number of rows of the input with a weight above zero.
        weighted: Whether weights were given.
        condition: `(n, q)` conditions as the map takes them; None without.
        codes: `(n, 1 + q)` conditions as numbers, the class first; None without.
        used: How much each row counts where both sides are to have one distribution of conditions; `shares` otherwise.
    """

    name: str
    points: Matrix
    rows: NDArray[np.intp]
    shares: Matrix
    given: int
    weighted: bool
    condition: NDArray[Any] | None = None
    codes: Matrix | None = None
    used: Matrix | None = None

    @property
    def weights(self) -> Matrix | None:
        """Weights as methods of maps take them: None where none were given."""
        return self.shares if self.weighted else None

    @property
    def even(self) -> Matrix:
        """`(n,)` weights of the rows in pictures and moments."""
        return self.shares if self.used is None else self.used

    def part(self, chosen: NDArray[Any]) -> "Cloud":
        """The rows of this cloud that a mask or index selects, with their weights scaled to sum to one."""
        total = self.shares[chosen].sum()
        fields = {name: None if (a := getattr(self, name)) is None else a[chosen] for name in ("condition", "codes")}
        shares = self.shares[chosen] / total
        return Cloud(self.name, self.points[chosen], self.rows[chosen], shares, self.given, self.weighted, **fields)

    def describe(self) -> str:
        """How many rows of how many are used, as a phrase with the name of the side."""
        text = f"{self.name}: {tally(len(self.points), 'row')}"
        if len(self.points) < self.given:
            text += f" of {self.given:,}"
        return text + (f", which count as {effective_size(self.shares):,.0f} by weight" if self.weighted else "")


@dataclass(frozen=True, eq=False)
class Sides:
    """The rows of both sides that a report uses, with their images and preimages.

    Attributes:
        map_: The map.
        x, y: Source and target.
        images: `(n, d)` of the rows of `x`, all finite.
        inverse: Preimages of the rows of `y` with their status.
        names: Names of the columns.
        dropped: Sentences on rows that could not be used.
    """

    map_: TransportMap
    x: Cloud
    y: Cloud
    images: Matrix
    inverse: Inverse
    names: list[str]
    dropped: list[str]

    def measure(self, points: Matrix) -> Matrix:
        """`(n, k)` coordinates of points in which the cost measures their distance."""
        return self.map_.geometry.measure(points)

    @property
    def legend(self) -> list[tuple[str, str]]:
        """Legend of figures that show source, image and target."""
        return [("source", f"{self.x.name} (source)"), ("image", "its image"), ("target", f"{self.y.name} (target)")]

    @property
    def moves(self) -> Matrix:
        """Displacements of the source rows in the coordinates in which the cost measures them."""
        return self.measure(self.images) - self.measure(self.x.points)

    @property
    def column_moves(self) -> Matrix:
        """Displacements of the source rows, each column in units of its scale."""
        return (self.images - self.x.points) / self.map_.geometry.scale


def read_sides(
    map_: TransportMap,
    values: tuple[Unchecked, Unchecked],
    conditions: tuple[Unchecked, Unchecked],
    weights: tuple[Unchecked, Unchecked],
    names: tuple[str, str],
    most: int,
    seed: int,
) -> Sides:
    """Check both sides, choose the rows to use, and move them.

    Args:
        map_: The map.
        values: `X` and `Y`.
        conditions: Conditions of their rows, for maps that have conditions.
        weights: Weights of their rows, or None.
        names: What the page calls the sides.
        most: Largest number of rows a side; of more, so many are drawn without replacement, class by class.
        seed: Seed of that draw.
    """
    dropped: list[str] = []
    clouds = [
        _cloud(map_, *side, most, np.random.default_rng([seed, place]), dropped)
        for place, side in enumerate(zip("XY", values, conditions, weights, names, strict=True))
    ]
    x, y = clouds
    if map_.conditions is not None:
        x, y = _common_classes(map_.conditions, (x, y), dropped)
    images: Any = map_.forward(x.points, condition=x.condition)
    finite = np.isfinite(images).all(axis=1)
    if not finite.all():
        dropped.append(
            f"{tally(int((~finite).sum()), 'row')} of {x.name} have no finite image and are left out of all numbers "
            f"below: {_rows(x.rows[~finite])}."
        )
        x, images = x.part(finite), images[finite]
    if min(len(x.points), len(y.points)) < 2:
        raise InputError(
            f"`X` and `Y` must each have at least 2 rows that can be used for a report; got {len(x.points)} and "
            f"{len(y.points)}."
        )
    if map_.conditions is not None and x.codes is not None and y.codes is not None:
        used, _ = weights_towards(x.codes, y.codes, *map_.conditions.scaled_ranges, (x.shares, y.shares))
        y = Cloud(**{**vars(y), "used": used})
    exact = map_.conditions is None or not map_.conditions.numbers
    columns = map_.columns or [f"column {place}" for place in range(map_.dim)]
    inverse = map_.inverse_with_status(y.points, condition=y.condition, error=exact)
    return Sides(map_, x, y, images, inverse, [clean(name) for name in columns], dropped)


def _cloud(
    map_: TransportMap,
    argument: str,
    value: Unchecked,
    condition: Unchecked,
    weight: Unchecked,
    name: str,
    most: int,
    rng: np.random.Generator,
    dropped: list[str],
) -> Cloud:
    table = as_points(value, argument, columns=map_.dim, names=map_.columns)
    count = len(table.values)
    shares = as_weights(weight, count, f"{argument.lower()}_weight")
    codes = taken = None
    if map_.conditions is not None:
        label = f"{argument.lower()}_condition"
        codes = np.array(map_.codes(condition, count, label))
        taken = _stack(map_.conditions, condition, count, label)
    elif condition is not None:
        raise InputError("A condition was given, but the fit had none. Leave it out, or fit with conditions.")
    rows = np.arange(count) if shares is None else np.flatnonzero(shares > 0)
    if len(rows) < count:
        dropped.append(f"{tally(count - len(rows), 'row')} of {clean(name)} have no weight and are left out.")
    chosen = rows[_choose(len(rows), None if codes is None else codes[rows, 0], most, rng)]
    kept = np.ones(len(chosen)) if shares is None else shares[chosen]
    return Cloud(
        name=clean(name),
        points=table.values[chosen],
        rows=chosen,
        shares=kept / kept.sum(),
        given=len(rows),
        weighted=shares is not None,
        condition=None if taken is None else taken[chosen],
        codes=None if codes is None else codes[chosen],
    )


def _stack(space: ConditionSpace, condition: Unchecked, count: int, name: str) -> NDArray[Any]:
    """Conditions as one array of objects with the columns of the fit in their order, so that rows can be chosen."""
    if is_single(condition):
        entries = _sort_columns(condition, space) if isinstance(condition, Mapping) else condition
        row = np.empty((1, len(space.variables)), object)
        row[0] = entries if isinstance(entries, tuple | list) else [entries]
        return np.repeat(row, count, axis=0)
    columns = read_conditions(condition, count, name)
    wanted = [variable.name for variable in space.variables]
    given = {column.name: column for column in columns}
    ordered: Sequence[Any] = (
        [given[name] for name in wanted] if None not in wanted and given.keys() >= set(wanted) else columns
    )
    return np.column_stack([column.values.astype(object) for column in ordered])


def _sort_columns(condition: Mapping[str, Any], space: ConditionSpace) -> list[Any]:
    return [condition[str(variable.name)] for variable in space.variables]


def _choose(count: int, classes: Matrix | None, most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows to use, in order: all of few; of many, a draw with each class in its share, but two rows at least."""
    if count <= most:
        return np.arange(count)
    order = rng.permutation(count)
    if classes is None:
        return np.sort(order[:most])
    parts = []
    for label in np.unique(classes):
        rows = order[classes[order] == label]
        parts.append(rows[: max(most * len(rows) // count, _LEAST_OF_A_CLASS)])
    return np.sort(np.concatenate(parts))


def _common_classes(space: ConditionSpace, clouds: tuple[Cloud, Cloud], dropped: list[str]) -> tuple[Cloud, Cloud]:
    """The rows of those classes that have two or more rows on both sides."""
    x, y = clouds
    assert x.codes is not None
    assert y.codes is not None
    own_x, own_y = x.codes[:, 0].astype(int), y.codes[:, 0].astype(int)
    size = len(space.classes)
    few = np.minimum(np.bincount(own_x, minlength=size), np.bincount(own_y, minlength=size)) < _LEAST_OF_A_CLASS
    present = np.flatnonzero(few & (np.bincount(np.r_[own_x, own_y], minlength=size) > 0))
    if len(present):
        names = space.class_names()
        dropped.append(
            "Classes with fewer than two rows on one side are left out: "
            f"{itemise([clean(names[k]) for k in present], 12)}."
        )
    return x.part(np.flatnonzero(~few[own_x])), y.part(np.flatnonzero(~few[own_y]))


def _rows(rows: NDArray[np.intp]) -> str:
    return f"row {rows[0]}" if len(rows) == 1 else f"rows {itemise([str(row) for row in rows], 10)} (from 0)"
