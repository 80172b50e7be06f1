"""The outer loop: compiled chunks of steps, and between them refreshment, selection and stopping."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier._types import Array
from brenier.data.sources import Source
from brenier.geometry import AbstractGeometry
from brenier.potentials import ICNN, AbstractFamily, AbstractPotential, ModulatedICNN
from brenier.training.calibration import calibration
from brenier.training.config import TrainingConfig
from brenier.training.fit import SIGNIFICANT, AbstractFit, Outcome, Stop
from brenier.training.history import OnLook, Row
from brenier.training.holdout import Holdout, HoldoutValue
from brenier.training.pool import Pool, scatter
from brenier.training.snapshot import FitState, Keeper, leaves_of, refilled
from brenier.training.step import Batches, Context, Statistics, TrainingState, run_steps, solve_pool, start

__all__ = ["train"]

_FORGIVEN = 0.1
"""Share of the best gain over the Gaussian map that a later state may have lost and still be kept."""

_DIVERGED = 2.0
"""Held-out objective, relative to that of the Gaussian map, from which on a state counts as diverged."""


def train(
    source: Source,
    target: Source,
    coordinates: AbstractGeometry,
    holdout: Holdout,
    config: TrainingConfig,
    *,
    seed: int,
    inert: tuple[int, ...] = (),
    on_look: OnLook | None = None,
    started: float | None = None,
    until: int | None = None,
    keeper: Keeper | None = None,
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
        on_look: Called with every row of the history.
        started: `time.perf_counter()` from which a budget in seconds counts.
        until: Return the state after this number of steps, whatever the held-out points say.
        keeper: Where the state is left for a later process, and where that of an earlier one is; nowhere by default.
    """
    kind = Fit
    if config.shards > 1:
        from brenier.training.distributed import ShardedFit as kind
    return kind(source, target, coordinates, holdout, config, seed, inert, on_look, started, until, keeper).run()


def _untrained(
    coordinates: AbstractGeometry, config: TrainingConfig, inert: tuple[int, ...], rng: np.random.Generator
) -> AbstractFamily:
    """The network before the first step: next to the Gaussian map."""
    if config.potential is not None:
        return _own(config.potential(coordinates.dim, rng), coordinates)
    options: dict[str, Any] = {"floor": config.floor, "activation": config.activation, "sharpness": config.sharpness}
    if coordinates.conditions is None:
        return ICNN(coordinates.dim, config.widths, rng=rng, inert=inert, **options)
    return ModulatedICNN(coordinates.dim, *coordinates.conditions, config.widths, rng=rng, **options)


def _own(potential: object, coordinates: AbstractGeometry) -> AbstractPotential:
    """A potential that the user made, if it can be trained here."""
    if coordinates.conditions is not None:
        raise InputError("`potential` makes maps without conditions only. Leave it out, or the conditions.")
    if not isinstance(potential, AbstractPotential) or potential.dim != coordinates.dim:
        raise InputError(
            f"`potential` must return an `AbstractPotential` whose `dim` is {coordinates.dim}, the number of columns; "
            f"got {potential!r}."
        )
    return potential


