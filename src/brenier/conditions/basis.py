"""Polynomials in the numbers of a condition: what everything that moves smoothly with a condition is written in."""

from itertools import combinations_with_replacement
from math import comb

import numpy as np
from numpy.polynomial.legendre import legvander
from numpy.typing import NDArray

__all__ = ["largest_degree", "legendre", "terms"]

Matrix = NDArray[np.float64]


def terms(numbers: int, degree: int) -> int:
    """Number of polynomials of total degree up to `degree` in a basis for `numbers` variables."""
    return comb(numbers + degree, degree)


def largest_degree(numbers: int, most: int) -> int:
    """The largest degree whose basis has at most `most` terms; 0 without numbers."""
    degree = 0
    while numbers and terms(numbers, degree + 1) <= most:
        degree += 1
    return degree


def legendre(values: Matrix, degree: int) -> Matrix:
    """Products of Legendre polynomials, orthonormal for the uniform distribution on the cube from -1 to 1.

    Args:
        values: `(n, q)` numbers, about -1 to 1.
        degree: Largest total degree.

    Returns:
        `(n, terms(q, degree))`, from low to high degree, so that the terms of a lower degree come first.
    """
    count, numbers = values.shape
    single = [legvander(column, degree) * np.sqrt(2.0 * np.arange(degree + 1) + 1.0) for column in values.T]
    columns = []
    for total in range(degree + 1):
        for chosen in combinations_with_replacement(range(numbers), total):
            powers = np.bincount(chosen, minlength=numbers) if numbers else ()
            product = np.ones(count)
            for variable, power in enumerate(powers):
                product = product * single[variable][:, power]
            columns.append(product)
    return np.stack(columns, axis=1)
