"""Sparse displacements."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp

from brenier._errors import InputError
from brenier._types import Points, Values
from brenier.costs._base import AbstractDisplacementCost
from brenier.costs._numbers import as_number

__all__ = ["ElasticNet"]


class ElasticNet(AbstractDisplacementCost):
    r"""Half the squared distance plus a price on every coordinate that moves: :math:`|z|^2 / 2 + \lambda |z|_1`.

    Its maps move few coordinates of each point: those in which the potential's slope exceeds the price, and only by
    the excess.

    Args:
        l1: The price :math:`\lambda`, in units of the columns; zero is the squared distance.

    References:
        Cuturi, Klein, Ablin 2023, "Monge, Bregman and Occam: interpretable optimal transport in high dimensions with
        feature-sparse maps", section 3.

    Example:
        >>> import jax.numpy as jnp
        >>> from brenier.costs import ElasticNet
        >>> cost = ElasticNet(0.5)
        >>> cost.conjugate_gradient(jnp.array([[0.25, -2.0]])).tolist()  # slopes below the price move nothing
        [[0.0, -1.5]]
    """

    name: ClassVar[str] = "elastic-net"
    l1: float = eqx.field(static=True)
    smooth: bool = eqx.field(static=True)

    def __init__(self, l1: float) -> None:
        if not 0 <= as_number(l1) < math.inf:
            raise InputError(f"`l1` must be a number, at least 0, in units of the columns; got {l1!r}.")
        self.l1 = float(l1)
        self.smooth = self.l1 == 0.0

    def value(self, z: Points) -> Values:
        return jnp.sum(0.5 * jnp.square(z) + self.l1 * jnp.abs(z), axis=1)

    def gradient(self, z: Points) -> Points:
        return z + self.l1 * jnp.sign(z)

    def conjugate_gradient(self, p: Points) -> Points:
        return jnp.sign(p) * jnp.maximum(jnp.abs(p) - self.l1, 0.0)

    def conjugate(self, p: Points) -> Values:
        # Fenchel's equality takes the price from the slope a second time; where they are close, nothing would be left.
        return 0.5 * jnp.sum(jnp.square(self.conjugate_gradient(p)), axis=1)

    def strong_convexity(self) -> float:
        return 1.0

    def arguments(self) -> Mapping[str, Any]:
        return {"l1": self.l1}
