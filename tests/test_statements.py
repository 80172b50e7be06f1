"""The three statements of `docs/inexact.md`: gaps, gradients and descent with conjugates that are not exact.

Each bound is held against the code that training runs: its Picard solver, and the gradient of its steps.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

from asserts import assert_at_most, assert_close
from brenier.conjugates import dual_values
from brenier.solvers import Newton, Picard
from brenier.training.step import Batches, Context, run_steps, start
from brenier_bench.ablation_figure import write_ablation
from brenier_bench.sgd import Gaussians, distance, gradient
from brenier_bench.smooth_max import SmoothMax
from brenier_bench.statements import (
    envelope_gradient,
    exact,
    gap_curve,
    implicit_gradient,
    measure,
    picard,
    unrolled_gradient,
)
from networks import double, fresh, perturb, quadratic
from problems import rotation

SEEDS = st.integers(0, 2**31)
RELAXATION = 0.2
DIM, COUNT = 3, 16

values = eqx.filter_jit(dual_values)


@pytest.fixture(autouse=True)
def _double(x64):
    """All of these statements are about exact arithmetic, next to which single precision is another error."""


def targets(seed: int, size: float = 1.5):
    return jnp.asarray(size * np.random.default_rng(seed).standard_normal((COUNT, DIM)))


def affine(seed: int, lowest: float, highest: float):
    """An affine map with eigenvalues from one number to another, both attained."""
    axes = rotation(DIM, seed % 2**31)
    eigenvalues = np.array([lowest, np.sqrt(lowest * highest), highest])
    return quadratic((axes * eigenvalues) @ axes.T, np.random.default_rng(seed).standard_normal(DIM))


def affine_lipschitz(radius):
    """The gradient in matrix and shift is `x x^T / 2` and `x`."""
    return jnp.hypot(radius, 1.0)


class TestGap:
    """(a) With contraction factor q the gap after k steps is at most `q^(2k) r_0^2 / (2m)`."""

    def check(self, u, y, relaxation, highest):
        curve = gap_curve(u, y, relaxation, highest, 12)
        rounding = 1e-13 * (1 + curve.residual[0] ** 2)
        assert_at_most(-curve.gap, rounding, "value above the conjugate")
        assert_at_most(curve.gap, curve.bound + rounding, "gap")
        assert_at_most(curve.gap, curve.residual**2 / (2 * float(u.convexity_floor())) + rounding, "certified gap")
        slower = curve.factor * curve.residual[:-1]
        assert_at_most(curve.residual[1:], slower * (1 + 1e-12) + 1e-13, "residual after one more step")
        assert_at_most(curve.measured, curve.factor + 1e-5, "contraction factor")
        return curve

    @given(seed=SEEDS, lowest=st.floats(0.05, 1.0), ratio=st.floats(1.0, 50.0), share=st.floats(0.05, 0.95))
    def test_quadratic(self, seed, lowest, ratio, share):
        highest = lowest * ratio
        self.check(affine(seed, lowest, highest), targets(seed), share * 2 / highest, highest)

    @given(seed=SEEDS, share=st.floats(0.05, 0.95))
    def test_soft_maximum(self, seed, share):
        u = SmoothMax.random(DIM, seed)
        highest = float(u.steepest())
        self.check(u, targets(seed), share * 2 / highest, highest)

    def test_the_bounds_are_attained(self):
        # Along one axis there is no other eigenvalue, and the bounds are equalities.
        u, y = quadratic(np.diag([0.3, 0.3, 0.3])), targets(0)
        curve = self.check(u, y, 0.8, 0.3)
        assert_close(curve.gap, curve.bound, rtol=1e-6, atol=1e-12)
        assert_close(curve.measured, 1 - 0.8 * 0.3, rtol=1e-9)


@given(seed=SEEDS, radius=st.floats(0.1, 5.0))
def test_the_constants_of_the_soft_maximum(seed, radius):
    u, rng = SmoothMax.random(DIM, seed), np.random.default_rng(seed)
    inside = rng.standard_normal((2, COUNT, DIM))
    inside *= radius * rng.random((2, COUNT, 1)) / np.linalg.norm(inside, axis=2, keepdims=True)
    a, b = jnp.asarray(inside)
    eigenvalues = np.linalg.eigvalsh(_hessian(u, a))
    assert_at_most(eigenvalues, float(u.steepest()), "curvature")
    assert_at_most(0.4 - 1e-12, eigenvalues, "convexity")
    change = np.linalg.norm(_by_parameters(u, a) - _by_parameters(u, b), axis=1)
    bound = float(u.parameter_lipschitz(jnp.asarray(radius))) * np.linalg.norm(a - b, axis=1)
    assert_at_most(change, bound + 1e-12, "change of the gradient in the parameters")


_hessian = eqx.filter_jit(lambda u, x: u.hessian(x))


@eqx.filter_jit
def _by_parameters(u, points):
    arrays, static = eqx.partition(u, eqx.is_inexact_array)
    flat, unflatten = ravel_pytree(arrays)
    return jax.vmap(jax.grad(lambda p, x: eqx.combine(unflatten(p), static)(x[None])[0]), (None, 0))(flat, points)


def step_gradient(u, x, y, solver, rounds, tolerance=1e-12):
    """The gradient that a training step uses, by the trace it leaves in Adam's first moment."""
    arrays, static = eqx.partition(u, eqx.is_inexact_array)
    context = Context(solver, rounds, 0.0, np.inf, jnp.ones(DIM), static, x, y)
    rows = jnp.arange(len(y))[None]
    batches = Batches(rows, rows, jnp.zeros(1), jnp.full(1, tolerance))
    after, _ = run_steps(context, start(eqx.combine(arrays, static), jnp.copy(y), solver), batches)
    return np.asarray(ravel_pytree(after.optimizer.mu)[0]) / 0.1


