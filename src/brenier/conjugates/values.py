"""Values, images and conjugates of a potential, compiled, and how far a conjugate may be from its value.

Rows are points in the new coordinates with the codes of their condition behind them. Under conditions, values are
differences to those at the origin: what a potential adds for a condition alone changes no map, and would be noise in
means over conditions.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._types import Array, Float, Mask, Points, Values
from brenier.geometry.surplus import AbstractSurplus, InnerProduct
from brenier.potentials import AbstractFamily, AbstractFunction

__all__ = ["certified_gaps", "conjugate_values", "dual_values", "images", "potential_values"]


@eqx.filter_jit
def images(family: AbstractFamily, surplus: AbstractSurplus, rows: Float[Array, "n e"]) -> tuple[Points, Mask]:
    """Images of the points, and where the potential is steeper than the cost of any displacement."""
    u, points = family.condition(jnp.asarray(rows))
    slope = u.gradient(points)
    return surplus.image(points, slope), surplus.too_steep(points, slope)


@eqx.filter_jit
def potential_values(family: AbstractFamily, rows: Float[Array, "n e"]) -> Values:
    """Values at the points, `(n,)`; under conditions, less those at the origin."""
    u, points = family.condition(jnp.asarray(rows))
    return u(points) - _at_origin(u, rows, points)


@eqx.filter_jit
def conjugate_values(
    family: AbstractFamily, surplus: AbstractSurplus, rows: Float[Array, "n e"], maximisers: Points
) -> tuple[Values, Values]:
    """Values of the conjugates at the points, and the residuals that bound by how much the conjugates exceed them.

    Args:
        family: A potential, or a family of them.
        surplus: What takes the place of the inner product.
        rows: Points of the target, with the codes of their conditions behind them.
        maximisers: Presumed maximisers for them.
    """
    u, points = family.condition(jnp.asarray(rows))
    values, residuals = surplus.dual_values(u, points, jnp.asarray(maximisers))
    return values + _at_origin(u, rows, points), residuals


def dual_values(u: AbstractFunction, y: Points, x: Points) -> tuple[Values, Values]:
    r"""Values :math:`\langle x, y\rangle - u(x)`, at most the conjugate's, and the residual norms that bound the rest.

    If `u` is `m`-strongly convex, the conjugate at y exceeds the value by at most `residual^2 / (2 m)`.
    """
    return InnerProduct(u.dim).dual_values(u, y, x)


def certified_gaps(
    u: AbstractFamily, residual: NDArray[np.floating], surplus: AbstractSurplus | None = None
) -> NDArray[np.float64]:
    """By how much at most each conjugate exceeds its value from `dual_values`; NaN if `u` is not known to be convex."""
    floor = u.convexity_floor() if surplus is None else surplus.floor(u.convexity_floor())
    return np.square(residual, dtype=np.float64) * (np.nan if floor is None else 0.5 / float(floor))


def _at_origin(u: AbstractFunction, rows: Float[Array, "n e"], points: Points) -> Values | float:
    """The value at the origin under the condition of each row; zero without conditions."""
    return u(jnp.zeros_like(points)) if rows.shape[1] > points.shape[1] else 0.0
