"""The only loop: budget, safeguard, per-point masks and status, for every solver.

A problem is a row-wise map `fn` with a root to find, `fn(x) = 0`. A fixed point `x = phi(x)` is the root of
`x - phi(x)`; the conjugate problem is the root of `grad u(x) - y`. A solver only says in which direction each point
should move and what it learns from the trial; everything that can go wrong is handled here, once.
"""

import abc
import enum
from typing import Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._types import Array, Counts, Float, Int, Mask, Points, RowwiseMap, Scalar, Values

__all__ = ["AbstractSolver", "Solution", "Status", "iterate", "residual_norm"]

State = TypeVar("State")


class Status(enum.Enum):
    """How a point's solve ended. The value is the sentence shown to the user."""

    converged = "The point met its tolerance."
    max_steps_reached = (
        "The step budget ran out before the tolerance was met. Raise `max_steps`, loosen `rtol` or `atol`, "
        "or check whether the point lies far outside the data of the fit."
    )
    nonfinite = "The map is NaN or infinite at the first guess. Check the point, and the map's parameters."


STATUS_CODES = {status: code for code, status in enumerate(Status)}


class Solution(eqx.Module):
    """Roots of a row-wise map, with what is known about each point.

    Attributes:
        value: Best point seen, per row.
        residual: Euclidean norm of `fn(value)`, per row, in the units of the values of `fn`.
        norm: The norm that was compared with the tolerance, per row; see `residual_norm`.
        code: Position of each row's `Status` in the enumeration.
        steps: Steps that each row was active for.
        evaluations: Calls of `fn` that the whole batch cost (Newton's Jacobians not counted).
    """

    value: Points
    residual: Values
    norm: Values
    code: Counts
    steps: Counts
    evaluations: Int[Array, ""]

    @property
    def converged(self) -> Mask:
        """Rows that met their tolerance."""
        return self.code == STATUS_CODES[Status.converged]

    @property
    def unconverged_fraction(self) -> Scalar:
        """Share of the rows that did not meet their tolerance."""
        return jnp.mean(~self.converged)

    def statuses(self) -> list[Status]:
        """The status of each row, as enumeration members."""
        members = list(Status)
        return [members[int(code)] for code in self.code]


class AbstractSolver(eqx.Module, Generic[State]):
    """A rule that proposes, for each row, where to look next.

    `growth` is the safeguard: a trial is accepted where its residual is at most `growth` times the present one.
    Rejected rows stay where they are and try a quarter of the step next.
    """

    growth: eqx.AbstractVar[float]

    @abc.abstractmethod
    def init(self, x: Points) -> State:
        """Memory before the first step. Every array in it has one leading entry a row."""

    @abc.abstractmethod
    def direction(self, fn: RowwiseMap, x: Points, residual: Points, state: State) -> Points:
        """The full step proposed from `x`, where `residual = fn(x)`."""

    @abc.abstractmethod
    def update(self, state: State, step: Points, change: Points) -> State:
        """Memory after a trial that moved `x` by `step` and `fn(x)` by `change` (finite; accepted or not)."""


class _Carry(NamedTuple, Generic[State]):
    x: Points
    residual: Points
    norm: Values
    best: Points
    best_residual: Points
    best_norm: Values
    damping: Values
    steps: Counts
    rounds: Int[Array, ""]
    state: State


def residual_norm(residual: Points, scale: Float[Array, " d"] | None = None) -> Values:
    """Root mean square over the coordinates, each divided by its `scale`."""
    return jnp.sqrt(jnp.mean(jnp.square(residual if scale is None else residual / scale), axis=1))


