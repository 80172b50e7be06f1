"""Spectral (Barzilai-Borwein) steps, one step length a point."""

import equinox as eqx
import jax.numpy as jnp

from brenier._types import Points, RowwiseMap, Values
from brenier.solvers._solver import AbstractSolver

__all__ = ["Spectral"]


class Spectral(AbstractSolver[Values]):
    r"""Move by minus the residual, times a step length that fits the last trial as a scalar secant.

    With `s` the last step and `r` the change of the residual, the length is `<s, r> / <r, r>`: the inverse of a
    curvature between the smallest and largest that `s` met. One number a point is all the memory, which is why
    training keeps it for every target point.

    References: Barzilai and Borwein 1988, equation 5; Raydan 1997 for the non-monotone safeguard.

    Example:
        >>> import jax.numpy as jnp
        >>> from brenier.solvers import Spectral, iterate
        >>> slopes = jnp.array([1.0, 3.0])
        >>> roots, _ = iterate(Spectral(), lambda x: slopes * x - 6.0, jnp.zeros((1, 2)), tolerance=1e-4, max_steps=99)
        >>> roots.value.round(2).tolist(), bool(roots.converged.all())
        ([[6.0, 2.0]], True)
    """

    first: float = 1.0
    shortest: float = 1e-4
    longest: float = 1e4
    growth: float = eqx.field(default=2.0, static=True)

    def init(self, x: Points) -> Values:
        return jnp.full(x.shape[:1], self.first, x.dtype)

    def direction(self, fn: RowwiseMap, x: Points, residual: Points, state: Values) -> Points:
        return -state[:, None] * residual

    def update(self, state: Values, step: Points, change: Points) -> Values:
        product = jnp.sum(step * change, axis=1)
        square = jnp.sum(jnp.square(change), axis=1)
        usable = (product > 0) & (square > 0)
        length = product / jnp.where(usable, square, 1.0)
        return jnp.where(usable, jnp.clip(length, self.shortest, self.longest), state)
