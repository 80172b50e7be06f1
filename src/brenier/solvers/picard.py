"""Picard iteration: the plain fixed point."""

import equinox as eqx

from brenier._types import Points, RowwiseMap
from brenier.solvers._solver import AbstractSolver

__all__ = ["Picard"]


class Picard(AbstractSolver[None]):
    r"""Move by minus the residual, `x <- x - relaxation * fn(x)`.

    For `fn(x) = x - phi(x)` this is `x <- phi(x)`. It contracts with factor `max |1 - relaxation * h|` over the
    eigenvalues `h` of the Jacobian of `fn`, so it needs `0 < h < 2 / relaxation`; the safeguard shortens steps
    where that fails, and other solvers are then faster.

    References: Park et al. 2026 (arXiv 2605.10792), section 3.

    Example:
        >>> import jax.numpy as jnp
        >>> from brenier.solvers import Picard, iterate
        >>> slopes = jnp.array([1.0, 3.0])
        >>> rule = Picard(relaxation=0.5)
        >>> roots, _ = iterate(rule, lambda x: slopes * x - 6.0, jnp.zeros((1, 2)), tolerance=1e-4, max_steps=99)
        >>> roots.value.round(2).tolist(), bool(roots.converged.all())
        ([[6.0, 2.0]], True)
    """

    relaxation: float = 1.0
    growth: float = eqx.field(default=1.0, static=True)

    def init(self, x: Points) -> None:
        return None

    def direction(self, fn: RowwiseMap, x: Points, residual: Points, state: None) -> Points:
        return -self.relaxation * residual

    def update(self, state: None, step: Points, change: Points) -> None:
        return None
