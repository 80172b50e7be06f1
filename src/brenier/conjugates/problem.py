r"""Convex conjugates as root problems, :math:`\nabla u(x) = y`, handed to any inner solver.

`conjugate` is the pure batched solve; `conjugate_points` solves for any number of points at inference, in fixed memory,
to full tolerance, and with a second solver for the stragglers.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._chunks import map_batches
from brenier._types import Array, Float, Points, Scalar, Values
from brenier.conjugates.minimum import find_minima
from brenier.geometry.surplus import AbstractSurplus, InnerProduct
from brenier.potentials import AbstractFamily, AbstractFunction, double
from brenier.solvers import BFGS, LBFGS, AbstractSolver, Newton, Solution, Spectral, Status, iterate, iterate_queue

__all__ = [
    "BFGS_DIMENSIONS",
    "NEWTON_DIMENSIONS",
    "ConjugatePoints",
    "Tolerance",
    "conjugate",
    "conjugate_points",
    "gradients",
    "solve_batch",
    "solve_stragglers",
]

BFGS_DIMENSIONS = 16
"""Most dimensions for which every point of a batch can carry a full inverse Jacobian."""

NEWTON_DIMENSIONS = 64
"""Most dimensions for which stragglers get a full Jacobian; beyond, limited-memory BFGS."""

_STRAGGLERS = 256
"""Rows of a batch of stragglers: few, since each may carry a Jacobian."""

_LEFT_OVER = 1 / 64
"""Share of a large input that is left to the second solver, so that no batch waits for its last rows."""

_SLOTS = 1024
"""Rows that are solved at the same time: so few that what the solver keeps of them stays in the processor's cache."""

_LARGE = 4096
"""Rows from which on an input is large: for fewer, the second solver's compilation costs more than the wait."""

_TRIED = 20
"""Rounds in single precision that stragglers of a strongly convex potential get: what needs more has stalled."""


class Tolerance(NamedTuple):
    """When a point counts as solved: its residual norm is at most `atol + rtol * |y|`, by default `3e-6 (1 + |y|)`.

    Both norms are root mean squares over the coordinates, in units of each coordinate's standard deviation. The inverse
    of a `TransportMap` is solved in single precision and judged in double: there a row may have twice as much, and
    where it has more it is solved in double precision.
    """

    rtol: float = 3e-6
    atol: float = 3e-6


def conjugate(
    u: AbstractFunction,
    y: Points,
    solver: AbstractSolver | None = None,
    *,
    x0: Points | None = None,
    tolerance: Values | float = 1e-5,
    max_steps: int | Array = 200,
    scale: Float[Array, " d"] | None = None,
    allowed_unconverged: float | Scalar = 0.0,
) -> Solution:
    r"""Maximise :math:`\langle x, y\rangle - u(x)` over x, for each row of `y`.

    Args:
        u: Potential; the maximiser is unique when `u` is strictly convex.
        y: Target points, in the coordinates of `u`.
        solver: Rule for the steps; `Spectral()` by default.
        x0: First guess. Defaults to `y`, which is exact when `u` is half the squared norm.
        tolerance: Residual norm at which a row is done.
        max_steps: Budget of rounds.
        scale: Units of the coordinates for the residual norm.
        allowed_unconverged: Share of the rows that may be left short of the tolerance, with a status that says so.

    Returns:
        `value` holds the maximisers, which equal the gradient of the conjugate at `y`; `residual` the Euclidean norms
        of `grad u(value) - y`.

    Note:
        Cost: one gradient of `u` a round, for the whole batch.

    References:
        Park et al. 2026 (arXiv 2605.10792), section 3: the proximal fixed point.

    Example:
        >>> import jax.numpy as jnp
        >>> from brenier.conjugates import conjugate
        >>> from brenier.potentials import Quadratic
        >>> solution = conjugate(Quadratic(jnp.diag(jnp.array([2.0, 0.5]))), jnp.array([[2.0, 1.0]]))
        >>> [round(float(v), 4) for v in solution.value[0]]
        [1.0, 2.0]
    """
    solver = Spectral() if solver is None else solver
    solution, _ = iterate(
        solver,
        lambda x: u.gradient(x) - y,
        y if x0 is None else x0,
        tolerance=tolerance,
        max_steps=max_steps,
        allowed_unconverged=allowed_unconverged,
        scale=scale,
    )
    return solution


