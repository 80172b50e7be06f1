"""Columns whose values are multiples of one step: how wide it is, and which multiple a number is nearest to."""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from brenier.data.table import Matrix

__all__ = ["Lattice", "few_values"]

_ROWS_A_VALUE = 2
"""Rows for each different value, on average, from which on a column may be discrete."""

_MANY_ROWS, _FEW_VALUES = 20, 100
"""Rows a value from which on a warning is given, and the most values for it: finer steps do little harm."""

_LOOKED_AT = 10_000
"""Rows that a first look takes, so that columns without ties cost next to nothing."""

_PARTS = 12
"""Most parts into which the smallest gap between two values is divided in search of the step."""

_STANDS_OUT = 1000.0
"""Least ratio of a step to the rounding error of the values: below it, every number is a multiple of it."""

_SIMPLE = 10_000
"""Largest denominator of the fractions that steps are taken to be where rounding allows it."""


class Lattice(NamedTuple):
    """The numbers `offset + k * width` for all whole k; all numbers where the width is 0.

    Attributes:
        width: The step between neighbours.
        offset: The least of the numbers that is not negative.
    """

    width: float
    offset: float

    @classmethod
    def of(cls, values: Matrix) -> "Lattice":
        """The lattice that a column lies on.

        A column is discrete where there are at least two rows for each different value, on average, and all values
        are multiples of one step up to an offset. The step of whole numbers is their greatest common divisor; that of
        other numbers, up to rounding in their precision, is the smallest gap between two of them, or a half, a third
        and so on to a twelfth of it. It must be 1,000 times as large as the rounding errors.

        Args:
            values: `(n,)`, finite.

        Returns:
            The lattice; its width is 0 where the column is not discrete.
        """
        distinct = np.unique(values + 0.0)
        if not 2 <= len(distinct) <= len(values) / _ROWS_A_VALUE:
            return cls(0.0, 0.0)
        error = _rounding_error(distinct)
        width = _step(distinct, error)
        return cls.through(width, float(distinct[0]), error) if width else cls(0.0, 0.0)

    @classmethod
    def through(cls, width: float, point: float, error: float | None = None) -> "Lattice":
        """The lattice of one width that a point is on.

        Args:
            width: At least 0.
            point: One of the numbers of the lattice.
            error: How far off the point may be; by default, the rounding of float64.
        """
        if not width:
            return cls(0.0, 0.0)
        error = _rounding_error(np.array([point])) if error is None else error
        offset = _simplify(point - width * math.floor(point / width), error)
        return cls(width, 0.0 if width - offset <= error else offset)

    def nearest(self, values: Matrix) -> Matrix:
        """The nearest number of the lattice to each value.

        Where width and offset are simple fractions, as all decimals of up to four digits are, it is rounded only once,
        and is the very float that the number is written as: 0.3, not 0.1 + 0.1 + 0.1.
        """
        if not self.width:
            return values.copy()
        multiples = np.rint((values - self.offset) / self.width)
        step, start = (Fraction(number).limit_denominator(_SIMPLE) for number in self)
        if float(step) != self.width or float(start) != self.offset:
            return self.offset + multiples * self.width
        whole = math.lcm(step.denominator, start.denominator)
        return (multiples * int(step * whole) + int(start * whole)) / whole


def few_values(values: Matrix) -> int | None:
    """How many different values a column has, if these are few: 100 at most, with 20 rows for each on average.

    None for other columns: those without ties, with steps so fine that they do little harm, or with a single value.

    Args:
        values: `(n,)`, finite.
    """
    sample = values[:: max(1, len(values) // _LOOKED_AT)]
    for column in (sample, values):
        count = len(np.unique(column + 0.0))
        if count > min(_FEW_VALUES, len(column) / _MANY_ROWS):
            return None
    return count if count > 1 else None


def _rounding_error(values: Matrix) -> float:
    """How far the difference of two of the values may be off: by their size, in the precision that they have."""
    with np.errstate(over="ignore"):
        single = not np.any(values != values.astype(np.float32))
    return 4.0 * float(np.finfo(np.float32 if single else np.float64).eps) * float(np.abs(values).max())


def _step(distinct: Matrix, error: float) -> float:
    """The step of sorted different values; 0 where there is none."""
    gaps, from_first = np.diff(distinct), distinct - distinct[0]
    if np.all(distinct == np.rint(distinct)) and np.abs(distinct).max() < 2.0**53:
        return float(np.gcd.reduce(gaps.astype(np.int64)))
    for parts in range(1, _PARTS + 1):
        multiples = np.rint(from_first / (gaps.min() / parts))
        width = from_first[-1] / multiples[-1]  # over the whole range rounding errors weigh least
        if width < _STANDS_OUT * error:
            return 0.0
        if np.all(np.abs(from_first - multiples * width) <= error):
            return _simplify(float(width), error / float(multiples[-1]))
    return 0.0


def _simplify(number: float, error: float) -> float:
    """The simple fraction that a number is up to an error, or the number itself."""
    fraction = float(Fraction(number).limit_denominator(_SIMPLE))
    return fraction if abs(fraction - number) <= error else number
