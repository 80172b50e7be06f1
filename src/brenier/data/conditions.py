"""Conditions as users hand them in: labels, numbers or both, one or several to a point, read column by column."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.frames import FrameColumn, as_plain, frame_columns
from brenier.data.table import Unchecked, itemise

__all__ = ["Column", "Conditions", "as_labels", "is_single", "label_text", "read_conditions", "single_condition"]


class Column(NamedTuple):
    """One column of conditions.

    Attributes:
        name: Its name, None where it has none.
        values: `(n,)` of any type, none of them missing.
    """

    name: str | None
    values: NDArray[Any]


class _Entries(NamedTuple):
    """The entries of one column of a frame."""

    values: NDArray[Any]

    def to_numpy(self) -> NDArray[Any]:
        """The entries."""
        return self.values


@dataclass(frozen=True)
class Conditions:
    """Columns of conditions of several types, with the interface of a frame.

    Attributes:
        given: The columns.
    """

    given: Sequence[Column]
    ndim: ClassVar[int] = 2

    @classmethod
    def of(cls, names: Sequence[str | None], rows: NDArray[Any]) -> "Conditions":
        """Make columns from the entries of all rows, `(n, q)`, and a name for each column."""
        return cls([Column(name, values) for name, values in zip(names, rows.T, strict=True)])

    @property
    def columns(self) -> list[str | None]:
        """Names of the columns."""
        return [column.name for column in self.given]

    def get_columns(self) -> list[_Entries]:
        """Entries of the columns."""
        return [_Entries(column.values) for column in self.given]


def is_single(value: Unchecked) -> bool:
    """Whether a condition is one for all points: a label, a number, or one entry a column in a tuple or mapping."""
    return isinstance(value, str | bytes | tuple | Mapping) or np.ndim(value) == 0


def single_condition(value: Unchecked, name: str) -> list[Column]:
    """The columns of one condition, each with a single entry.

    Args:
        value: A label or number; a tuple with one for each column; or a mapping from names of columns.
        name: The argument's name in messages.
    """
    if isinstance(value, Mapping):
        return [Column(str(key), _values([entry], name, str(key))) for key, entry in value.items()]
    entries = value if isinstance(value, tuple) else (value,)
    return [Column(None, _values([entry], name, None)) for entry in entries]


def read_conditions(value: Unchecked, rows: int, name: str) -> list[Column]:
    """The columns of conditions, one a row of the points.

    Args:
        value: Array, list or series of `rows` entries; a two-dimensional array or a frame with `rows` rows.
        rows: Number of points that they belong to.
        name: The argument's name in messages.

    Raises:
        InputError: Another number of rows, no columns, missing entries, or entries that are neither labels nor numbers.
    """
    value = as_plain(value, name)
    frame = frame_columns(value)
    if frame is not None:
        columns = [(str(column.label), as_labels(column)) for column in frame]
    else:
        array = _as_array(value, name)
        if array.ndim not in (1, 2):
            raise InputError(
                f"`{name}` must be one entry a point, or one row a point; got shape {array.shape}. For one condition "
                "of all points pass a single label, number or tuple."
            )
        title = getattr(value, "name", None)
        labels = [title if isinstance(title, str) else None] if array.ndim == 1 else [None] * array.shape[1]
        columns = list(zip(labels, [array] if array.ndim == 1 else list(array.T), strict=True))
    if not columns:
        raise InputError(f"`{name}` has no columns. Leave it out, or pass the conditions.")
    length = len(columns[0][1])
    if length != rows:
        raise InputError(f"`{name}` must have one entry for each of the {rows} points; got {length}.")
    return [Column(label, _values(array, name, label)) for label, array in columns]


def label_text(entry: object) -> str:
    """How a label is spelled wherever it comes from: 3, 3.0, `np.int64(3)` and "3" are one class."""
    if isinstance(entry, bytes):
        return entry.decode(errors="backslashreplace")  # of another encoding, its bytes spell it
    if isinstance(entry, float | np.floating) and float(entry).is_integer():
        return str(int(entry))
    return str(entry)


def as_labels(column: FrameColumn) -> NDArray[Any]:
    """The entries of a column; those of a column of categories as labels, even where they are numbers."""
    if column.kind != "category":
        return column.values
    return np.array([entry if _is_missing(entry) else label_text(entry) for entry in column.values], object)


def _as_array(value: Unchecked, name: str) -> NDArray[Any]:
    if isinstance(value, list | tuple):
        # NumPy writes the numbers of a mixed list as text; as objects they keep their type.
        plain = np.asarray(value)
        return np.asarray(value, dtype=object) if plain.dtype.kind in "US" else plain
    if hasattr(value, "to_numpy"):  # series of pandas, polars and pyarrow
        if getattr(getattr(value, "dtype", None), "name", "") == "category":
            value = value.astype(object).map(label_text)
        return np.asarray(value.to_numpy())
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"`{name}` cannot be read as conditions: {error}. Pass labels or numbers.") from error


def _values(entries: Sequence[Any] | NDArray[Any], name: str, label: str | None) -> NDArray[Any]:
    """One column, checked; labels and numbers only, objects that are all numbers as numbers."""
    array = np.asarray(entries)
    if isinstance(entries, list) and array.dtype.kind in "US":
        array = np.asarray(entries, dtype=object)
    where = "" if label is None else f", column `{label}`"
    if array.dtype.kind not in "biufOUS" or array.ndim != 1:
        raise InputError(f"`{name}`{where} must hold labels or numbers; got dtype {array.dtype}, shape {array.shape}.")
    missing = np.flatnonzero([_is_missing(entry) for entry in array]) if array.dtype.kind in "OfUS" else np.empty(0)
    if len(missing):
        raise InputError(
            f"`{name}`{where} has {len(missing)} missing entries, in rows {itemise([str(row) for row in missing])}. "
            "Drop these points, or give them a condition."
        )
    if array.dtype.kind == "O" and all(isinstance(entry, int | float | np.number) for entry in array):
        whole = all(isinstance(entry, int | np.integer) for entry in array)
        boolean = all(isinstance(entry, bool | np.bool_) for entry in array)
        array = array.astype(bool if boolean else np.int64 if whole else np.float64)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"`{name}`{where} has infinite entries. Drop these points, or give them a finite condition.")
    return array


def _is_missing(entry: object) -> bool:
    return (
        entry is None
        or type(entry).__name__ in ("NAType", "NaTType")
        or (isinstance(entry, str) and not entry.strip())
        or (isinstance(entry, float | np.floating) and math.isnan(entry))
    )
