"""Costs of the displacement alone."""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from brenier._products import product
from brenier._types import Array, Float, Mask, Points, Scalar, Values
from brenier.costs import AbstractDisplacementCost
from brenier.geometry.surplus._base import AbstractSurplus, Matrix
from brenier.potentials import AbstractFunction, Quadratic

__all__ = ["DisplacementSurplus"]

_WALL = 2.0
"""Curvature of the wall beyond the reach of the source, in units of that of the baseline."""


class DisplacementSurplus(AbstractSurplus):
    r"""The surplus of a cost `h(x - y)` in affine coordinates.

    With points :math:`M_x \xi + a` and :math:`M_y \eta + b` in the units of the cost, and :math:`\delta = a - b`,

    .. math:: k(\xi, \eta) = \tfrac12 \langle\xi, C\xi\rangle - \bigl(h(\delta + M_x\xi - M_y\eta) - h(\delta)
              - \langle\nabla h(\delta), M_x\xi - M_y\eta\rangle\bigr) / v .

    The bracket is never negative, and zero for the displacement :math:`\delta`: the translation is the baseline, with
    the potential :math:`\langle\xi, C\xi\rangle / 2`. A Kantorovich potential of `h` is, up to a linear function,
    :math:`v` times :math:`\langle\xi, C\xi\rangle / 2 - u(\xi)`.

    Attributes:
        cost: The cost; its arrays are in its own units.
        from_x, from_y: The matrices :math:`M_x, M_y`.
        to_x, to_y: Their inverses.
        bend: The symmetric matrix `C`.
        shift, tilt: :math:`\delta`, and :math:`\nabla h(\delta)`.
        unit: The number `v`.
        reach: `(d,)` how far the source extends from its centre along each coordinate; infinite where it does not
            matter. A conjugate is a maximum over the source: beyond its reach a wall keeps inner solves from leaving
            along slopes of the potential that no cost holds, as costs that grow slowly would let them.
        excess: Least eigenvalue of :math:`m M_x^T M_x / v - C`, where `h` is m-strongly convex: what the cost adds to
            the floor of a potential. None if it is not.
    """

    baseline_name: ClassVar[str] = "the translation between the centres"
    cost: AbstractDisplacementCost
    from_x: Float[Array, "d d"]
    from_y: Float[Array, "d d"]
    to_x: Float[Array, "d d"]
    to_y: Float[Array, "d d"]
    bend: Float[Array, "d d"]
    shift: Float[Array, " d"]
    tilt: Float[Array, " d"]
    unit: Float[Array, ""]
    reach: Float[Array, " d"]
    excess: Float[Array, ""] | None

    def __call__(self, x: Points, y: Points) -> Values:
        z = self._displacement(x, y)
        beyond = self.cost.value(z) - self.cost.value(self.shift[None]) - product(z - self.shift, self.tilt)
        return 0.5 * jnp.sum(x * product(x, self.bend), axis=1) - beyond / self.unit

    def image(self, x: Points, slope: Points) -> Points:
        return product(product(x, self.from_x.T) - self._move(x, slope), self.to_y.T)

    def residual(self, x: Points, slope: Points, y: Points) -> Points:
        slope = slope + _WALL * (x - jnp.clip(x, -self.reach, self.reach))
        if not self.cost.smooth:
            return self.image(x, slope) - y
        # The equation in slopes: equivalent, and as smooth as the gradient of h.
        change = self.cost.gradient(self._displacement(x, y)) - self.tilt
        return slope - product(x, self.bend) + product(change, self.from_x) / self.unit

    def x0(self, y: Points) -> Points:
        return product(product(y, self.from_y.T), self.to_x.T)

    def too_steep(self, x: Points, slope: Points) -> Mask:
        momentum = self._momentum(x, slope)
        return jnp.any(self.cost.within_domain(momentum) != momentum, axis=1)

    def baseline(self) -> Quadratic:
        return Quadratic(self.bend)

    def baseline_values(self, x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
        return 0.5 * np.sum((x @ np.asarray(self.bend, np.float64)) * x, axis=1), np.zeros(len(y))

    def floor(self, floor: Scalar | None) -> Scalar | None:
        return None if floor is None or self.excess is None else floor + self.excess

    def dual_values(self, u: AbstractFunction, y: Points, x: Points) -> tuple[Values, Values]:
        # One step of the fixed point leads from x to a point at which the slope at x is a subgradient of the cost, so
        # that kinks of the cost leave nothing in the residual: it is the change of the potential's slope alone.
        values, slope = u.value_and_gradient(x)
        after = product(product(y, self.from_y.T) + self._move(x, slope), self.to_x.T)
        values_after, slope_after = u.value_and_gradient(after)
        residual = product(x - after, self.bend) - slope + slope_after
        bounds = jnp.maximum(self(x, y) - values, self(after, y) - values_after)
        return bounds, jnp.linalg.norm(residual, axis=1)

    def _displacement(self, x: Points, y: Points) -> Points:
        return self.shift + product(x, self.from_x.T) - product(y, self.from_y.T)

    def _move(self, x: Points, slope: Points) -> Points:
        """Displacement of the points, less that of the centres, in the units of the cost."""
        momentum = self.cost.within_domain(self._momentum(x, slope))
        return self.cost.conjugate_gradient(momentum) - self.shift

    def _momentum(self, x: Points, slope: Points) -> Points:
        return self.tilt + self.unit * product(product(x, self.bend) - slope, self.to_x)
