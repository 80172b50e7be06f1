"""The dual of optimal transport as an objective: pools of points, conjugates of the targets, and their refreshment."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._processes import from_all, from_first
from brenier._states import State
from brenier.data.streams import PointStream
from brenier.geometry import AbstractGeometry
from brenier.potentials import AbstractFamily
from brenier.training.calibration import Calibration, calibration
from brenier.training.config import TrainingConfig
from brenier.training.history import HistoryRow
from brenier.training.holdout import Holdout, HoldoutValue
from brenier.training.network import network
from brenier.training.objective import AbstractObjective, Chunk, Statistics
from brenier.training.placement import Placement
from brenier.training.pool import Pool, scatter
from brenier.training.sharded import refresh_shards, run_sharded_steps
from brenier.training.snapshot import leaves_of, refill
from brenier.training.step import Batches, Context, TrainingState, run_steps, solve_pool, start

__all__ = ["DualObjective"]

_DIVERGED = 2.0
"""Held-out objective, relative to that of the baseline, from which on a state counts as diverged."""


class DualObjective(AbstractObjective):
    """The dual value of a potential, whose gradient is the optimal map where that is largest.

    Args:
        source: Where source points come from, in the units of the data.
        target: Where target points come from.
        coordinates: Bures coordinates between the two, or a family of them; then the potential is a family, too.
        holdout: Points kept aside to choose the best state.
        config: Settings.
        seed: One seed gives one result on one machine, if the budget is in steps.
        degenerate: Coordinates that are left to the Gaussian map.
    """

    row = HistoryRow
    forgiven = 0.1  # in heavy tails a few points decide the standard error, and one of them can hide a worse state

    def __init__(
        self,
        source: PointStream,
        target: PointStream,
        coordinates: AbstractGeometry,
        holdout: Holdout,
        config: TrainingConfig,
        *,
        seed: int,
        degenerate: tuple[int, ...] = (),
    ) -> None:
        self.sources, self.coordinates, self.holdout = (source, target), coordinates, holdout
        self.config, self.seed, self.degenerate = config, seed, degenerate
        self.unit = coordinates.unit**2

    def place(self, placement: Placement) -> None:
        """Draw the pools of all parts of this process, and keep what is the same for all steps."""
        super().place(placement)
        config, (source, target) = self.config, self.sources
        each = config.replace(batch=config.batch // placement.count, pool=config.pool // placement.count)
        self.pools = [
            Pool(
                placement.part(source, number),
                placement.part(target, number),
                self.coordinates,
                each,
                placement.rng(self.seed, number),
            )
            for number in placement.numbers
        ]
        self.batch, self.potential = each.batch, network(config, self.coordinates, self.seed, self.degenerate)
        fixed = Context(
            config.solver,
            config.rounds,
            config.unconverged,
            config.usable,
            jnp.asarray(self.coordinates.spread, jnp.float32),
            eqx.filter(self.potential, eqx.is_inexact_array, inverse=True),
            jnp.zeros(()),
            jnp.zeros(()),
            jnp.asarray(config.decay, jnp.float32),
            config.warm,
            self.coordinates.surplus,
        )
        self.context: Context = placement.replicate(fixed)
        self._take_pools()

    def make_potential(self) -> AbstractFamily:
        """The network before the first step: next to the baseline."""
        return self.potential

    def start(self, potential: AbstractFamily) -> TrainingState:
        """The state before the first step from a potential on."""
        solver, surplus = self.config.solver, self.coordinates.surplus
        targets = self.placement.split(self.context.y)
        parts = [start(potential, jnp.asarray(rows), solver, surplus) for rows in targets]
        conjugates, memory = self._join([(part.conjugates, part.memory) for part in parts])
        same = parts[0].parameters, parts[0].average, parts[0].optimizer, parts[0].steps
        parameters, average, optimizer, steps = self.placement.replicate(same)
        return TrainingState(parameters, average, optimizer, conjugates, memory, steps)

    def advance(self, state: TrainingState, chunk: Chunk) -> tuple[TrainingState, Statistics]:
        """Refresh the pools, and use them for the steps of a chunk."""
        if chunk.before:
            state = self._refresh(state, chunk.tolerances[0])
        conjugates = self.placement.split(state.conjugates)
        orders = [pool.schedule(part, len(chunk.rates)) for pool, part in zip(self.pools, conjugates, strict=True)]
        source, target = (self.placement.join(side, axis=1) for side in zip(*orders, strict=True))
        rates, tolerances = self.placement.replicate((chunk.rates, chunk.tolerances))
        batches = Batches(source, target, rates, tolerances, self._calibration(conjugates, orders))
        mesh = self.placement.mesh
        if mesh is None:
            state, statistics = run_steps(self.context, state, batches)
        else:
            state, statistics = run_sharded_steps(self.context, state, batches, mesh)
        return state, {name: np.asarray(values) for name, values in statistics._asdict().items()}

    def baseline(self) -> HoldoutValue:
        """The held-out value of the baseline."""
        return self.holdout.baseline()

    def evaluate(self, potential: AbstractFamily) -> HoldoutValue:
        """The held-out value of a potential."""
        return self.holdout.evaluate(potential)

    def diverged(self, value: HoldoutValue, baseline: HoldoutValue, statistics: Statistics) -> bool:
        """Whether the held-out value is far worse than that of the baseline, or not a number."""
        return not value.objective <= _DIVERGED * baseline.objective

    def figures(self, value: HoldoutValue, statistics: Statistics) -> dict[str, float]:
        """Dual value, certified gap, and what the inner solver did since the last row."""
        means = {name: float(np.mean(values)) for name, values in statistics.items()}
        return {"dual": self.holdout.dual(value), "gap": value.charge * self.unit} | means

    def state(self, state: TrainingState) -> State:
        """What all parts share, and all parts in order, so that other processes and devices can go on from them."""
        arrays = [self.placement.split(leaf) for leaf in jax.tree.leaves((state.conjugates, state.memory))]
        parts = [
            {"pool": pool.state(), "arrays": [np.array(leaf[place]) for leaf in arrays]}
            for place, pool in enumerate(self.pools)
        ]
        return {
            "same": leaves_of((state.parameters, state.optimizer, state.steps)),
            "parts": [part for process in from_all(parts) for part in process],
            "held_out": from_first(self.holdout.state()),
        }

    def restore(self, state: TrainingState, saved: State) -> TrainingState:
        """Go on from what `state` gave."""
        parts = [saved["parts"][number] for number in self.placement.numbers]
        for pool, part in zip(self.pools, parts, strict=True):
            pool.restore(part["pool"])
        self._take_pools()
        self.holdout.restore(saved["held_out"])
        same = refill(self.placement.localise((state.parameters, state.optimizer, state.steps)), saved["same"])
        parameters, optimizer, steps = self.placement.replicate(same)
        like = jax.tree.map(lambda leaf: self.placement.split(leaf)[0], (state.conjugates, state.memory))
        conjugates, memory = self._join([refill(like, part["arrays"]) for part in parts])
        return TrainingState(parameters, state.average, optimizer, conjugates, memory, steps)

    def _take_pools(self) -> None:
        """Train on the points that the pools have now."""
        x, y = (self.placement.join([getattr(pool, side) for pool in self.pools]) for side in "xy")
        self.context = eqx.tree_at(lambda c: (c.x, c.y), self.context, (x, y))

    def _join(self, parts: Sequence[Any], axis: int = 0) -> Any:  # noqa: ANN401 - a pytree like each part
        return jax.tree.map(lambda *leaves: self.placement.join(leaves, axis), *parts)

    def _refresh(self, state: TrainingState, tolerance: np.float32) -> TrainingState:
        """Draw fresh points into the pools, and solve the conjugates of the new targets from a cold start."""
        slots, *_ = [pool.refresh() for pool in self.pools]  # the ring of every pool is at the same place
        self._take_pools()
        fresh = self.placement.join([pool.y[slots].reshape(-1, self.batch, pool.y.shape[1]) for pool in self.pools])
        places, limit = self.placement.replicate((slots.astype(np.int32), np.asarray(tolerance)))
        rounds, mesh = self.config.fresh_rounds, self.placement.mesh
        if mesh is not None:
            return refresh_shards(self.context, state, fresh, places, limit, rounds, mesh)
        solved = solve_pool(self.context, state.parameters, fresh, limit, rounds)
        new = scatter((state.conjugates, state.memory), slots, solved)
        # Solvers without a memory have None there.
        return eqx.tree_at(lambda s: (s.conjugates, s.memory), state, new, is_leaf=lambda node: node is None)

    def _calibration(
        self, conjugates: Sequence[Any], orders: list[tuple[NDArray[np.int32], NDArray[np.int32]]]
    ) -> Calibration | None:
        """What gives the batches of every part the moments of its pool; the axis of parts is behind that of steps."""
        if not self.config.calibrated:
            return None
        spread = jnp.asarray(self.coordinates.spread, jnp.float32)
        parts = [
            calibration(jnp.asarray(pool.x), jnp.asarray(points), jnp.asarray(source), jnp.asarray(target), spread)
            for pool, points, (source, target) in zip(self.pools, conjugates, orders, strict=True)
        ]
        return self._join(parts, axis=1)
