"""Counts, grades and rounded numbers as continuous ones: uniform noise within one step, on request."""

from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from brenier._errors import InputError
from brenier.data.checks import as_points
from brenier.data.frames import Moved, like, output_like
from brenier.data.lattice import Lattice, few_values
from brenier.data.pairs import check_columns
from brenier.data.table import Matrix, Table, Unchecked, itemise

__all__ = ["Dequantizer", "Widths", "add_noise", "common_widths", "discrete_columns"]

Widths: TypeAlias = str | float | Sequence[float] | Mapping[str, float]
"""`"auto"`, one width for all columns, one a column, or a mapping from names of columns; 0 leaves a column alone."""

_OPEN = 1.0 - 2.0**-20
"""Share of a step that the noise fills, so that rounding finds the way back for values of up to 2^31 steps."""


class Dequantizer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Spread discrete columns out by independent uniform noise within one step, and round back.

    A map moves tied points to one place, so that there is in general no transport map between discrete columns. Spread
    out over the width of a step, both sides have densities, and rounding undoes it.

    Args:
        widths: Width of the noise. `"auto"` takes the step of each discrete column and 0 for all others: a column is
            discrete where there are at least two rows for each different value, on average, and all values are
            multiples of one step up to an offset and to rounding; see `Lattice.of` for the exact rule. Otherwise one
            number for all columns, one a column, or a mapping from names, 0 for those that it lacks.
        random_state: Seed, generator, or None. A seed gives the same noise at each call, a generator goes on.

    Attributes:
        widths_: `(d,)` widths, 0 where a column is left alone.
        offsets_: `(d,)`; the values of a column are expected at `offsets_ + k * widths_` for whole k.
        n_features_in_: Number of columns.
        feature_names_in_: Names of the columns, if the data had string names.

    Example:
        >>> import numpy as np
        >>> from brenier import Dequantizer
        >>> counts = np.random.default_rng(0).poisson(3.0, size=(500, 1)) + 0.0
        >>> spread = Dequantizer(random_state=0).fit(counts)
        >>> spread.widths_.tolist(), bool((spread.inverse_transform(spread.transform(counts)) == counts).all())
        ([1.0], True)
    """

    def __init__(self, widths: Widths = "auto", random_state: int | np.random.RandomState | None = None) -> None:
        self.widths = widths
        self.random_state = random_state

    def fit(self, X: Unchecked, y: object = None) -> Self:
        """Learn the widths from `(n, d)` points, an array or a frame.

        Raises:
            InputError: The points, or `widths`, cannot be used.
        """
        table = as_points(X, "X")
        given = _read_widths(self.widths, table, "widths")
        columns = table.values.T
        if given is None:
            lattices = [Lattice.of(column) for column in columns]
        else:
            lattices = [Lattice.through(*pair) for pair in zip(given.tolist(), columns.min(axis=1), strict=True)]
        self.widths_ = np.array([lattice.width for lattice in lattices])
        self.offsets_ = np.array([lattice.offset for lattice in lattices])
        self.n_features_in_ = len(lattices)
        if table.columns is not None:
            self.feature_names_in_ = np.asarray(table.columns, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return self

    def transform(self, X: Unchecked) -> Moved:
        """Points with independent uniform noise on `(-widths_ / 2, widths_ / 2)`; a frame for a frame."""
        values = self._points(X)
        return output_like(self, X, add_noise(values, self.widths_, check_random_state(self.random_state)))

    def inverse_transform(self, X: Unchecked) -> Moved:
        """The nearest values `offsets_ + k * widths_`; a frame for a frame."""
        values = self._points(X)
        lattices = map(Lattice, self.widths_.tolist(), self.offsets_.tolist())
        rounded = [lattice.nearest(column) for lattice, column in zip(lattices, values.T, strict=True)]
        return like(X, np.column_stack(rounded))

    def _points(self, value: Unchecked) -> Matrix:
        check_is_fitted(self, "widths_")
        names = getattr(self, "feature_names_in_", None)
        return as_points(value, "X", columns=self.n_features_in_, names=names).values


def common_widths(tables: Sequence[Table], widths: Widths) -> Matrix:
    """One width a column for all sides of a fit, `(d,)`: with `"auto"`, the larger of their steps.

    Raises:
        InputError: The sides have different columns, or `widths` cannot be used.
    """
    for table in tables[1:]:
        check_columns(tables[0], table)
    given = _read_widths(widths, tables[0], "dequantize")
    if given is not None:
        return given
    return np.max([[Lattice.of(column).width for column in table.values.T] for table in tables], axis=0)


def discrete_columns(table: Table) -> list[str]:
    """Names and numbers of values of the columns with at most 100 different ones, and 20 rows a value on average."""
    counts = [few_values(column) for column in table.values.T]
    names = [table.label(place) if table.columns else f"column {place}" for place in range(len(counts))]
    return [f"{name} takes {count} different values" for name, count in zip(names, counts, strict=True) if count]


def _read_widths(widths: Widths, table: Table, name: str) -> Matrix | None:
    """A width for each column; None with `"auto"`."""
    if isinstance(widths, str) and widths == "auto":
        return None
    dim = table.values.shape[1]
    entries: Any = widths
    if isinstance(widths, Mapping):
        unknown = [repr(key) for key in widths if key not in (table.columns or ())]
        if unknown:
            known = itemise(table.columns) if table.columns else "no names"
            raise InputError(f"`{name}` names columns that the data lack: {itemise(unknown)}. They have {known}.")
        entries = [widths.get(column, 0.0) for column in table.columns or ()]
    try:
        numbers = np.asarray(entries, np.float64)
    except (TypeError, ValueError):
        numbers = np.array(np.nan)
    wrong_type = isinstance(widths, str | bool) or numbers.shape not in ((), (dim,))
    if wrong_type or not np.all(np.isfinite(numbers) & (numbers >= 0.0)):
        raise InputError(
            f"`{name}` must be 'auto', a width of at least 0, one for each of the {dim} columns, or a mapping from "
            f"names of columns; got {widths!r}."
        )
    return np.broadcast_to(numbers, (dim,)).copy()


def add_noise(values: Matrix, widths: Matrix, rng: np.random.RandomState) -> Matrix:
    """Points with independent uniform noise on `(-widths / 2, widths / 2)`."""
    return values + rng.uniform(-0.5, 0.5, values.shape) * (_OPEN * widths)
