"""The outer loop: compiled chunks of steps, and between them refreshment, selection and stopping."""

import enum
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier.coordinates import Coordinates
from brenier.data.sources import Source
from brenier.potentials import ICNN, AbstractFamily, ModulatedICNN, Quadratic
from brenier.training.config import TrainingConfig
from brenier.training.history import Callback, Row
from brenier.training.holdout import Holdout, HoldoutValue
from brenier.training.pool import Pool, scatter
from brenier.training.schedule import Schedule
from brenier.training.step import Batches, Context, Statistics, run_steps, solve_pool, start

__all__ = ["SIGNIFICANT", "Outcome", "Stop", "gaussian_outcome", "train"]

SIGNIFICANT = 2.0
"""Standard errors by which a network must beat the Gaussian map on held-out points to be returned instead of it."""

_FORGIVEN = 0.1
"""Share of the best gain over the Gaussian map that a later state may have lost and still be kept."""

_DIVERGED = 2.0
"""Held-out objective, relative to that of the Gaussian map, from which on a state counts as diverged."""


class Stop(enum.Enum):
    """Why a fit ended. The value is the sentence shown to the user."""

    budget = "The budget was used."
    patience = "The held-out dual value stopped improving."
    untrained = "Too few samples to train a network."
    callback = "A callback asked for the end."
    reached = "The number of steps that was best on held-out points was reached."
    interrupted = "Interrupted from the keyboard; the best map so far is kept."


class Outcome(NamedTuple):
    """The end of a fit.

    Attributes:
        potential: The best potential on held-out points, in the new coordinates.
        history: A row for each look at the held-out points.
        stop: Why it ended.
        gaussian: Whether the Gaussian map was returned because no network beat it significantly.
        restarts: How often a diverged state was replaced by the best one.
        best_step: Steps behind the potential.
    """

    potential: AbstractFamily
    history: list[Row]
    stop: Stop
    gaussian: bool
    restarts: int
    best_step: int = 0


def train(
    source: Source,
    target: Source,
    coordinates: Coordinates,
    holdout: Holdout,
    config: TrainingConfig,
    *,
    seed: int,
    inert: tuple[int, ...] = (),
    callback: Callback | None = None,
    started: float | None = None,
    until: int | None = None,
) -> Outcome:
    """Fit a convex potential by maximising the dual, from the Gaussian map on.

    Args:
        source: Where source points come from, in the units of the data.
        target: Where target points come from.
        coordinates: Bures coordinates between the two, or a family of them; then the potential is a family, too.
        holdout: Points kept aside to choose the best state.
        config: Settings.
        seed: One seed gives one result on one machine, if the budget is in steps.
        inert: Coordinates that are left to the Gaussian map.
        callback: Called with every row of the history.
        started: `time.perf_counter()` from which a budget in seconds counts.
        until: Return the state after this number of steps, whatever the held-out points say.
    """
    return _Fit(source, target, coordinates, holdout, config, seed, inert, callback, started, until).run()


def gaussian_outcome(dim: int) -> Outcome:
    """The end of a fit that had nothing to train on: the Gaussian map."""
    return Outcome(Quadratic.identity(dim), [], Stop.untrained, True, 0)


def _untrained(
    coordinates: Coordinates, config: TrainingConfig, inert: tuple[int, ...], rng: np.random.Generator
) -> AbstractFamily:
    """The network before the first step: next to the Gaussian map."""
    options: dict[str, Any] = {"floor": config.floor, "activation": config.activation, "sharpness": config.sharpness}
    if coordinates.conditions is None:
        return ICNN(coordinates.dim, config.widths, rng=rng, inert=inert, **options)
    return ModulatedICNN(coordinates.dim, *coordinates.conditions, config.widths, rng=rng, **options)


