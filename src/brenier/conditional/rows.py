"""Compiled evaluations of a family: every row is a point with its own condition behind it.

Values are differences to those at the origin: what the potentials add to them for a condition changes no map, and would
be noise in means over conditions.
"""

import equinox as eqx
import jax.numpy as jnp

from brenier._types import Array, Float, Points, Values
from brenier.conjugate import dual_values
from brenier.potentials import AbstractFamily

__all__ = ["conjugates", "gradients", "values"]


@eqx.filter_jit
def values(family: AbstractFamily, rows: Float[Array, "n e"]) -> Values:
    """Values at the points."""
    u, points = family.condition(jnp.asarray(rows))
    return u(points) - u(jnp.zeros_like(points))


@eqx.filter_jit
def conjugates(family: AbstractFamily, rows: Float[Array, "n e"], found: Points) -> Values:
    """Values of the conjugates at the points, with `found` as their presumed maximisers."""
    u, points = family.condition(jnp.asarray(rows))
    return dual_values(u, points, jnp.asarray(found))[0] + u(jnp.zeros_like(points))


@eqx.filter_jit
def gradients(family: AbstractFamily, rows: Float[Array, "n e"]) -> Points:
    """Images of the points."""
    u, points = family.condition(jnp.asarray(rows))
    return u.gradient(points)
