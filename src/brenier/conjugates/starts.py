"""Conjugates where the inner problem may have several solutions: two starts, and the better of what they find."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._chunks import map_batches
from brenier._products import product
from brenier._types import Array, Counts, Points, Values
from brenier.conjugates.problem import ConjugatePoints, Tolerance, conjugate_points
from brenier.geometry.surplus import AbstractSurplus
from brenier.potentials import AbstractFamily, AbstractFunction
from brenier.solvers import Status

__all__ = ["GlobalConjugates", "best_starts", "better_starts", "global_conjugates"]

_APART = 1e-3
"""Distance between two solutions, root mean square in standard deviations, from which on they are two."""

_LOWER = 1e-5
"""By how much, relative to its size, a value may lie below that of a start: rounding of single precision."""

_BLOCK = 1 << 14
"""Pairs at a time: few enough for the processor's cache."""


class GlobalConjugates(NamedTuple):
    """The best solutions from several starts, and whether the starts agree.

    Attributes:
        best: The best solutions. Those with a value below that of some start count as not converged.
        disagree: `(n,)` whether two starts have led to different solutions; None where one start is enough.
    """

    best: ConjugatePoints
    disagree: NDArray[np.bool_] | None


def global_conjugates(
    u: AbstractFamily,
    surplus: AbstractSurplus,
    y: NDArray[np.float32],
    *,
    starts: NDArray[np.float32],
    scale: NDArray[np.floating],
    tolerance: Tolerance | None = None,
) -> GlobalConjugates:
    """Maximise `k(x, y) - u(x)` for each row of `y`.

    It is solved once where it is known to be concave, or there are no starts; otherwise from the point that the
    baseline sends to `y`, and from the best of the starts, and the larger value wins.

    Args:
        u: Potential, or a family of them; several starts are for potentials only.
        surplus: The function `k`.
        y: Rows of the target in the coordinates of training.
        starts: `(m, d)` points that cover the source.
        scale: Standard deviation of each coordinate.
        tolerance: When a row is done; by default `Tolerance()`.
    """
    first = conjugate_points(u, y, scale=scale, tolerance=tolerance, surplus=surplus)
    if not len(starts):
        return GlobalConjugates(first, None)
    if surplus.floor(u.convexity_floor()) is not None:
        return GlobalConjugates(first, np.zeros(len(y), np.bool_))
    assert isinstance(u, AbstractFunction)
    function, every_start = u, jnp.asarray(starts)
    places, largest = map_batches(lambda part: best_starts(function, surplus, jnp.asarray(part), every_start), y)
    second = conjugate_points(u, y, x0=starts[places], scale=scale, tolerance=tolerance, surplus=surplus)
    values = [map_batches(lambda b, a: _values(function, surplus, b, a), y, part.points) for part in (first, second)]
    # A converged point is preferred where values are equal but for rounding.
    slack = _LOWER * np.maximum(np.abs(values[0]), 1.0)
    later = np.where(second.converged & ~first.converged, values[1] >= values[0] - slack, values[1] > values[0] + slack)
    chosen = ConjugatePoints(
        *(np.where(later.reshape(-1, *[1] * (a.ndim - 1)), b, a) for a, b in zip(first, second, strict=True))
    )
    lost = chosen.converged & ~(np.maximum(*values) >= largest - slack)
    code = np.where(lost, Status.not_the_best.code, chosen.code).astype(np.int32)
    apart = np.sqrt(np.mean(np.square((first.points - second.points) / scale), axis=1))
    return GlobalConjugates(
        chosen._replace(code=code, steps=first.steps + second.steps),
        first.converged & second.converged & (apart > _APART),
    )


@eqx.filter_jit
def best_starts(u: AbstractFunction, surplus: AbstractSurplus, y: Points, starts: Points) -> tuple[Counts, Values]:
    """For each row of `y`, which start `x` makes `k(x, y) - u(x)` largest, and that value, a bound of the conjugate.

    Note: Cost: the surplus of every pair, and the potential of every start.
    """
    values, count = u(starts), len(starts)

    def best(rows: Points) -> tuple[Array, Array]:
        pairs = surplus(jnp.tile(starts, (len(rows), 1)), jnp.repeat(rows, count, axis=0))
        bounds = pairs.reshape(len(rows), count) - values
        places = jnp.argmax(bounds, axis=1)
        return places.astype(jnp.int32), jnp.take_along_axis(bounds, places[:, None], axis=1)[:, 0]

    block = max(_BLOCK // count, 1)
    missing = -len(y) % block
    blocks = jnp.concatenate([y, jnp.repeat(y[-1:], missing, axis=0)]).reshape(-1, block, y.shape[1])
    places, largest = jax.lax.map(best, blocks)
    return places.reshape(-1)[: len(y)], largest.reshape(-1)[: len(y)]


@eqx.filter_jit
def better_starts(u: AbstractFunction, y: Points, starts: Points, x0: Points) -> Points:
    """First guesses of conjugates under the inner product: the start that has the largest value for each row of `y`.

    What the value of a guess lacks is about what its residual costs in the metric of the inverse Hessian, so the best
    start is the nearest one by what remains to be gained, in atoms and in tails alike.

    Args:
        u: Convex potential.
        y: `(n, d)` targets.
        starts: `(m, d)` points that cover the source.
        x0: `(n, d)` first guesses that stand where no start is better.

    Note: Cost: the potential at all starts and guesses, and `n m d` products.
    """
    bounds = product(y, starts.T) - u(starts)
    best = starts[jnp.argmax(bounds, axis=1)]
    better = jnp.max(bounds, axis=1) > jnp.sum(x0 * y, axis=1) - u(x0)
    return jnp.where(better[:, None], best, x0)


@eqx.filter_jit
def _values(u: AbstractFunction, surplus: AbstractSurplus, y: Points, x: Points) -> Values:
    return surplus(x, y) - u(x)
