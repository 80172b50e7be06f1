"""From the arrays and frames that users hand in to plain tables of finite numbers, or a message of what is wrong."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.entries import all_truth_values, check_finite, is_gap, to_float
from brenier.data.frames import FrameColumn, frame_columns
from brenier.data.table import (
    InputTypeError,
    LabelColumnsError,
    Table,
    Unchecked,
    counted,
    listed,
)

__all__ = ["as_points"]


def as_points(value: Unchecked, name: str, *, columns: int | None = None, names: Sequence[str] | None = None) -> Table:
    """Check one argument and convert it to float64, without changing it.

    Args:
        value: Array, list of rows, pandas, polars or pyarrow frame, `Table`, or anything that NumPy can read.
        name: The argument's name in messages.
        columns: Number of columns of the fit, where there has been one. Any number by default.
        names: Names of the columns of the fit, if they had some; a frame must have the same, in the same order.

    Raises:
        LabelColumnsError: Columns of a frame hold categories or truth values, or all of an array does.
        InputError: Not two-dimensional, empty, of other columns than in the fit, not numbers, or not finite.

    Warns:
        DataWarning: 16-bit floats, and integers too large for float64.

    Example:
        >>> as_points([[1, 2], [3, 4]], "X").values.tolist()
        [[1.0, 2.0], [3.0, 4.0]]
    """
    kind = type(value).__name__
    if hasattr(value, "nnz"):
        raise InputTypeError(f"`{name}` is a {kind}; sparse data are not supported. Pass `{name}.toarray()`.")
    if hasattr(value, "collect"):
        raise InputTypeError(f"`{name}` is a {kind}, which is not computed yet. Pass `{name}.collect()`.")
    labels = None
    if isinstance(value, Table):
        value, labels = value.values, value.columns
    frame = frame_columns(value)
    if frame is not None and all(isinstance(column.label, str) for column in frame):
        labels = [str(column.label) for column in frame]
    if labels and names is not None:
        _check_names(labels, list(names), name)
    if frame is None:
        raw = _read_array(value, name)
        _check_shape(raw.shape, name, columns, value)
    else:
        _check_shape(value.shape, name, columns, value)
        raw = _stack(frame, name)
    values = to_float(raw, name, labels)
    check_finite(values, name, labels)
    values = values.view()
    values.flags.writeable = False
    return Table(values, labels)


def _check_names(found: list[str], expected: list[str], name: str) -> None:
    if found == expected:
        return
    missing = [f"`{own}`" for own in expected if own not in found]
    others = [f"`{own}`" for own in found if own not in expected]
    differences = [f"{what} {listed(own)}" for what, own in (("lacks", missing), ("adds", others)) if own]
    raise InputError(
        f"`{name}` must have the columns of the fit, [{_quoted(expected)}], in that order; got [{_quoted(found)}]"
        + (f": it {' and '.join(differences)}." if differences else ", in another order.")
        + " Select the columns of the fit."
    )


def _quoted(names: list[str]) -> str:
    return listed([repr(own) for own in names], 10)


def _stack(frame: list[FrameColumn], name: str) -> NDArray[Any]:
    """One array from the columns of a frame, each of which can hold numbers."""
    labels = [str(column.label) for column in frame if _are_labels(column)]
    others = [f"`{own.label}`" for own in frame if not _are_labels(own) and not _may_be_numbers(own.values)]
    text = f"`{name}` has columns of text, dates or lists: {listed(others)}. Drop or encode them." if others else ""
    if labels:
        found = f"`{name}` has columns of categories or truth values: {listed([f'`{own}`' for own in labels])}."
        raise LabelColumnsError(f"{text} {found}".lstrip(), labels)
    if others:
        raise InputError(text)
    return np.column_stack([column.values for column in frame])


def _are_labels(column: FrameColumn) -> bool:
    return column.kind != "" or column.values.dtype.kind == "b" or all_truth_values(column.values)


def _may_be_numbers(column: NDArray[Any]) -> bool:
    """False for columns without any; a column of objects with a few misfits is left to the check of its entries."""
    if column.ndim == 1 and column.dtype.kind == "O":
        present = [entry for entry in column if not is_gap(entry)]
        return not present or not all(isinstance(entry, str | bytes) for entry in present)
    return column.ndim == 1 and column.dtype.kind in "biufc"


def _read_array(value: Unchecked, name: str) -> NDArray[Any]:
    if isinstance(value, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(value)
        if masked.ndim == 2 and masked.any():
            raise InputError(
                f"`{name}` has masked entries ({counted(None, masked.sum(axis=0))} of {len(masked)} rows). Fill them "
                f"(`{name}.filled(...)`), or drop these rows."
            )
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
