"""The squared distance on the sphere."""

from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp

from brenier._types import Points, Values
from brenier.costs._base import AbstractCost
from brenier.costs.sphere import squared_angle, unit_vectors

__all__ = ["GreatCircle"]


class GreatCircle(AbstractCost):
    r"""Half the squared great-circle distance, :math:`\theta(x, y)^2 / 2`, of points on a sphere about the origin.

    The distance is the angle between the two vectors, in radians, whatever their length: that of the unit sphere.
    Multiply distances by the radius, and this cost by its square, for other units. Points have two or more columns: two
    are a circle, three a globe. `brenier.costs.to_vectors` makes them from latitudes and longitudes.

    Example:
        >>> import jax.numpy as jnp
        >>> from brenier.costs import GreatCircle
        >>> quarter = GreatCircle()(jnp.array([[1.0, 0.0, 0.0]]), jnp.array([[0.0, 0.0, 2.0]]))
        >>> round(float(2.0 * quarter[0]) ** 0.5, 6)  # a quarter of a turn, pi / 2
        1.570796

    References:
        McCann 2001, "Polar factorization of maps on Riemannian manifolds", theorem 9.
    """

    name: ClassVar[str] = "great-circle"

    def __call__(self, x: Points, y: Points) -> Values:
        return 0.5 * squared_angle(unit_vectors(jnp.asarray(x)), unit_vectors(jnp.asarray(y)))

    def arguments(self) -> Mapping[str, Any]:
        return {}
