"""The inner problem of the Hopf-Lax formula, row by row: values, gradients, and its smooth part."""

from collections.abc import Callable
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._types import Array, Float, Points, Values
from brenier.costs import AbstractDisplacementCost

__all__ = ["Initial", "Objective", "value_and_gradient"]

Initial: TypeAlias = Callable[[Points], Values]
"""Initial data: `(n, d)` rows to `(n,)` values, in JAX; potentials are of this kind."""


def value_and_gradient(g: Initial, y: Points) -> tuple[Values, Points]:
    """Value and gradient of initial data at each row, in the precision of `y`."""
    values, pullback = jax.vjp(g, y)
    (gradient,) = pullback(jnp.ones_like(values))
    return values.astype(y.dtype), gradient.astype(y.dtype)


class Objective(eqx.Module):
    r"""For each row, :math:`F(y) = g(y) + t L((x - y) / t)`, to be minimised over y.

    Attributes:
        g: Initial data.
        lagrangian: L.
        x: `(n, d)` where the solution is wanted.
        t: `(n,)` when, positive.
    """

    g: Initial
    lagrangian: AbstractDisplacementCost
    x: Points
    t: Values

    def velocity(self, y: Points) -> Points:
        """The constant velocity of the straight line from `y` to `x`."""
        return (self.x - y) / self.t[:, None]

    def __call__(self, y: Points) -> tuple[Values, Points, Points]:
        """Values of F, its gradients, and the gradients of g, from one evaluation of g."""
        values, slopes = value_and_gradient(self.g, y)
        w = self.velocity(y)
        return values + self.t * self.lagrangian.value(w), slopes - self.lagrangian.gradient(w), slopes

    def excess(self, y: Points, slope: Points) -> Values:
        r"""Fenchel's excess :math:`t (L(w) + H(p) - \langle p, w\rangle) \ge 0`, zero where p is a slope of L at w."""
        w = self.velocity(y)
        return self.t * (self.lagrangian.value(w) + self.lagrangian.conjugate(slope) - jnp.sum(slope * w, axis=1))

    def slope(self, y: Points, initial: Points) -> Points:
        """Slope of the solution where `y` is a minimiser and `initial` the slope of g that was found there.

        Of L it is exact, whatever is left of the residual; but where L has kinks, g is the one to ask.
        """
        return self.lagrangian.gradient(self.velocity(y)) if self.lagrangian.smooth else initial

    def action(self, y: Points) -> tuple[Values, Points]:
        """The part of F that a quadratic model follows well, and its gradient in y.

        That is all of the action if L is smooth; otherwise only what strong convexity guarantees, and the rest counts
        as not smooth, with g.
        """
        w = self.velocity(y)
        if self.lagrangian.smooth:
            return self.t * self.lagrangian.value(w), -self.lagrangian.gradient(w)
        m = self.lagrangian.strong_convexity()
        return 0.5 * m * self.t * jnp.sum(jnp.square(w), axis=1), -m * w

    def curvature(self, y: Points) -> Float[Array, "n d d"]:
        """Hessians of `action`, by forward over what is already a gradient."""
        dim = y.shape[1]

        def column(direction: Array) -> Points:
            return jax.jvp(lambda z: self.action(z)[1], (y,), (jnp.broadcast_to(direction, y.shape),))[1]

        return jax.vmap(column, out_axes=2)(jnp.eye(dim, dtype=y.dtype))
