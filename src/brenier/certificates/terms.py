r"""The dual, point by point, in double precision, with everything taken off that inexactness could have added.

With :math:`x', y'` the new coordinates, `s` the shift between the centres and :math:`x_c, y_c` centred points,

.. math:: a(x) = \tfrac12 |x_c|^2 + \langle s, x_c\rangle - \text{unit}^2 u(x'), \qquad
          b(y) = \tfrac12 |y_c|^2 - \langle s, y_c\rangle - \text{unit}^2 u^*(y') + \tfrac12 |s|^2

satisfy :math:`a(x) + b(y) \le \tfrac12 |x - y|^2` for every pair, by the definition of the conjugate. Here
:math:`u^*` is replaced by :math:`\langle \hat x, y'\rangle - u(\hat x) + r^2 / (2 m)`, which is no smaller if `u` is
`m`-strongly convex and `r` is the residual at :math:`\hat x`, however that was found; and bounds of all rounding errors
are taken off.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._types import Points, Scalar, Values
from brenier.batches import map_batches
from brenier.certificates.transforms import EPS
from brenier.geometry import QuadraticGeometry
from brenier.potentials import AbstractFamily, AbstractPotential, double

__all__ = ["DualTerms", "dual_terms", "floor_of", "inverse_errors"]

Array = NDArray[np.float64]


class DualTerms(NamedTuple):
    """Dual values of points, in squared units of the cost.

    Attributes:
        source: `(n,)` values `a(x)`; where `certified`, less their rounding errors.
        target: `(m,)` values `b(y)` at the conjugates as they were found: estimates.
        slack: `(m,)` what has to be taken off `target` to make it feasible; NaN where nothing is certified.
        certified: Whether `source` and `target - slack` together are feasible for every pair of points.
    """

    source: Array
    target: Array
    slack: Array
    certified: bool


def dual_terms(
    coordinates: QuadraticGeometry, u: AbstractPotential, x: Array, y: Array, conjugates: NDArray[np.floating]
) -> DualTerms:
    """Dual values of both sides.

    Args:
        coordinates: Coordinates of the potential.
        u: Potential; values are certified if it has a convexity floor and a bound of its rounding errors.
        x: `(n, d)` source points in the units of the data.
        y: `(m, d)` target points.
        conjugates: `(m, d)` presumed maximisers for the rows of `y`, in the new coordinates; any points will do.

    Note: Cost: four evaluations of the potential in double precision, a point.
    """
    c = coordinates
    centred_x, centred_y = c.measured(x - c.mean_x), c.measured(y - c.mean_y)
    shift = c.measured(c.mean_x - c.mean_y)
    values, value_errors = _source_values(u, c.precise_x(x))
    estimate, conjugate_slack = _conjugate_values(u, c.precise_y(y), np.asarray(conjugates, np.float64))
    squares_x, squares_y = (np.sum(part**2, axis=1) for part in (centred_x, centred_y))
    squared_shift = float(shift @ shift)
    relative = _coordinate_rounding(c) + 8.0 * (c.dim + 8) * EPS
    source = 0.5 * squares_x + centred_x @ shift - c.unit**2 * values
    target = 0.5 * squares_y - centred_y @ shift + 0.5 * squared_shift - c.unit**2 * estimate
    off_x = relative * (squares_x + squared_shift) + c.unit**2 * value_errors
    off_y = relative * (squares_y + squared_shift) + c.unit**2 * conjugate_slack
    certified = bool(np.isfinite(off_x).all() and np.isfinite(off_y).all())
    return DualTerms(source - (off_x if certified else 0.0), target, off_y, certified)


def inverse_errors(
    coordinates: QuadraticGeometry, u: AbstractPotential, y: Array, found: NDArray[np.floating]
) -> Array:
    r"""Bounds on the distance between points found for the inverse map and its exact values, in units of the data.

    In the new coordinates a point with residual `r` is at most `r / m` from the root, for an `m`-strongly convex
    potential; the bound is that times the norm of the way back, and rounding.

    Args:
        coordinates: Coordinates of the potential.
        u: Potential.
        y: `(m, d)` points whose preimages were sought, in the units of the data.
        found: `(m, d)` what was found, in the new coordinates.

    Returns:
        `(m,)`; NaN where the potential certifies nothing.
    """
    c, places = coordinates, np.asarray(found, np.float64)
    precise = c.precise_y(y)
    # `leave_y` undoes `enter_y` but for the error of an inverse matrix.
    undone = np.linalg.norm(c.to_y @ c.from_y - np.eye(c.dim)) + 4.0 * (c.dim + 4) * EPS * np.linalg.norm(
        np.abs(c.to_y) @ np.abs(c.from_y)
    )
    size = np.linalg.norm(precise, axis=1)
    distance = _inner_errors(u, precise, places, 2.0 * undone * size)
    back = np.linalg.norm(c.from_x, 2) * distance * (1.0 + 8.0 * c.dim * EPS)
    rounding = np.linalg.norm(np.abs(places) @ np.abs(c.from_x).T + np.abs(c.mean_x), axis=1)
    return back + (c.dim + 4) * EPS * rounding


def _coordinate_rounding(c: QuadraticGeometry) -> float:
    """Largest `k` with `|unit^2 <x', y'> - <x_c, y_c>| <= k (|x_c|^2 + |y_c|^2)` for computed coordinates."""
    to_x, to_y = c.to_x @ c.unmeasured, c.to_y @ c.unmeasured
    wrong = np.linalg.norm(c.unit**2 * to_x.T @ to_y - np.eye(c.dim))
    sizes = c.unit**2 * np.linalg.norm(np.abs(to_x)) * np.linalg.norm(np.abs(to_y))
    return float(0.5 * (wrong + 4.0 * (c.dim + 4) * EPS * sizes))


def _source_values(u: AbstractPotential, x: Array) -> tuple[Array, Array]:
    with jax.enable_x64(True):
        precise = double(u)
        return map_batches(lambda part: _values(precise, part), x)


def _conjugate_values(u: AbstractPotential, y: Array, found: Array) -> tuple[Array, Array]:
    with jax.enable_x64(True):
        precise = double(u)
        floor = floor_of(precise)
        return map_batches(lambda b, a: _conjugates(precise, floor, b, a), y, found)


def _inner_errors(u: AbstractPotential, y: Array, found: Array, extra: Array) -> Array:
    with jax.enable_x64(True):
        precise = double(u)
        floor = floor_of(precise)
        return map_batches(lambda b, a, more: _distances(precise, floor, b, a, more), y, found, extra)


def floor_of(u: AbstractFamily) -> Scalar:
    """The convexity floor, less what rounding may have added to it; NaN, which no bound survives, if there is none."""
    floor = u.convexity_floor()
    return jnp.asarray(jnp.nan if floor is None else floor * (1.0 - 1e-9))


@eqx.filter_jit
def _values(u: AbstractPotential, x: Points) -> tuple[Values, Values]:
    errors = u.rounding(jnp.asarray(x))
    values = u(jnp.asarray(x))
    return values, jnp.full_like(values, jnp.nan) if errors is None else errors[0]


@eqx.filter_jit
def _conjugates(u: AbstractPotential, floor: Scalar, y: Points, x: Points) -> tuple[Values, Values]:
    """Values of the conjugate at presumed maximisers, and by how much the conjugate may exceed them."""
    values, gradient = u.value_and_gradient(x)
    estimate = jnp.sum(x * y, axis=1) - values
    errors = u.rounding(x)
    if errors is None:
        return estimate, jnp.full_like(estimate, jnp.nan)
    residual = jnp.linalg.norm(gradient - y, axis=1) + errors[1] + 4.0 * EPS * jnp.linalg.norm(y, axis=1)
    products = (x.shape[1] + 4) * EPS * jnp.sum(jnp.abs(x * y), axis=1)
    return estimate, jnp.square(residual) / (2.0 * floor) * (1.0 + 1e-9) + errors[0] + products


@eqx.filter_jit
def _distances(u: AbstractPotential, floor: Scalar, y: Points, x: Points, extra: Values) -> Values:
    errors = u.rounding(x)
    if errors is None:
        return jnp.full(x.shape[0], jnp.nan, x.dtype)
    residual = jnp.linalg.norm(u.gradient(x) - y, axis=1) + errors[1] + 4.0 * EPS * jnp.linalg.norm(y, axis=1)
    return (residual + extra) / floor * (1.0 + 1e-9)
