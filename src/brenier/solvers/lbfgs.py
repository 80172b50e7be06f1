"""Limited-memory BFGS, one memory a point."""

import equinox as eqx
import jax.numpy as jnp

from brenier._products import contract
from brenier._types import Points, RowwiseMap
from brenier.solvers._memory import SecantPairs
from brenier.solvers._solver import AbstractSolver

__all__ = ["LBFGS"]


class LBFGS(AbstractSolver[SecantPairs]):
    """Quasi-Newton steps for residuals that are gradients of convex functions.

    Pairs without positive curvature are skipped; rounding and rejected trials far away can produce them.

    References: Nocedal and Wright 2006, algorithm 7.4, with the scaling of equation 7.20.

    Example:
        >>> import jax.numpy as jnp
        >>> from brenier.solvers import LBFGS, iterate
        >>> slopes = jnp.array([1.0, 3.0])
        >>> roots, _ = iterate(LBFGS(), lambda x: slopes * x - 6.0, jnp.zeros((1, 2)), tolerance=1e-4, max_steps=99)
        >>> roots.value.round(2).tolist(), bool(roots.converged.all())
        ([[6.0, 2.0]], True)
    """

    memory: int = eqx.field(default=6, static=True)
    growth: float = eqx.field(default=2.0, static=True)

    def init(self, x: Points) -> SecantPairs:
        return SecantPairs.empty(x, self.memory)

    def direction(self, fn: RowwiseMap, x: Points, residual: Points, state: SecantPairs) -> Points:
        curvature = contract("nkd,nkd->nk", state.steps, state.changes)
        usable = curvature > 0
        rho = jnp.where(usable, 1.0 / jnp.where(usable, curvature, 1.0), 0.0)
        direction = residual
        weights = []
        for k in reversed(range(self.memory)):
            weight = rho[:, k] * jnp.sum(state.steps[:, k] * direction, axis=1)
            direction = direction - weight[:, None] * state.changes[:, k]
            weights.append(weight)
        change = jnp.sum(jnp.square(state.changes[:, -1]), axis=1)
        newest = usable[:, -1] & (change > 0)
        direction = direction * jnp.where(newest, curvature[:, -1] / jnp.where(newest, change, 1.0), 1.0)[:, None]
        for k, weight in zip(range(self.memory), reversed(weights), strict=True):
            correction = rho[:, k] * jnp.sum(state.changes[:, k] * direction, axis=1)
            direction = direction + (weight - correction)[:, None] * state.steps[:, k]
        return -direction

    def update(self, state: SecantPairs, step: Points, change: Points) -> SecantPairs:
        return state.push(step, change)
