"""The scalar functions of networks: convex, non-decreasing activations, and a rounded square for quadratic forms.

Each is written with its own derivative rule, because elementwise work, not matrix products, is most of the cost of
networks this small, and automatic differentiation would compute the transcendental parts twice.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from brenier._types import Array

__all__ = ["ACTIVATIONS", "STEEPEST_SQUARE", "celu", "smooth_relu", "soft_square", "softplus"]

_RIM = 2.0
"""Where `soft_square` turns straight."""

STEEPEST_SQUARE = 4.0 / 3.0 * _RIM
"""Slope of `soft_square` beyond the rim, its largest; its curvature is at most two."""


@jax.custom_jvp
def soft_square(x: Array) -> Array:
    """A square near zero, straight beyond 2 on either side, convex and twice continuously differentiable.

    Forms that keep growing quadratically let the few most distant points of a heavy-tailed sample decide most of a
    network, and of the map beyond them. The curvature is `2 - x^2 / 2` up to the rim and zero from there on.
    """
    q = jnp.square(jnp.clip(x / _RIM, -1.0, 1.0))
    return _RIM**2 * q * (1.0 - q / 6.0) + STEEPEST_SQUARE * jnp.maximum(jnp.abs(x) - _RIM, 0.0)


@soft_square.defjvp
def _soft_square_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    t = jnp.clip(primals[0] / _RIM, -1.0, 1.0)
    return soft_square(primals[0]), tangents[0] * (2.0 * _RIM * t * (1.0 - jnp.square(t) / 3.0))


@jax.custom_jvp
def smooth_relu(x: Array) -> Array:
    """Zero below -1, the identity above 1, and twice continuously differentiable between: slope `3 t^2 - 2 t^3`.

    The slope of the usual smooth rectifiers, at the price of a polynomial.
    """
    t = jnp.clip(0.5 * x + 0.5, 0.0, 1.0)
    return t * t * t * (2.0 - t) + jnp.maximum(x - 1.0, 0.0)


@smooth_relu.defjvp
def _smooth_relu_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    t = jnp.clip(0.5 * primals[0] + 0.5, 0.0, 1.0)
    return smooth_relu(primals[0]), tangents[0] * (t * t * (3.0 - 2.0 * t))


@jax.custom_jvp
def celu(x: Array) -> Array:
    """The identity above 0, `exp(x) - 1` below: the second derivative jumps at 0."""
    return jnp.maximum(x, 0.0) + jnp.exp(jnp.minimum(x, 0.0)) - 1.0


@celu.defjvp
def _celu_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    slope = jnp.exp(jnp.minimum(primals[0], 0.0))
    return jnp.maximum(primals[0], 0.0) + slope - 1.0, tangents[0] * slope


def softplus(x: Array) -> Array:
    """`log(1 + exp(x))`: analytic, for densities that should be smooth; several times the cost of `smooth_relu`."""
    return jax.nn.softplus(x)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"ramp": smooth_relu, "celu": celu, "softplus": softplus}
