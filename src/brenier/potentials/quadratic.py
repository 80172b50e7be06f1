"""Quadratic potentials: affine maps, in closed form."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from brenier._products import product
from brenier._types import Array, Float, Points, Scalar, Values
from brenier.potentials._base import AbstractPotential

__all__ = ["Quadratic"]


class Quadratic(AbstractPotential):
    r""":math:`u(x) = \tfrac12 x^\top A x + b^\top x`, whose gradient is the affine map :math:`Ax + b`.

    Args:
        matrix: `(d, d)`; its symmetric part is used. The map between Gaussians has a positive definite one.
        shift: `(d,)`, zero by default.

    Example:
        >>> import jax.numpy as jnp
        >>> u = Quadratic(jnp.diag(jnp.array([2.0, 0.5])), jnp.array([0.0, 1.0]))
        >>> u.gradient(jnp.array([[1.0, 2.0]])).tolist(), float(u.convexity_floor())
        ([[2.0, 2.0]], 0.5)
    """

    matrix: Float[Array, "d d"]
    shift: Float[Array, " d"]
    dim: int = eqx.field(static=True)

    def __init__(self, matrix: Float[Array, "d d"], shift: Float[Array, " d"] | None = None) -> None:
        self.matrix = (matrix + matrix.T) / 2
        self.dim = matrix.shape[0]
        self.shift = jnp.zeros(self.dim, matrix.dtype) if shift is None else shift

    def __call__(self, x: Points) -> Values:
        return 0.5 * jnp.sum(product(x, self.matrix) * x, axis=1) + product(x, self.shift)

    def convexity_floor(self) -> Scalar | None:
        smallest = jnp.linalg.eigvalsh(self.matrix)[0]
        return smallest if smallest > 0 else None

    def rounding(self, x: Points) -> tuple[Values, Values]:
        operations = (2 * self.dim + 8) * jnp.finfo(x.dtype).eps
        slopes = jnp.abs(x) @ jnp.abs(self.matrix) + jnp.abs(self.shift)
        return operations * jnp.sum(jnp.abs(x) * slopes, axis=1), operations * jnp.linalg.norm(slopes, axis=1)

    def hyperparameters(self) -> Mapping[str, Any]:
        return {"dim": self.dim}

    @classmethod
    def skeleton(cls, dim: int) -> "Quadratic":
        return cls.identity(dim)

    @classmethod
    def identity(cls, dim: int) -> "Quadratic":
        """Half the squared norm, whose gradient moves nothing."""
        return cls(jnp.eye(dim))
