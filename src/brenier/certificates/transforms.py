r"""Discrete c-transforms: dual values that are feasible on two samples, whatever they started from.

For any numbers :math:`f_i`, the numbers :math:`h_j = \min_i (c_{ij} - f_i)` satisfy :math:`f_i + h_j \le c_{ij}` for
every pair, so that :math:`\sum_i a_i f_i + \sum_j b_j h_j` is at most the cost of every coupling. Nothing about the
origin of `f` is needed, and a second transform, of `h`, only raises the sum.

References: Peyre and Cuturi 2019, "Computational Optimal Transport", section 3.1 and 5.1.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["EPS", "discrete_dual", "dual_value"]

Array = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)
"""Twice the largest relative error of one operation on 64-bit numbers."""

_ENTRIES = 1 << 23
"""Costs in memory at a time."""


def discrete_dual(x: Array, y: Array, f: Array, a: Array, b: Array) -> float:
    """Lower bound on `min E|x - y|^2 / 2` over the couplings of two weighted samples, from any first guess of a dual.

    Args:
        x: `(n, d)` points, float64.
        y: `(m, d)` points.
        f: `(n,)` dual values of the rows of `x`; the better they are, the tighter the bound.
        a: `(n,)` weights with sum one.
        b: `(m,)` weights with sum one.

    Returns:
        The dual value after two transforms, less a bound of all rounding errors.

    Note: Cost: two products of an `n x d` with a `d x m` matrix; memory for a few million numbers.

    References: Higham 2002, "Accuracy and Stability of Numerical Algorithms", section 3.1, for the bound of an inner
    product's error, `k u sum |x_i y_i|` to first order.
    """
    centre = 0.5 * (x.mean(axis=0) + y.mean(axis=0))
    # Both clouds move together: a difference of two numbers is off by a rounding relative to itself, so that what
    # counts from here on is the size of the clouds, not where they are.
    shifted_x, shifted_y = x - centre, y - centre
    h = _transform(shifted_x, shifted_y, f)
    f = _transform(shifted_y, shifted_x, h)
    size = max(np.abs(points).max() for points in (shifted_x, shifted_y)) * np.sqrt(x.shape[1])
    # A cost or a sum of at most d + 8 terms for each pair, each of them at most (2 size)^2 or a dual value.
    return dual_value(f, h, a, b, 4.0 * size**2, x.shape[1] + 8)


def dual_value(f: Array, h: Array, a: Array, b: Array, largest_cost: float, operations: int) -> float:
    """Value of two dual vectors that would be feasible but for rounding, less a bound of all rounding errors.

    Args:
        f: `(n,)` dual values of the source.
        h: `(m,)` dual values of the target, made from `f` by a transform, or the other way round.
        a: `(n,)` weights with sum one.
        b: `(m,)` weights with sum one.
        largest_cost: No cost of a pair is larger in size.
        operations: By how many roundings of the largest cost, or of the largest dual value, `f_i + h_j` may be above
            the cost of a pair.
    """
    largest = max(np.abs(f).max(), np.abs(h).max())
    per_pair = operations * (largest_cost + largest)
    # Two weighted means, whose weights add up to one.
    means = (len(f) + len(h) + 8) * largest
    return float(float(a @ f + b @ h) - EPS * (per_pair + means))


def _transform(x: Array, y: Array, f: Array) -> Array:
    """`min_i (|x_i - y_j|^2 / 2 - f_i)` for every row of `y`."""
    rows = np.column_stack([-x, 0.5 * np.sum(x**2, axis=1) - f])
    columns = np.column_stack([y, np.ones(len(y))])
    step = max(1, _ENTRIES // len(x))
    parts = [np.min(columns[start : start + step] @ rows.T, axis=1) for start in range(0, len(y), step)]
    return np.concatenate(parts) + 0.5 * np.sum(y**2, axis=1)
