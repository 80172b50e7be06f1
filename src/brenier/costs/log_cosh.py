"""The smooth version of the absolute value."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp

from brenier._errors import InputError
from brenier._types import Array, Points, Values
from brenier.costs._base import AbstractDisplacementCost
from brenier.costs._numbers import as_number

__all__ = ["LogCosh"]

_STEEPEST = 0.999
"""Slope in units of the width that counts as the steepest: that of a move of 3.8 widths."""


class LogCosh(AbstractDisplacementCost):
    r"""Quadratic for short moves, linear for long ones: :math:`w^2 \sum_i \log\cosh((x_i - y_i) / w)`.

    The slope of a potential cannot exceed `w` in any coordinate: no finite displacement would cost so much. Where moves
    are long in units of `w`, the best map is therefore hard to tell from others of nearly the same cost.

    Args:
        width: The `w`, in units of the columns: the length around which the cost turns linear.

    Example:
        >>> import jax.numpy as jnp
        >>> from brenier.costs import LogCosh
        >>> short, long = LogCosh()(jnp.array([[0.01], [100.0]]), jnp.zeros((2, 1))).tolist()
        >>> round(short, 7), round(long, 4)  # z^2 / 2, and |z| - log(2)
        (5e-05, 99.3069)
    """

    name: ClassVar[str] = "log-cosh"
    width: float = eqx.field(static=True)
    smooth: bool = eqx.field(static=True)

    def __init__(self, width: float = 1.0) -> None:
        if not 0 < as_number(width) < math.inf:
            raise InputError(f"`width` must be a positive number, in units of the columns; got {width!r}.")
        self.width = float(width)
        self.smooth = True

    def value(self, z: Points) -> Values:
        return jnp.sum(self._each(z), axis=1)

    def gradient(self, z: Points) -> Points:
        return self.width * jnp.tanh(z / self.width)

    def conjugate_gradient(self, p: Points) -> Points:
        return self.width * jnp.arctanh(p / self.width)

    def conjugate(self, p: Points) -> Values:
        """Infinite for slopes above `w`; at `w`, which no displacement has, the limit, `w^2 log(2)` a coordinate."""
        size = jnp.abs(p / self.width)
        z = self.conjugate_gradient(jnp.where(size < 1.0, p, 0.0))
        limit = jnp.where(size == 1.0, self.width**2 * math.log(2.0), jnp.where(size > 1.0, jnp.inf, size))
        return jnp.sum(jnp.where(size < 1.0, p * z - self._each(z), limit), axis=1)

    def within_domain(self, p: Points) -> Points:
        return jnp.clip(p, -_STEEPEST * self.width, _STEEPEST * self.width)

    def arguments(self) -> Mapping[str, Any]:
        return {"width": self.width}

    def _each(self, z: Array) -> Array:
        """The cost of each coordinate."""
        scaled = z / self.width
        size = jnp.abs(scaled)
        # cosh(s) = 1 + 2 sinh(s / 2)^2, from which nothing cancels near zero and nothing overflows up to one. Without
        # the absolute value, so that no derivative depends on what its slope at zero is taken for.
        near = jnp.log1p(2.0 * jnp.square(jnp.sinh(0.5 * jnp.clip(scaled, -1.0, 1.0))))
        far = size + jnp.log1p(jnp.exp(-2.0 * size)) - math.log(2.0)
        return self.width**2 * jnp.where(size < 1.0, near, far)
