"""From the arrays and frames that users hand in to plain tables of finite numbers, or a message of what is wrong.

Frames are recognised by what they can do, so pandas, polars and pyarrow are never imported.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.table import InputTypeError, Matrix, Table, Unchecked, label, listed, warn

__all__ = ["as_points", "frame_columns"]

_LARGEST = 1e100
"""Magnitudes beyond this overflow once they are squared and summed."""

_DIGITS = {"float16": 3, "bfloat16": 2}


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
    frame = frame_columns(value)
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


def frame_columns(value: Unchecked) -> tuple[list[object], list[NDArray[Any]]] | None:
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
        raise InputError(f"`{name}` has columns of text, dates or lists: {listed(unusable)}. Drop or encode them.")
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
        warn(f"`{name}` has dtype {raw.dtype}, which keeps about {digits} significant digits. Pass float32 or more.")
    with np.errstate(over="ignore"):  # a long double may become infinite; the next check says so
        values = raw.astype(np.float64, copy=False)
    if kind in "iu" and raw.dtype.itemsize == 8:
        large = np.argwhere(np.abs(values) >= 2**53)
        if len(large):
            i, j = large[0]
            warn(
                f"`{name}` has integers of 2^53 or more, which float64 rounds, such as {raw[i, j]} in column "
                f"{label(labels, j)}. Is a column of identifiers still in the data?"
            )
    return values


def _from_objects(raw: NDArray[Any], name: str, labels: list[str] | None) -> Matrix:
    values = np.empty(raw.shape)
    for (i, j), entry in np.ndenumerate(raw):
        try:
            values[i, j] = _number(entry)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputTypeError(
                f"`{name}` must hold numbers; got {entry!r} in row {i}, column {label(labels, j)} ({error}). "
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
    with np.errstate(over="ignore", invalid="ignore"):
        finite = math.isfinite(values.sum())  # one pass and no memory, where masks would take an eighth of the data
    if not finite and (bad := ~np.isfinite(values)).any():
        counts = {"NaN": np.isnan(values).sum(), "infinity": np.isinf(values).sum()}
        found = [f"{what} ({count} of {values.size} entries)" for what, count in counts.items() if count]
        rows = [str(i) for i in np.flatnonzero(bad.any(axis=1))]
        where = [label(labels, j) for j in np.flatnonzero(bad.any(axis=0))]
        raise InputError(
            f"`{name}` contains {' and '.join(found)}, in rows {listed(rows)}, columns {listed(where)}. "
            "Drop these rows, or fill in the values."
        )
    largest = max(values.max(), -values.min())
    if largest > _LARGEST:
        raise InputError(f"`{name}` has values up to {largest:.3g}, whose squares overflow. Use other units.")
