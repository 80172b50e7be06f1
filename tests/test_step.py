"""One training step against the mathematics: its gradient, its averages, what it leaves alone; and held-out values."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from asserts import assert_at_most, assert_close, assert_gradient, assert_same
from brenier.conjugates import conjugate, dual_values
from brenier.geometry import QuadraticGeometry, moments
from brenier.solvers import BFGS, Newton, Spectral
from brenier.training.calibration import Affine, Calibration
from brenier.training.holdout import Holdout
from brenier.training.step import Batches, Context, run_steps, solve_pool, start
from networks import double, fresh, perturb, quadratic
from problems import covariance, exact_sample, gaussians

EXACT = 1e-11


def setting(u, x, y, solver, rounds=(1, 200), usable=0.2):
    arrays, static = eqx.partition(u, eqx.is_inexact_array)
    context = Context(solver, rounds, 0.0, usable, jnp.ones(x.shape[1]), static, jnp.asarray(x), jnp.asarray(y))
    return context, start(u, jnp.asarray(y), solver), arrays


def batches(source, target, rate=0.01, tolerance=EXACT):
    steps = len(source)
    return Batches(
        jnp.asarray(source), jnp.asarray(target), jnp.full(steps, rate, float), jnp.full(steps, tolerance, float)
    )


def test_the_gradient_of_a_step_is_that_of_the_dual(rng, x64):
    # Adam's first moment after one step is a tenth of the gradient: the only trace that the step leaves of it.
    u = double(perturb(fresh("icnn-softplus", 2, (3, 2)), 1, 0.4))
    x, y = rng.standard_normal((2, 12, 2))
    chosen_x, chosen_y = np.array([[0, 3, 5, 7]]), np.array([[1, 2, 8, 11]])
    context, state, arrays = setting(u, x, y, BFGS())
    flat, unflatten = ravel_pytree(arrays)

    @jax.jit
    def objective(parameters):
        u = eqx.combine(unflatten(parameters), context.static)
        targets = jnp.asarray(y[chosen_y[0]])
        best = conjugate(u, targets, Newton(), tolerance=1e-12).value
        return jnp.mean(u(jnp.asarray(x[chosen_x[0]]))) + jnp.mean(dual_values(u, targets, best)[0])

    after, statistics = run_steps(context, state, batches(chosen_x, chosen_y))
    gradient = ravel_pytree(after.optimizer.mu)[0] / 0.1
    assert_gradient(objective, gradient, flat, rtol=1e-7)
    assert float(statistics.unconverged[0]) == 0.0
    moved, average = ravel_pytree(after.parameters)[0], ravel_pytree(after.average)[0]
    # Adam's first step has the length of the rate in every parameter, against the gradient.
    sure = np.abs(gradient) > 1e-4
    assert_close((moved - flat)[sure], -0.01 * np.sign(gradient[sure]), rtol=1e-3)
    assert_same(average, moved)


def test_calibrated_points_take_the_place_of_the_others_in_the_gradient_alone(rng, x64):
    u = double(perturb(fresh("icnn-softplus", 2, (3, 2)), 1, 0.4))
    x, y = rng.standard_normal((2, 12, 2))
    chosen = np.array([[0, 3, 5, 7]])
    context, state, arrays = setting(u, x, y, BFGS())
    flat, unflatten = ravel_pytree(arrays)
    moves = [(np.eye(2) + 0.2 * rng.standard_normal((2, 2)), 0.1 * rng.standard_normal(2)) for _ in "xz"]
    roots = np.asarray(conjugate(u, jnp.asarray(y[chosen[0]]), Newton(), tolerance=1e-12).value)
    sources, preimages = (
        jnp.asarray(rows @ matrix + shift) for rows, (matrix, shift) in zip((x[chosen[0]], roots), moves, strict=True)
    )

    @jax.jit
    def objective(parameters):
        u = eqx.combine(unflatten(parameters), context.static)
        return jnp.mean(u(sources)) - jnp.mean(u(preimages))

    affine = Calibration(*(Affine(jnp.asarray(matrix)[None], jnp.asarray(shift)[None]) for matrix, shift in moves))
    after, _ = run_steps(context, state, batches(chosen, chosen)._replace(calibration=affine))
    assert_gradient(objective, ravel_pytree(after.optimizer.mu)[0] / 0.1, flat, rtol=1e-7)
    assert_close(np.asarray(after.conjugates)[chosen[0]], roots, atol=10 * EXACT)


def test_decay_takes_its_share_of_every_parameter(rng, x64):
    u = double(perturb(fresh("icnn-softplus", 2, (3, 2)), 1, 0.4))
    x, y = rng.standard_normal((2, 12, 2))
    moved = []
    for decay in (0.0, 0.3):
        context, state, arrays = setting(u, x, y, BFGS())
        context = dataclasses.replace(context, decay=decay)
        moved.append(ravel_pytree(run_steps(context, state, batches([[0, 3, 5]], [[1, 2, 8]]))[0].parameters)[0])
    assert_close(moved[0] - moved[1], 0.01 * 0.3 * ravel_pytree(arrays)[0], rtol=1e-7, atol=1e-12)


def test_a_step_keeps_the_conjugates_of_its_batch_and_touches_no_others(rng, x64):
    u = double(perturb(fresh("icnn-softplus", 2, (3, 2)), 1, 0.4))
    x, y = rng.standard_normal((2, 12, 2))
    context, state, _ = setting(u, x, y, BFGS())
    after, _ = run_steps(context, state, batches([[0, 1, 2, 3]], [[1, 2, 8, 11]]))
    conjugates, memory = np.asarray(after.conjugates), np.asarray(after.memory)
    batch = np.isin(np.arange(12), [1, 2, 8, 11])
    assert_close(u.gradient(jnp.asarray(conjugates[batch])), y[batch], atol=10 * EXACT)
    assert_same(conjugates[~batch], y[~batch])
    assert_same(memory[~batch], np.broadcast_to(np.eye(2), (8, 2, 2)))
    assert (memory[batch] != np.eye(2)).any(axis=(1, 2)).all()
    # The next step finds the roots near where it left them, moved by the small change of the parameters.
    again, statistics = run_steps(context, after, batches([[0, 1, 2, 3]], [[1, 2, 8, 11]], rate=0.0, tolerance=0.3))
    assert_same(statistics.evaluations, np.array([2], np.int32))
    assert int(again.steps) == 2


def test_the_average_is_polynomial(rng, x64):
    x, y = rng.standard_normal((2, 8, 2))
    context, state, _ = setting(quadratic(covariance(2, 4, 0)), x, y, Spectral())
    mean = 0.0
    for k in range(1, 7):
        order = rng.permutation(8)[None]
        state, _ = run_steps(context, state, batches(order, order, rate=0.1))
        mean = mean + 9 / (k + 8) * (np.asarray(ravel_pytree(state.parameters)[0]) - mean)
        assert_close(ravel_pytree(state.average)[0], mean, rtol=1e-10)
    assert int(state.steps) == 6


def test_a_pool_is_solved_batch_by_batch(rng, x64):
    u = quadratic(covariance(2, 4, 0))
    y = rng.standard_normal((12, 2))
    context, _, arrays = setting(u, y, y, Spectral())
    points, memory = solve_pool(context, arrays, y.reshape(3, 4, 2), jnp.asarray(1e-10), 200)
    assert_close(points.reshape(12, 2), np.linalg.solve(covariance(2, 4, 0), y.T).T, atol=1e-9)
    assert memory.shape == (3, 4)


class TestHoldout:
    @pytest.fixture
    def pair(self, rng):
        pair = gaussians(3)
        x = exact_sample(pair.mean_x, pair.covariance_x, 400, rng)
        y = exact_sample(pair.mean_y, pair.covariance_y, 300, rng)
        return pair, Holdout.of(x, y, QuadraticGeometry.between(moments(x), moments(y)), BFGS())

    def test_the_gaussian_map_of_gaussians_has_the_dual_value_of_gaussians(self, pair):
        pair, holdout = pair
        # `moments` divides by n - 1, the samples are exact by n: coordinates off by 1 / 300, the value by its square.
        assert_close(holdout.dual(holdout.baseline()), 0.5 * pair.w2**2, rtol=1e-5)
        value = holdout.evaluate(quadratic(np.eye(3)))
        assert_close(value.objective, holdout.baseline().objective, rtol=1e-6)
        assert value.unconverged == 0.0

    def test_any_other_potential_has_a_smaller_dual_value(self, pair):
        _, holdout = pair
        best = holdout.baseline()
        for seed in range(3):
            value = holdout.evaluate(quadratic(covariance(3, 4, seed), [0.1, 0.0, -0.1]))
            gain, error = value.gain_over(best)
            assert_at_most(gain, -0.01, "gain over the optimal potential")
            assert_close(holdout.dual(value) - holdout.dual(best), holdout._unit**2 * gain, rtol=1e-5)
            assert_at_most(0.0, error, "standard error")

    def test_an_unconverged_conjugate_is_charged_not_flattered(self, rng, monkeypatch):
        from brenier.training import holdout as module

        monkeypatch.setattr(module, "_MAX_STEPS", 1)
        monkeypatch.setattr(module, "_STRAGGLER_STEPS", 0)
        # A size that no other test has, so that the changed budget is compiled in.
        matrix, y = covariance(2, 100, 0), rng.standard_normal((51, 2)).astype(np.float32)
        found = Holdout(y, y, np.ones(2), BFGS()).evaluate(quadratic(matrix))
        exact = 0.5 * np.sum(y * np.linalg.solve(matrix, y.T).T, axis=1)
        assert found.unconverged > 0.5
        assert_at_most(exact, found.conjugate * (1 + 1e-5) + 1e-5, "exact conjugate against the bound")
        assert found.charge > 1e-3 * found.objective
        assert_close(found.potential, 0.5 * np.sum(y * (y @ matrix), axis=1), rtol=1e-4, atol=1e-5)

    def test_points_whose_charge_would_count_are_solved(self, rng, monkeypatch):
        """In heavy tails, a few unfinished solves otherwise hide what a network has gained."""
        from brenier.training import holdout as module

        matrix, y = covariance(2, 100, 0), rng.standard_normal((400, 2)).astype(np.float32)
        y[0] = [1e3, -1e3]
        exact = 0.5 * np.sum(y * np.linalg.solve(matrix, y.T).T, axis=1)
        monkeypatch.setattr(module, "_MAX_STEPS", 2)
        found = Holdout(y, y, np.ones(2), BFGS()).evaluate(quadratic(matrix))
        assert_close(found.conjugate, exact, rtol=1e-3)
        assert_at_most(found.charge, 1e-4 * found.objective, "charge")
