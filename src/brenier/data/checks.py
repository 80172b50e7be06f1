"""Checks of the arrays and frames that users hand in.

`as_points` turns one argument into a plain table of finite numbers, or says what is wrong with it; `check_pair` looks
at the two sides together. Frames are recognised by what they can do, so pandas, polars and pyarrow are never imported.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from brenier._errors import DataWarning, InputError

__all__ = ["InputTypeError", "Matrix", "Table", "Unchecked", "as_points", "check_pair"]

Matrix: TypeAlias = NDArray[np.float64]
Unchecked: TypeAlias = Any
"""Whatever the user handed in."""

_LARGEST = 1e100
"""Magnitudes beyond this overflow once they are squared and summed."""

_SMALLEST_SPREAD = 1e-100
"""Ranges below this underflow once they are squared."""

_COLLINEAR = 1e-8
"""Eigenvalue of the correlation matrix, relative to the largest, under which columns count as dependent."""

_DIGITS = {"float16": 3, "bfloat16": 2}


class InputTypeError(InputError, TypeError):
    """An argument, or an entry of it, is of a kind that no conversion can make a number of."""


@dataclass(frozen=True, eq=False)
class Table:
    """Checked points.

    Attributes:
        values: `(n, d)`, finite, read-only; may share memory with what the user passed.
        columns: Names of the `d` columns where they are known.
    """

    values: Matrix
    columns: list[str] | None = None

    def label(self, column: int) -> str:
        """How messages call a column: its name in backticks, or its number."""
        return _label(self.columns, column)


def as_points(value: Unchecked, name: str, *, columns: int | None = None) -> Table:
    """Check one argument and convert it to float64, without changing it.

    Args:
        value: Array, list of rows, pandas, polars or pyarrow frame, `Table`, or anything that NumPy can read.
        name: The argument's name in messages.
        columns: Number of columns of the fit, where there has been one. Any number by default.

    Raises:
        InputError: Not two-dimensional, empty, of the wrong width, not numbers, or not finite.

    Warns:
        DataWarning: 16-bit floats, and integers too large for float64.
    """
    if hasattr(value, "nnz"):
        kind = type(value).__name__
        raise InputTypeError(f"`{name}` is a {kind}; sparse data are not supported. Pass `{name}.toarray()`.")
    labels = None
    if isinstance(value, Table):
        value, labels = value.values, value.columns
    frame = _frame_columns(value)
    if frame is None:
        raw = _read_array(value, name)
        _check_shape(raw.shape, name, columns, value)
    else:
        _check_shape(value.shape, name, columns, value)
        raw = _stack(*frame, name)
        if all(isinstance(label, str) for label in frame[0]):
            labels = [str(label) for label in frame[0]]
    values = _to_float(raw, name, labels)
    _check_finite(values, name, labels)
    values = values.view()
    values.flags.writeable = False
    return Table(values, labels)


def check_pair(x: Table, y: Table, names: tuple[str, str] = ("X", "Y")) -> None:
    """Check that two sides can be matched, and warn of what limits the result.

    Args:
        x: Source, from `as_points`.
        y: Target, from `as_points`.
        names: What messages call them.

    Raises:
        InputError: Different columns, a single sample, or a column without spread.

    Warns:
        DataWarning: Few samples, many repeated rows, dependent columns, or very different units.
    """
    if x.values.shape[1] != y.values.shape[1]:
        raise InputError(
            f"`{names[0]}` and `{names[1]}` must have the same number of columns; got shapes {x.values.shape} and "
            f"{y.values.shape}. Select the columns that both sides share."
        )
    if x.columns and y.columns and x.columns != y.columns and sorted(x.columns) == sorted(y.columns):
        raise InputError(
            f"`{names[0]}` and `{names[1]}` have the same columns in another order: {_listed(x.columns)} against "
            f"{_listed(y.columns)}. Reorder one side, for instance `{names[1]}[{names[0]}.columns]`."
        )
    total_x, total_y = _check_side(x, names[0]), _check_side(y, names[1])
    _compare_units(total_y / total_x, names)


def _check_side(table: Table, name: str) -> float:
    """Checks of one side as a distribution; returns its total standard deviation."""
    values = table.values
    count, dim = values.shape
    if count == 1:
        raise InputError(f"`{name}` has 1 sample; a distribution needs more, a minimum of 2 is required.")
    low, high = values.min(axis=0), values.max(axis=0)
    spread = high - low
    # Equal numbers that were computed in different ways differ in their last bits.
    constant = np.flatnonzero(spread <= 8 * np.finfo(np.float64).eps * np.maximum(np.abs(low), np.abs(high)))
    if constant.size:
        shown = [f"{table.label(j)} (always {values[0, j] + 0.0:.6g})" for j in constant.tolist()]
        raise InputError(f"`{name}` has constant columns, which no map can move: {_listed(shown)}. Drop them.")
    tiny = np.flatnonzero(spread < _SMALLEST_SPREAD)
    if tiny.size:
        shown = [f"{table.label(j)} (range {spread[j]:.3g})" for j in tiny.tolist()]
        raise InputError(f"`{name}` has columns whose squares underflow: {_listed(shown)}. Use larger numbers.")
    centred = values - values.mean(axis=0)
    deviations = np.sqrt(np.mean(np.square(centred), axis=0))
    if count <= dim:
        _warn(
            f"`{name}` has {count} samples for {dim} dimensions, so most directions are unknown. Use more samples, "
            "or fewer columns (principal components, for instance)."
        )
    else:
        dependent = _dependent_columns(centred / deviations)
        if dependent.size:
            shown = [table.label(j) for j in dependent.tolist()]
            _warn(f"`{name}` has linearly dependent columns, among them {_listed(shown)}. Drop the redundant ones.")
    share = 1.0 - _distinct_rows(values) / count
    if share > 0.5:
        _warn(
            f"{100 * share:.0f} % of the rows of `{name}` repeat earlier rows. No map can spread tied "
            "points apart; check that the repeats are meant."
        )
    return float(np.sqrt(np.sum(np.square(deviations))))


def _compare_units(ratio: float, names: tuple[str, str]) -> None:
    if not 1e-3 <= ratio <= 1e3:
        _warn(f"`{names[1]}` is spread {ratio:.3g} times as widely as `{names[0]}`. Are both in the same units?")


def _dependent_columns(standardised: Matrix) -> NDArray[np.intp]:
    """Columns that take part in a linear relation, strongest first."""
    eigenvalues, vectors = np.linalg.eigh(standardised.T @ standardised / len(standardised))
    null = vectors[:, eigenvalues < _COLLINEAR * eigenvalues[-1]]
    part = np.sum(np.square(null), axis=1)
    order = np.argsort(-part, kind="stable")
    return order[part[order] > 1e-3]


def _distinct_rows(values: Matrix) -> int:
    """Number of different rows, by a 64-bit hash of each (sorting whole rows would take far longer)."""
    bits = (values + 0.0).view(np.uint64)  # the sum turns -0.0 into 0.0
    codes = np.zeros(len(values), np.uint64)
    for column in bits.T:
        codes = (codes ^ column) * np.uint64(0x9E3779B97F4A7C15)
        codes ^= codes >> np.uint64(32)
    return np.unique(codes).size


def _frame_columns(value: Unchecked) -> tuple[list[object], list[NDArray[Any]]] | None:
    """Names and columns of a frame; None where the value is not one."""
    if hasattr(value, "column_names"):  # pyarrow
        return list(value.column_names), [column.to_numpy(zero_copy_only=False) for column in value.columns]
    if hasattr(value, "get_columns"):  # polars
        return list(value.columns), [column.to_numpy() for column in value.get_columns()]
    if hasattr(value, "iloc") and hasattr(value, "columns"):  # pandas
        return list(value.columns), [_pandas_column(value.iloc[:, j]) for j in range(value.shape[1])]
    return None


def _pandas_column(series: Unchecked) -> NDArray[Any]:
    if isinstance(series.dtype, np.dtype):
        return series.to_numpy()
    if series.dtype == "category":  # the labels may be numbers, but their distances mean nothing
        return series.to_numpy(dtype=object).astype(str)
    if series.dtype.kind in "biuf":  # at once, which is far faster than entry by entry
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    return series.to_numpy(dtype="datetime64[ns]" if series.dtype.kind == "M" else object)


def _stack(labels: list[object], columns: list[NDArray[Any]], name: str) -> NDArray[Any]:
    """One array from the columns of a frame, each of which can hold numbers."""
    unusable = [f"`{label}`" for label, column in zip(labels, columns, strict=True) if not _may_be_numbers(column)]
    if unusable:
        raise InputError(f"`{name}` has columns of text, dates or lists: {_listed(unusable)}. Drop or encode them.")
    return np.column_stack(columns)


def _may_be_numbers(column: NDArray[Any]) -> bool:
    """False for columns without any; a column of objects with a few misfits is left to the check of its entries."""
    if column.ndim == 1 and column.dtype.kind == "O":
        missing = (_is_missing(entry) or (isinstance(entry, float) and math.isnan(entry)) for entry in column)
        present = [entry for entry, gone in zip(column, missing, strict=True) if not gone]
        return not present or not all(isinstance(entry, str | bytes) for entry in present)
    return column.ndim == 1 and column.dtype.kind in "biufc"


def _read_array(value: Unchecked, name: str) -> NDArray[Any]:
    if isinstance(value, np.ma.MaskedArray):
        masked = np.ma.count_masked(value)
        if masked:
            raise InputError(f"`{name}` has {masked} masked entries. Fill them (`{name}.filled(...)`) or drop rows.")
        value = value.data
    if hasattr(value, "detach"):  # torch
        value = value.detach().cpu()
    try:
        raw = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"`{name}` cannot be read as an array of rows of equal length: {error}") from error
    # NumPy writes the numbers of a mixed list as text; as objects they keep their type.
    return np.asarray(value, dtype=object) if raw.dtype.kind in "US" and isinstance(value, list | tuple) else raw


def _check_shape(shape: tuple[int, ...], name: str, columns: int | None, value: Unchecked) -> None:
    if len(shape) == 0:
        raise InputTypeError(f"`{name}` must be a 2-D array, a row for each point; got a {type(value).__name__}.")
    if len(shape) == 1:
        raise InputError(
            f"`{name}` must be 2-D, a row for each point; got shape {shape}. Reshape your data: to (n, 1) with "
            f"`reshape(-1, 1)` for points of one column, to (1, n) with `reshape(1, -1)` for a single point."
        )
    if len(shape) > 2:
        raise InputError(
            f"`{name}` must be 2-D, a row for each point; got shape {shape}. Flatten each point to one row: "
            f"`reshape(len({name}), -1)`."
        )
    for size, what in zip(shape, ("sample", "feature"), strict=True):
        if size == 0:
            raise InputError(
                f"`{name}` has 0 {what}(s) (shape={shape}) while a minimum of 1 is required. "
                "Has a filter removed everything?"
            )
    if columns is not None and shape[1] != columns:
        hint = "Is an index column still in the data?" if shape[1] == columns + 1 else "Select the columns of the fit."
        raise InputError(f"`{name}` must have {columns} columns, as in `fit`; got shape {shape}. {hint}")


def _to_float(raw: NDArray[Any], name: str, labels: list[str] | None) -> Matrix:
    kind = raw.dtype.kind
    if kind == "c":
        raise InputError(
            f"Complex data not supported: `{name}` has dtype {raw.dtype}. Pass the real and imaginary parts as columns."
        )
    if kind == "O":
        return _from_objects(raw, name, labels)
    if kind not in "biuf" and raw.dtype.name not in _DIGITS:
        raise InputError(f"`{name}` must hold numbers; got dtype {raw.dtype}. Drop or encode what is not a number.")
    if raw.dtype.name in _DIGITS:
        digits = _DIGITS[raw.dtype.name]
        _warn(f"`{name}` has dtype {raw.dtype}, which keeps about {digits} significant digits. Pass float32 or more.")
    with np.errstate(over="ignore"):  # a long double may become infinite; the next check says so
        values = raw.astype(np.float64, copy=False)
    if kind in "iu" and raw.dtype.itemsize == 8:
        large = np.argwhere(np.abs(values) >= 2**53)
        if len(large):
            i, j = large[0]
            _warn(
                f"`{name}` has integers of 2^53 or more, which float64 rounds, such as {raw[i, j]} in column "
                f"{_label(labels, j)}. Is a column of identifiers still in the data?"
            )
    return values


def _from_objects(raw: NDArray[Any], name: str, labels: list[str] | None) -> Matrix:
    values = np.empty(raw.shape)
    for (i, j), entry in np.ndenumerate(raw):
        try:
            values[i, j] = _number(entry)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputTypeError(
                f"`{name}` must hold numbers; got {entry!r} in row {i}, column {_label(labels, j)} ({error}). "
                "Drop or encode what is not a number."
            ) from error
    return values


def _number(entry: Unchecked) -> float:
    if _is_missing(entry):
        return math.nan
    if isinstance(entry, str | bytes):
        raise TypeError("text")
    if np.iscomplexobj(entry):
        raise TypeError("Complex data not supported")
    if np.ndim(entry) > 0:
        raise TypeError("a list")
    return float(entry)


def _is_missing(entry: object) -> bool:
    """None or `pandas.NA`; NaN is a float like any other."""
    return entry is None or type(entry).__name__ == "NAType"


def _check_finite(values: Matrix, name: str, labels: list[str] | None) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        counts = {"NaN": np.isnan(values).sum(), "infinity": np.isinf(values).sum()}
        found = [f"{what} ({count} of {values.size} entries)" for what, count in counts.items() if count]
        rows = [str(i) for i in np.flatnonzero(bad.any(axis=1))]
        where = [_label(labels, j) for j in np.flatnonzero(bad.any(axis=0))]
        raise InputError(
            f"`{name}` contains {' and '.join(found)}, in rows {_listed(rows)}, columns {_listed(where)}. "
            "Drop these rows, or fill in the values."
        )
    largest = max(values.max(), -values.min())
    if largest > _LARGEST:
        raise InputError(f"`{name}` has values up to {largest:.3g}, whose squares overflow. Use other units.")


def _label(labels: list[str] | None, column: int | np.integer) -> str:
    return str(column) if labels is None else f"`{labels[column]}`"


def _listed(items: Sequence[str], limit: int = 5) -> str:
    more = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {more} more" if more > 0 else "")


def _warn(message: str) -> None:
    warnings.warn(message, DataWarning, stacklevel=4)  # points at the caller of `as_points` or `check_pair`
