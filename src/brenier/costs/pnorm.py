"""Powers of coordinates."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp

from brenier._errors import InputError
from brenier._types import Array, Points, Values
from brenier.costs._base import AbstractDisplacementCost
from brenier.costs._numbers import as_number

__all__ = ["PNorm"]


class PNorm(AbstractDisplacementCost):
    r"""A power of the p-norm, :math:`\|x - y\|_p^p / p = \sum_i |x_i - y_i|^p / p`.

    Below 2, a few large moves cost less than with the squared distance, above 2 they cost more. Near 1 and far above 2
    maps are stiff: the displacement is a high power of the potential's slope or a high root of it.

    Args:
        p: Exponent, greater than one.

    Example:
        >>> import jax.numpy as jnp
        >>> from brenier.costs import PNorm
        >>> PNorm(3.0)(jnp.array([[1.0, -2.0]]), jnp.zeros((1, 2))).tolist()
        [3.0]
    """

    name: ClassVar[str] = "pnorm"
    p: float = eqx.field(static=True)
    smooth: bool = eqx.field(static=True)

    def __init__(self, p: float) -> None:
        if not 1 < as_number(p) < math.inf:
            raise InputError(
                f"`p` must be a finite number greater than 1, so that the cost is strictly convex; got {p!r}."
            )
        self.p = float(p)
        self.smooth = self.p >= 2.0

    def value(self, z: Points) -> Values:
        return jnp.sum(jnp.abs(z) ** self.p, axis=1) / self.p

    def gradient(self, z: Points) -> Points:
        return _signed_power(z, self.p - 1.0)

    def conjugate_gradient(self, p: Points) -> Points:
        return _signed_power(p, 1.0 / (self.p - 1.0))

    def strong_convexity(self) -> float:
        return 1.0 if self.p == 2.0 else 0.0

    def arguments(self) -> Mapping[str, Any]:
        return {"p": self.p}


def _signed_power(z: Array, exponent: float) -> Array:
    # The product has the derivative zero at zero, which is wrong where the power is the number itself.
    return z if exponent == 1.0 else jnp.sign(z) * jnp.abs(z) ** exponent
