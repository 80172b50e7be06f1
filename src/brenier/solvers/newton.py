"""Newton's method with the full Jacobian, for few dimensions."""

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._types import Array, Points, RowwiseMap
from brenier.solvers._solver import AbstractSolver

__all__ = ["Newton"]


class Newton(AbstractSolver[None]):
    """Solve the linear model exactly; the safeguard makes it a line search on the residual.

    Where `fn` is the gradient of a strongly convex function, the direction decreases the residual, so that shrinking
    steps always end in progress: the method of last resort for stragglers.

    Note: A step costs `d` Jacobian-vector products and one `d x d` factorisation a row, on top of the evaluation.

    References: Dennis and Schnabel 1983, algorithm 6.1.3.

    Example:
        >>> import jax.numpy as jnp
        >>> from brenier.solvers import Newton, iterate
        >>> slopes = jnp.array([1.0, 3.0])
        >>> roots, _ = iterate(Newton(), lambda x: slopes * x - 6.0, jnp.zeros((1, 2)), tolerance=1e-4, max_steps=99)
        >>> roots.value.round(2).tolist(), bool(roots.converged.all())
        ([[6.0, 2.0]], True)
    """

    growth: float = eqx.field(default=1.0 - 1e-4, static=True)

    def init(self, x: Points) -> None:
        return None

    def direction(self, fn: RowwiseMap, x: Points, residual: Points, state: None) -> Points:
        def column(basis: Array) -> Points:
            return jax.jvp(fn, (x,), (jnp.broadcast_to(basis, x.shape),))[1]

        jacobian = jax.vmap(column, out_axes=2)(jnp.eye(x.shape[1], dtype=x.dtype))
        return -jnp.linalg.solve(jacobian, residual[..., None])[..., 0]

    def update(self, state: None, step: Points, change: Points) -> None:
        return None
