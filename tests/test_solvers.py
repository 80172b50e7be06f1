"""Solvers times problems: the answers are right, and what is said about each point is true."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asserts import assert_at_most, assert_close, assert_same
from brenier._errors import SolveError
from brenier.solvers import BFGS, LBFGS, Newton, Picard, Spectral, Status, iterate, residual_norm
from problems import PROBLEMS, RootProblem, affine, log_sum_exp, spectrum
from solving import SOLVERS, WITH_MEMORY, name, solve

every_solver = pytest.mark.parametrize("solver", SOLVERS, ids=name)


def norms(problem: RootProblem, x) -> np.ndarray:
    return np.linalg.norm(problem.residuals(x), axis=1)


@pytest.mark.parametrize("problem", PROBLEMS, ids=name)
@every_solver
def test_answers_are_right_and_reports_true(solver, problem: RootProblem):
    count, dim = problem.targets.shape
    # Single precision resolves residuals down to `rounding`; no tolerance below it can be asked for.
    rounding = problem.rounding(problem.roots)
    tolerance = max(1e-5, rounding / np.sqrt(dim))
    solution, _ = solve(solver, problem, tolerance=tolerance)
    true = norms(problem, solution.value)
    converged = np.asarray(solution.converged)
    assert_close(solution.residual, true, atol=rounding)
    assert_at_most(true[converged], tolerance * np.sqrt(dim) + rounding, "residual of converged rows")
    assert_at_most(tolerance * np.sqrt(dim) - rounding, true[~converged], "tolerance against the other rows")
    errors = np.linalg.norm(solution.value - problem.roots, axis=1)
    assert_at_most(errors, (true + rounding) / problem.floor, "distance to the root")
    assert_at_most(true, norms(problem, problem.guess) + rounding, "residual against the guess's")
    if not isinstance(solver, Picard) or problem.contracts:
        assert converged.all()
    assert solution.statuses() == [Status.converged if c else Status.max_steps_reached for c in converged]
    assert_close(solution.unconverged_fraction, np.mean(~converged), atol=1e-6)
    assert int(solution.evaluations) == 1 + int(solution.steps.max()) <= 2001
    assert solution.steps.shape == (count,)


@every_solver
def test_finished_rows_rest(solver):
    problem = log_sum_exp()
    full, _ = solve(solver, problem, tolerance=1e-4)
    steps = np.sort(np.asarray(full.steps))
    assert steps[0] < steps[-1], "all rows end together, so that nothing is tested"
    short, _ = solve(solver, problem, tolerance=1e-4, max_steps=int(steps[-1]) - 1)
    done = np.asarray(short.converged)
    assert 0 < done.sum() < len(done)
    for field in ("value", "residual", "steps"):
        assert_same(getattr(full, field)[done], getattr(short, field)[done])


@every_solver
def test_rows_never_influence_each_other(solver, rng, x64):
    problem = log_sum_exp()
    rounds = {"tolerance": 1e-4, "max_steps": 6, "min_steps": 2}

    def outcome(problem: RootProblem, guess=None) -> list[np.ndarray]:
        solution, _ = solve(solver, problem, guess=guess, **rounds)
        return [np.asarray(x) for x in (solution.value, solution.residual, solution.code, solution.steps)]

    alone = outcome(problem)
    order = rng.permutation(len(problem.targets))
    hopeless = np.array(problem.guess)
    hopeless[::2] = rng.choice([np.nan, np.inf, 1e6, -50.0], hopeless[::2].shape)
    for rows, chosen, guess in [
        (order, order, problem.guess[order]),  # in another order
        (np.full(17, 5), np.full(17, 5), problem.guess[np.full(17, 5)]),  # a single one
        (np.arange(1, 17, 2), slice(None), hopeless),  # with hopeless neighbours
    ]:
        together = outcome(problem.rows(chosen), guess)
        positions = slice(1, 17, 2) if isinstance(chosen, slice) else slice(None)
        for expected, found in zip(alone, together, strict=True):
            # The same operations on other rows of a vector: the last bits of float64 may differ.
            assert_close(found[positions], expected[rows], atol=1e-10)


@every_solver
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_guess_where_the_map_is_not_finite_is_reported_for_its_row_only(solver, bad):
    problem = log_sum_exp()
    guess = np.array(problem.guess, np.float32)
    guess[3, 1] = bad
    solution, _ = solve(solver, problem, guess=guess, tolerance=1e-4, max_steps=500)
    assert [i for i, status in enumerate(solution.statuses()) if status is Status.nonfinite] == [3]
    assert solution.statuses().count(Status.converged) == 16
    assert_same(solution.value[3], guess[3])
    assert not np.isfinite(solution.residual[3])
    assert int(solution.steps[3]) == 0


@pytest.mark.parametrize("steps", [0, 1, 3])
@every_solver
def test_an_exhausted_budget_keeps_the_best_point(solver, steps):
    problem = affine(spectrum(1000, 6))
    solution, _ = solve(solver, problem, tolerance=1e-9, max_steps=steps)
    assert set(solution.statuses()) == {Status.max_steps_reached}
    assert int(solution.evaluations) == steps + 1
    assert_same(solution.steps, np.full(17, steps, np.int32))
    assert_at_most(solution.residual, norms(problem, problem.guess) * (1 + 1e-5), "residual against the guess's")
    if steps == 0:
        assert_same(solution.value, np.asarray(problem.guess, np.float32))


def test_the_best_point_survives_later_steps_that_are_worse(x64):
    problem = affine(spectrum(1000, 6))
    found = [solve(Spectral(), problem, max_steps=k)[0] for k in range(40)]
    best = np.array([solution.residual for solution in found])
    assert_at_most(np.diff(best, axis=0), 0.0, "change of the best residual from one budget to the next")
    waiting = np.diff(best, axis=0) == 0
    assert (waiting[1:] & ~waiting[:-1]).sum() > 20, "few steps were worse than the best, so that little is tested"
    for solution in found:
        assert_close(solution.residual, norms(problem, solution.value), rtol=1e-10)


@every_solver
def test_fewest_steps_and_the_share_allowed_to_miss(solver):
    problem = affine(spectrum(10, 6, largest=1.5))
    none, _ = solve(solver, problem, tolerance=1e6)
    assert int(none.evaluations) == 1
    assert_same(none.value, np.asarray(problem.guess, np.float32))
    some, _ = solve(solver, problem, tolerance=1e6, min_steps=5, max_steps=9)
    assert int(some.evaluations) == 6
    assert_same(some.steps, np.full(17, 5, np.int32))
    assert_at_most(some.residual, none.residual, "residual after five steps")
    capped, _ = solve(solver, problem, tolerance=1e6, min_steps=5, max_steps=2)
    assert int(capped.evaluations) == 3
    hard = np.where(np.arange(17) < 4, 1e-12, 1e6)  # four rows of 17 ask for what float32 cannot give
    allowed, _ = solve(solver, problem, tolerance=hard, max_steps=9, allowed=4 / 17 + 1e-3)
    assert int(allowed.evaluations) == 1
    refused, _ = solve(solver, problem, tolerance=hard, max_steps=9, allowed=4 / 17 - 1e-3)
    assert int(refused.evaluations) >= 2
    assert_same(allowed.converged, np.arange(17) >= 4)


@pytest.mark.parametrize("solver", WITH_MEMORY, ids=name)
def test_memory_makes_the_next_solve_shorter(solver, rng):
    # On `2.5 (x - root)` the first secant pair tells all: a fresh start needs a wrong step and a right one.
    problem = affine(np.full(6, 2.5))
    first, state = solve(solver, problem, tolerance=1e-3)
    assert_same(first.steps, np.full(17, 2, np.int32))
    for leaf in jax.tree.leaves(state):
        assert len(leaf) == 17
    # Elsewhere on the same line, since BFGS has learned about that direction only.
    guess = problem.roots + rng.uniform(1.0, 2.0, (17, 1)) * (problem.guess - problem.roots)
    again, _ = solve(solver, problem, tolerance=1e-3, guess=guess, state=state)
    assert_same(again.steps, np.ones(17, np.int32))


@pytest.mark.parametrize("solver", [Picard(0.5), BFGS(), Newton()], ids=name)
def test_two_short_solves_are_one_long_one(solver, x64):
    # Only where every step is accepted and improves, as on these; otherwise the second starts from the best point.
    problem = affine(spectrum(4, 6, largest=1.2))
    half, state = solve(solver, problem, max_steps=2)
    rest, _ = solve(solver, problem, max_steps=2, guess=half.value, state=state)
    whole, _ = solve(solver, problem, max_steps=4)
    assert_close(rest.value, whole.value, atol=1e-13)


# Not Picard: its safeguard wants a smaller scaled norm at each step, which a Euclidean contraction does not promise.
@pytest.mark.parametrize("solver", SOLVERS[1:], ids=name)
def test_the_norm_is_in_units_of_the_scale(solver, rng):
    problem = affine(spectrum(10, 6, largest=1.5))
    scale, tolerance = np.array([0.1, 1.0, 1.0, 3.0, 10.0, 1e4]), np.geomspace(1e-3, 10.0, 17)
    solution, _ = solve(solver, problem, tolerance=tolerance, scale=scale)
    assert solution.converged.all()
    scaled = np.sqrt(np.mean((problem.residuals(solution.value) / scale) ** 2, axis=1))
    rounding = problem.rounding(problem.roots) / scale.min()
    assert_at_most(scaled, tolerance + rounding, "scaled residual")
    values = rng.standard_normal((5, 6))
    assert_close(
        residual_norm(jnp.asarray(values), jnp.asarray(scale)), np.sqrt(np.mean((values / scale) ** 2, 1)), rtol=1e-6
    )
    assert_close(residual_norm(jnp.asarray(values)), np.sqrt(np.mean(values**2, axis=1)), rtol=1e-6)


def test_an_overlong_step_is_taken_back_and_shortened():
    # `Picard` on slope 10 multiplies the residual by 9; quarters of the step follow until one helps: 1/16.
    problem = affine(np.full(6, 10.0))
    found = [solve(Picard(), problem, max_steps=k)[0] for k in range(4)]
    ratios = [np.asarray(solution.residual) / np.asarray(found[0].residual) for solution in found]
    # Some ten operations in float32, of numbers up to ten times the residual.
    assert_close(ratios, np.repeat([[1.0], [1.0], [1.0], [1 - 10 / 16]], 17, axis=1), rtol=1e-4)


def test_newton_shortens_steps_until_the_residual_falls():
    # Full Newton steps for this gradient swing from one flat side to the other, ever farther.
    def flat(x, targets):
        return jnp.arctan(x) + 1e-3 * x - targets

    guess = np.linspace(-30, 30, 18)[:, None]
    problem = RootProblem("arctan", flat, np.zeros((18, 1)), guess, np.zeros((18, 1)), 1e-3, 1.001, False)
    solution, _ = solve(Newton(), problem, tolerance=1e-5, max_steps=30)
    assert solution.converged.all()
    assert_close(solution.value, problem.roots, atol=2e-5)


@pytest.mark.parametrize("solver", [Spectral(), BFGS(), LBFGS()], ids=name)
def test_pairs_of_negative_curvature_are_not_learned(solver, rng, x64):
    step, residual = rng.standard_normal((2, 5, 3))
    state = solver.update(solver.init(jnp.asarray(step)), jnp.asarray(step), jnp.asarray(-2.0 * step))
    direction = solver.direction(lambda x: x, jnp.asarray(step), jnp.asarray(residual), state)
    assert_close(direction, -residual, rtol=1e-12)


def test_a_row_without_hope_does_not_use_up_the_budget():
    problem = affine(np.full(6, 0.5))
    guess = np.array(problem.guess)
    guess[0] = np.nan
    solution, _ = solve(Newton(), problem, tolerance=1e-4, guess=guess, max_steps=1000)
    assert int(solution.evaluations) <= 3


def test_the_loop_runs_eagerly_and_with_plain_numbers():
    solution, _ = iterate(Newton(), lambda x: 2.0 * x - 1.0, jnp.zeros((3, 2)), tolerance=1e-6, max_steps=5)
    assert_close(solution.value, np.full((3, 2), 0.5), atol=1e-6)
    assert solution.statuses() == [Status.converged] * 3


def test_every_status_tells_the_user_what_to_do():
    assert [status.name for status in Status] == ["converged", "max_steps_reached", "nonfinite", "not_the_best"]
    assert "`max_steps`" in Status.max_steps_reached.value
    assert "first guess" in Status.nonfinite.value
    assert "train longer" in Status.not_the_best.value
    solution, _ = solve(Newton(), affine(np.full(6, 0.5)))
    error = SolveError("4 of 17 points not converged.", solution)
    assert isinstance(error, RuntimeError)
    assert str(error) == "4 of 17 points not converged."
    assert error.solution is solution