def iterate(
    solver: AbstractSolver[State],
    fn: RowwiseMap,
    x: Points,
    *,
    tolerance: Float[Array, " n"] | float,
    max_steps: int | Array,
    min_steps: int = 0,
    allowed_unconverged: float | Scalar = 0.0,
    scale: Float[Array, " d"] | None = None,
    state: State | None = None,
) -> tuple[Solution, State]:
    """Drive `fn` to zero from `x`, row by row.

    Args:
        solver: The rule that proposes steps.
        fn: Row-wise map whose root is sought, in its own units.
        x: First guess, a row for each problem.
        tolerance: Residual norm (see `residual_norm`) at which a row is done; one number or one a row.
        max_steps: Steps at most; each costs one evaluation of `fn` on the whole batch, the guess one more.
        min_steps: Steps at least, whatever the residuals: the cheap rounds of training.
        allowed_unconverged: Share of rows that may miss the tolerance when the loop ends before its budget.
        scale: Units of the coordinates of `fn` for the norm; ones by default.
        state: Memory of an earlier call on the same rows; a fresh one by default.

    Returns:
        The solution at the best point seen for each row, and the solver's memory for a later call.
    """
    # The first round evaluates the guess itself, inside the loop: `fn` is then compiled once, not twice.
    far = jnp.full(x.shape[:1], jnp.inf, x.dtype)
    none = jnp.zeros_like(x)
    start = _Carry(
        x=x,
        residual=none,
        norm=far,
        best=x,
        best_residual=none + jnp.nan,
        best_norm=far,
        damping=jnp.ones_like(far),
        steps=jnp.zeros(far.shape, jnp.int32),
        rounds=jnp.zeros((), jnp.int32),
        state=solver.init(x) if state is None else state,
    )

    def unfinished(carry: _Carry[State]) -> Array:
        # Rows that are not finite at their guess can never move, so nothing waits for them.
        alive = jnp.isfinite(carry.norm) | (carry.rounds == 0)
        missing = jnp.mean((carry.best_norm > tolerance) & alive) > allowed_unconverged
        return (carry.rounds <= max_steps) & ((carry.rounds <= min_steps) | missing)

    def advance(carry: _Carry[State]) -> _Carry[State]:
        first = carry.rounds == 0
        # Rounds up to `min_steps` move every row; afterwards finished rows rest, so that their digits stay.
        active = ((carry.best_norm > tolerance) | (carry.rounds <= min_steps)) & (jnp.isfinite(carry.norm) | first)
        direction = solver.direction(fn, carry.x, carry.residual, carry.state)
        moving = active & ~first
        step = jnp.where(moving[:, None], carry.damping[:, None] * direction, 0.0)
        trial = carry.x + step
        trial_residual = fn(trial)
        trial_norm = _finite_norm(trial_residual, scale)
        accepted = active & (trial_norm <= solver.growth * carry.norm) & jnp.isfinite(trial_norm)
        learned = moving & jnp.isfinite(trial_norm)
        state = _where(
            learned,
            solver.update(
                carry.state,
                jnp.where(learned[:, None], step, 0.0),
                jnp.where(learned[:, None], trial_residual - carry.residual, 0.0),
            ),
            carry.state,
        )
        better = accepted & (trial_norm < carry.best_norm)
        return _Carry(
            x=_where(accepted, trial, carry.x),
            residual=_where(accepted, trial_residual, carry.residual),
            norm=jnp.where(accepted, trial_norm, carry.norm),
            best=_where(better, trial, carry.best),
            best_residual=_where(better, trial_residual, carry.best_residual),
            best_norm=jnp.where(better, trial_norm, carry.best_norm),
            damping=jnp.where(accepted, jnp.minimum(1.0, 2.0 * carry.damping), 0.25 * carry.damping),
            steps=carry.steps + moving,
            rounds=carry.rounds + 1,
            state=state,
        )

    end = jax.lax.while_loop(unfinished, advance, start)
    met, finite = end.best_norm <= tolerance, jnp.isfinite(end.best_norm)
    code = jnp.where(met, STATUS_CODES[Status.converged], STATUS_CODES[Status.max_steps_reached])
    code = jnp.where(finite, code, STATUS_CODES[Status.nonfinite])
    solution = Solution(
        value=end.best,
        residual=jnp.linalg.norm(end.best_residual, axis=1),
        norm=end.best_norm,
        code=code.astype(jnp.int32),
        steps=end.steps,
        evaluations=end.rounds,
    )
    return solution, end.state


def _finite_norm(residual: Points, scale: Float[Array, " d"] | None) -> Values:
    """The norm, with everything that is not a finite number read as infinitely far."""
    norm = residual_norm(residual, scale)
    return jnp.where(jnp.isfinite(norm), norm, jnp.inf)


def _where(mask: Mask, new: State, old: State) -> State:
    """Choose row by row in every array of two pytrees."""

    def choose(a: Array, b: Array) -> Array:
        return jnp.where(mask.reshape(mask.shape + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(choose, new, old)
