"""All rows together: every round moves the whole batch, until few enough of its rows are left.

A problem is a row-wise map `fn` with a root to find, `fn(x) = 0`. A fixed point `x = phi(x)` is the root of
`x - phi(x)`; the conjugate problem is the root of `grad u(x) - y`. A solver only says in which direction each point
should move and what it learns from the trial; everything that can go wrong is handled in a round, in one place.
"""

import jax
import jax.numpy as jnp

from brenier._types import Array, Float, Points, RowwiseMap, Scalar
from brenier.solvers._rows import Rows, advance, ended, unseen
from brenier.solvers._solver import AbstractSolver, Solution, State

__all__ = ["iterate"]


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

    Example:
        Square roots, all at once:

        >>> import jax.numpy as jnp
        >>> from brenier.solvers import Newton, iterate
        >>> squares = jnp.array([[4.0], [9.0], [16.0]])
        >>> roots, _ = iterate(Newton(), lambda x: x**2 - squares, jnp.ones((3, 1)), tolerance=1e-5, max_steps=50)
        >>> [round(float(root), 3) for root in roots.value[:, 0]], bool(roots.converged.all())
        ([2.0, 3.0, 4.0], True)
    """

    def unfinished(carry: tuple[Rows[State], Array]) -> Array:
        rows, rounds = carry
        missing = jnp.mean((rows.best_norm > tolerance) & rows.alive) > allowed_unconverged
        return (rounds <= max_steps) & ((rounds <= min_steps) | missing)

    def turn(carry: tuple[Rows[State], Array]) -> tuple[Rows[State], Array]:
        rows, rounds = carry
        # Rounds up to `min_steps` move every row; afterwards finished rows rest, so that their digits stay.
        active = (rows.best_norm > tolerance) | (rounds <= min_steps)
        return advance(solver, fn, rows, active, scale), rounds + 1

    start = unseen(x, solver.init(x) if state is None else state)
    rows, rounds = jax.lax.while_loop(unfinished, turn, (start, jnp.zeros((), jnp.int32)))
    return ended(rows, tolerance, rounds), rows.state