class ConjugatePoints(NamedTuple):
    """Roots of `grad u(x) = y` for any number of rows, in NumPy; within one compiled batch, in JAX.

    Attributes:
        points: `(n, d)` best points found.
        residual: `(n,)` Euclidean norms of `grad u(points) - y`.
        code: `(n,)` how each row ended, as a position in `brenier.solvers.Status`.
        steps: `(n,)` rounds each row was active for, over both solvers.
    """

    points: Any
    residual: Any
    code: Any
    steps: Any

    @property
    def converged(self) -> Any:  # noqa: ANN401
        """`(n,)` whether each row met its tolerance."""
        return self.code == Status.converged.code


def conjugate_points(
    u: AbstractFamily,
    y: NDArray[np.float32],
    *,
    x0: NDArray[np.float32] | None = None,
    scale: NDArray[np.floating] | None = None,
    tolerance: Tolerance | None = None,
    max_steps: int = 100,
    solver: AbstractSolver | None = None,
    surplus: AbstractSurplus | None = None,
) -> ConjugatePoints:
    """Solve `grad u(x) = y` for every row, whatever it takes within the budget.

    Rows go through a quasi-Newton solve (BFGS up to 16 dimensions, limited-memory BFGS beyond) in batches of one size,
    so that memory is bounded and one compilation serves all; of 4,096 rows and more, a batch leaves its last 64th.
    Rows left over go to Newton's method up to 64 dimensions, to limited-memory BFGS beyond: with four times the budget,
    or, for a strongly convex potential, for 20 rounds, and what is left after these to a descent in double precision.

    Args:
        u: Potential, or a family of them.
        y: `(n, d)` target points in the coordinates of `u`; for a family, `(n, d + k)` with the codes of their
            conditions behind them.
        x0: `(n, d)` first guesses; `surplus.x0(y)` by default, which is `y` for the inner product.
        scale: Standard deviation of each coordinate, the unit of residuals for the tolerance; ones by default.
        tolerance: When a row is done.
        max_steps: Budget of rounds of the first solver.
        solver: The first solver; the quasi-Newton one for the dimension by default.
        surplus: What takes the place of the inner product; with another, the equation is that the image of x is y.

    Returns:
        Points and status for each row; rows that failed are marked, never dropped.
    """
    tolerance = Tolerance() if tolerance is None else tolerance
    surplus = InnerProduct(u.dim) if surplus is None else surplus
    units = jnp.asarray(np.ones(u.dim) if scale is None else scale, jnp.float32)
    if solver is None:
        solver = BFGS() if u.dim <= BFGS_DIMENSIONS else LBFGS()
    allowed = _LEFT_OVER if len(y) >= _LARGE else 0.0
    x0 = np.asarray(surplus.x0(jnp.asarray(y[:, : u.dim]))) if x0 is None else x0
    first: ConjugatePoints = map_batches(
        lambda part, start: solve_batch(solver, u, part, start, units, tolerance, max_steps, allowed, surplus), y, x0
    )
    left = np.flatnonzero(~first.converged)
    if not len(left):
        return first
    convex = isinstance(surplus, InnerProduct) and u.convexity_floor() is not None
    rounds = _TRIED if convex else 4 * max_steps
    second = solve_stragglers(u, y[left], first.points[left], units, tolerance, rounds, surplus)
    second = second._replace(steps=first.steps[left] + second.steps)
    solved = jax.tree.map(lambda old, new: _replace_rows(old, left, new), first, second)
    return _finish(u, y, solved, np.asarray(units, np.float64), tolerance) if convex else solved


