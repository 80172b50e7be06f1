"""The form in which checked data travel, and how messages speak of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError

__all__ = [
    "CheckedTable",
    "InputTypeError",
    "LabelColumnsError",
    "Matrix",
    "Table",
    "Unchecked",
    "itemise",
    "label",
    "shorten",
    "show_few",
    "tally",
]

Matrix: TypeAlias = NDArray[np.float64]
Unchecked: TypeAlias = Any
"""What the user handed in, of any type."""


class InputTypeError(InputError, TypeError):
    """An argument, or an entry of it, is of a kind that cannot be converted to a number."""


class LabelColumnsError(InputError):
    """Columns of points hold categories or truth values.

    Args:
        sentences: Which columns, in whole sentences.
        names: Names of the columns.
    """

    def __init__(self, sentences: str, names: Sequence[str] = ()) -> None:
        super().__init__(sentences, tuple(names))
        self.sentences, self.names = sentences, tuple(names)

    def __str__(self) -> str:
        return f"{self.sentences} Encode them as numbers, or pass them as `x_condition` and `y_condition`."


@dataclass(frozen=True, eq=False)
class Table:
    """Points with names of their columns.

    Attributes:
        values: `(n, d)`.
        columns: Names of the `d` columns where they are known.
    """

    values: Matrix
    columns: list[str] | None = None

    def label(self, column: int) -> str:
        """How messages call a column: its name in backticks, or its number."""
        return label(self.columns, column)


class CheckedTable(Table):
    """Points that `as_points` has checked, or that were made from such: finite, in double precision.

    Whoever receives them need not check them again. `values` may share memory with what the user passed, and are
    read-only.
    """

    def rows(self, chosen: NDArray[Any]) -> "CheckedTable":
        """Some of the rows: their numbers, or a mask."""
        return CheckedTable(self.values[chosen], self.columns)


def label(labels: list[str] | None, column: int | np.integer) -> str:
    """A column in a message: its name in backticks, with its number where others have that name; or its number."""
    if labels is None:
        return str(column)
    shared, name = labels.count(labels[column]) > 1, shorten(labels[column])
    return f"`{name}` (column {column})" if shared else f"`{name}`"


def tally(labels: list[str] | None, counts: Sequence[int] | NDArray[np.integer]) -> str:
    """Counts of the columns that have some: "`age` 12, `dose` 3", or "column 0: 12, column 2: 3" without names."""
    some = [column for column, count in enumerate(counts) if count]
    if labels is None:
        return itemise([f"column {column}: {counts[column]}" for column in some])
    return show_few(some, lambda column: f"{label(labels, column)} {counts[column]}")


def show_few(columns: Sequence[int], text: Callable[[int], str], limit: int = 5) -> str:
    """The first few columns as text, and how many more there are; `text` is called only for what is shown."""
    return itemise([text(column) for column in columns[:limit]] + [""] * (len(columns) - limit), limit)


def shorten(name: str) -> str:
    """A name from a file as messages show it: short, and without codes that move the cursor."""
    short = name if len(name) <= 60 else f"{name[:60]}..."
    return short if short.isprintable() else repr(short)


def itemise(items: Sequence[str], limit: int = 5) -> str:
    """The first few items with commas between them, and how many more there are."""
    more = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {more} more" if more > 0 else "")