class _Fit:
    """The variables of one call of `train`."""

    def __init__(
        self,
        source: Source,
        target: Source,
        coordinates: Coordinates,
        holdout: Holdout,
        config: TrainingConfig,
        seed: int,
        inert: tuple[int, ...],
        callback: Callback | None,
        started: float | None,
        until: int | None,
    ) -> None:
        self.config, self.holdout, self.callback, self.until = config, holdout, callback, until
        self.unit = coordinates.unit
        self.schedule = Schedule(config, started)
        self.pool = Pool(source, target, coordinates, config, np.random.default_rng(seed))
        potential = _untrained(coordinates, config, inert, np.random.default_rng(seed))
        self.initial = eqx.filter(potential, eqx.is_inexact_array)
        self.static = eqx.filter(potential, eqx.is_inexact_array, inverse=True)
        self.context = Context(
            config.solver,
            config.rounds,
            config.unconverged,
            config.usable,
            jnp.asarray(coordinates.spread, jnp.float32),
            self.static,
            jnp.asarray(self.pool.x),
            jnp.asarray(self.pool.y),
            config.decay,
            config.warm,
        )
        self.state = start(potential, self.context.y, config.solver)
        self.gaussian = holdout.gaussian()
        self.lowest = self.best_value = self.gaussian
        self.best: AbstractFamily | None = None
        self.best_progress, self.best_step = 0.0, 0
        self.history: list[Row] = []
        self.statistics: list[Statistics] = []
        self.restarts = 0
        self.steps = 0

    def run(self) -> Outcome:
        stop = Stop.budget
        try:
            while (end := self._cycle()) is None:
                pass
            stop = end
        except KeyboardInterrupt:
            stop = Stop.interrupted
        gain, error = self.best_value.gain_over(self.gaussian)
        if stop is Stop.reached:
            best = self.state.average
        elif self.best is None or not gain > SIGNIFICANT * error:
            return Outcome(Quadratic.identity(self.static.dim), self.history, stop, True, self.restarts)
        else:
            best = self.best
        return Outcome(eqx.combine(best, self.static), self.history, stop, False, self.restarts, self.best_step)

    def _cycle(self) -> Stop | None:
        """Refresh the pool, use it for one cycle of steps, then look; a reason once there is one to stop."""
        rates, tolerances = self.schedule.next_cycle(self.steps)
        if not len(rates):
            if self.statistics:
                self._look(self.schedule.progress(self.steps), 0.0)
            return Stop.budget
        if self.steps:
            self._refresh()
        source, target = self.pool.schedule(self.state.conjugates, len(rates))
        batches = Batches(*map(jnp.asarray, (source, target, rates, tolerances)))
        self.state, statistics = run_steps(self.context, self.state, batches)
        self.statistics.append(jax.block_until_ready(statistics))
        self.steps += len(rates)
        progress = self.schedule.progress(self.steps)
        if self.until is not None and self.steps >= self.until:
            return Stop.reached
        if self.schedule.ended or not self.history or self.steps % self.config.look == 0:
            row = self._look(progress, float(rates[-1]))
            if self.callback is not None and self.callback(row):
                return Stop.callback
            if self.config.patience is not None and progress - self.best_progress > self.config.patience:
                return Stop.patience
        return None

    def _look(self, progress: float, rate: float) -> Row:
        """Evaluate the averaged state on the held-out points and keep it if it is the best."""
        since = self.schedule.seconds
        value = self.holdout.evaluate(eqx.combine(self.state.average, self.static))
        took = self.schedule.seconds - since
        # The first look contains its compilation, which the last one will not.
        self.schedule.reserve = min(took, self.schedule.reserve) if self.history else took
        statistics, self.statistics = self.statistics, []
        diverged = not value.objective <= _DIVERGED * self.gaussian.objective
        best = not diverged and self._keeps(value, progress)
        gain, error = value.gain_over(self.gaussian)
        row = Row(
            step=self.steps,
            seconds=self.schedule.seconds,
            progress=progress,
            dual=self.holdout.dual(value),
            gain=gain * self.unit**2,
            error=error * self.unit**2,
            unconverged=float(np.mean(np.concatenate([np.asarray(s.unconverged) for s in statistics]))),
            evaluations=float(np.mean(np.concatenate([np.asarray(s.evaluations) for s in statistics]))),
            rate=rate,
            best=best,
        )
        self.history.append(row)
        if diverged:
            self._restart()
        return row

    def _keeps(self, value: HoldoutValue, progress: float) -> bool:
        """Keep a state that is the lowest, or that the held-out points cannot tell from the lowest.

        Of two such states the later has the smaller learning rate. But in heavy tails a few points decide the standard
        error, and one of them can hide a state that is much worse: nine tenths of the gain have to be there as well.
        """
        gain, error = value.gain_over(self.lowest)
        best, _ = self.lowest.gain_over(self.gaussian)
        if not gain > -min(error, _FORGIVEN * best):
            return False
        self.best_value, self.best = value, jax.tree.map(jnp.copy, self.state.average)
        self.best_progress, self.best_step = progress, self.steps
        if gain > 0:
            self.lowest = value
        return True

    def _restart(self) -> None:
        """Go back to the best state, or to the start, at half the learning rate."""
        self.restarts += 1
        self.schedule.factor *= 0.5
        arrays = self.initial if self.best is None else self.best
        self.state = start(eqx.combine(arrays, self.static), self.context.y, self.config.solver)

    def _refresh(self) -> None:
        """Draw fresh points into the pool and solve the conjugates of the new targets from a cold start."""
        slots = self.pool.refresh()
        self.context = eqx.tree_at(
            lambda c: (c.x, c.y), self.context, (jnp.asarray(self.pool.x), jnp.asarray(self.pool.y))
        )
        fresh = jnp.asarray(self.pool.y[slots]).reshape(-1, self.config.batch, self.pool.y.shape[1])
        tolerance = jnp.asarray(self.config.tolerance[0], jnp.float32)
        conjugates, memory = solve_pool(self.context, self.state.parameters, fresh, tolerance, self.config.fresh_rounds)
        self.state = eqx.tree_at(
            lambda s: (s.conjugates, s.memory),
            self.state,
            scatter((self.state.conjugates, self.state.memory), slots, (conjugates, memory)),
            is_leaf=lambda node: node is None,  # the memory of solvers that have none
        )
