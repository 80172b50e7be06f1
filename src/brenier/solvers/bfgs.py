"""BFGS with a full inverse Jacobian for every point, for few dimensions."""

import equinox as eqx
import jax.numpy as jnp

from brenier._products import contract
from brenier._types import Array, Float, Points, RowwiseMap
from brenier.solvers._solver import AbstractSolver

__all__ = ["BFGS"]

_SMALLEST_COSINE = 1e-3


class BFGS(AbstractSolver[Float[Array, "n d d"]]):
    """Quasi-Newton steps with a `d x d` estimate of the inverse Jacobian, one a point, for symmetric Jacobians.

    Kept from call to call on the same points it turns into Newton's method at the price of plain steps, which is how
    training uses it. Pairs of too little curvature are skipped, so that the estimate stays positive definite.

    References: Nocedal and Wright 2006, equation 6.17.

    Example:
        >>> import jax.numpy as jnp
        >>> from brenier.solvers import BFGS, iterate
        >>> slopes = jnp.array([1.0, 3.0])
        >>> roots, _ = iterate(BFGS(), lambda x: slopes * x - 6.0, jnp.zeros((1, 2)), tolerance=1e-4, max_steps=99)
        >>> roots.value.round(2).tolist(), bool(roots.converged.all())
        ([[6.0, 2.0]], True)
    """

    growth: float = eqx.field(default=2.0, static=True)

    def init(self, x: Points) -> Float[Array, "n d d"]:
        return jnp.broadcast_to(jnp.eye(x.shape[1], dtype=x.dtype), (*x.shape, x.shape[1]))

    def direction(self, fn: RowwiseMap, x: Points, residual: Points, state: Float[Array, "n d d"]) -> Points:
        return -contract("nij,nj->ni", state, residual)

    def update(self, state: Float[Array, "n d d"], step: Points, change: Points) -> Float[Array, "n d d"]:
        product = jnp.sum(step * change, axis=1)
        lengths = jnp.linalg.norm(step, axis=1) * jnp.linalg.norm(change, axis=1)
        usable = product > _SMALLEST_COSINE * lengths
        rho = jnp.where(usable, 1.0 / jnp.where(usable, product, 1.0), 0.0)
        image = contract("nij,nj->ni", state, change)
        along = (rho * (1.0 + rho * jnp.sum(change * image, axis=1)))[:, None, None]
        cross = rho[:, None, None] * step[:, :, None] * image[:, None, :]
        return state + along * step[:, :, None] * step[:, None, :] - cross - jnp.swapaxes(cross, 1, 2)
