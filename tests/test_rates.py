"""How fast, not only where to: measured contraction and order against theory, in float64."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from asserts import assert_at_most, assert_close
from brenier.conjugates import dual_values
from brenier.potentials import Quadratic
from brenier.solvers import BFGS, LBFGS, Anderson, Newton, Picard, Spectral
from problems import RootProblem, affine, quantile_map, spectrum
from solving import name, solve

pytestmark = pytest.mark.usefixtures("x64")


def trajectory(solver, problem: RootProblem, steps: int) -> np.ndarray:
    """Iterates after 0, 1, ... steps, `(steps + 1, n, d)`: the best ones, which all are where the residual falls."""
    return np.stack([np.asarray(solve(solver, problem, max_steps=k)[0].value) for k in range(steps + 1)])


def residual_norms(problem: RootProblem, points: np.ndarray) -> np.ndarray:
    return np.stack([np.linalg.norm(problem.residuals(x), axis=1) for x in points])


@pytest.mark.parametrize(
    ("smallest", "largest", "relaxation"),
    [(0.2, 1.0, 1.0), (0.2, 1.5, 1.0), (0.5, 1.9, 1.0), (0.2, 3.0, 0.5), (0.2, 1.5, 0.1)],
)
def test_picard_contracts_by_its_worst_eigenvalue(smallest, largest, relaxation):
    problem = affine(np.array([smallest, *np.linspace(0.4, 0.6, 4) * (smallest + largest), largest]))
    expected = max(abs(1 - relaxation * smallest), abs(1 - relaxation * largest))
    first = np.linalg.norm(problem.residuals(problem.guess), axis=1)
    one = np.asarray(solve(Picard(relaxation), problem, max_steps=1)[0].residual)
    assert_at_most(one, expected * first * (1 + 1e-12), "residual after one step")
    # Late, the other eigenvalues have faded; at a millionth of the first residual ten digits are left.
    late = int(np.log(1e-6) / np.log(expected))
    before, after = (solve(Picard(relaxation), problem, max_steps=k)[0].residual for k in (late, late + 1))
    assert_close(after / before, np.full(17, expected), rtol=1e-3)


def test_the_dual_gap_falls_with_the_square_of_the_contraction_factor():
    # value(x) <= u*(y) <= value(x_k) + q^(2k) r_0^2 / (2m) for Picard with contraction factor q.
    problem = affine(np.array([0.2, 0.9, 1.0, 1.1, 1.2, 1.3]))
    potential = Quadratic(jnp.asarray(problem.system.matrix), jnp.asarray(problem.system.shift))
    targets = jnp.asarray(problem.targets)
    exact = np.asarray(dual_values(potential, targets, jnp.asarray(problem.roots))[0])
    first = np.linalg.norm(problem.residuals(problem.guess), axis=1)
    gaps = []
    for k, x in enumerate(trajectory(Picard(), problem, 12)):
        gap = exact - np.asarray(dual_values(potential, targets, jnp.asarray(x))[0])
        assert_at_most(gap, 0.8 ** (2 * k) * first**2 / (2 * 0.2) * (1 + 1e-12), "gap")
        gaps.append(gap)
    assert_at_most(0.0, np.array(gaps), "gap of every step")
    # The other directions, which fall by 0.3 a step, are gone: the bound's rate is met, not beaten.
    assert_close(gaps[12] / gaps[11], np.full(17, 0.8**2), rtol=1e-6)


def test_newton_is_quadratic():
    # e' = f'' / (2 f') e^2 in one dimension: the slope of log e' over log e is two.
    problem = quantile_map()
    errors = np.abs(trajectory(Newton(), problem, 4) - problem.roots)[..., 0]
    usable = (errors[1:] > 1e-13) & (errors[:-1] < 0.1)
    slopes = np.log(errors[1:][usable] / errors[:-1][usable] ** 2)
    assert usable.sum() >= 15
    # Constant quotients: they vary with f'' over the rows, not with e, over eight orders of magnitude of e.
    fit = np.polyfit(np.log(errors[:-1][usable]), np.log(errors[1:][usable]), 1)
    assert_close(fit[0], 2.0, atol=0.15)
    assert_at_most(slopes, 1.0, "logarithm of the constant")


@pytest.mark.parametrize("solver", [Spectral(), BFGS(), LBFGS(), Anderson(memory=1, regularisation=1e-30)], ids=name)
def test_one_dimensional_secant_methods_have_the_order_of_the_golden_ratio(solver):
    # In one dimension all of them are the secant method, whose errors obey e'' ~ e' e.
    problem = quantile_map()
    errors = np.abs(trajectory(solver, problem, 9) - problem.roots)[..., 0]
    orders = []
    for row in errors.T:
        row = row[(row < 0.1) & (row > 1e-13)]
        if len(row) >= 4:
            logs = np.log(row)
            orders.append((logs[-1] - logs[-2]) / (logs[-2] - logs[-3]))
    assert len(orders) >= 8
    # The median: a single quotient of differences swings around the limit.
    assert_close(np.median(orders), (1 + np.sqrt(5)) / 2, atol=0.2)


def test_newton_needs_one_step_on_affine_maps():
    problem = affine(spectrum(1000, 6))
    first, last = residual_norms(problem, trajectory(Newton(), problem, 1))
    # One solve with condition 1000 in float64.
    assert_at_most(last, 1e-11 * first, "residual after one step")


def test_anderson_with_full_memory_is_gmres():
    # Walker and Ni 2011, theorem 2.2: x_{k+1} = x_k^GMRES - r_k^GMRES, as long as GMRES does not stagnate.
    problem = affine(spectrum(20, 6, largest=1.8))
    matrix = np.asarray(problem.system.matrix)
    start = problem.residuals(problem.guess)
    found = np.stack([problem.residuals(x) for x in trajectory(Anderson(memory=6, regularisation=1e-15), problem, 5)])
    for row, r0 in enumerate(start):
        krylov = np.stack([np.linalg.matrix_power(matrix, j + 1) @ r0 for j in range(5)], axis=1)
        for k in range(5):
            basis = np.linalg.qr(krylov[:, :k])[0] if k else np.zeros((6, 1))
            gmres = r0 - basis @ (basis.T @ r0)
            # The regularisation and the powers of condition 20 leave seven digits of the first residual.
            assert_close(found[k + 1, row], gmres - matrix @ gmres, atol=1e-7 * np.linalg.norm(r0))


def test_anderson_with_full_memory_ends_after_one_step_a_dimension_and_one():
    problem = affine(spectrum(20, 6, largest=1.8))
    first = np.linalg.norm(problem.residuals(problem.guess), axis=1)
    before, after = (solve(Anderson(memory=6, regularisation=1e-15), problem, max_steps=k)[0].residual for k in (6, 7))
    assert_at_most(after, 1e-8 * first, "residual after d + 1 steps")
    assert_at_most(1e-6 * first, before, "residual after d steps")


@pytest.mark.parametrize("solver", [BFGS(), LBFGS(memory=20)], ids=name)
def test_bfgs_is_superlinear(solver):
    # No line search, so no end after d steps on quadratics; but quotients of residuals tend to zero.
    problem = affine(spectrum(20, 6, largest=1.8))
    residuals = [np.asarray(solve(solver, problem, max_steps=k)[0].residual) for k in (0, 6, 12, 18)]
    quotients = np.median([late / early for early, late in itertools.pairwise(residuals)], axis=1)
    assert_at_most(quotients, [1.0, 0.1, 1e-4], "quotient of residuals six steps apart")
    picard = np.asarray(solve(Picard(), problem, max_steps=18)[0].residual)
    assert_at_most(1e3 * residuals[-1], picard, "residual, beside that of plain steps")


def test_bfgs_kept_from_call_to_call_becomes_newton(rng):
    problem = affine(spectrum(20, 6, largest=1.8))
    inverse, state, steps = np.linalg.inv(problem.system.matrix), BFGS().init(jnp.asarray(problem.guess)), []
    for _ in range(8):
        guess = problem.roots + rng.standard_normal(problem.roots.shape)
        solution, state = solve(BFGS(), problem, tolerance=1e-6, guess=guess, state=state)
        steps.append(int(solution.steps.max()))
    assert steps[0] >= 12
    assert steps[-1] <= 4
    # A hundredth of the identity's error: Newton's method to within the steps counted above.
    assert_at_most(np.abs(np.asarray(state) - inverse).max(), 0.01 * np.abs(np.eye(6) - inverse).max(), "error")


@pytest.mark.parametrize("solver", [BFGS(), Spectral(), Anderson(regularisation=1e-15), LBFGS()], ids=name)
def test_memory_meets_the_secant_equation(solver, rng):
    # What was learned last must map the change of the residual back to the step, exactly or in the least squares.
    matrix = affine(spectrum(20, 6, largest=1.8)).system.matrix
    state = solver.init(jnp.zeros((5, 6)))
    for _ in range(3):
        step = rng.standard_normal((5, 6))
        change = step @ matrix
        state = solver.update(state, jnp.asarray(step), jnp.asarray(change))
    predicted = -np.asarray(solver.direction(lambda x: x, jnp.zeros((5, 6)), jnp.asarray(change), state))
    if isinstance(solver, Spectral):
        # One number a point: the residue is orthogonal to the change.
        assert_close(np.sum((predicted - step) * change, axis=1), np.zeros(5), atol=1e-12)
    else:
        assert_close(predicted, step, atol=1e-9)


def test_lbfgs_is_bfgs_on_its_pairs(rng):
    # Nocedal and Wright 2006, equations 7.16 and 7.20, with matrices instead of the two loops.
    matrix, residual = affine(spectrum(20, 6, largest=1.8)).system.matrix, rng.standard_normal((5, 6))
    solver = LBFGS(memory=3)
    state, pairs = solver.init(jnp.zeros((5, 6))), []
    for count in range(6):
        if count:
            step = rng.standard_normal((5, 6))
            pairs = [*pairs, (step, step @ matrix)][-3:]
            state = solver.update(state, *(jnp.asarray(part) for part in pairs[-1]))
        found = solver.direction(lambda x: x, jnp.zeros((5, 6)), jnp.asarray(residual), state)
        for row in range(5):
            inverse = np.eye(6)
            if pairs:
                s, y = (part[row] for part in pairs[-1])
                inverse *= s @ y / (y @ y)
            for s, y in ((s[row], y[row]) for s, y in pairs):
                rank = np.eye(6) - np.outer(y, s) / (s @ y)
                inverse = rank.T @ inverse @ rank + np.outer(s, s) / (s @ y)
            assert_close(found[row], -inverse @ residual[row], rtol=1e-8)


def test_newton_solves_with_the_jacobian(rng):
    matrix, x, residual = rng.standard_normal((3, 3)), rng.standard_normal((5, 3)), rng.standard_normal((5, 3))
    direction = Newton().direction(
        lambda z: z @ jnp.asarray(matrix).T + jnp.sin(z), jnp.asarray(x), jnp.asarray(residual), None
    )
    for found, point, value in zip(direction, x, residual, strict=True):
        assert_close(found, -np.linalg.solve(matrix + np.diag(np.cos(point)), value), rtol=1e-9)
