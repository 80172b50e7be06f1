"""Conjugates where the inner problem may have several solutions: two starts, and the better of what they find."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._types import Points, Values
from brenier.anchors import best_anchors
from brenier.batches import map_batches
from brenier.conjugate import ConjugatePoints, Tolerance, conjugate_points
from brenier.potentials import AbstractPotential
from brenier.surplus import AbstractSurplus

__all__ = ["GlobalConjugates", "global_conjugates"]

_APART = 1e-3
"""Distance between two solutions, root mean square in standard deviations, from which on they are two."""

_LOWER = 1e-5
"""By how much, relative to its size, a value may lie below that of an anchor: rounding of single precision."""


class GlobalConjugates(NamedTuple):
    """As `ConjugatePoints`, with what the starts have found.

    Attributes:
        found: The best solutions. Those with a value below that of some anchor count as not converged.
        disagree: `(n,)` whether the two starts have led to different solutions; False where there is only one.
    """

    found: ConjugatePoints
    disagree: NDArray[np.bool_]


def global_conjugates(
    u: AbstractPotential,
    surplus: AbstractSurplus,
    y: NDArray[np.float32],
    *,
    anchors: NDArray[np.float32],
    scale: NDArray[np.floating],
    tolerance: Tolerance | None = None,
) -> GlobalConjugates:
    """Maximise `k(x, y) - u(x)` for each row of `y`.

    Where the problem is known to be concave, once. Otherwise from the point that the baseline sends there, and from the
    best of the anchors; the larger value wins.

    Args:
        u: Potential.
        surplus: The `k`.
        y: `(n, d)` target points in the coordinates of training.
        anchors: `(m, d)` points that cover the source.
        scale: Standard deviation of each coordinate.
        tolerance: When a row is done.
    """
    first = conjugate_points(u, y, scale=scale, tolerance=tolerance, surplus=surplus)
    if surplus.floor(u.convexity_floor()) is not None:
        return GlobalConjugates(first, np.zeros(len(y), np.bool_))
    all_anchors = jnp.asarray(anchors)
    places, largest = map_batches(lambda part: best_anchors(u, surplus, jnp.asarray(part), all_anchors), y)
    second = conjugate_points(u, y, x0=anchors[places], scale=scale, tolerance=tolerance, surplus=surplus)
    values = [map_batches(lambda b, a: _values(u, surplus, b, a), y, own.points) for own in (first, second)]
    # A converged point is preferred where values are equal but for rounding.
    slack = _LOWER * np.maximum(np.abs(values[0]), 1.0)
    later = np.where(second.converged & ~first.converged, values[1] >= values[0] - slack, values[1] > values[0] + slack)
    chosen = ConjugatePoints(
        *(np.where(later.reshape(-1, *[1] * (a.ndim - 1)), b, a) for a, b in zip(first, second, strict=True))
    )
    best = np.maximum(*values)
    chosen = chosen._replace(converged=chosen.converged & (best >= largest - slack), steps=first.steps + second.steps)
    apart = np.sqrt(np.mean(np.square((first.points - second.points) / scale), axis=1))
    return GlobalConjugates(chosen, first.converged & second.converged & (apart > _APART))


@eqx.filter_jit
def _values(u: AbstractPotential, surplus: AbstractSurplus, y: Points, x: Points) -> Values:
    return surplus(x, y) - u(x)