@eqx.filter_jit
def source_gradient(u, x):
    arrays, static = eqx.partition(u, eqx.is_inexact_array)
    return ravel_pytree(eqx.filter_grad(lambda a: jnp.mean(eqx.combine(a, static)(x)))(arrays))[0]


POTENTIALS = {
    "quadratic": lambda seed: affine(seed, 0.4, 1.6),
    "soft maximum": lambda seed: SmoothMax.random(DIM, seed),
    "network": lambda seed: double(perturb(fresh("icnn-softplus", DIM, (4, 3), floor=0.4), seed, 0.3)),
}


class TestEnvelope:
    """(b) The envelope gradient is the total derivative at a root, and off by at most `L r / m` elsewhere."""

    @pytest.mark.parametrize("kind", POTENTIALS)
    @settings(max_examples=5)
    @given(seed=SEEDS)
    def test_three_gradients_are_one(self, kind, seed):
        u, y, x = POTENTIALS[kind](seed), targets(seed), targets(seed + 1)
        truth = np.asarray(implicit_gradient(u, y, exact(u, y)))
        size = np.linalg.norm(truth)
        found = step_gradient(u, x, y, Newton(), (1, 200)) - source_gradient(u, x)
        assert_close(found, truth, atol=1e-5 * size)
        assert_close(envelope_gradient(u, y, exact(u, y)), truth, atol=1e-5 * size)
        assert_close(unrolled_gradient(u, y, RELAXATION, 300), truth, atol=1e-5 * size)

    @pytest.mark.parametrize("kind", ["quadratic", "soft maximum"])
    @given(seed=SEEDS, rounds=st.sampled_from([0, 1, 4, 16, 64]))
    def test_the_bias_of_truncated_solves_is_bounded(self, kind, seed, rounds):
        u, y, x = POTENTIALS[kind](seed), targets(seed), targets(seed + 1)
        # A tolerance that is never met, so that every step takes all of its rounds.
        found = step_gradient(u, x, y, Picard(relaxation=RELAXATION), (rounds, rounds), 0.0) - source_gradient(u, x)
        bias = np.linalg.norm(found - implicit_gradient(u, y, exact(u, y)))
        z = picard(u, y, RELAXATION, rounds)
        floor, residual = float(u.convexity_floor()), values(u, y, z)[1]
        radius = jnp.linalg.norm(z, axis=1) + residual / floor
        constant = (affine_lipschitz if kind == "quadratic" else u.parameter_lipschitz)(radius)
        assert_at_most(bias, float(jnp.mean(constant * residual)) / floor + 1e-10, "bias of the gradient")

    def test_the_bias_falls_with_the_residual_and_the_other_gradient_s_with_its_square(self):
        data = measured()["envelope"]
        assert_at_most(list(data["disagreement"].values()), 1e-5, "disagreement at convergence")
        assert_at_most(data["bias"], data["bound"], "bias")
        residual = np.log(data["residual"][-10:])
        assert_close(np.polyfit(residual, np.log(data["bias"][-10:]), 1)[0], 1.0, atol=0.1)
        assert_close(np.polyfit(residual, np.log(data["unrolled_bias"][-10:]), 1)[0], 2.0, atol=0.2)


