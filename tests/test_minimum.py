"""Conjugates that no root search finds: far targets, and networks whose gradients have kinks."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from asserts import assert_close, assert_same
from brenier import TransportMap
from brenier.conjugates import better_starts
from brenier.conjugates.minimum import find_minima
from brenier.geometry import Moments, QuadraticGeometry
from brenier.potentials import ICNN, Quadratic, double


def kinked(dim: int, rng: np.random.Generator) -> ICNN:
    """A network with steep kinks in the middle and tails as flat as its floor."""
    u = ICNN(dim, (64, 64, 32), rng=rng, floor=0.02)
    leaves, tree = jax.tree.flatten(eqx.filter(u, eqx.is_inexact_array))
    sizes = [0.6 * (float(jnp.abs(leaf).max()) + 0.1) for leaf in leaves]
    rough = [
        leaf + jnp.asarray(rng.normal(size=leaf.shape) * size, leaf.dtype)
        for leaf, size in zip(leaves, sizes, strict=True)
    ]
    rough_u = eqx.combine(jax.tree.unflatten(tree, rough), u)
    return eqx.tree_at(lambda u: u.diagonal, rough_u, jnp.full(dim, -8.0, jnp.float32))


def far(count: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    """Targets from a hundredth of a spread to 10,000 spreads away."""
    return rng.standard_normal((count, dim)) * 10.0 ** rng.uniform(-2.0, 4.0, (count, 1))


@pytest.mark.parametrize(("dim", "count"), [(2, 20_000), pytest.param(2, 1_000_000, marks=pytest.mark.slow)])
def test_every_target_of_a_strongly_convex_potential_has_its_preimage(dim: int, count: int, rng) -> None:
    standard = Moments(np.zeros(dim), np.eye(dim), 1000)
    map_ = TransportMap(QuadraticGeometry.between(standard, standard), kinked(dim, rng))
    y = far(count, dim, rng)
    inverse = map_.inverse_with_status(y)
    assert inverse.converged.all()
    # By the forward map, which is in single precision.
    sizes = 1.0 + np.linalg.norm(y, axis=1, keepdims=True)
    assert np.abs((map_.forward(inverse.points) - y) / sizes).max() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("dim", [1, 5, 17])
def test_in_other_dimensions(dim: int, rng) -> None:
    standard = Moments(np.zeros(dim), np.eye(dim), 1000)
    map_ = TransportMap(QuadraticGeometry.between(standard, standard), kinked(dim, rng))
    assert map_.inverse_with_status(far(5000, dim, rng)).converged.all()


def test_minima_are_those_of_scipy(rng) -> None:
    u, y = kinked(2, rng), far(6, 2, rng)
    with jax.enable_x64(True):
        precise = double(u)
        found, _, steps = find_minima(precise, y, np.zeros_like(y), np.ones(2), np.full(6, 1e-9))
        assert (steps > 0).all()
        residual = np.asarray(precise.gradient(jnp.asarray(found))) - y
        for target, point in zip(y, found, strict=True):

            def objective(x: np.ndarray, target: np.ndarray = target) -> tuple[float, np.ndarray]:
                value, gradient = precise.value_and_gradient(jnp.asarray(x[None]))
                return float(value[0]) - x @ target, np.asarray(gradient[0]) - target

            best = minimize(objective, np.zeros(2), jac=True, method="BFGS", options={"gtol": 1e-8, "maxiter": 2000})
            size = 1.0 + np.abs(point).max()
            assert_close(point / size, best.x / size, atol=1e-4)
    assert np.abs(residual).max() < 1e-8


def test_the_best_start_is_the_one_of_largest_value(rng) -> None:
    matrix = jnp.diag(jnp.asarray([9.0, 0.25], jnp.float32))
    u, starts = Quadratic(matrix), rng.standard_normal((50, 2)).astype(np.float32)
    y = rng.standard_normal((20, 2)).astype(np.float32)
    chosen = np.asarray(better_starts(u, jnp.asarray(y), jnp.asarray(starts), jnp.asarray(y)))
    values = (starts @ y.T).T - 0.5 * np.sum(starts**2 * [9.0, 0.25], axis=1)
    at_guess = np.sum(y * y, axis=1) - 0.5 * np.sum(y**2 * [9.0, 0.25], axis=1)
    expected = np.where((values.max(axis=1) > at_guess)[:, None], starts[values.argmax(axis=1)], y)
    assert_same(chosen, expected)
    # By the inverse Hessian: what a guess lacks is half the square of its distance in the metric of the Hessian.
    exact = y / [9.0, 0.25]
    lacks = 0.5 * np.sum((chosen - exact) ** 2 * [9.0, 0.25], axis=1)
    assert (lacks <= 0.5 * np.sum((starts[:, None] - exact) ** 2 * [9.0, 0.25], axis=2).min(axis=0) + 1e-5).all()
