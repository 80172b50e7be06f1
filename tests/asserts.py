"""Comparisons that raise. `test_asserts.py` shows that each rejects a wrong answer."""

from collections.abc import Callable
from typing import Any

import numpy as np


def assert_close(actual: Any, expected: Any, *, rtol: float = 0.0, atol: float = 0.0) -> None:
    """Same shape, finite, and equal up to tolerances, of which at least one has to be given."""
    if rtol <= 0 and atol <= 0:
        raise TypeError("give `rtol`, `atol` or both")
    actual, expected = np.asarray(actual), np.asarray(expected)
    if actual.shape != expected.shape:
        raise AssertionError(f"shape {actual.shape}, expected {expected.shape}")
    if not (np.isfinite(actual).all() and np.isfinite(expected).all()):
        raise AssertionError(f"not finite: {actual} against {expected}")
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


def assert_same(actual: Any, expected: Any) -> None:
    """The same shape, type and bits; NaN equals NaN."""
    np.testing.assert_array_equal(np.asarray(actual), np.asarray(expected), strict=True)


def assert_at_most(actual: Any, bound: Any, what: str) -> None:
    """Every entry is a number and at most its bound."""
    actual, bound = np.broadcast_arrays(actual, bound)
    wrong = ~(actual <= bound)
    if wrong.any():
        worst = np.argmax(np.where(wrong, np.nan_to_num(actual - bound, nan=np.inf), -np.inf))
        raise AssertionError(
            f"{what}: {wrong.sum()} of {wrong.size} above the bound, such as {actual.flat[worst]} > {bound.flat[worst]}"
        )


def assert_permutation(order: Any, count: int) -> None:
    """Every number below `count`, once each."""
    order = np.asarray(order)
    if order.shape != (count,) or not np.array_equal(np.sort(order), np.arange(count)):
        raise AssertionError(f"not a permutation of {count} numbers: {order}")


def assert_gradient(fn: Callable[[Any], float], gradient: Any, at: Any, *, rtol: float, step: float = 1e-5) -> None:
    """A gradient of a scalar function in float64 equals central differences, relative to its largest entry.

    A central difference errs by about `step^2 f''' / 6 + 1e-16 f / step`, near 1e-10 for smooth functions of size one.
    """
    at = np.asarray(at, np.float64)
    numeric = np.empty(at.shape)
    for index in np.ndindex(at.shape):
        shift = np.zeros(at.shape)
        shift[index] = step
        numeric[index] = (float(fn(at + shift)) - float(fn(at - shift))) / (2 * step)
    if not np.abs(numeric).max() > 0:
        raise AssertionError("the function is constant here, so that its gradient shows nothing")
    assert_close(gradient, numeric, atol=rtol * np.abs(numeric).max())
