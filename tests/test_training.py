"""The outer loop: what it counts, what it leaves out, and what it never does."""

from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.data.streams import ArrayStream
from brenier.geometry import QuadraticGeometry, moments
from brenier.potentials import ICNN
from brenier.solvers import BFGS, LBFGS, Spectral
from brenier.training import DualObjective, Fit, Holdout, Stop, TrainingConfig, choose_config, dual, placement, train
from brenier.training.holdout import HoldoutValue
from brenier.training.step import Batches, Context, run_steps, solve_pool, start

DIM = 2


def sides(n: int = 1200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, DIM)), np.exp(0.7 * rng.normal(size=(n, DIM)))


def outcome(**changes):
    x, y = sides()
    coordinates = QuadraticGeometry.between(moments(x[200:]), moments(y[200:]))
    config = choose_config(DIM, len(x), **({"max_steps": 256, "validation": 128} | changes))
    holdout = Holdout.of(x[:200], y[:200], coordinates, config.solver)
    sources = (ArrayStream(side[200:], np.random.default_rng(1)) for side in (x, y))
    return train(DualObjective(*sources, coordinates, holdout, config, seed=0), config)


def one_step(far: float):
    """One step on one batch whose last target point starts `far` from its root."""
    potential = ICNN(DIM, (8, 8), rng=np.random.default_rng(0))
    points = jnp.asarray(np.random.default_rng(1).normal(size=(64, DIM)), jnp.float32)
    solver = Spectral()
    context = Context(
        solver,
        (0, 0),
        1.0,
        0.2,
        jnp.ones(DIM),
        eqx.filter(potential, eqx.is_inexact_array, inverse=True),
        points,
        points,
    )
    state = start(potential, points, solver)
    state = eqx.tree_at(lambda s: s.conjugates, state, state.conjugates.at[-1].add(far))
    rows = jnp.arange(64)[None]
    batches = Batches(rows, rows, jnp.asarray([1e-2]), jnp.asarray([0.1]))
    return run_steps(context, state, batches)


def test_points_far_from_their_root_are_left_out_and_counted() -> None:
    state, statistics = one_step(far=0.0)
    other, counted = one_step(far=100.0)
    assert float(statistics.unconverged[0]) == 0.0
    assert float(counted.unconverged[0]) == pytest.approx(1 / 64)
    # Had the far point taken part, its gradient would be thousands of times that of the rest.
    moments_of = [jax.tree.leaves(s.optimizer) for s in (state, other)]
    largest = [max(float(jnp.abs(leaf).max()) for leaf in leaves) for leaves in moments_of]
    assert largest[1] <= 2 * max(largest[0], 1.0)


def test_the_number_of_compilations_does_not_depend_on_the_number_of_steps() -> None:
    before = run_steps._cached._cache_size()
    outcome(max_steps=256)
    first = run_steps._cached._cache_size() - before
    outcome(max_steps=512)
    second = run_steps._cached._cache_size() - before - first
    assert first <= 1
    assert second == 0


def test_fresh_targets_are_solved_to_the_present_tolerance(monkeypatch) -> None:
    used = []

    def solved(context, parameters, rows, tolerance, max_rounds):
        used.append(float(tolerance))
        return solve_pool(context, parameters, rows, tolerance, max_rounds)

    monkeypatch.setattr(dual, "solve_pool", solved)
    outcome(max_steps=512, tolerance=(0.1, 0.02))
    progress = np.array([0.25, 0.5, 0.75])
    assert used == pytest.approx(0.02 + 0.08 * 0.5 * (1.0 + np.cos(np.pi * progress)), rel=1e-5)


def test_budget_in_steps_is_exact_and_history_adds_up() -> None:
    result = outcome(max_steps=300)
    steps = [row.step for row in result.history]
    assert steps == [128, 256, 300]
    assert [row.progress for row in result.history] == pytest.approx([128 / 300, 256 / 300, 1.0])
    assert all(1 <= row.evaluations <= 1 + TrainingConfig().rounds[1] for row in result.history)
    assert result.history[-1].rate < 1e-4
    assert result.restarts == 0


def test_the_best_state_is_kept_when_training_diverges() -> None:
    result = outcome(learning_rate=50.0)
    assert result.restarts > 0
    values = jax.tree.leaves(eqx.filter(result.potential, eqx.is_inexact_array))
    assert all(bool(jnp.all(jnp.isfinite(value))) for value in values)


