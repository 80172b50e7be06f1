"""Weights that give both sides the same conditions, against closed forms and SciPy."""

import numpy as np
import pytest
import scipy.optimize
from scipy.stats import norm

from asserts import assert_at_most, assert_close
from brenier.conditions.balance import balance, entropy_weights, weights_towards
from brenier.conditions.basis import largest_degree, legendre, terms

LOW, HIGH = np.array([[-1.0]]), np.array([[1.0]])


def codes(numbers, number=0) -> np.ndarray:
    numbers = np.asarray(numbers, float).reshape(len(numbers), -1)
    return np.column_stack([np.full(len(numbers), float(number)), numbers])


def test_polynomials_are_orthonormal_on_the_cube():
    nodes, weights = np.polynomial.legendre.leggauss(8)
    grid = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    basis = legendre(grid, 4)
    assert basis.shape == (64, terms(2, 4)) == (64, 15)
    product = (basis * np.outer(weights, weights).reshape(-1, 1) / 4).T @ basis
    assert_close(product, np.eye(15), atol=1e-12)
    # Terms of a lower degree come first.
    np.testing.assert_array_equal(basis[:, : terms(2, 2)], legendre(grid, 2))
    assert (largest_degree(2, 15), largest_degree(2, 14), largest_degree(0, 9)) == (4, 3, 0)


def test_weights_are_those_of_least_relative_entropy(rng):
    features = rng.standard_normal((40, 2))
    target = np.array([0.4, -0.2])
    found = entropy_weights(features, target)
    assert_close(found.sum(), 1.0, rtol=1e-12)
    assert_close(found @ features, target, atol=1e-7)
    constraints = [
        {"type": "eq", "fun": lambda w: w.sum() - 1.0},
        {"type": "eq", "fun": lambda w: w @ features - target},
    ]
    best = scipy.optimize.minimize(
        lambda w: w @ np.log(w * len(w)),
        np.full(40, 1 / 40),
        jac=lambda w: np.log(w * len(w)) + 1.0,
        bounds=[(1e-9, 1.0)] * 40,
        constraints=constraints,
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-14},
    )
    assert best.success
    assert_close(found, best.x, atol=1e-5)


def test_targets_out_of_reach_have_no_weights(rng):
    assert entropy_weights(rng.uniform(size=(50, 2)), np.array([1.5, 0.5])) is None


def test_tilted_normals_get_the_ratio_of_their_densities(rng):
    """The mixture of both sides over each of them, which polynomials of degree four in the exponent come close to."""
    x, y = rng.normal(-0.15, 0.3, 40000), rng.normal(0.15, 0.3, 40000)
    found = balance(codes(x), codes(y), LOW, HIGH)
    for side, weights, centre in ((x, found.x, -0.15), (y, found.y, 0.15)):
        both = 0.5 * (norm.pdf(side, -0.15, 0.3) + norm.pdf(side, 0.15, 0.3))
        inner = np.abs(side) < 0.6
        ratio = both / norm.pdf(side, centre, 0.3)
        assert_at_most(np.abs(weights * len(side) / ratio - 1.0)[inner].max(), 0.1, "error of the ratio")
    means = [weights @ legendre(side[:, None], 4) for side, weights in ((x, found.x), (y, found.y))]
    assert_close(means[0], means[1], atol=1e-6)
    assert 0.5 < found.effective.min() < 0.95


def test_classes_count_equally_whatever_their_sizes(rng):
    x = np.concatenate([codes(rng.uniform(-1, 1, 50)), codes(rng.uniform(-1, 1, 400), 1)])
    y = np.concatenate([codes(rng.uniform(-1, 1, 300)), codes(rng.uniform(-1, 1, 30), 1)])
    found = balance(x, y, np.repeat(LOW, 2, axis=0), np.repeat(HIGH, 2, axis=0))
    for side, weights in ((x, found.x), (y, found.y)):
        assert_close([weights[side[:, 0] == number].sum() for number in (0, 1)], [0.5, 0.5], rtol=1e-12)


def test_without_numbers_rows_of_a_class_count_equally():
    x, y = np.array([[0.0], [0.0], [1.0]]), np.array([[0.0], [1.0], [1.0]])
    found = balance(x, y, np.zeros((2, 0)), np.zeros((2, 0)))
    np.testing.assert_array_equal(found.x, [0.25, 0.25, 0.5])
    np.testing.assert_array_equal(found.y, [0.5, 0.25, 0.25])


def test_equal_conditions_are_left_alone(rng):
    x = codes(rng.uniform(-1, 1, 500))
    found = balance(x, x[rng.permutation(500)], LOW, HIGH)
    assert_close(found.x, np.full(500, 1 / 500), rtol=1e-6)


def test_towards_the_source_classes_have_its_shares(rng):
    x = np.concatenate([codes(rng.uniform(-1, 0.5, 180)), codes(rng.uniform(-1, 1, 20), 1)])
    y = np.concatenate([codes(rng.uniform(-1, 1, 200)), codes(rng.uniform(-1, 1, 200), 1)])
    found, unequal = weights_towards(x, y, np.repeat(LOW, 2, axis=0), np.repeat(HIGH, 2, axis=0))
    assert unequal == ()
    assert_close([found[y[:, 0] == number].sum() for number in (0, 1)], [0.9, 0.1], rtol=1e-12)
    first = found[:200] / 0.9
    assert first @ y[:200, 1] == pytest.approx(x[:180, 1].mean(), abs=1e-6)
    assert first @ y[:200, 1] ** 2 == pytest.approx((x[:180, 1] ** 2).mean(), abs=1e-6)


def test_what_no_weights_can_equal_is_named(rng):
    """Two clouds of numbers that a plane parts, and a class with fewer rows than its polynomials need."""
    apart = [codes(rng.uniform(0.2, 1.0, (100, 2)) * sign) for sign in (1, -1)]
    few = codes(rng.uniform(-1, 1, (20, 2)), 1)
    x, y = (np.concatenate([side, few]) for side in apart)
    low, high = np.full((2, 2), -1.0), np.full((2, 2), 1.0)
    found = balance(x, y, low, high)
    assert found.unequal == (0, 1)
    assert_close(found.x[:100], np.full(100, 0.5 / 100), rtol=1e-12)
    weights, unequal = weights_towards(x, y, low, high)
    assert unequal == (0, 1)
    assert_close(weights[:100], np.full(100, (100 / 120) / 100), rtol=1e-12)
