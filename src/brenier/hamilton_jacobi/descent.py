"""Descent by values for batches of small problems: BFGS with a line search that needs no smoothness."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from brenier._types import Array, Counts, Float, Mask, Points, Values
from brenier.hamilton_jacobi.objective import Objective
from brenier.solvers import BFGS

__all__ = ["Descent", "descend"]

_ARMIJO, _WOLFE = 1e-4, 0.9
_HALVINGS = 40
"""Trials of one line search after which a row is at rest: its bracket is down to the rounding errors of its ends."""

_SMALLEST = 1e-14
"""Share of the value below which differences of values are rounding."""


class Descent(NamedTuple):
    """Where descents ended.

    Attributes:
        y, value, gradient, slope: The last point of each row, F and its gradient there, and the gradient of g.
        evaluations: Evaluations of the gradient of g, per row.
    """

    y: Points
    value: Values
    gradient: Points
    slope: Points
    evaluations: Counts


class _Rows(NamedTuple):
    y: Points
    value: Values
    gradient: Points
    slope: Points
    inverse: Float[Array, "n d d"]
    direction: Points
    step: Values
    low: Values
    high: Values
    trials: Counts
    resting: Mask
    evaluations: Counts


def descend(objective: Objective, y: Points, tolerance: Values | float, max_steps: int | Array) -> Descent:
    """Lower F from `y`, row by row, until its gradient is small, no trial lowers it, or the budget is spent.

    Args:
        objective: F; it need not be convex or smooth.
        y: `(n, d)` first guesses.
        tolerance: A row is done where the norm of the gradient is at most this times one plus the norm of g's.
        max_steps: Evaluations at most, for each row.

    Note: Memory: a `d x d` matrix a row. No step raises F by more than rounding; stationary points that are no minima
    are left as soon as rounding gives a direction, but a start exactly on one stays there.

    References: Lewis and Overton 2013, "Nonsmooth optimization via quasi-Newton methods", algorithms 2.1 and 2.6: the
    bracket of the weak Wolfe conditions, which works for functions with kinks.
    """
    bfgs = BFGS()

    def begin(rows: _Rows, fresh: Mask) -> _Rows:
        """A new direction for rows that have a new point."""
        direction = -jnp.einsum("nij,nj->ni", rows.inverse, rows.gradient)
        downhill = jnp.sum(direction * rows.gradient, axis=1) < 0
        direction = jnp.where(downhill[:, None], direction, -objective.t[:, None] * rows.gradient)
        small = _norm(rows.gradient) <= tolerance * (1.0 + _norm(rows.slope))
        return rows._replace(
            direction=jnp.where(fresh[:, None], direction, rows.direction),
            step=jnp.where(fresh, 1.0, rows.step),
            low=jnp.where(fresh, 0.0, rows.low),
            high=jnp.where(fresh, jnp.inf, rows.high),
            trials=jnp.where(fresh, 0, rows.trials),
            resting=rows.resting | (fresh & small),
        )

    def turn(carry: tuple[_Rows, Array]) -> tuple[_Rows, Array]:
        rows, rounds = carry
        moving = ~rows.resting
        step = jnp.where(moving, rows.step, 0.0)
        trial = rows.y + step[:, None] * rows.direction
        value, gradient, slope = objective(trial)
        usable = jnp.isfinite(value) & jnp.isfinite(gradient).all(axis=1)
        decline = jnp.sum(rows.gradient * rows.direction, axis=1)
        low_enough = usable & (value <= rows.value + _ARMIJO * step * decline + _SMALLEST * jnp.abs(rows.value))
        flat_enough = jnp.sum(gradient * rows.direction, axis=1) >= _WOLFE * decline
        accepted = moving & low_enough & flat_enough
        low = jnp.where(low_enough & ~flat_enough, step, rows.low)
        high = jnp.where(low_enough, rows.high, step)
        change = jnp.where(accepted[:, None], gradient - rows.gradient, 0.0)
        moved = jnp.where(accepted[:, None], trial - rows.y, 0.0)
        trials = rows.trials + 1
        new = rows._replace(
            y=jnp.where(accepted[:, None], trial, rows.y),
            value=jnp.where(accepted, value, rows.value),
            gradient=jnp.where(accepted[:, None], gradient, rows.gradient),
            slope=jnp.where(accepted[:, None], slope, rows.slope),
            inverse=bfgs.update(rows.inverse, moved, change),
            step=jnp.where(jnp.isfinite(high), 0.5 * (low + high), 2.0 * step),
            low=low,
            high=high,
            trials=trials,
            resting=rows.resting | (~accepted & (trials > _HALVINGS)),
            evaluations=rows.evaluations + moving,
        )
        return begin(new, accepted), rounds + 1

    value, gradient, slope = objective(y)
    count, dim = y.shape
    zeros = jnp.zeros(count, y.dtype)
    start = _Rows(
        y=y,
        value=value,
        gradient=gradient,
        slope=slope,
        inverse=objective.t[:, None, None] * jnp.eye(dim, dtype=y.dtype),
        direction=jnp.zeros_like(y),
        step=zeros,
        low=zeros,
        high=zeros,
        trials=jnp.zeros(count, jnp.int32),
        resting=~(jnp.isfinite(value) & jnp.isfinite(gradient).all(axis=1)),
        evaluations=jnp.ones(count, jnp.int32),
    )
    rows, _ = jax.lax.while_loop(
        lambda carry: jnp.any(~carry[0].resting) & (carry[1] < max_steps),
        turn,
        (begin(start, jnp.ones(count, bool)), jnp.ones((), jnp.int32)),
    )
    return Descent(rows.y, rows.value, rows.gradient, rows.slope, rows.evaluations)


def _norm(rows: Points) -> Values:
    return jnp.linalg.norm(rows, axis=1)
