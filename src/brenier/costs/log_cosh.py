"""The smooth version of the absolute value."""

from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from brenier._errors import InputError
from brenier._types import Points, Values
from brenier.costs._base import AbstractDisplacementCost

__all__ = ["LogCosh"]


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
        if not (np.isfinite(width) and width > 0):
            raise InputError(f"`width` must be a positive number, in units of the columns; got {width!r}.")
        self.width = float(width)
        self.smooth = True

    def value(self, z: Points) -> Values:
        size = jnp.abs(z / self.width)
        # cosh(s) = 1 + 2 sinh(s / 2)^2, from which nothing cancels near zero and nothing overflows up to one.
        near = jnp.log1p(2.0 * jnp.square(jnp.sinh(0.5 * jnp.minimum(size, 1.0))))
        far = size + jnp.log1p(jnp.exp(-2.0 * size)) - np.log(2.0)
        return self.width**2 * jnp.sum(jnp.where(size < 1.0, near, far), axis=1)

    def gradient(self, z: Points) -> Points:
        return self.width * jnp.tanh(z / self.width)

    def conjugate_gradient(self, p: Points) -> Points:
        return self.width * jnp.arctanh(p / self.width)

    def arguments(self) -> Mapping[str, Any]:
        return {"width": self.width}
