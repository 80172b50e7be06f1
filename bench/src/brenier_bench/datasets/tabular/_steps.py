"""Steps that several of the five sets share, each as the code of the MAF paper has it."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError

__all__ = ["find_correlated", "find_repeating", "keep", "split_tail", "standardise"]

_T = TypeVar("_T")


def split_tail(rows: NDArray[np.float64], where: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """All rows but the last tenth, and the last tenth, rounded down.

    Raises:
        InputError: A tenth is less than one row.
    """
    count = int(0.1 * len(rows))
    if count == 0:
        raise InputError(
            f"`{where}` leaves {len(rows)} rows, of which no tenth can be split off. Is it the whole file?"
        )
    return rows[:-count], rows[-count:]


def standardise(
    parts: Sequence[NDArray[np.float64]], by: NDArray[np.float64], ddof: int, where: str
) -> list[NDArray[np.float64]]:
    """Parts less the means of the rows `by`, divided by their standard deviations.

    Args:
        parts: Arrays of rows.
        by: The rows whose statistics count.
        ddof: 0 divides the sum of squares by the number of rows, as NumPy does, 1 by one less, as pandas does.
        where: What messages call the file.

    Raises:
        InputError: A column is constant, or has values that are not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # the next check says so
        mean, deviation = by.mean(axis=0), by.std(axis=0, ddof=ddof)
    wrong = ~(np.isfinite(deviation) & (deviation > 0))
    if wrong.any():
        raise InputError(
            f"`{where}`: column {np.argmax(wrong)} of those that are kept is constant or not finite, and cannot be "
            "standardised. Is it the original file?"
        )
    return [(part - mean) / deviation for part in parts]


def find_repeating(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """`(d,)` whether the smallest value of a column occurs more than five times.

    The comments in the code of the MAF paper speak of columns in which values recur too often. What the code does is to
    sort the distinct values and to look at how often the first, the smallest, occurs; published results are those of
    the code.
    """
    return (rows == rows.min(axis=0)).sum(axis=0) > 5


def find_correlated(rows: NDArray[np.float64], limit: float = 0.98) -> list[int]:
    """Columns to remove, in this order, until no two correlate above `limit`.

    Each time, the first column that correlates so with any other is removed.
    """
    with np.errstate(invalid="ignore", divide="ignore"):  # of a constant column, which then correlates with none
        near = np.asarray(np.corrcoef(rows, rowvar=False) > limit)
    removed: list[int] = []
    while (many := np.flatnonzero(near.sum(axis=1) > 1)).size:
        removed.append(int(many[0]))
        near[many[0]] = near[:, many[0]] = False
    return removed


def keep(names: Sequence[_T], drop: NDArray[np.bool_]) -> tuple[_T, ...]:
    """Names of the columns that are not dropped."""
    return tuple(name for name, dropped in zip(names, drop, strict=True) if not dropped)
