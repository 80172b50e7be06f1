"""From the arrays and frames that users hand in to plain tables of finite numbers, or a message of what is wrong."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.entries import all_truth_values, check_finite, is_gap, to_float
from brenier.data.frames import FrameColumn, read
from brenier.data.shapes import check_shape
from brenier.data.table import CheckedTable, LabelColumnsError, Table, Unchecked, itemise

__all__ = ["as_points"]


def as_points(
    value: Unchecked,
    name: str,
    *,
    columns: int | None = None,
    names: Sequence[str] | None = None,
    labels: list[str] | None = None,
) -> CheckedTable:
    """Check one argument and convert it to float64, without changing it.

    The entries of a `CheckedTable` were checked before: only its columns are compared with those of the fit.

    Args:
        value: A `Table`, a value of any kind in `brenier.data.kinds`, or anything that NumPy can read. Arrays of
            float64 are not copied.
        name: The argument's name in messages.
        columns: Number of columns of the fit, where there has been one. Any number by default.
        names: Names of the columns of the fit, if they had some; a frame must have the same, in the same order.
        labels: Names of the columns of an array, from the file that it is read from.

    Raises:
        InputTypeError: A kind that holds points but cannot be taken as it is; the message says how.
        LabelColumnsError: Columns of a frame hold categories or truth values, or all of an array does.
        InputError: Not two-dimensional, empty, without the columns of the fit, not numbers, or not finite.

    Warns:
        DataWarning: 16-bit floats, and integers too large for float64.

    Example:
        >>> as_points([[1, 2], [3, 4]], "X").values.tolist()
        [[1.0, 2.0], [3.0, 4.0]]
    """
    given = value
    if isinstance(given, Table):
        value, labels = value.values, value.columns
    content = value if isinstance(given, CheckedTable) else read(value, name)
    if isinstance(content, list) and all(isinstance(column.label, str) for column in content):
        labels = [str(column.label) for column in content]
    if labels and names is not None:
        _check_names(labels, list(names), name)
    check_shape(content.shape if isinstance(content, np.ndarray) else value.shape, name, columns, value)
    if isinstance(given, CheckedTable):
        return given
    raw = content if isinstance(content, np.ndarray) else _stack(content, name)
    values = to_float(raw, name, labels)
    check_finite(values, name, labels)
    values = values.view()
    values.flags.writeable = False
    return CheckedTable(values, labels)


def _check_names(names: list[str], expected: list[str], name: str) -> None:
    if names == expected:
        return
    missing = [f"`{column}`" for column in expected if column not in names]
    additions = [f"`{column}`" for column in names if column not in expected]
    differences = [f"{what} {itemise(items)}" for what, items in (("lacks", missing), ("adds", additions)) if items]
    raise InputError(
        f"`{name}` must have the columns of the fit, [{_quote(expected)}], in that order; got [{_quote(names)}]"
        + (f": it {' and '.join(differences)}." if differences else ", in another order.")
        + " Select the columns of the fit."
    )


def _quote(names: list[str]) -> str:
    return itemise([repr(name) for name in names], 10)


def _stack(frame: list[FrameColumn], name: str) -> NDArray[Any]:
    """One array from the columns of a frame, each of which can hold numbers."""
    labels = [str(column.label) for column in frame if _are_labels(column)]
    misfits = [f"`{column.label}`" for column in frame if not (_are_labels(column) or _may_be_numbers(column.values))]
    text = f"`{name}` has columns of text, dates or lists: {itemise(misfits)}. Drop or encode them." if misfits else ""
    if labels:
        note = f"`{name}` has columns of categories or truth values: {itemise([f'`{column}`' for column in labels])}."
        raise LabelColumnsError(f"{text} {note}".lstrip(), labels)
    if misfits:
        raise InputError(text)
    return np.column_stack([column.values for column in frame])


def _are_labels(column: FrameColumn) -> bool:
    return column.kind != "" or column.values.dtype.kind == "b" or all_truth_values(column.values)


def _may_be_numbers(column: NDArray[Any]) -> bool:
    """False for columns without any; a column of objects with a few other entries is left to the check of those."""
    if column.ndim == 1 and column.dtype.kind == "O":
        present = [entry for entry in column if not is_gap(entry)]
        return not present or not all(isinstance(entry, str | bytes) for entry in present)
    return column.ndim == 1 and column.dtype.kind in "biufc"
