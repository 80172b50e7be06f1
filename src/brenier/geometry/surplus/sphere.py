"""The squared great-circle distance."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._products import product
from brenier._types import Array, Float, Mask, Points, Values
from brenier.costs.sphere import exponential, logarithm, project, squared_angle, unit_vectors
from brenier.geometry.surplus._base import AbstractSurplus, Matrix
from brenier.potentials import OnSphere

__all__ = ["SphereSurplus", "unpush"]

_ROUNDS = 30
"""Steps of Newton's method for the inverse of a linear potential's map."""


class SphereSurplus(AbstractSurplus):
    r"""The surplus of half the squared angle :math:`\theta`, on a sphere of radius `R` about the origin.

    .. math:: k(\xi, \eta) = d / 2 - R^2 \bigl(\theta(\xi, \eta)^2 / 2 + \langle w, \xi / |\xi|\rangle\bigr)

    Its gradient in :math:`\xi` leads along the great circle to :math:`\eta`, so that a potential sends `x` to
    :math:`\exp_x` of the tangential part of its slope (McCann 2001, theorem 9). The linear function is that of one
    side and changes no coupling: without a network, every point moves towards :math:`w / |w|`, by :math:`|w|` times the
    sine of its angle to it, which is optimal up to a length of one, and as a start beyond.

    Attributes:
        radius: The `R`.
        pull: The vector `w`, in radians.
        centre: Mean of the source in these coordinates, which networks take for their origin.
    """

    baseline_name: ClassVar[str] = "the map of a linear potential"
    radius: float = eqx.field(static=True)
    centre: tuple[float, ...] = eqx.field(static=True)
    pull: Float[Array, " d"]

    def __call__(self, x: Points, y: Points) -> Values:
        one, two = unit_vectors(x), unit_vectors(y)
        return 0.5 * x.shape[1] - self.radius**2 * (0.5 * squared_angle(one, two) + product(one, self.pull))

    def image(self, x: Points, slope: Points) -> Points:
        one, move = self._move(x, slope)
        length = _length(move)
        # No shortest way is longer than half a turn.
        return self.radius * exponential(one, move * jnp.minimum(1.0, jnp.pi / length)[:, None])

    def too_steep(self, x: Points, slope: Points) -> Mask:
        return _length(self._move(x, slope)[1]) > jnp.pi

    def residual(self, x: Points, slope: Points, y: Points) -> Points:
        # Neither potentials nor surplus change along a ray, so that the length of x would be left open.
        one, move = self._move(x, slope)
        length = jnp.linalg.norm(x, axis=1, keepdims=True)
        return self.radius * (move - logarithm(one, unit_vectors(y))) + (length - self.radius) * one

    def x0(self, y: Points) -> Points:
        return self.radius * unpush(unit_vectors(y), self.pull)

    def baseline(self) -> OnSphere:
        return OnSphere.constant(self.radius, self.centre)

    def baseline_values(self, x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
        with jax.enable_x64(True):
            target, pull = jnp.asarray(y, jnp.float64), jnp.asarray(self.pull, jnp.float64)
            precise = SphereSurplus(self.radius, self.centre, pull)
            return np.zeros(len(x)), np.asarray(precise(precise.x0(target), target))

    def _move(self, x: Points, slope: Points) -> tuple[Points, Points]:
        """The unit vector of each point, and the tangent vector along which it moves, in radians."""
        length = jnp.linalg.norm(x, axis=1, keepdims=True)
        one = x / length
        return one, project(one, slope * (length / self.radius**2) + self.pull)


def unpush(y: Points, pull: Float[Array, " d"]) -> Points:
    r"""The unit vectors that the linear potential :math:`\langle w, x\rangle` sends to the rows of `y`.

    Its map takes the angle :math:`\phi` to the direction of `w` to :math:`\phi - |w| \sin\phi`. The largest root is the
    maximiser of :math:`-\theta(x, y)^2 / 2 - \langle w, x\rangle`; Newton's method falls to it from half a turn, since
    the function is convex.
    """
    strength = jnp.sqrt(jnp.maximum(jnp.sum(jnp.square(pull)), 1e-30))
    axis = pull / strength
    height = product(y, axis)
    away = y - height[:, None] * axis
    away = away - product(away, axis)[:, None] * axis  # near the axis, what rounding has left of it
    breadth = jnp.linalg.norm(away, axis=1)
    angle = jnp.arctan2(breadth, height)

    def step(_: int, root: Values) -> Values:
        slope = 1.0 - strength * jnp.cos(root)
        return jnp.clip(root - (root - strength * jnp.sin(root) - angle) / jnp.maximum(slope, 1e-3), 0.0, jnp.pi)

    root = jax.lax.fori_loop(0, _ROUNDS, step, jnp.full_like(angle, jnp.pi))
    side = away / jnp.maximum(breadth, 1e-30)[:, None]
    return unit_vectors(jnp.cos(root)[:, None] * axis + jnp.sin(root)[:, None] * side)


def _length(v: Points) -> Values:
    """Lengths of tangent vectors, with a derivative at zero."""
    return jnp.sqrt(jnp.maximum(jnp.sum(jnp.square(v), axis=1), 1e-30))
