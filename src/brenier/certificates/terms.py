r"""The dual, point by point, in double precision, with everything taken off that inexactness could have added.

For the quadratic cost, with :math:`x', y'` the new coordinates, `s` the shift between the centres and :math:`x_c, y_c`
centred points,

.. math:: a(x) = \tfrac12 |x_c|^2 + \langle s, x_c\rangle - \text{unit}^2 u(x'), \qquad
          b(y) = \tfrac12 |y_c|^2 - \langle s, y_c\rangle - \text{unit}^2 u^*(y') + \tfrac12 |s|^2

satisfy :math:`a(x) + b(y) \le \tfrac12 |x - y|^2` for every pair, by the definition of the conjugate. Here
:math:`u^*` is replaced by :math:`\langle \hat x, y'\rangle - u(\hat x) + r^2 / (2 m)`, which is no smaller if `u` is
`m`-strongly convex and `r` is the residual at :math:`\hat x`, however that was found; and bounds of all rounding errors
are taken off. For other costs it is the same with their surplus in place of the inner product, but for the rounding,
of which nothing is known there: what is certified holds up to rounding in double precision.
"""

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._chunks import BATCH, map_batches
from brenier._types import Array as Device
from brenier._types import Points, Scalar, Values
from brenier.certificates.transforms import EPS
from brenier.geometry import AbstractGeometry, QuadraticGeometry
from brenier.geometry.surplus import AbstractSurplus, InnerProduct
from brenier.potentials import AbstractFamily, AbstractPotential, double

__all__ = ["DualTerms", "dual_terms", "inverse_errors"]

Array = NDArray[np.float64]

_OWN_BATCH = 512
"""Rows of one compiled call where each has a potential of its own."""


class DualTerms(NamedTuple):
    """Dual values of points, in units of the cost: of squared distances where it is half of one.

    Attributes:
        source: `(n,)` values `a(x)`; where `certified`, less their rounding errors.
        target: `(m,)` values `b(y)` at the conjugates as they were found: estimates.
        slack: `(m,)` what has to be taken off `target` to make it feasible; NaN where nothing is certified.
        certified: Whether `source` and `target - slack` together are feasible for every pair of points.
        rigorous: Whether rounding errors are among what is taken off; if not, "feasible" means up to rounding.
    """

    source: Array
    target: Array
    slack: Array
    certified: bool
    rigorous: bool = True


def dual_terms(
    geometry: AbstractGeometry, family: AbstractFamily, x: Array, y: Array, conjugates: NDArray[np.floating]
) -> DualTerms:
    """Dual values of both sides, with what certifies them.

    Rows are points with the codes of their condition behind them, where there are conditions. Each row is then taken as
    a problem of its own; for what they have in common see `_values`.

    Args:
        geometry: Coordinates of the potentials, and the cost. Rounding errors are bounded where it bounds its own.
        family: A potential, or potentials under conditions; values are certified if it has a convexity floor that
            makes the inner problems concave, and, where rounding counts, a bound of its rounding errors.
        x: `(n, dim + k)` rows of the source in the units of the data.
        y: `(m, dim + k)` rows of the target.
        conjugates: `(m, dim)` presumed maximisers for the rows of `y`, in the new coordinates; any points will do.

    Note: Cost: four evaluations of a potential in double precision, a point.
    """
    unit, dim = geometry.unit**2, geometry.dim
    inner_x, rounding_x = geometry.certified_x(x)
    inner_y, rounding_y = geometry.certified_y(y)
    rigorous = rounding_x is not None and rounding_y is not None
    batch = BATCH if geometry.conditions is None else _OWN_BATCH
    with jax.enable_x64(True):
        surplus, precise = geometry.surplus_in(np.float64), double(family)
        floor = _floor(precise, surplus, rigorous)
        values, errors = map_batches(partial(_values, precise, rigorous), inner_x, x[:, dim:], batch=batch)
        estimate, slack = map_batches(
            partial(_conjugates, precise, surplus, floor, rigorous),
            inner_y,
            np.asarray(conjugates, np.float64),
            y[:, dim:],
            batch=batch,
        )
    source, target = geometry.source_offsets(x) - unit * values, geometry.target_offsets(y) - unit * estimate
    slack, off = unit * slack, np.zeros(len(x))
    if rounding_x is not None and rounding_y is not None:
        slack, off = slack + rounding_y, rounding_x + unit * errors
    certified = bool(np.isfinite(off).all() and np.isfinite(slack).all())
    return DualTerms(source - (off if certified else 0.0), target, slack, certified, rigorous)


