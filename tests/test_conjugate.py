"""Conjugates against closed forms and scipy, the bounds that truncated solves keep, and the envelope gradient."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

from asserts import assert_at_most, assert_close, assert_gradient, assert_same
from brenier.conjugates import Tolerance, conjugate, conjugate_points, dual_values
from brenier.conjugates import problem as module
from brenier.potentials import Quadratic
from brenier.solvers import BFGS, Newton, Picard, Spectral, Status
from networks import double, fresh, perturb, quadratic
from problems import covariance

FLOOR = 0.1

values = eqx.filter_jit(dual_values)
gradient = eqx.filter_jit(lambda u, x: u.gradient(x))
hessian = eqx.filter_jit(lambda u, x: u.hessian(x))


@eqx.filter_jit
def solve(u, y, solver, max_steps=200, tolerance=1e-11):
    return conjugate(u, y, solver, max_steps=max_steps, tolerance=tolerance)


def network(seed: int = 0, widths: tuple[int, ...] = (6, 5, 4)):
    """An input-convex network in float64, far enough from the identity that ten steps leave a residual."""
    return double(perturb(fresh("icnn-softplus", 2, widths, floor=FLOOR), seed, 0.4))


@pytest.mark.parametrize("solver", [None, BFGS(), Newton()])
def test_quadratic_in_closed_form(solver, rng, x64):
    matrix, shift, y = covariance(4, 10, 0), rng.standard_normal(4), rng.standard_normal((9, 4))
    solution = solve(quadratic(matrix, shift), jnp.asarray(y), solver)
    roots = np.linalg.solve(matrix, (y - shift).T).T
    assert solution.statuses() == [Status.converged] * 9
    # The residual allowed, over the smallest eigenvalue 1 / sqrt(10), with room for the norm of four coordinates.
    assert_close(solution.value, roots, atol=1e-10)
    found, residual = values(quadratic(matrix, shift), jnp.asarray(y), solution.value)
    assert_close(found, 0.5 * np.sum((y - shift) * roots, axis=1), atol=1e-12)
    assert_close(residual, solution.residual, atol=1e-13)


def test_values_and_residuals_at_any_point(rng, x64):
    matrix, shift = covariance(3, 10, 1), rng.standard_normal(3)
    x, y = rng.standard_normal((2, 5, 3))
    found, residual = values(quadratic(matrix, shift), jnp.asarray(y), jnp.asarray(x))
    inner = np.sum(x * (y - shift), axis=1) - 0.5 * np.einsum("ni,ij,nj->n", x, matrix, x)
    assert_close(found, inner, atol=1e-12)
    assert_close(residual, np.linalg.norm(x @ matrix + shift - y, axis=1), atol=1e-12)


def test_networks_against_scipy(rng, x64):
    u, y = network(), 2 * rng.standard_normal((5, 2))
    solution = solve(u, jnp.asarray(y), Spectral())
    found = np.asarray(values(u, jnp.asarray(y), solution.value)[0])
    for target, x, value in zip(y, solution.value, found, strict=True):

        def negative(z, target=target):
            value, slope = values(u, target[None], z[None])[0], gradient(u, z[None])[0]
            return -float(value[0]), np.asarray(slope) - target

        answer = scipy.optimize.minimize(negative, np.zeros(2), jac=True, method="BFGS", options={"gtol": 1e-9})
        # scipy's residual over the floor for the point, its square for the value.
        assert_close(x, answer.x, atol=1e-7)
        assert_close(value, -answer.fun, atol=1e-12)


@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(0, 8), solver=st.sampled_from([Picard(), Spectral(), BFGS()]))
def test_truncated_solves_bound_the_conjugate_from_both_sides(seed, steps, solver):
    with jax.enable_x64(True):
        u = network(seed)
        y = jnp.asarray(2 * np.random.default_rng(seed).standard_normal((16, 2)))
        exact = solve(u, y, Newton())
        assert exact.converged.all()
        truth = np.asarray(values(u, y, exact.value)[0])
        x = solve(u, y, solver, jnp.asarray(steps)).value
        below, residual = (np.asarray(part) for part in values(u, y, x))
        rounding = 1e-12 * (1 + np.abs(truth))
        assert_at_most(below, truth + rounding, "value")
        assert_at_most(truth, below + residual**2 / (2 * FLOOR) + rounding, "conjugate")
        distance = np.linalg.norm(x - exact.value, axis=1)
        assert_at_most(distance, residual / FLOOR + 1e-9, "distance to the maximiser")


@pytest.fixture(scope="module")
def learned():
    return perturb(fresh("icnn-ramp", 2, floor=FLOOR), 3, 0.4)


@pytest.mark.parametrize("count", [1, 31, 33, 8193])
def test_any_number_of_points(learned, count):
    y = np.random.default_rng(0).standard_normal((8193, 2)).astype(np.float32)
    scale = np.array([0.5, 2.0])
    found = conjugate_points(learned, y[:count], scale=scale)
    assert [field.shape for field in found] == [(count, 2), (count,), (count,), (count,)]
    assert found.converged.all()
    residual = np.asarray(gradient(learned, jnp.asarray(found.points))) - y[:count]
    # Single precision: gradients are sums of some twenty terms of size one to ten.
    assert_close(found.residual, np.linalg.norm(residual, axis=1), atol=1e-5)
    bound = 1e-5 + 1e-5 * np.sqrt(np.mean((y[:count] / scale) ** 2, axis=1))
    assert_at_most(np.sqrt(np.mean((residual / scale) ** 2, axis=1)), bound + 1e-5, "scaled residual")
    # Whatever shares the batch: both answers meet the tolerance, so they differ by twice that over the floor.
    first = conjugate_points(learned, y[:1], scale=scale).points[0]
    assert_close(found.points[0], first, atol=2e-3)


def test_stragglers_go_to_the_fallback_and_come_back_to_their_rows(rng):
    matrix = covariance(3, 1000, 0)
    easy = rng.random(500) < 0.3
    roots = np.where(easy[:, None], 0.0, rng.standard_normal((500, 3)))
    y = (roots @ matrix).astype(np.float32)
    found = conjugate_points(quadratic(matrix), y, max_steps=3)
    assert found.converged.all()
    assert (found.steps[easy] == 0).all()
    assert (found.steps[~easy] > 3).mean() > 0.9, "few rows were left to the fallback, so that nothing is tested"
    assert_at_most(found.steps, 3 + 4 * 3, "steps over both solvers")
    # Tolerance 1e-5 to 1e-3 of the residual, over the smallest eigenvalue 0.03.
    assert_close(found.points, roots, atol=0.02)


@pytest.mark.parametrize(
    ("dim", "solvers"),
    [(16, ["BFGS", "Newton"]), (17, ["LBFGS", "Newton"]), (64, ["LBFGS", "Newton"]), (65, ["LBFGS", "LBFGS"])],
)
def test_the_solvers_depend_on_the_dimension(dim, solvers, monkeypatch):
    called = []

    def fail(solver, u, y, x0, scale, max_steps, *tolerances, surplus):
        called.append((type(solver).__name__, int(max_steps)))
        codes = np.full(len(y), Status.max_steps_reached.code)
        return module.ConjugatePoints(x0, np.ones(len(y)), codes, np.full(len(y), int(max_steps)))

    monkeypatch.setattr(module, "_solve", fail)
    found = conjugate_points(Quadratic.identity(dim), np.ones((5, dim), np.float32), max_steps=10)
    # What 20 rounds do not solve of a strongly convex potential is left to a descent, which knows no stalls.
    assert called == [(solvers[0], 10), (solvers[1], 20)]
    assert found.converged.all()
    assert_close(found.points, np.ones((5, dim)), rtol=1e-6)
    called.clear()
    monkeypatch.setattr(Quadratic, "convexity_floor", lambda self: None)
    found = conjugate_points(Quadratic.identity(dim), np.ones((5, dim), np.float32), max_steps=10)
    assert called == [(solvers[0], 10), (solvers[1], 40)]
    assert_same(found.steps, np.full(5, 50))
    assert not found.converged.any()


def test_rows_that_fail_are_marked_and_kept(rng):
    matrix, y = covariance(3, 10, 0), rng.standard_normal((40, 3)).astype(np.float32)
    y[5] = 1e25  # its square is too large for single precision, but not for double precision
    y[7] = np.inf
    found = conjugate_points(quadratic(matrix), y, tolerance=Tolerance(1e-4, 1e-4), max_steps=5)
    assert_same(np.flatnonzero(~found.converged), [7])
    assert_close(found.points[5], np.linalg.solve(matrix, y[5].astype(np.float64)), rtol=1e-3)
    ordinary = ~np.isin(np.arange(40), [5, 7])
    assert_close(found.points[ordinary], np.linalg.solve(matrix, y[ordinary].T).T, atol=5e-3)
    impossible = conjugate_points(quadratic(matrix), y[:5], tolerance=Tolerance(0.0, 0.0), max_steps=5)
    assert (impossible.converged == (impossible.residual == 0)).all()
    assert not impossible.converged.all()
    assert_at_most(impossible.residual, 1e-5, "residual, which is small all the same")


def test_the_first_guess_is_used(learned):
    y = np.random.default_rng(1).standard_normal((40, 2)).astype(np.float32)
    cold = conjugate_points(learned, y)
    warm = conjugate_points(learned, y, x0=cold.points)
    assert cold.steps.min() > 0
    assert_same(warm.steps, np.zeros(40, np.int32))
    assert_same(warm.points, cold.points)


def test_a_potential_without_solutions_leaves_rows_unconverged():
    # The gradient of zero is zero everywhere, and its Jacobian cannot be inverted.
    found = conjugate_points(Quadratic(jnp.zeros((2, 2))), np.ones((3, 2), np.float32), max_steps=5)
    assert not found.converged.any()
    assert_close(found.residual, np.full(3, np.sqrt(2)), rtol=1e-6)


def test_the_envelope_gradient_is_the_total_derivative(rng, x64):
    # d/dp u*(y) = -(d u / d p)(x*) at the detached maximiser: nothing flows through the solve.
    u, y = network(5, widths=(3, 2)), jnp.asarray(rng.standard_normal((4, 2)))
    arrays, static = eqx.partition(u, eqx.is_inexact_array)
    flat, unflatten = ravel_pytree(arrays)
    x = solve(u, y, Newton()).value

    def potential(parameters):
        return eqx.combine(unflatten(parameters), static)

    def envelope(parameters):
        return jnp.sum(dual_values(potential(parameters), y, x)[0])

    inverse_hessians = np.linalg.inv(hessian(u, x))

    def implicit(parameters):
        # A Newton step from the root stays there, and its derivative is that of the implicit function.
        residual = potential(parameters).gradient(x) - y
        moved = x - jnp.einsum("nij,nj->ni", inverse_hessians, residual)
        return jnp.sum(dual_values(potential(parameters), y, moved)[0])

    def unrolled(parameters):
        u = potential(parameters)
        z = jax.lax.scan(lambda z, _: (z - 0.1 * (u.gradient(z) - y), None), y, length=400)[0]
        return jnp.sum(dual_values(u, y, z)[0])

    @jax.jit
    def solved(parameters):
        u = potential(parameters)
        return jnp.sum(dual_values(u, y, conjugate(u, y, Newton(), x0=x, tolerance=1e-12).value)[0])

    found = np.asarray(jax.jit(jax.grad(envelope))(flat))
    size = np.abs(found).max()
    assert_close(jax.jit(jax.grad(implicit))(flat), found, atol=1e-10 * size)
    assert_close(jax.jit(jax.grad(unrolled))(flat), found, atol=1e-6 * size)
    assert_gradient(solved, found, flat, rtol=1e-7)


def test_the_last_rows_of_a_large_input_are_finished_by_the_second_solver(rng, monkeypatch):
    # A potential whose Hessian varies, so that rows differ in how long they take.
    u = perturb(fresh("icnn-ramp", 3), 0, 0.1)
    x = rng.standard_normal((4096, 3)).astype(np.float32)
    y = np.asarray(u.gradient(jnp.asarray(x)))
    solve_rows, called = module._solve, []

    def spy(solver, *rest, surplus):
        called.append(type(solver).__name__)
        return solve_rows(solver, *rest, surplus=surplus)

    monkeypatch.setattr(module, "_solve", spy)
    small = conjugate_points(u, y[:2048], tolerance=Tolerance(2e-5, 2e-5))
    assert called == ["BFGS"]  # which would have finished every row
    large = conjugate_points(u, y, tolerance=Tolerance(2e-5, 2e-5))
    assert called[1:] == ["BFGS", "Newton"]
    assert large.converged.all()
    # Roots of the same equations to that tolerance, by two solvers and by one.
    assert_close(large.points[:2048], small.points, atol=2e-4)
    assert_close(large.points, x, atol=2e-4)