def _finish(
    u: AbstractFamily,
    y: NDArray[np.floating],
    solved: ConjugatePoints,
    scale: NDArray[np.float64],
    tolerance: Tolerance,
) -> ConjugatePoints:
    """Solve what is left in double precision: a strongly convex problem has one solution, and descent finds it."""
    left = np.flatnonzero(~solved.converged)
    if not len(left):
        return solved
    rows, points = y[left].astype(np.float64), solved.points[left].astype(np.float64)
    target = rows[:, : u.dim]
    points = np.where(np.isfinite(points), points, target)
    bound = tolerance.atol + tolerance.rtol * np.sqrt(np.mean(np.square(target / scale), axis=1))
    with jax.enable_x64(True):
        found = find_minima(double(u), rows, points, scale, bound)
    residual = found.gradient
    single = found.points.astype(solved.points.dtype)
    # Where single precision overflows, the forward map has no image, and the point is no preimage of anything.
    image = map_batches(lambda part: gradients(u, part), np.column_stack([single, y[left][:, u.dim :]]))
    met = (np.sqrt(np.mean(np.square(residual / scale), axis=1)) <= bound) & np.isfinite(image).all(axis=1)
    last = ConjugatePoints(
        single,
        np.linalg.norm(residual, axis=1).astype(solved.residual.dtype),
        np.where(met, Status.converged.code, solved.code[left]).astype(solved.code.dtype),
        solved.steps[left] + found.steps,
    )
    return jax.tree.map(lambda old, new: _replace_rows(old, left, new), solved, last)


def solve_stragglers(
    u: AbstractFamily,
    y: NDArray[np.floating],
    x0: NDArray[np.floating],
    scale: Array,
    tolerance: Tolerance,
    max_steps: int,
    surplus: AbstractSurplus | None = None,
) -> ConjugatePoints:
    """Solve the few rows that a first solver left, by Newton's method, or by limited-memory BFGS beyond 64 columns."""
    solver = Newton() if u.dim <= NEWTON_DIMENSIONS else LBFGS()
    return map_batches(
        lambda part, start: solve_batch(solver, u, part, start, scale, tolerance, max_steps, surplus=surplus),
        y,
        x0,
        batch=_STRAGGLERS,
        least=_STRAGGLERS,
    )


@eqx.filter_jit
def gradients(family: AbstractFamily, rows: Float[Array, "n e"]) -> Points:
    """Gradients at points with the codes of their conditions behind them, compiled."""
    u, points = family.condition(jnp.asarray(rows))
    return u.gradient(points)


def _replace_rows(old: NDArray[Any], rows: NDArray[np.intp], new: NDArray[Any]) -> NDArray[Any]:
    merged = old.copy()
    merged[rows] = new
    return merged


def solve_batch(
    solver: AbstractSolver,
    u: AbstractFamily,
    y: Array | NDArray[np.floating],
    x0: Array | NDArray[np.floating],
    scale: Array,
    tolerance: Tolerance,
    max_steps: int,
    allowed_unconverged: float = 0.0,
    surplus: AbstractSurplus | None = None,
) -> ConjugatePoints:
    """Solve `grad u(x) = y` for one batch of rows.

    Compiled once for each shape: tolerances and budgets do not change the program, so that held-out points during
    training and a later inverse share one.
    """
    steps = jnp.asarray(max_steps, jnp.int32)
    limits = (jnp.asarray(limit, x0.dtype) for limit in (tolerance.rtol, tolerance.atol, allowed_unconverged))
    surplus = InnerProduct(u.dim) if surplus is None else surplus
    return _solve(solver, u, jnp.asarray(y), jnp.asarray(x0), scale, steps, *limits, surplus=surplus)


@eqx.filter_jit
def _solve(
    solver: AbstractSolver,
    u: AbstractFamily,
    rows: Array,
    x0: Array,
    scale: Array,
    max_steps: Scalar,
    rtol: Scalar,
    atol: Scalar,
    allowed_unconverged: Scalar,
    surplus: AbstractSurplus,
) -> ConjugatePoints:
    y = rows[:, : u.dim]
    bound = atol + rtol * jnp.sqrt(jnp.mean(jnp.square(y / scale), axis=1))
    solution = iterate_queue(
        solver,
        lambda x, data: surplus.residual(x, u.under(data[0]).gradient(x), data[1]),
        (u.changes(rows[:, u.dim :]), y),
        x0,
        tolerance=bound,
        max_steps=max_steps,
        slots=min(_SLOTS, len(y)),
        allowed_unconverged=allowed_unconverged,
        scale=scale,
    )
    return ConjugatePoints(solution.value, solution.residual, solution.code, solution.steps)
