"""The quadratic cost: the surplus is the inner product, and everything is as in convex analysis."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from brenier._types import Points, Scalar, Values
from brenier.geometry.surplus._base import AbstractSurplus, Matrix
from brenier.potentials import Quadratic

__all__ = ["InnerProduct"]


class InnerProduct(AbstractSurplus):
    """`k(x, y) = <x, y>`. In Bures coordinates the baseline is the Gaussian map, half the squared norm.

    Attributes:
        dim: Number of coordinates.
    """

    baseline_name: ClassVar[str] = "the Gaussian map"
    dim: int = eqx.field(static=True)

    def __call__(self, x: Points, y: Points) -> Values:
        return jnp.sum(x * y, axis=1)

    def image(self, x: Points, slope: Points) -> Points:
        return slope

    def residual(self, x: Points, slope: Points, y: Points) -> Points:
        return slope - y

    def x0(self, y: Points) -> Points:
        return y

    def baseline(self) -> Quadratic:
        return Quadratic.identity(self.dim)

    def baseline_values(self, x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
        return 0.5 * np.sum(x**2, axis=1), 0.5 * np.sum(y**2, axis=1)

    def floor(self, floor: Scalar | None) -> Scalar | None:
        return floor
