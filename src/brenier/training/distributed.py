"""A fit whose pool and batches lie in parts on several devices, of one process or of many.

All processes take the same steps: the first one's clock decides about rates and the end, its held-out value about the
best state, and what any of them is told to do ends them all together.
"""

import signal
import threading
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier._types import Array
from brenier.data.sources import Source
from brenier.geometry import AbstractGeometry
from brenier.potentials import AbstractFamily
from brenier.training.calibration import Calibration, calibration
from brenier.training.config import TrainingConfig
from brenier.training.exchange import from_all, from_first
from brenier.training.fit import Stop
from brenier.training.holdout import HoldoutValue
from brenier.training.loop import Fit
from brenier.training.pool import Pool
from brenier.training.schedule import Schedule
from brenier.training.sharded import refresh_shards, run_sharded_steps
from brenier.training.shards import Shards, agreed, any_of, here, together
from brenier.training.snapshot import FitState, leaves_of, refilled
from brenier.training.step import Batches, Context, Statistics, TrainingState, start

__all__ = ["ShardedFit"]


class _AgreedSchedule(Schedule):
    """The schedule of the first process, in all of them."""

    def progress(self, steps: int) -> float:
        return agreed(super().progress(steps))

    def next_cycle(self, steps: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rates, tolerances = super().next_cycle(steps)
        both = np.zeros((2, self._config.cycle), np.float32)
        both[:, : len(rates)] = rates, tolerances
        count, both, self._position = agreed((len(rates), both, self._position))
        return both[0, :count], both[1, :count]


class ShardedFit(Fit):
    """One call of `train` with more than one part."""

    clock = _AgreedSchedule

    def _fill(self, source: Source, target: Source, coordinates: AbstractGeometry, seed: int) -> None:
        config = self.config
        _check_division(config)
        self.shards = Shards.over(config.shards)
        each = config.replace(batch=config.batch // config.shards, pool=config.pool // config.shards)
        self.pools = [
            Pool(
                source.part(number, config.shards),
                target.part(number, config.shards),
                coordinates,
                each,
                np.random.default_rng((seed, number)),
            )
            for number in self.shards.own
        ]
        self._take_pool()

    def _take_pool(self) -> None:
        x, y = (self.shards.divided(np.stack([getattr(pool, side) for pool in self.pools])) for side in "xy")
        self.context = self._context(x, y)

    def _context(self, x: Array, y: Array) -> Context:
        arrays, static = eqx.partition(super()._context(x, y), eqx.is_array)
        same = self.shards.everywhere(eqx.tree_at(lambda c: (c.x, c.y), arrays, (None, None)))
        return eqx.combine(eqx.tree_at(lambda c: (c.x, c.y), same, (x, y), is_leaf=_is_none), static)

    def _start(self, arrays: AbstractFamily) -> TrainingState:
        potential, solver = eqx.combine(arrays, self.static), self.config.solver
        parts = [start(potential, jnp.asarray(pool.y), solver, self.surplus) for pool in self.pools]
        first = parts[0]
        conjugates, memory = jax.tree.map(
            lambda *own: self.shards.divided(np.stack(own)), *((part.conjugates, part.memory) for part in parts)
        )
        same = self.shards.everywhere((first.parameters, first.average, first.optimizer, first.steps))
        return TrainingState(*same[:3], conjugates, memory, same[3])

    @property
    def _average(self) -> AbstractFamily:
        return here(self.state.average)

    def _placed(self, arrays: AbstractFamily) -> AbstractFamily:
        return self.shards.everywhere(arrays)

    def _passing(self) -> FitState:
        """What is the same everywhere, and all parts in order: other processes and devices can take them up."""
        state = self.state
        arrays = [self.shards.local(own) for own in jax.tree.leaves((state.conjugates, state.memory))]
        parts = [
            {"pool": pool.state(), "arrays": [own[number] for own in arrays]} for number, pool in enumerate(self.pools)
        ]
        return {
            "same": leaves_of((state.parameters, state.optimizer, state.steps)),
            "parts": [part for own in from_all(parts) for part in own],
            "held_out": from_first(self.holdout.state()),
            "statistics": [leaves_of(statistics) for statistics in self.statistics],
        }

    def _restore_passing(self, saved: FitState) -> None:
        parts = [saved["parts"][number] for number in self.shards.own]
        for pool, part in zip(self.pools, parts, strict=True):
            pool.restore(part["pool"])
        self._take_pool()
        state = self.state
        same = self.shards.everywhere(refilled(here((state.parameters, state.optimizer, state.steps)), saved["same"]))
        arrays = zip(*(part["arrays"] for part in parts), strict=True)
        divided = [self.shards.divided(np.stack(own)) for own in arrays]
        conjugates, memory = jax.tree.unflatten(jax.tree.structure((state.conjugates, state.memory)), divided)
        self.state = TrainingState(same[0], state.average, same[1], conjugates, memory, same[2])
        self.holdout.restore(saved["held_out"])
        self.statistics = [Statistics(*map(jnp.asarray, arrays)) for arrays in saved["statistics"]]

    def _value(self, potential: AbstractFamily) -> HoldoutValue:
        # One process looks, the others wait: the same numbers everywhere, and no device computes them twice.
        return agreed(super()._value(potential) if jax.process_index() == 0 else self.gaussian)

    def _advance(self, rates: NDArray[np.float32], tolerances: NDArray[np.float32]) -> None:
        if self.steps:
            self._refresh(tolerances[0])
        conjugates = self.shards.local(self.state.conjugates)
        orders = [pool.schedule(own, len(rates)) for pool, own in zip(self.pools, conjugates, strict=True)]
        source, target = (self.shards.divided(np.stack(own, axis=1), axis=1) for own in zip(*orders, strict=True))
        batches = Batches(
            source, target, self.shards.same(rates), self.shards.same(tolerances), self._calibration(conjugates, orders)
        )
        self.state, statistics = run_sharded_steps(self.context, self.state, batches, self.shards.mesh)
        self.statistics.append(here(jax.block_until_ready(statistics)))

    def _calibration(self, conjugates: NDArray[np.float32], orders: list[Any]) -> Calibration | None:
        """That of every part, behind the axis of steps."""
        if not self.config.calibrated:
            return None
        spread = jnp.asarray(self.spread)
        parts = [
            calibration(jnp.asarray(pool.x), jnp.asarray(own), jnp.asarray(source), jnp.asarray(target), spread)
            for pool, own, (source, target) in zip(self.pools, conjugates, orders, strict=True)
        ]
        return jax.tree.map(lambda *own: self.shards.divided(np.stack(own, axis=1), axis=1), *parts)

    def _refresh(self, tolerance: np.float32) -> None:
        slots, *_ = [pool.refresh() for pool in self.pools]  # the ring of every pool is at the same place
        self._take_pool()
        batch = self.config.batch // self.config.shards
        fresh = np.stack([pool.y[slots].reshape(-1, batch, pool.y.shape[1]) for pool in self.pools])
        self.state = refresh_shards(
            self.context,
            self.state,
            self.shards.divided(fresh),
            self.shards.same(slots.astype(np.int32)),
            self.shards.same(np.asarray(tolerance)),
            self.config.fresh_rounds,
            self.shards.mesh,
        )

    def _told(self, row: Any) -> bool:  # noqa: ANN401
        return any_of(super()._told(row))

    def _until_stopped(self) -> Stop:
        if jax.process_count() == 1:
            return super()._until_stopped()
        with Presses() as presses, together():
            while (end := self._cycle()) is None:
                self._keep_state()
                if any_of(presses.count > 0):
                    return Stop.interrupted
        return end


class Presses:
    """Counts Ctrl-C without an exception, so that no process leaves the others alone in a step; the second raises."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGINT, self._pressed)
        return self

    def __exit__(self, *_: object) -> None:
        if self._main:
            signal.signal(signal.SIGINT, self._before)

    def _pressed(self, *_: object) -> None:
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt


def _is_none(node: object) -> bool:
    return node is None


def _check_division(config: TrainingConfig) -> None:
    """Refuse sizes that do not fall into equal parts."""
    for name, size in (("batch_size", config.batch), ("pool_size", config.pool)):
        if size % config.shards or size < config.shards:
            raise InputError(f"`{name}` must be a multiple of `shards`; got {size} and {config.shards}.")
    if config.pool // config.shards & (config.pool // config.shards - 1):
        raise InputError(f"`pool_size` over `shards` must be a power of two; got {config.pool} and {config.shards}.")
