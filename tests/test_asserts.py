"""Each comparison accepts a right answer and rejects wrong ones."""

import numpy as np
import pytest

from asserts import assert_at_most, assert_close, assert_gradient, assert_permutation, assert_same
from problems import PROBLEMS, RootProblem, exact_sample, gaussians


def rejects(comparison, *args, **options) -> None:
    with pytest.raises(AssertionError):
        comparison(*args, **options)


def test_close():
    assert_close([1.0, 2.0], [1.0, 2.001], atol=0.01)
    rejects(assert_close, [1.0, 2.0], [1.0, 2.1], atol=0.01)
    rejects(assert_close, [1.0, 2.0], [1.0, 2.1], rtol=0.01)
    rejects(assert_close, 1.0, [1.0, 1.0], atol=0.01)
    rejects(assert_close, np.nan, np.nan, atol=0.01)
    rejects(assert_close, np.inf, np.inf, rtol=0.01)
    with pytest.raises(TypeError, match="rtol"):
        assert_close(1.0, 1.0)


def test_same():
    assert_same([1.0, np.nan], [1.0, np.nan])
    rejects(assert_same, [1.0], [np.nextafter(1.0, 2.0)])
    rejects(assert_same, np.float32([1.0]), np.float64([1.0]))
    rejects(assert_same, [1.0, 1.0], 1.0)


def test_at_most():
    assert_at_most([1.0, 2.0], 2.0, "size")
    rejects(assert_at_most, [1.0, 2.1], 2.0, "size")
    rejects(assert_at_most, [1.0, np.nan], 2.0, "size")
    rejects(assert_at_most, 1.0, np.nan, "size")


def test_permutation():
    assert_permutation([2, 0, 1], 3)
    rejects(assert_permutation, [2, 0, 2], 3)
    rejects(assert_permutation, [0, 1], 3)
    rejects(assert_permutation, [1, 2, 3], 3)


def test_gradient():
    at = np.array([1.0, 2.0])
    assert_gradient(lambda x: np.sum(x**3), 3 * at**2, at, rtol=1e-8)
    rejects(assert_gradient, lambda x: np.sum(x**3), 3.001 * at**2, at, rtol=1e-8)
    rejects(assert_gradient, lambda x: np.sum(x**3), [3.0, 3.0], at, rtol=1e-8)
    rejects(assert_gradient, lambda x: 1.0, [0.0, 0.0], at, rtol=1e-8)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_the_roots_of_the_problems_are_roots_and_their_slopes_within_bounds(problem: RootProblem):
    # The closed forms lose a few digits where they cancel; 1e-9 is far below every tolerance that they serve.
    assert_close(problem.residuals(problem.roots), np.zeros_like(problem.roots), atol=1e-9)
    rejects(assert_close, problem.residuals(problem.roots + 1e-3), np.zeros_like(problem.roots), atol=1e-9)
    step = 1e-6 * np.random.default_rng(0).standard_normal(problem.roots.shape)
    change = problem.residuals(problem.roots + step) - problem.residuals(problem.roots)
    curvature = np.sum(step * change, axis=1) / np.sum(step**2, axis=1)
    # A part in a million for the curvature of the problem itself over the length of the step.
    assert_at_most(problem.floor, curvature * (1 + 1e-5), "floor")
    assert_at_most(curvature, problem.steepest * (1 + 1e-5), "steepest")


def test_the_gaussian_map_and_the_sample_have_the_moments_they_claim():
    pair = gaussians(4)
    # Products of 4 x 4 matrices of condition 10 keep some 13 of 16 digits.
    assert_close(pair.matrix @ pair.covariance_x @ pair.matrix.T, pair.covariance_y, atol=1e-12)
    points = exact_sample(pair.mean_x, pair.covariance_x, 50, np.random.default_rng(0))
    assert_close(points.mean(axis=0), pair.mean_x, atol=1e-12)
    assert_close(np.cov(points.T, bias=True), pair.covariance_x, atol=1e-12)
    displacement = pair.mean_y + (points - pair.mean_x) @ pair.matrix.T - points
    assert_close(np.sqrt(np.mean(np.sum(displacement**2, axis=1))), pair.w2, rtol=1e-12)
