r"""Geometry of the unit sphere, and points on it from latitudes and longitudes.

Angles are taken from the chords :math:`|x - y|` and :math:`|x + y|` of unit vectors, :math:`\theta = 2
\operatorname{atan2}(|x - y|, |x + y|)`, which loses no digits at either end, where the arccosine of the inner product
loses half. Near coincidence, where square roots have no derivative, they are power series in the squared chord.
"""

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from brenier._errors import InputError
from brenier._types import Points, Values

__all__ = ["exponential", "logarithm", "project", "squared_angle", "to_degrees", "to_vectors", "unit_vectors"]

_NEAR = 1e-3
"""Squared chord, or squared length of a tangent vector, up to which series stand for angles: five terms of them are
exact to double precision."""

_TINY = 1e-30


def unit_vectors(x: Points) -> Points:
    """Rows divided by their lengths; NaN for rows of zeros."""
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


def project(x: Points, v: Points) -> Points:
    """Project each row of `v` on the directions that are orthogonal to the same row of `x`, a unit vector."""
    return v - jnp.sum(x * v, axis=1, keepdims=True) * x


def squared_angle(x: Points, y: Points) -> Values:
    """Squared angle between unit vectors, in squared radians; its derivatives at `x = y` are those of the chord's."""
    chord, angle = _chord_and_angle(x, y)
    near = _series(chord, (1.0, 1 / 12, 1 / 90, 1 / 560, 1 / 3150)) * chord
    return jnp.where(chord < _NEAR, near, jnp.square(angle))


def logarithm(x: Points, y: Points) -> Points:
    r"""The tangent vector at `x` that leads to `y`, as long as the angle between them.

    That is minus the gradient in `x` of half the squared angle. Of the many shortest ways between antipodes it takes
    none, and returns zero.
    """
    chord, angle = _chord_and_angle(x, y)
    along = project(x, y - x)
    square = jnp.sum(jnp.square(along), axis=1)
    far = angle / jnp.sqrt(jnp.where(square > _TINY, square, 1.0))
    near = _series(chord, (1.0, 1 / 6, 1 / 30, 1 / 140, 1 / 630))  # angle over sine
    return jnp.where(chord < _NEAR, near, far)[:, None] * along


def exponential(x: Points, v: Points) -> Points:
    """The point that the tangent vector `v` at `x` leads to, along a great circle and as far as `v` is long."""
    square = jnp.sum(jnp.square(v), axis=1)
    length = jnp.sqrt(jnp.where(square < _NEAR, 1.0, square))
    near = _series(square, (1.0, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880))  # sine over angle
    sinc = jnp.where(square < _NEAR, near, jnp.sin(length) / length)
    cosine = jnp.where(square < _NEAR, _series(square, (1.0, -1 / 2, 1 / 24, -1 / 720, 1 / 40320)), jnp.cos(length))
    return unit_vectors(cosine[:, None] * x + sinc[:, None] * v)


def to_vectors(latitude: ArrayLike, longitude: ArrayLike) -> NDArray[np.float64]:
    """Unit vectors of places on the globe; the third coordinate points north.

    Args:
        latitude: `(n,)` degrees north of the equator, from -90 to 90.
        longitude: `(n,)` degrees east, any multiple of the full turn.

    Returns:
        `(n, 3)`.

    Raises:
        InputError: The two have different shapes, a latitude is out of range, or a number is not finite.

    Example:
        >>> to_vectors([0.0, 90.0], [180.0, 0.0]).round(6).tolist()
        [[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    north, east = (np.atleast_1d(np.asarray(given, np.float64)) for given in (latitude, longitude))
    if north.ndim != 1 or north.shape != east.shape:
        raise InputError(
            f"`latitude` and `longitude` must have one number a point each; got shapes {north.shape} and {east.shape}."
        )
    if not (np.abs(north) <= 90.0).all() or not np.isfinite(east).all():
        wrong = np.flatnonzero(~((np.abs(north) <= 90.0) & np.isfinite(east)))[0]
        raise InputError(
            f"`latitude` must be degrees from -90 to 90, and `longitude` finite; row {wrong} is {north[wrong]:g}, "
            f"{east[wrong]:g}. Is the order latitude, longitude?"
        )
    north, east = np.radians(north), np.radians(east)
    return np.column_stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])


def to_degrees(vectors: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Latitude and longitude of vectors of any length, in degrees.

    Args:
        vectors: `(n, 3)`, none of them zero.

    Returns:
        `(n,)` latitudes from -90 to 90, and `(n,)` longitudes from -180 to 180.

    Raises:
        InputError: The vectors do not have three columns, or some are zero.

    Example:
        >>> latitude, longitude = to_degrees([[0.0, 2.0, 0.0]])
        >>> float(latitude[0]), float(longitude[0])
        (0.0, 90.0)
    """
    points = np.asarray(vectors, np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"`vectors` must have three columns, (n, 3); got shape {points.shape}.")
    if not (np.linalg.norm(points, axis=1) > 0).all():
        raise InputError("`vectors` has rows of zeros, or of NaN, which are no places. Remove them.")
    east = np.degrees(np.arctan2(points[:, 1], points[:, 0]))
    return np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))), east


def _chord_and_angle(x: Points, y: Points) -> tuple[Values, Values]:
    """Squared chord, and the angle; the latter without derivatives where the points are near or opposite."""
    chord, antipodal = jnp.sum(jnp.square(x - y), axis=1), jnp.sum(jnp.square(x + y), axis=1)
    between = (chord >= _NEAR) & (antipodal > _TINY)
    safe, opposite = jnp.where(between, chord, 1.0), jnp.where(between, antipodal, 1.0)
    angle = 2.0 * jnp.arctan2(jnp.sqrt(safe), jnp.sqrt(opposite))
    return chord, jnp.where(antipodal > _TINY, angle, jnp.pi)


def _series(t: Values, coefficients: tuple[float, ...]) -> Values:
    """A polynomial by Horner's rule."""
    total = jnp.full_like(t, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * t + coefficient
    return total
