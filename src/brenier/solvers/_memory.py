"""The last few secant pairs of every point."""

import equinox as eqx
import jax.numpy as jnp

from brenier._types import Array, Float, Points

__all__ = ["SecantPairs"]


class SecantPairs(eqx.Module):
    """Steps and the changes of the residual that they caused, newest last; zeros where there is none yet."""

    steps: Float[Array, "n k d"]
    changes: Float[Array, "n k d"]

    @staticmethod
    def empty(x: Points, size: int) -> "SecantPairs":
        zeros = jnp.zeros((x.shape[0], size, x.shape[1]), x.dtype)
        return SecantPairs(zeros, zeros)

    def push(self, step: Points, change: Points) -> "SecantPairs":
        """Drop the oldest pair of every point and append a new one."""
        return SecantPairs(
            jnp.concatenate([self.steps[:, 1:], step[:, None]], axis=1),
            jnp.concatenate([self.changes[:, 1:], change[:, None]], axis=1),
        )
