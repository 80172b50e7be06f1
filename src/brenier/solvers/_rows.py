"""One round for a batch of rows: the safeguard, masks and status of every solver."""

from typing import Generic, NamedTuple

import jax
import jax.numpy as jnp

from brenier._types import Array, Counts, Float, Mask, Points, RowwiseMap, Values
from brenier.solvers._solver import AbstractSolver, Solution, State, Status

__all__ = ["Rows", "advance", "ended", "residual_norm", "unseen", "where_rows"]


class Rows(NamedTuple, Generic[State]):
    """Rows on their way to a root.

    Attributes:
        x, residual, norm: Where each row is; infinitely far while its guess has not been evaluated.
        best, best_residual, best_norm: The best point seen so far.
        damping: Share of the next full step to take.
        steps: Steps taken; -1 while the guess has not been evaluated.
        state: The solver's memory.
    """

    x: Points
    residual: Points
    norm: Values
    best: Points
    best_residual: Points
    best_norm: Values
    damping: Values
    steps: Counts
    state: State

    @property
    def alive(self) -> Mask:
        """Rows that can still move: those that are not finite at their guess never will."""
        return jnp.isfinite(self.norm) | (self.steps < 0)


def unseen(x: Points, state: State) -> Rows[State]:
    """Rows at their guesses, before the first evaluation."""
    far = jnp.full(x.shape[:1], jnp.inf, x.dtype)
    none = jnp.zeros_like(x)
    before = jnp.full(x.shape[:1], -1, jnp.int32)
    return Rows(x, none, far, x, none + jnp.nan, far, jnp.ones_like(far), before, state)


def advance(
    solver: AbstractSolver[State], fn: RowwiseMap, rows: Rows[State], active: Mask, scale: Float[Array, " d"] | None
) -> Rows[State]:
    """Evaluate `fn` once, at the guesses of unseen rows and at the trial steps of the others; the inactive rest.

    That guesses are evaluated here too compiles `fn` once, not twice.
    """
    active &= rows.alive
    moving = active & (rows.steps >= 0)
    direction = solver.direction(fn, rows.x, rows.residual, rows.state)
    step = jnp.where(moving[:, None], rows.damping[:, None] * direction, 0.0)
    trial = rows.x + step
    trial_residual = fn(trial)
    trial_norm = _finite_norm(trial_residual, scale)
    accepted = active & (trial_norm <= solver.growth * rows.norm) & jnp.isfinite(trial_norm)
    learned = moving & jnp.isfinite(trial_norm)
    state = where_rows(
        learned,
        solver.update(
            rows.state,
            jnp.where(learned[:, None], step, 0.0),
            jnp.where(learned[:, None], trial_residual - rows.residual, 0.0),
        ),
        rows.state,
    )
    better = accepted & (trial_norm < rows.best_norm)
    return Rows(
        x=where_rows(accepted, trial, rows.x),
        residual=where_rows(accepted, trial_residual, rows.residual),
        norm=jnp.where(accepted, trial_norm, rows.norm),
        best=where_rows(better, trial, rows.best),
        best_residual=where_rows(better, trial_residual, rows.best_residual),
        best_norm=jnp.where(better, trial_norm, rows.best_norm),
        damping=jnp.where(accepted, jnp.minimum(1.0, 2.0 * rows.damping), 0.25 * rows.damping),
        steps=rows.steps + active,
        state=state,
    )


def ended(rows: Rows[State], tolerance: Values | float, evaluations: Array) -> Solution:
    """What is known of rows that will not be moved any more."""
    members = list(Status)
    code = jnp.where(
        rows.best_norm <= tolerance, members.index(Status.converged), members.index(Status.max_steps_reached)
    )
    code = jnp.where(jnp.isfinite(rows.best_norm), code, members.index(Status.nonfinite))
    return Solution(
        value=rows.best,
        residual=jnp.linalg.norm(rows.best_residual, axis=1),
        norm=rows.best_norm,
        code=code.astype(jnp.int32),
        steps=jnp.maximum(rows.steps, 0),
        evaluations=evaluations,
    )


def residual_norm(residual: Points, scale: Float[Array, " d"] | None = None) -> Values:
    """Root mean square over the coordinates, each divided by its `scale`."""
    return jnp.sqrt(jnp.mean(jnp.square(residual if scale is None else residual / scale), axis=1))


def where_rows(mask: Mask, new: State, old: State) -> State:
    """Choose row by row in every array of two pytrees."""

    def choose(a: Array, b: Array) -> Array:
        return jnp.where(mask.reshape(mask.shape + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(choose, new, old)


def _finite_norm(residual: Points, scale: Float[Array, " d"] | None) -> Values:
    """The norm, with everything that is not a finite number read as infinitely far."""
    norm = residual_norm(residual, scale)
    return jnp.where(jnp.isfinite(norm), norm, jnp.inf)