class Fit(AbstractFit):
    """The variables of one call of `train`, whose arguments it has."""

    row = Row

    def __init__(
        self,
        source: Source,
        target: Source,
        coordinates: AbstractGeometry,
        holdout: Holdout,
        config: TrainingConfig,
        seed: int,
        inert: tuple[int, ...],
        on_look: OnLook | None,
        started: float | None,
        until: int | None,
        keeper: Keeper | None = None,
    ) -> None:
        super().__init__(config, on_look, started, until, keeper)
        self.holdout, self.unit = holdout, coordinates.unit
        self.surplus, self.spread = coordinates.surplus, jnp.asarray(coordinates.spread, jnp.float32)
        potential = _untrained(coordinates, config, inert, np.random.default_rng(seed))
        self.initial = eqx.filter(potential, eqx.is_inexact_array)
        self.static = eqx.filter(potential, eqx.is_inexact_array, inverse=True)
        self._fill(source, target, coordinates, seed)
        self.state = self._start(self.initial)
        self.gaussian = holdout.gaussian()
        self.lowest = self.best_value = self.gaussian
        self.best: AbstractFamily | None = None
        self.best_step = 0
        self.statistics: list[Statistics] = []

    def _fill(self, source: Source, target: Source, coordinates: AbstractGeometry, seed: int) -> None:
        """Draw the pool, and keep what is the same for all steps."""
        self.pool = Pool(source, target, coordinates, self.config, np.random.default_rng(seed))
        self.context = self._context(jnp.asarray(self.pool.x), jnp.asarray(self.pool.y))

    def _context(self, x: Array, y: Array) -> Context:
        config = self.config
        return Context(
            config.solver,
            config.rounds,
            config.unconverged,
            config.usable,
            self.spread,
            self.static,
            x,
            y,
            jnp.asarray(config.decay, jnp.float32),
            config.warm,
            self.surplus,
        )

    def _start(self, arrays: AbstractFamily) -> TrainingState:
        """The state before the first step from these parameters."""
        return start(eqx.combine(arrays, self.static), self.context.y, self.config.solver, self.surplus)

    @property
    def _average(self) -> AbstractFamily:
        """The averaged parameters."""
        return self.state.average

    def _placed(self, arrays: AbstractFamily) -> AbstractFamily:
        """Parameters where the state has them."""
        return arrays

    def _value(self, potential: AbstractFamily) -> HoldoutValue:
        """The held-out value of a potential."""
        return self.holdout.evaluate(potential)

    def _outcome(self, stop: Stop) -> Outcome:
        gain, error = self.best_value.gain_over(self.gaussian)
        if stop is Stop.reached:
            best = self._average
        elif self.best is None or not gain > SIGNIFICANT * error:
            return Outcome(self.surplus.baseline(), self.history, stop, True, self.restarts)
        else:
            best = self.best
        return Outcome(eqx.combine(best, self.static), self.history, stop, False, self.restarts, self.best_step)

    def _lasting(self) -> FitState:
        return {
            "best": None if self.best is None else leaves_of(self.best),
            "best_step": self.best_step,
            "best_value": self.best_value.state(),
            "lowest": self.lowest.state(),
            "average": leaves_of(self._average),
        }

    def _restore_lasting(self, saved: FitState) -> None:
        self.best = None if saved["best"] is None else refilled(self.initial, saved["best"])
        self.best_step = saved["best_step"]
        self.best_value, self.lowest = (
            HoldoutValue(**saved[name], weights=self.gaussian.weights) for name in ("best_value", "lowest")
        )
        average = refilled(self._average, saved["average"])
        self.state = eqx.tree_at(lambda s: s.average, self.state, self._placed(average))

    def _passing(self) -> FitState:
        return {
            "training": leaves_of(self.state),
            "pool": self.pool.state(),
            "held_out": self.holdout.state(),
            "statistics": [leaves_of(statistics) for statistics in self.statistics],
        }

    def _restore_passing(self, saved: FitState) -> None:
        self.pool.restore(saved["pool"])
        self._take_pool()
        self.state = refilled(self.state, saved["training"])
        self.holdout.restore(saved["held_out"])
        self.statistics = [Statistics(*arrays) for arrays in saved["statistics"]]

    def _advance(self, rates: NDArray[np.float32], tolerances: NDArray[np.float32]) -> None:
        """Refresh the pool, and use it for one cycle of steps."""
        if self.steps:
            self._refresh(tolerances[0])
        source, target = map(jnp.asarray, self.pool.schedule(self.state.conjugates, len(rates)))
        calibrated = None
        if self.config.calibrated:
            calibrated = calibration(self.context.x, self.state.conjugates, source, target, self.spread)
        batches = Batches(source, target, jnp.asarray(rates), jnp.asarray(tolerances), calibrated)
        self.state, statistics = run_steps(self.context, self.state, batches)
        self.statistics.append(jax.block_until_ready(statistics))

    @property
    def _unseen(self) -> bool:
        return bool(self.statistics)

    def _look(self, progress: float, rate: float) -> Row:
        """Evaluate the averaged state on the held-out points and keep it if it is the best."""
        since = self.schedule.seconds
        value = self._value(eqx.combine(self._average, self.static))
        self._reserve(self.schedule.seconds - since)
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
            gap=value.charge * self.unit**2,
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
        self.best_value, self.best = value, jax.tree.map(jnp.copy, self._average)
        self.best_progress, self.best_step = progress, self.steps
        if gain > 0:
            self.lowest = value
        return True

    def _restart(self) -> None:
        """Go back to the best state, or to the start, at half the learning rate."""
        self.restarts += 1
        self.schedule.factor *= 0.5
        arrays = self.initial if self.best is None else self.best
        self.state = self._start(arrays)

    def _take_pool(self) -> None:
        """Train on the points that the pool has now."""
        self.context = eqx.tree_at(
            lambda c: (c.x, c.y), self.context, (jnp.asarray(self.pool.x), jnp.asarray(self.pool.y))
        )

    def _refresh(self, tolerance: np.float32) -> None:
        """Draw fresh points into the pool and solve the conjugates of the new targets from a cold start."""
        slots = self.pool.refresh()
        self._take_pool()
        fresh = jnp.asarray(self.pool.y[slots]).reshape(-1, self.config.batch, self.pool.y.shape[1])
        conjugates, memory = solve_pool(
            self.context, self.state.parameters, fresh, jnp.asarray(tolerance), self.config.fresh_rounds
        )
        self.state = eqx.tree_at(
            lambda s: (s.conjugates, s.memory),
            self.state,
            scatter((self.state.conjugates, self.state.memory), slots, (conjugates, memory)),
            is_leaf=lambda node: node is None,  # the memory of solvers that have none
        )
