r"""The last resort for preimages: the minimum of a strongly convex function, which every descent finds.

A quasi-Newton solve looks for a root of `grad u(x) - y` and judges its steps by the residual. Where the Hessian jumps,
as in networks whose tails are nearly flat, no step from a point need make the residual smaller, and the solve stalls
there. The root is also the minimum of :math:`u(x) - \langle x, y\rangle`; a Newton step on that, shortened until the
value falls enough, always makes progress, and it ends nowhere but in the minimum.

References: Nocedal and Wright 2006, "Numerical Optimization", algorithm 3.2; Qi and Sun 1993, "A nonsmooth version of
Newton's method", for gradients whose derivative jumps.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._chunks import map_batches
from brenier._types import Array, Counts, Points, Values
from brenier.potentials import AbstractFamily

__all__ = ["find_minima"]

_ROWS = 256
"""Rows of a batch: few, as there are few stragglers, and each carries a Hessian."""

_DECREASE = 1e-4
"""Share of the decrease that the slope promises which a step must reach."""

_HALVINGS = 40

_STEPS = 200
"""Steps of a row at most."""

_NOISE = 8.0
"""Rounding errors of the value, relative to it, that a step may seem to lose."""


class Minima(NamedTuple):
    """Where descents ended.

    Attributes:
        points: `(n, d)` points.
        gradient: `(n, d)` residuals `grad u(points) - y`.
        steps: `(n,)` steps of each row.
    """

    points: Any
    gradient: Any
    steps: Any


class _State(NamedTuple):
    """Where every row is.

    Attributes:
        x: Points.
        value: Values of the function that is minimised.
        gradient: Its gradients.
        steps: Steps of each row.
        stuck: Rows along whose direction no step was acceptable.
    """

    x: Points
    value: Values
    gradient: Points
    steps: Counts
    stuck: Array


def find_minima(
    u: AbstractFamily,
    rows: NDArray[np.float64],
    x0: NDArray[np.float64],
    scale: NDArray[np.float64],
    bound: NDArray[np.float64],
) -> Minima:
    """Minimise `u(x) - <x, y>` for every row, by Newton's method with a line search on the value.

    Args:
        u: Strongly convex potential, or a family of them, in double precision.
        rows: `(n, d + k)` targets in the coordinates of `u`, with the codes of their conditions behind them.
        x0: `(n, d)` first points.
        scale: `(d,)` unit of each coordinate of the residual.
        bound: `(n,)` residual, root mean square in these units, at which a row is done.

    Returns:
        The best points found, with their residuals.
    """
    unit = jnp.asarray(scale)
    return map_batches(
        lambda part, start, limit: _minimise(u, part, start, unit, limit),
        rows,
        x0,
        bound,
        batch=_ROWS,
        least=_ROWS,
    )


@eqx.filter_jit
def _minimise(u: AbstractFamily, rows: Array, x0: Points, scale: Array, bound: Values) -> Minima:
    y, function = rows[:, : u.dim], u.under(u.changes(rows[:, u.dim :]))

    def evaluate(x: Points) -> tuple[Values, Points]:
        value, gradient = function.value_and_gradient(x)
        return value - jnp.sum(x * y, axis=1), gradient - y

    def left(state: _State) -> Array:
        norm = jnp.sqrt(jnp.mean(jnp.square(state.gradient / scale), axis=1))
        return ~(norm <= bound) & ~state.stuck

    def step(state: _State) -> _State:
        active = left(state)
        direction = -jnp.linalg.solve(function.hessian(state.x), state.gradient[..., None])[..., 0]
        slope = jnp.sum(direction * state.gradient, axis=1)
        found, (x, value, gradient) = _shorten(evaluate, state, direction, slope, active)
        take = (active & found)[:, None]
        return _State(
            jnp.where(take, x, state.x),
            jnp.where(take[:, 0], value, state.value),
            jnp.where(take, gradient, state.gradient),
            state.steps + active,
            state.stuck | (active & ~found),
        )

    start = _State(x0, *evaluate(x0), jnp.zeros(len(x0), jnp.int32), jnp.zeros(len(x0), bool))
    end = jax.lax.while_loop(lambda s: jnp.any(left(s)) & (jnp.max(s.steps) < _STEPS), step, start)
    return Minima(end.x, end.gradient, end.steps)


def _shorten(
    evaluate: Callable[[Points], tuple[Values, Points]], state: _State, direction: Points, slope: Values, active: Array
) -> tuple[Array, tuple[Points, Values, Points]]:
    """Halve steps until values fall enough; returns which rows have such a step, and where all end."""
    before = jnp.sum(jnp.square(state.gradient), axis=1)
    noise = _NOISE * jnp.finfo(state.x.dtype).eps * jnp.abs(state.value)

    def ends(moved: tuple[Points, Values, Points], length: Values) -> Array:
        _, value, gradient = moved
        falls = value <= state.value + _DECREASE * length * slope
        # Next to the minimum rounding hides the decrease, and a smaller gradient is the better judge.
        smaller = jnp.sum(jnp.square(gradient), axis=1) < before
        return falls | ((value <= state.value + noise) & smaller)

    def go(length: Values) -> tuple[Points, Values, Points]:
        x = state.x + length[:, None] * direction
        return x, *evaluate(x)

    def halve(carry: Any) -> Any:  # noqa: ANN401
        length, found, _, count = carry
        length = jnp.where(found, length, 0.5 * length)
        moved = go(length)
        return length, found | ends(moved, length), moved, count + 1

    length = jnp.ones_like(slope)
    moved = go(length)
    found = ends(moved, length) | ~active
    _, found, moved, _ = jax.lax.while_loop(
        lambda carry: ~jnp.all(carry[1]) & (carry[3] < _HALVINGS), halve, (length, found, moved, 0)
    )
    return found, moved
