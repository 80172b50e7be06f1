"""Rows in a queue take the same way as rows side by side, and no row waits for another."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from asserts import assert_at_most, assert_close, assert_same
from brenier.solvers import BFGS, Solution, Status, iterate_queue
from problems import RootProblem, log_sum_exp
from solving import SOLVERS, name, solve

TOLERANCE = 1e-6


@eqx.filter_jit
def _queue(solver, system, x, targets, max_steps, allowed, slots: int) -> Solution:
    return iterate_queue(
        solver,
        system,
        targets,
        x,
        tolerance=jnp.full(len(x), TOLERANCE),
        max_steps=max_steps,
        slots=slots,
        allowed_unconverged=allowed,
    )


def queue(solver, problem: RootProblem, *, slots: int, max_steps: int = 2000, allowed: float = 0.0, guess=None):
    x = jnp.asarray(problem.guess if guess is None else guess)
    return _queue(solver, problem.system, x, jnp.asarray(problem.targets), max_steps, allowed, slots)


@pytest.mark.parametrize("slots", [1, 4, 17])
@pytest.mark.parametrize("solver", SOLVERS, ids=name)
def test_every_row_goes_its_own_way(solver, slots, x64):
    problem = log_sum_exp()
    together, _ = solve(solver, problem, tolerance=TOLERANCE)
    found = queue(solver, problem, slots=slots)
    assert_same(found.steps, together.steps)
    assert_same(found.code, together.code)
    for field in ("value", "residual", "norm"):
        assert_close(getattr(found, field), getattr(together, field), atol=1e-12)


def test_no_row_waits_for_another(x64):
    problem = log_sum_exp().rows(np.arange(68) % 17)
    guess = np.where(np.arange(68)[:, None] % 8 == 3, problem.guess, problem.roots + 1e-4)
    together, _ = solve(BFGS(), problem, tolerance=TOLERANCE, guess=guess)
    found = queue(BFGS(), problem, slots=8, guess=guess)
    steps = np.asarray(found.steps)
    work = np.sum(steps + 1) / 8
    assert steps.max() > 1.5 * np.median(steps), "all rows are alike, so that nothing is tested"
    assert_at_most(work, found.evaluations, "evaluations")
    assert_at_most(found.evaluations, work + steps.max() + 1, "evaluations")
    assert_at_most(8 * found.evaluations, 0.9 * len(guess) * together.evaluations, "evaluations of rows")


def test_budget_share_and_hopeless_rows(x64):
    problem = log_sum_exp()
    full = queue(BFGS(), problem, slots=4)
    budget = int(np.median(full.steps))
    short = queue(BFGS(), problem, slots=4, max_steps=budget)
    assert_same(short.converged, np.asarray(full.steps) <= budget)
    assert_same(short.steps, np.minimum(full.steps, budget))
    guess = np.array(problem.guess)
    guess[[0, 5, 16]] = np.nan
    hopeless = queue(BFGS(), problem, slots=4, guess=guess)
    bad = np.isnan(guess).any(axis=1)
    assert [status is Status.nonfinite for status in hopeless.statuses()] == bad.tolist()
    assert_same(hopeless.value[~bad], full.value[~bad])
    share = queue(BFGS(), problem, slots=4, allowed=0.25)
    missing = ~np.asarray(share.converged)
    assert_at_most(missing.sum(), 0.25 * 17, "rows that miss the tolerance")
    assert_at_most(share.evaluations, full.evaluations - 1, "evaluations with a share")
    # A row that is left behind is at the best point that it has seen, with its own residual.
    assert_close(share.residual, np.linalg.norm(problem.residuals(share.value), axis=1), atol=1e-12)
    assert np.isfinite(share.residual).all()
