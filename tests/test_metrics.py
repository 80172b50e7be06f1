"""Metrics against POT, scipy and hand counts."""

import numpy as np
import ot
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from asserts import assert_at_most, assert_close
from brenier.metrics import cosine_similarity, sliced_w2, unexplained_variance


def directions(dim: int, projections: int, seed: int) -> np.ndarray:
    """The directions that `sliced_w2` draws: normal vectors of length one."""
    drawn = np.random.default_rng(seed).standard_normal((dim, projections))
    return drawn / np.linalg.norm(drawn, axis=0)


# More directions than are held at once, as many, and fewer.
@pytest.mark.parametrize("projections", [1, 64, 100])
@pytest.mark.parametrize(("n", "m"), [(50, 50), (50, 80), (81, 7), (1, 5)])
def test_sliced_distance_is_that_of_pot(n, m, projections, rng):
    x, y = rng.standard_normal((n, 3)), 1 + 2 * rng.standard_normal((m, 3))
    theirs = ot.sliced_wasserstein_distance(x, y, projections=directions(3, projections, 7))
    # Sums of some hundred terms in float64.
    assert_close(sliced_w2(x, y, projections=projections, seed=7), theirs, rtol=1e-10)


@given(n=st.integers(1, 12), m=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_one_dimension_is_exact(n, m, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, 1)), rng.standard_normal((m, 1)).round(1)  # ties in y
    cost = ot.emd2_1d(x[:, 0], y[:, 0], metric="sqeuclidean")
    assert_close(sliced_w2(x, y, projections=3), np.sqrt(cost), atol=1e-7)
    if n == m:
        # For the absolute instead of the squared cost scipy agrees that sorting is optimal.
        by_sorting = np.mean(np.abs(np.sort(x[:, 0]) - np.sort(y[:, 0])))
        assert_close(scipy.stats.wasserstein_distance(x[:, 0], y[:, 0]), by_sorting, atol=1e-12)


def test_sliced_distance_of_a_shift_and_in_units(rng):
    x, shift = rng.standard_normal((40, 3)), np.array([3.0, -4.0, 0.0])
    found = sliced_w2(x, x + shift, projections=200, seed=1)
    assert_close(found, np.sqrt(np.mean((shift @ directions(3, 200, 1)) ** 2)), rtol=1e-12)
    # The mean of <shift, direction>^2 is |shift|^2 / 3, from 200 directions to within 20 %.
    assert_close(found, 5 / np.sqrt(3), rtol=0.2)
    units = np.array([0.5, 10.0, 2.0])
    assert_close(sliced_w2(x * units, (x + shift) * units, scale=units, projections=200, seed=1), found, rtol=1e-12)
    assert sliced_w2(x, x[::-1]) == 0.0
    assert sliced_w2(x, x + shift, seed=2) == sliced_w2(x + shift, x, seed=2) != sliced_w2(x, x + shift, seed=3)


def test_unexplained_variance_by_hand(rng):
    truth = np.array([[0.0, 0.0], [2.0, 4.0]])  # variance 1 + 4
    mapped = truth + np.diag([1.0, 2.0])  # mean square (1 + 4) / 2
    assert_close(unexplained_variance(mapped, truth), 50.0, rtol=1e-12)
    assert_close(unexplained_variance(mapped, truth, variance=10.0), 25.0, rtol=1e-12)
    assert unexplained_variance(truth, truth) == 0.0
    points = rng.standard_normal((100, 3))
    assert_close(unexplained_variance(np.broadcast_to(points.mean(axis=0), (100, 3)), points), 100.0, rtol=1e-12)
    # In single precision the variance of data far from the origin still has its digits.
    far = (1e3 + points).astype(np.float32)
    assert_close(unexplained_variance(np.broadcast_to(far.mean(axis=0, dtype=float), (100, 3)), far), 100.0, rtol=1e-3)


def test_cosine_similarity_by_hand(rng):
    start = np.zeros((2, 2))
    exact = np.array([[1.0, 0.0], [0.0, 2.0]])
    learned = np.array([[1.0, 1.0], [0.0, 0.0]])
    assert_close(cosine_similarity(learned, exact, start), 1 / np.sqrt(2 * 5), rtol=1e-12)
    assert_close(cosine_similarity(start + 3 * exact, exact, start), 1.0, rtol=1e-12)
    assert_close(cosine_similarity(-exact, exact, start), -1.0, rtol=1e-12)
    x, y, z = rng.standard_normal((3, 50, 4))
    assert_at_most(abs(cosine_similarity(x, y, z)), 1.0, "cosine")
    assert_close(cosine_similarity(x + 7, y + 7, z + 7), cosine_similarity(x, y, z), rtol=1e-9)
