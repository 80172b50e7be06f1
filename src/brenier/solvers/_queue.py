"""Many rows through few slots: a row that is done hands its slot to the next, so that none waits for the slowest."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from brenier._types import Array, Counts, Float, Int, Points, Scalar, Values
from brenier.solvers._rows import Rows, advance, ended, unseen, where_rows
from brenier.solvers._solver import AbstractSolver, Solution, State

__all__ = ["iterate_queue"]

Data: TypeAlias = Any
"""Arrays with an entry a row, in any structure."""


class _Queue(NamedTuple):
    """Which row each slot holds, its number if there is none; the rows in the slots; what is done; the next in line."""

    held: Counts
    rows: Rows
    found: Solution
    next: Int[Array, ""]
    left: Int[Array, ""]


def iterate_queue(
    solver: AbstractSolver[State],
    fn: Callable[[Points, Data], Points],
    data: Data,
    x: Points,
    *,
    tolerance: Values,
    max_steps: int | Array,
    slots: int,
    allowed_unconverged: float | Scalar = 0.0,
    scale: Float[Array, " d"] | None = None,
) -> Solution:
    """Solve `fn(x, data) = 0` for every row of `x`, a few rows at a time.

    For batches so large that the memory of the solver would not fit the processor's cache, or that most rows would wait
    for few. The tolerance is met as by `iterate`.

    Args:
        solver: The rule that proposes steps.
        fn: Row-wise map of points and their data.
        data: Arrays that have one entry for each row of `x`, in any structure.
        x: First guess of each row.
        tolerance: Residual norm at which a row is done, one a row.
        max_steps: Steps at most, for each row by itself.
        slots: Rows that are moved together, the batch of `fn`; a power of two.
        allowed_unconverged: Share of all rows that may miss the tolerance when the loop ends before their budget.
        scale: Units of the coordinates of `fn` for the norm; ones by default.

    Returns:
        The solution at the best point seen for each row; `evaluations` counts calls of `fn` on `slots` rows.
    """
    count = x.shape[0]

    def unfinished(queue: _Queue) -> Array:
        return (queue.next < count) | (queue.left > allowed_unconverged * count)

    def turn(queue: _Queue) -> _Queue:
        empty = queue.held == count
        candidate = queue.next + jnp.cumsum(empty, dtype=jnp.int32) - 1
        taken = empty & (candidate < count)
        held = jnp.where(taken, candidate, queue.held)
        own = jnp.minimum(held, count - 1)
        theirs, guess, bound = jax.tree.map(lambda array: array[own], (data, x, tolerance))
        rows = where_rows(taken, unseen(guess, solver.init(guess)), queue.rows)
        rows = advance(solver, lambda at: fn(at, theirs), rows, held < count, scale)
        done = (held < count) & ((rows.best_norm <= bound) | ~rows.alive | (rows.steps >= max_steps))
        return _Queue(
            held=jnp.where(done, count, held),
            rows=rows,
            found=_written(queue.found, jnp.where(done, held, count), ended(rows, bound, jnp.ones((), jnp.int32))),
            next=queue.next + jnp.sum(taken, dtype=jnp.int32),
            left=queue.left - jnp.sum(done, dtype=jnp.int32),
        )

    nobody = jnp.full((slots,), count, jnp.int32)
    blank = ended(unseen(x, None), tolerance, jnp.zeros((), jnp.int32))
    start = _Queue(
        nobody,
        unseen(x[:slots], solver.init(x[:slots])),
        blank,
        jnp.zeros((), jnp.int32),
        jnp.full((), count, jnp.int32),
    )
    end = jax.lax.while_loop(unfinished, turn, start)
    rest = ended(end.rows, tolerance[jnp.minimum(end.held, count - 1)], jnp.zeros((), jnp.int32))
    return _written(end.found, end.held, rest)


def _written(found: Solution, places: Counts, part: Solution) -> Solution:
    """The results of all rows with some of them written, and evaluations added; a place beyond the end is no place."""

    def write(old: Array, new: Array) -> Array:
        return old + new if old.ndim == 0 else old.at[places].set(new, mode="drop")

    return jax.tree.map(write, found, part)
