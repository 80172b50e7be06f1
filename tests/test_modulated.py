"""Networks under a condition: convex for every one, and each the ordinary network that it says it is."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asserts import assert_at_most, assert_close
from brenier.conjugates import Tolerance, solve_batch
from brenier.potentials import ICNN, ModulatedICNN, Quadratic
from brenier.solvers import BFGS
from networks import double, perturb

SHAPES = [(1, 1), (3, 0), (3, 2)]
"""Classes and numbers."""


def family(classes: int, numbers: int, seed: int = 0, size: float = 0.3, dim: int = 3) -> ModulatedICNN:
    start = ModulatedICNN(dim, classes, numbers, (6, 5, 4), rng=np.random.default_rng(seed))
    return perturb(start, seed, size)


def rows(classes: int, numbers: int, rng: np.random.Generator, count: int = 16, dim: int = 3) -> np.ndarray:
    codes = np.column_stack([rng.integers(classes, size=count), rng.uniform(-1, 1, (count, numbers))])
    return np.column_stack([rng.standard_normal((count, dim)), codes])


@pytest.mark.parametrize(("classes", "numbers"), SHAPES)
def test_every_condition_is_an_ordinary_network(classes, numbers, rng, x64):
    u, points = double(family(classes, numbers)), rows(classes, numbers, rng)
    together, x = u.condition(jnp.asarray(points))
    values, gradients = together.value_and_gradient(x)
    for row, value, gradient in zip(points, values, gradients, strict=True):
        alone = u.at(jnp.asarray(row[3:]))
        assert type(alone) is ICNN
        own, slope = alone.value_and_gradient(jnp.asarray(row[None, :3]))
        assert_close(value, own[0], rtol=1e-12)
        assert_close(gradient, slope[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("classes", "numbers"), SHAPES)
def test_conditions_change_nothing_at_the_start(classes, numbers, rng):
    u = ModulatedICNN(3, classes, numbers, (6, 5, 4), rng=np.random.default_rng(0))
    points = rows(classes, numbers, rng)
    together, x = u.condition(jnp.asarray(points, jnp.float32))
    np.testing.assert_allclose(together(x), u.core(x), rtol=1e-6)


@pytest.mark.parametrize(("classes", "numbers"), SHAPES)
def test_conditions_matter_after_it(classes, numbers, rng):
    u, points = family(classes, numbers), rows(classes, numbers, rng)
    points[:, :3] = points[0, :3]
    together, x = u.condition(jnp.asarray(points, jnp.float32))
    values = np.asarray(together(x))
    distinct = len(np.unique(points[:, 3:], axis=0))
    assert len(np.unique(np.round(values, 4))) == distinct > 1


@given(seed=st.integers(0, 2**16), size=st.floats(0.1, 3.0), shape=st.sampled_from(SHAPES))
@example(seed=1, size=3.0, shape=(1, 1))
def test_convex_with_its_floor_for_every_condition(seed, size, shape):
    """`<grad u(a) - grad u(b), a - b> >= m |a - b|^2` under one condition a row, whatever the parameters."""
    rng = np.random.default_rng(seed)
    with jax.enable_x64(True):
        u = double(family(*shape, seed=seed, size=size))
        points = rows(*shape, rng, 32)
        together, a = u.condition(jnp.asarray(points))
        b = a + jnp.asarray(rng.standard_normal(a.shape) * 10 ** rng.uniform(-2, 1))
        slopes = _gradient(together, a), _gradient(together, b)
        change, steepest = slopes[0] - slopes[1], sum(jnp.linalg.norm(slope, axis=1) for slope in slopes)
        inner, squared = jnp.sum(change * (a - b), axis=1), jnp.sum(jnp.square(a - b), axis=1)
        # Of two steep slopes the difference keeps few digits, or none.
        rounding = 1e-14 * steepest * jnp.sqrt(squared) + 1e-14
        assert_at_most(float(u.convexity_floor()) * squared, inner + rounding, "convexity")


@eqx.filter_jit
def _gradient(u, x):
    return u.gradient(x)


def test_conjugates_are_solved_under_the_condition_of_each_row(rng):
    """Through the queue, with more rows than slots, against the network of each row."""
    u, points = family(3, 2, size=0.2), rows(3, 2, rng, 1300).astype(np.float32)
    found = solve_batch(BFGS(), u, points, points[:, :3], jnp.ones(3), Tolerance(1e-4, 1e-4), 100)
    solved = np.flatnonzero(found.converged)
    assert len(solved) > 1200
    for place in (*solved[:5], *solved[-10:]):
        row, x = points[place], np.asarray(found[0])[place]
        reached = u.at(jnp.asarray(row[3:])).gradient(jnp.asarray(x[None]))[0]
        assert_close(reached, row[:3], atol=2e-3)


def test_a_plain_potential_is_its_own_family(rng):
    u, x = Quadratic.identity(3), jnp.asarray(rng.standard_normal((4, 3)))
    together, points = u.condition(jnp.concatenate([x, jnp.ones((4, 2))], axis=1))
    assert together is u
    assert u.at(jnp.ones(2)) is u
    np.testing.assert_array_equal(points, x)


@pytest.mark.parametrize(("classes", "numbers"), [(0, 1), (1, -1)])
def test_shapes_that_are_none(classes, numbers):
    with pytest.raises(ValueError, match=f"got {classes} and {numbers}"):
        ModulatedICNN(2, classes, numbers, rng=np.random.default_rng(0))
