"""Anderson acceleration."""

import equinox as eqx
import jax.numpy as jnp

from brenier._products import contract
from brenier._types import Points, RowwiseMap
from brenier.solvers._memory import SecantPairs
from brenier.solvers._solver import AbstractSolver

__all__ = ["Anderson"]


class Anderson(AbstractSolver[SecantPairs]):
    """Cancel as much of the residual as the last `memory` secant pairs explain, then take a Picard step.

    Each point solves its own least-squares problem in `memory` unknowns, regularised relative to its own size.

    References: Walker and Ni 2011, equation 2.3 (type II), with mixing one.

    Example:
        >>> import jax.numpy as jnp
        >>> from brenier.solvers import Anderson, iterate
        >>> slopes = jnp.array([1.0, 3.0])
        >>> roots, _ = iterate(Anderson(), lambda x: slopes * x - 6.0, jnp.zeros((1, 2)), tolerance=1e-4, max_steps=99)
        >>> roots.value.round(2).tolist(), bool(roots.converged.all())
        ([[6.0, 2.0]], True)
    """

    memory: int = eqx.field(default=4, static=True)
    regularisation: float = 1e-6
    growth: float = eqx.field(default=2.0, static=True)

    def init(self, x: Points) -> SecantPairs:
        return SecantPairs.empty(x, self.memory)

    def direction(self, fn: RowwiseMap, x: Points, residual: Points, state: SecantPairs) -> Points:
        gram = contract("nkd,nld->nkl", state.changes, state.changes)
        size = jnp.trace(gram, axis1=1, axis2=2)
        ridge = jnp.where(size > 0, self.regularisation * size, 1.0)
        gram = gram + ridge[:, None, None] * jnp.eye(self.memory, dtype=x.dtype)
        explained = contract("nkd,nd->nk", state.changes, residual)
        weights = jnp.linalg.solve(gram, explained[..., None])[..., 0]
        return -residual - contract("nk,nkd->nd", weights, state.steps - state.changes)

    def update(self, state: SecantPairs, step: Points, change: Points) -> SecantPairs:
        return state.push(step, change)
