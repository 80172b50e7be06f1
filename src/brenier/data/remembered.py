"""What a map remembers of the rows of its fit: how many, their ranges, and marks by which some are known again.

The marks are the least hashes of the rows, a bottom-k sketch: each row of the fit is as likely as any other to be among
them, so the number of them that other rows have tells how many of these are rows of the fit.

References: Bar-Yossef et al. 2002, "Counting distinct elements in a data stream".
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from brenier.data.table import Matrix

__all__ = ["Recognised", "recognise", "remember"]

_MARKS = 256
"""Different rows that are known again: few enough for the header of a file."""

_DIGITS = 9


def remember(values: Matrix) -> dict[str, Any]:
    """Number of rows, least and largest entry of each column, and marks, as JSON values.

    Args:
        values: `(n, d)` rows of a side of a fit.
    """
    low, high = ([_rounded(end) for end in ends] for ends in (values.min(axis=0), values.max(axis=0)))
    return {"rows": len(values), "low": low, "high": high, "marks": [f"{key:016x}" for key in _hashes(values)[:_MARKS]]}


class Recognised(NamedTuple):
    """How many remembered rows of a fit are among some rows.

    Attributes:
        found: Remembered rows that are among these, equal in every entry.
        marks: Remembered rows.
        expected: How many would be found if these were all different rows of the fit.
    """

    found: int
    marks: int
    expected: float

    @property
    def share(self) -> float:
        """Estimate of the share of the compared rows that are rows of the fit."""
        return min(self.found / self.expected, 1.0)

    @property
    def largest_share(self) -> float:
        """The most that this share can be, with 95 % confidence (the exact bound for a Poisson count)."""
        return min(float(chi2.ppf(0.95, 2 * (self.found + 1))) / 2.0 / self.expected, 1.0)


def recognise(record: Mapping[str, Any], values: Matrix) -> Recognised:
    """Compare rows with those that are remembered.

    Args:
        record: As from `remember`.
        values: `(n, d)` rows.
    """
    marks = record["marks"]
    expected = len(marks) * min(len(values) / record["rows"], 1.0)
    hashes = np.array([int(mark, 16) for mark in marks], np.uint64)
    return Recognised(int(np.isin(hashes, _hashes(values)).sum()), len(marks), expected)


def _hashes(values: Matrix) -> NDArray[np.uint64]:
    """Hashes of the different rows, in order. They tell rows apart; they hide nothing.

    References: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators", for the mixing of each entry.
    """
    bits = (np.ascontiguousarray(values, np.float64) + 0.0).view(np.uint64)  # one zero, not two
    hashes = np.zeros(len(bits), np.uint64)
    for column in bits.T:
        hashes = (hashes ^ column) + np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            hashes = (hashes ^ (hashes >> np.uint64(shift))) * np.uint64(factor)
        hashes ^= hashes >> np.uint64(31)
    return np.unique(hashes)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