class TestDescent:
    """(c) Gradient steps with residuals of at most epsilon end within a distance in proportion to epsilon."""

    STEPS, LAST = 1024, 256

    def decayed(self, problem, rate):
        """What is left of the first distance when the average over the last steps begins."""
        first = np.linalg.norm(np.eye(3) - problem.matrix)
        return (1 - rate * problem.curvature[0]) ** (self.STEPS - self.LAST) * first

    @settings(max_examples=6)
    @given(seed=SEEDS, exponent=st.floats(-4.0, -1.0))
    def test_the_neighbourhood_is_bounded_and_of_order_epsilon(self, seed, exponent):
        problem, epsilon = Gaussians.example(seed), 10**exponent
        low, high = problem.curvature
        left = self.decayed(problem, 2 / (low + high))
        exactly = float(distance(problem, epsilon, batch=None, matched=True))
        assert_at_most(exactly, left + problem.bias(epsilon) / low, "distance without noise")
        wide, narrow = (float(distance(problem, e, batch=64, matched=True)) for e in (epsilon, epsilon / 4))
        assert_close(wide / narrow, 4.0, rtol=0.15)
        assert_close(wide, exactly, rtol=0.15)

    def test_independent_batches_leave_their_noise(self):
        problem = Gaussians.example()
        low, high = problem.curvature
        found = []
        for rate in (2 / (low + high), 0.25 / (low + high)):
            found.append(float(distance(problem, 1e-3, batch=64, matched=False, rate=rate)))
            noise = problem.noise(1e-3, 64) * np.sqrt(rate / low)
            bound = self.decayed(problem, rate) + problem.bias(1e-3) / low + noise
            assert_at_most(found[-1], bound, "distance with noise")
        # A noise floor, not a bias: it falls with the root of the rate, here of an eighth, and matching removes it.
        assert_at_most(found[1], 0.6 * found[0], "distance at an eighth of the rate")
        assert_at_most(20 * float(distance(problem, 1e-3, batch=64, matched=True)), found[1], "distance with partners")

    @given(seed=SEEDS, exponent=st.floats(-3.0, 0.0))
    def test_the_constants_of_the_problem(self, seed, exponent):
        problem, epsilon = Gaussians.example(seed), 10**exponent
        x, y = problem.x[:64], problem.y[:64]
        rng = np.random.default_rng(seed)
        axes = rotation(3, seed)
        matrix = jnp.asarray((axes * rng.uniform(problem.lowest, problem.highest, 3)) @ axes.T)
        found, truth = _gradient(matrix, x, y, epsilon), _gradient(matrix, x, y, 1e-12)
        # The bound is for the mean over all samples; these are some of them.
        some = problem._replace(x=x, y=y)
        assert_at_most(np.linalg.norm(found - truth), some.bias(epsilon) + 1e-9, "bias")
        assert_close(_gradient(problem.matrix, x, y, 1e-12), np.zeros((3, 3)), atol=1e-9)
        # Curvature: the gradient's change along a line, against the distance.
        low, high = some.curvature
        difference = matrix - problem.matrix
        squared = float(jnp.sum(jnp.square(difference)))
        along = float(jnp.sum((truth - _gradient(problem.matrix, x, y, 1e-12)) * difference))
        assert_at_most([low * squared, along], [along + 1e-9, high * squared + 1e-9], "curvature")


_gradient = jax.jit(lambda matrix, x, y, epsilon: gradient(matrix, x, y, epsilon))


def measured(found: list = []):  # noqa: B006 - measured once
    """The data of the figure."""
    if not found:
        found.append(measure())
    return found[0]


def test_the_panels_show_what_is_claimed(tmp_path):
    data = measured()
    row = {"cell": "default", "place": 0, "dim": 2, "steps": 8, "failed": "not run"}
    write_ablation(tmp_path / "panels.png", {"rows": [row], "statements": data})
    assert (tmp_path / "panels.png").read_bytes().startswith(b"\x89PNG")
    for curve in data["gap"]:
        assert_at_most(curve["gap"], np.array(curve["bound"]) + 1e-13, "gap")
        assert_at_most(curve["factor_measured"], curve["factor_bound"] + 1e-6, "contraction factor")
    assert {curve["potential"] for curve in data["gap"]} == {"quadratic", "soft maximum"}
    sgd = data["sgd"]
    for name in ("all points", "matching batches"):
        assert_at_most(sgd["distance"][name], sgd["bound"], "distance")
        assert_close(sgd["slope"][name], 1.0, atol=0.05)
