"""Where the descents of the Hopf-Lax formula begin."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from brenier._errors import InputError
from brenier._types import Array, Float, Key, Points
from brenier.costs import AbstractDisplacementCost
from brenier.hamilton_jacobi.objective import Initial, Objective, value_and_gradient

__all__ = ["check_starts", "choose_starts"]

_SLOPE = 0.5
"""Norm of the slope whose velocity sets the least radius of random points: where g is flat, its own slope says none."""


def choose_starts(objective: Objective, key: Key, count: int) -> Float[Array, "n k d"]:
    r"""Choose the points from which the descents of each row start: `(n, count, d)`.

    A minimiser is one of the points :math:`y = x - t \nabla H(p)` where p is a slope of g: that is the reachable set.
    Starts are x itself, that point for the slope at x, and then in turn other points z and the points that the slopes
    at z lead to. The first z is as far from x as the second start, but on the other side, up the slope, since minima on
    the far side of a ridge are what a descent cannot find; the others are random around x, uniform in direction, and in
    radius up to twice that distance. Those of a row do not depend on other rows.

    Args:
        objective: What will be minimised.
        key: Randomness of the points.
        count: Number of starts for each row.

    Note: Cost: `count / 2` gradients of g.
    """
    x, t = objective.x, objective.t
    lagrangian, g = objective.lagrangian, objective.g
    first = _lead(g, lagrangian, x, t, x)
    even = jnp.full_like(x, _SLOPE / x.shape[1] ** 0.5)
    reach = jnp.maximum(_length(first - x), t * _length(lagrangian.conjugate_gradient(even)))
    reach = jnp.where(jnp.isfinite(reach), reach, t)
    starts = [x, first]
    while len(starts) < count:
        key, one, two = jax.random.split(key, 3)
        ray = jax.random.normal(one, (1, x.shape[1]), x.dtype)
        radius = 2.0 * jax.random.uniform(two, (), x.dtype) * reach
        z = x + radius[:, None] * ray / jnp.linalg.norm(ray) if len(starts) > 2 else 2.0 * x - first
        starts += [z, _lead(g, lagrangian, x, t, z)] if len(starts) + 1 < count else [z]
    return jnp.stack(starts[:count], axis=1)


def _lead(g: Initial, lagrangian: AbstractDisplacementCost, x: Points, t: Array, z: Points) -> Points:
    """The point that leads to `x` with the slope of g at `z`; `x` itself where no velocity has that slope."""
    y = x - t[:, None] * lagrangian.conjugate_gradient(value_and_gradient(g, z)[1])
    return jnp.where(jnp.isfinite(y).all(axis=1, keepdims=True), y, x)


def _length(rows: Points) -> Array:
    return jnp.linalg.norm(rows, axis=1)


def check_starts(starts: ArrayLike, rows: int, dim: int) -> NDArray[np.float64]:
    """Check starts that the user gave, `(k, d)` for all rows or `(n, k, d)`, and return `(n, k, d)`.

    Raises:
        InputError: They have another shape, or are not finite numbers.
    """
    try:
        given = np.asarray(starts, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"`starts` must be a positive number or an array of points; got {starts!r}.") from error
    if given.ndim == 2:
        given = np.broadcast_to(given, (rows, *given.shape))
    if given.ndim != 3 or given.shape[0] != rows or given.shape[1] == 0 or given.shape[2] != dim:
        raise InputError(
            f"`starts` must be of shape (k, {dim}), the same points for all rows, or ({rows}, k, {dim}), or a positive "
            f"number; got an array of shape {np.shape(starts)}."
        )
    if not np.isfinite(given).all():
        raise InputError("`starts` has entries that are not finite. Replace them.")
    return given