def test_without_coupling_and_with_either_solver_it_still_learns() -> None:
    for changes in ({"coupled": False}, {"solver": Spectral()}, {"solver": BFGS()}):
        last = outcome(**changes, max_steps=512).history[-1]
        assert last.gain > 2 * last.error


def test_gain_and_its_error_by_hand() -> None:
    worse = HoldoutValue(np.array([1.0, 2.0]), np.array([0.5, 0.5]), 0.0)
    better = HoldoutValue(np.array([0.0, 1.5]), np.array([0.5, 0.3]), 0.0)
    gain, error = better.gain_over(worse)
    assert gain == pytest.approx(0.75 + 0.1)
    assert error == pytest.approx(np.sqrt(0.25**2 / 2 + 0.1**2 / 2))


@pytest.mark.parametrize(("loss", "kept"), [(1.5, False), (0.02, False), (0.005, True)])
def test_one_point_in_a_heavy_tail_hides_no_loss(loss: float, kept: bool) -> None:
    fit = object.__new__(Fit)
    fit.objective, fit.placement = DualObjective, placement.LOCAL
    fit.baseline = HoldoutValue(np.zeros(100), np.ones(100), 0.0)
    fit.lowest = HoldoutValue(np.zeros(100), np.full(100, 0.9), 0.0)
    fit.state, fit.steps = SimpleNamespace(average=jnp.zeros(2)), 1
    conjugate = np.full(100, 0.9)
    conjugate[:2] += np.array([200, -100]) * loss
    value = HoldoutValue(np.zeros(100), conjugate, 0.0)
    gain, error = value.gain_over(fit.lowest)
    assert gain == pytest.approx(-loss)
    assert error > loss
    assert fit._keeps(value, 0.5) is kept


def test_the_rule() -> None:
    assert choose_config(2, None).widths == (64, 64, 32)
    assert choose_config(64, None).widths == (128, 128, 64)
    assert choose_config(500, None).widths == (256, 256, 128)
    assert isinstance(choose_config(16, None).solver, BFGS)
    assert isinstance(choose_config(17, None).solver, LBFGS)
    for size, pool in ((10, 4096), (3000, 16384), (10**7, 16384), (None, 32768)):
        config = choose_config(8, size)
        assert (config.pool, config.batch) == (pool, 512)
    assert [choose_config(dim, None).batch for dim in (4, 5)] == [1024, 512]
    assert [choose_config(dim, None).pool for dim in (16, 17)] == [32768, 16384]
    longer = [choose_config(8, None, max_seconds=seconds) for seconds in (60, 90, 360, 10**6)]
    assert [config.batch for config in longer] == [512, 1024, 2048, 4096]
    assert [config.pool for config in longer] == [32768, 65536, 131072, 131072]
    assert choose_config(8, 3000, max_seconds=600).batch == 512
    assert choose_config(8, None, max_seconds=600, max_steps=4096).batch == 512
    assert [choose_config(8, size).decay for size in (None, 700, 16_000)] == [0.0, 0.1, 0.01]
    assert choose_config(8, 150).decay == pytest.approx(0.1 * 4**0.8)
    assert [choose_config(dim, None).refresh for dim in (1, 2, 4, 16)] == [1.0, 1.0, 0.5, 0.25]
    assert [choose_config(dim, None).tolerance for dim in (4, 64)] == [(0.025, 0.0025), (0.1, 0.01)]
    assert choose_config(8, None, learning_rate=1.0).learning_rate == 1.0


def test_only_finite_data_stop_early() -> None:
    assert choose_config(8, None).patience is None
    x = np.random.default_rng(0).normal(size=(2000, DIM))
    coordinates = QuadraticGeometry.between(moments(x[400:1200]), moments(x[1200:]))
    for patience, stop in ((0.2, Stop.patience), (None, Stop.budget)):
        config = choose_config(
            DIM, 800, max_steps=1024, validation=128, patience=patience, learning_rate=0.3, decay=0.0
        )
        holdout = Holdout.of(x[:200], x[200:400], coordinates, config.solver)
        sources = (ArrayStream(side, np.random.default_rng(1)) for side in (x[400:1200], x[1200:]))
        assert train(DualObjective(*sources, coordinates, holdout, config, seed=0), config).stop is stop