def inverse_errors(geometry: AbstractGeometry, u: AbstractFamily, y: Array, places: NDArray[np.floating]) -> Array:
    r"""Bounds on the distance between points found for the inverse map and its exact values, in units of the data.

    In the new coordinates a point with residual `r` is at most `r / m` from the root, for an `m`-strongly convex
    potential; the bound is that times the norm of the way back, and rounding.

    Args:
        geometry: Coordinates of the potential, of one condition.
        u: Potential.
        y: `(m, d)` points whose preimages were sought, in the units of the data.
        places: `(m, d)` the points that were found, in the new coordinates.

    Returns:
        `(m,)`; NaN where the potential certifies nothing, or the cost is not the quadratic one.
    """
    if not isinstance(geometry, QuadraticGeometry) or not isinstance(u, AbstractPotential):
        return np.full(len(y), np.nan)
    c, places = geometry, np.asarray(places, np.float64)
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


def _inner_errors(u: AbstractPotential, y: Array, places: Array, extra: Array) -> Array:
    with jax.enable_x64(True):
        precise = double(u)
        floor = _floor(precise, InnerProduct(u.dim), rigorous=True)
        return map_batches(partial(_distances, precise, floor), y, places, extra)


def _floor(family: AbstractFamily, surplus: AbstractSurplus, rigorous: bool) -> Scalar:
    """How concave inner problems are, less what rounding may have added; NaN, which no bound survives, if not."""
    floor = surplus.floor(family.convexity_floor())
    if floor is None:
        return jnp.asarray(jnp.nan)
    return jnp.where(floor > 0, floor * (1.0 - 1e-9) if rigorous else floor, jnp.nan)


@eqx.filter_jit
def _values(family: AbstractFamily, rigorous: bool, x: Points, codes: Device) -> tuple[Values, Values]:
    """Values of the potential, and bounds on their errors.

    Under conditions, less the value at the origin, which is added to the conjugate: that changes no sum of two under
    one condition, and what a network adds for a condition alone would be noise in means over conditions.
    """
    x, codes = jnp.asarray(x), jnp.asarray(codes)
    if not codes.shape[1]:
        return _with_errors(family.at(codes[0]), rigorous, x)

    def one(point: Device, code: Device) -> tuple[Device, Device]:
        u, alone = family.at(code), point[None]
        (value, error), (origin, wrong) = (_with_errors(u, rigorous, at) for at in (alone, jnp.zeros_like(alone)))
        return (value - origin)[0], (error + wrong + EPS * (jnp.abs(value) + jnp.abs(origin)))[0]

    return jax.vmap(one)(x, codes)


@eqx.filter_jit
def _conjugates(
    family: AbstractFamily,
    surplus: AbstractSurplus,
    floor: Scalar,
    rigorous: bool,
    y: Points,
    x: Points,
    codes: Device,
) -> tuple[Values, Values]:
    """Values of the conjugate at presumed maximisers, and by how much it may exceed them; origins as for `_values`."""
    y, x, codes = jnp.asarray(y), jnp.asarray(x), jnp.asarray(codes)
    if not codes.shape[1]:
        return _with_slack(family.at(codes[0]), surplus, floor, rigorous, y, x)

    def one(target: Device, point: Device, code: Device) -> tuple[Device, Device]:
        u, alone = family.at(code), point[None]
        estimate, slack = _with_slack(u, surplus, floor, rigorous, target[None], alone)
        origin, wrong = _with_errors(u, rigorous, jnp.zeros_like(alone))
        return (estimate + origin)[0], (slack + wrong + EPS * (jnp.abs(estimate) + jnp.abs(origin)))[0]

    return jax.vmap(one)(y, x, codes)


def _with_errors(u: AbstractPotential, rigorous: bool, x: Points) -> tuple[Values, Values]:
    values = u(x)
    if not rigorous:
        return values, jnp.zeros_like(values)
    errors = u.rounding(x)
    return values, jnp.full_like(values, jnp.nan) if errors is None else errors[0]


def _with_slack(
    u: AbstractPotential, surplus: AbstractSurplus, floor: Scalar, rigorous: bool, y: Points, x: Points
) -> tuple[Values, Values]:
    estimate, residual = surplus.dual_values(u, y, x)
    if not rigorous:
        return estimate, jnp.square(residual) / (2.0 * floor)
    errors = u.rounding(x)
    if errors is None:
        return estimate, jnp.full_like(estimate, jnp.nan)
    residual = residual + errors[1] + 4.0 * EPS * jnp.linalg.norm(y, axis=1)
    products = (x.shape[1] + 4) * EPS * jnp.sum(jnp.abs(x * y), axis=1)
    return estimate, jnp.square(residual) / (2.0 * floor) * (1.0 + 1e-9) + errors[0] + products


@eqx.filter_jit
def _distances(u: AbstractPotential, floor: Scalar, y: Points, x: Points, extra: Values) -> Values:
    errors = u.rounding(x)
    if errors is None:
        return jnp.full(x.shape[0], jnp.nan, x.dtype)
    residual = jnp.linalg.norm(u.gradient(x) - y, axis=1) + errors[1] + 4.0 * EPS * jnp.linalg.norm(y, axis=1)
    return (residual + extra) / floor * (1.0 + 1e-9)
