"""Training steps whose pool and batches lie in parts on several devices: only gradients cross between them.

Every part has its own points, their conjugates, and the inner solver's memory of these, and matches its own sources
with its own targets. In each step a part solves its share of the batch without any communication; then the gradients
are added up over all devices, and every device takes the same step of the optimizer.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, PartitionSpec

from brenier._types import Array, Float, Int, Points, Scalar
from brenier.potentials import AbstractFamily
from brenier.training.step import (
    Batches,
    Context,
    Pairs,
    Statistics,
    TrainingState,
    dual_gradient,
    improved,
    match,
    remembering,
    solve_pool,
)

__all__ = ["AXIS", "refresh_shards", "run_sharded_steps"]

AXIS = "shards"
"""Name of the axis over which devices share the work."""

_ALL, _OWN = PartitionSpec(), PartitionSpec(AXIS)
_STATE = TrainingState(_ALL, _ALL, _ALL, _OWN, _OWN, _ALL)  # type: ignore[arg-type]


@eqx.filter_jit(donate="all-except-first")
def run_sharded_steps(
    context: Context, state: TrainingState, batches: Batches, mesh: Mesh
) -> tuple[TrainingState, Statistics]:
    """Take one step a batch, as `run_steps` does, on the devices of a mesh.

    Args:
        context: As for `run_steps`, but for a leading axis of parts before those of `x` and `y`.
        state: As for `run_steps`, but for a leading axis of parts before those of conjugates and memory.
        batches: As for `run_steps`, but for an axis of parts behind that of steps; slots are those within each part.
        mesh: The devices.

    Note: A step sends one message: as many numbers as the potential has parameters, and the count of pairs.
    """
    arrays, static = eqx.partition(context, eqx.is_array)

    def local(arrays: Context, state: TrainingState, batches: Batches) -> tuple[TrainingState, Statistics]:
        whole = eqx.combine(arrays, static)

        def step(state: TrainingState, batch: Batches) -> tuple[TrainingState, Statistics]:
            pairs = _match(whole, state, batch)
            usable = pairs.usable.reshape(-1).astype(whole.x.dtype)
            share, shaped = ravel_pytree(dual_gradient(whole, state.parameters, _stack(pairs.rows), usable))
            # Sums of the gradient and of the pairs behind it in one message: small ones cost their latency alone.
            both = jax.lax.psum(jnp.append(share, jnp.sum(usable)), AXIS)
            new = improved(whole, state, shaped(both[:-1] / jnp.maximum(both[-1], 1.0)), batch.rate)
            evaluations = jnp.mean(pairs.solution.evaluations.astype(jnp.float32))
            return _remember(new, batch, pairs), Statistics(evaluations, 1.0 - jnp.mean(usable))

        new, statistics = jax.lax.scan(step, state, batches)
        return new, jax.lax.pmean(statistics, AXIS)

    steps = PartitionSpec(None, AXIS)
    specs = (_pools(arrays), _STATE, Batches(steps, steps, _ALL, _ALL, steps))  # type: ignore[arg-type]
    run = jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=(_STATE, _ALL), check_vma=False)
    return run(arrays, state, batches)


@eqx.filter_jit
def refresh_shards(
    context: Context,
    state: TrainingState,
    rows: Float[Array, "s k b e"],
    slots: Int[Array, " n"],
    tolerance: Scalar,
    max_rounds: int,
    mesh: Mesh,
) -> TrainingState:
    """The state with the conjugates of fresh targets, in the same slots of every part; see `solve_pool`."""
    arrays, static = eqx.partition(context, eqx.is_array)

    def local(arrays: Context, state: TrainingState, rows: Array, slots: Array, tolerance: Scalar) -> TrainingState:
        whole = eqx.combine(arrays, static)

        def solve(x: Array, part: Array) -> tuple[Array, Any]:
            here = eqx.tree_at(lambda c: c.x, whole, x)
            return solve_pool(here, state.parameters, part, tolerance, max_rounds)

        fresh = jax.vmap(solve)(whole.x, rows)
        conjugates, memory = jax.tree.map(
            lambda old, new: old.at[:, slots].set(new.reshape(len(new), -1, *new.shape[3:])),
            (state.conjugates, state.memory),
            fresh,
        )
        return _put_conjugates(state, conjugates, memory)

    specs = (_pools(arrays), _STATE, _OWN, _ALL, _ALL)
    run = jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=_STATE, check_vma=False)
    return run(arrays, state, rows, slots, tolerance)


def _pools(arrays: Context) -> Any:  # noqa: ANN401
    """Where the arrays of a context are: the pools in parts, all else everywhere."""
    return eqx.tree_at(lambda c: (c.x, c.y), jax.tree.map(lambda _: _ALL, arrays), (_OWN, _OWN))


def _match(context: Context, state: TrainingState, batch: Batches) -> Pairs:
    """Pairs of every part of a device, along a leading axis."""

    def one(x: Array, y: Array, conjugates: Points, memory: Any, part: Batches) -> Pairs:  # noqa: ANN401
        here = eqx.tree_at(lambda c: (c.x, c.y), context, (x, y))
        return match(here, _put_conjugates(state, conjugates, memory), part)

    axes = Batches(0, 0, None, None, 0)  # type: ignore[arg-type]
    return jax.vmap(one, (0, 0, 0, 0, axes))(context.x, context.y, state.conjugates, state.memory, batch)


def _remember(state: TrainingState, batch: Batches, pairs: Pairs) -> TrainingState:
    """The state with the preimages of all parts of a device in their places."""

    def one(conjugates: Points, memory: Any, target: Array, pairs: Pairs) -> tuple[Points, Any]:  # noqa: ANN401
        new = remembering(_put_conjugates(state, conjugates, memory), Batches(target, target, target, target), pairs)
        return new.conjugates, new.memory

    return _put_conjugates(state, *jax.vmap(one)(state.conjugates, state.memory, batch.target, pairs))


def _put_conjugates(state: TrainingState, conjugates: Points, memory: Any) -> TrainingState:  # noqa: ANN401
    return TrainingState(state.parameters, state.average, state.optimizer, conjugates, memory, state.steps)


def _stack(rows: Float[Array, "s 2b e"]) -> Float[Array, "2n e"]:
    """The sources of all parts above the preimages of all parts."""
    parts, both, columns = rows.shape
    halves: AbstractFamily | Array = rows.reshape(parts, 2, both // 2, columns)
    return jnp.swapaxes(halves, 0, 1).reshape(-1, columns)
