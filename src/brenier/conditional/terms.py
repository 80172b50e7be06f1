"""The dual, point by point, where every point has its own condition: `certificates.terms` for rows.

A certificate holds for one potential. Under a condition there is one for each row, so here every row is taken as a
problem of its own, all of them in one compiled call.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._types import Array as Device
from brenier.batches import map_batches, map_chunks
from brenier.certificates.terms import DualTerms, floor_of
from brenier.certificates.transforms import EPS
from brenier.geometry.conditional import ConditionalGeometry
from brenier.potentials import AbstractFamily, AbstractPotential, double

__all__ = ["conditional_terms"]

Array = NDArray[np.float64]

_BATCH = 512
"""Rows of one compiled call, each with a network of its own."""


def conditional_terms(
    coordinates: ConditionalGeometry, family: AbstractFamily, x: Array, y: Array, conjugates: NDArray[np.floating]
) -> DualTerms:
    """Dual values of both sides under the condition of each row, with what certifies them.

    Args:
        coordinates: Coordinates of the potentials.
        family: Potentials.
        x: `(n, d + k)` rows of the source in the units of the data.
        y: `(m, d + k)` rows of the target.
        conjugates: `(m, d)` presumed maximisers for the rows of `y`, in the new coordinates.

    Note: Cost: four evaluations of a network of its own, in double precision, a row.
    """
    source, off_x = map_chunks(lambda rows: _source(coordinates, family, rows), x)
    places = np.asarray(conjugates, np.float64)
    target, slack = map_chunks(lambda rows, found: _target(coordinates, family, rows, found), y, places)
    certified = bool(np.isfinite(off_x).all() and np.isfinite(slack).all())
    return DualTerms(source - (off_x if certified else 0.0), target, slack, certified)


def _source(c: ConditionalGeometry, family: AbstractFamily, rows: Array) -> tuple[Array, Array]:
    inner, relative, squares = _precise(c, rows, of_source=True)
    with jax.enable_x64(True):
        precise = double(family)
        values, errors = map_batches(lambda *part: _values(precise, *part), inner, rows[:, c.dim :], batch=_BATCH)
    return c.source_offsets(rows) - c.unit**2 * values, relative * squares + c.unit**2 * errors


def _target(c: ConditionalGeometry, family: AbstractFamily, rows: Array, found: Array) -> tuple[Array, Array]:
    inner, relative, squares = _precise(c, rows, of_source=False)
    with jax.enable_x64(True):
        precise = double(family)
        floor = floor_of(precise)
        estimate, slack = map_batches(
            lambda *part: _conjugates(precise, floor, *part), inner, found, rows[:, c.dim :], batch=_BATCH
        )
    return c.target_offsets(rows) - c.unit**2 * estimate, relative * squares + c.unit**2 * slack


def _precise(c: ConditionalGeometry, rows: Array, *, of_source: bool) -> tuple[Array, Array, Array]:
    """Points in the new coordinates in double precision, and what bounds the rounding of the inner product there."""
    inner, relative, squares = np.empty((len(rows), c.dim)), np.empty(len(rows)), np.empty(len(rows))
    step = max((1 << 20) // c.dim**2, 1)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        mean_x, mean_y, to_x, to_y = c.matrices(rows[part, c.dim :])
        centred = (rows[part, : c.dim] - (mean_x if of_source else mean_y)) / c.scale
        shift = (mean_x - mean_y) / c.scale
        inner[part] = np.einsum("nij,nj->ni", to_x if of_source else to_y, centred)
        wrong = np.linalg.norm(c.unit**2 * np.einsum("nki,nkj->nij", to_x, to_y) - np.eye(c.dim), axis=(1, 2))
        sizes = c.unit**2 * np.linalg.norm(to_x, axis=(1, 2)) * np.linalg.norm(to_y, axis=(1, 2))
        rounding = 0.5 * (wrong + 4.0 * (c.dim + 4) * EPS * sizes)
        relative[part] = rounding + 8.0 * (c.dim + 8) * EPS
        squares[part] = np.sum(centred**2, axis=1) + np.sum(shift**2, axis=1)
    return inner, relative, squares


@eqx.filter_jit
def _values(family: AbstractFamily, x: Device, codes: Device) -> tuple[Device, Device]:
    def one(point: Device, code: Device) -> tuple[Device, Device]:
        u, alone = family.at(code), point[None]
        errors = u.rounding(alone)
        value, (origin, wrong) = u(alone)[0], _at_origin(u, alone)
        if errors is None:
            return value - origin, jnp.full_like(value, jnp.nan)
        return value - origin, errors[0][0] + wrong + EPS * (jnp.abs(value) + jnp.abs(origin))

    return jax.vmap(one)(jnp.asarray(x), jnp.asarray(codes))


@eqx.filter_jit
def _conjugates(family: AbstractFamily, floor: Device, y: Device, x: Device, codes: Device) -> tuple[Device, Device]:
    """Values of each row's conjugate at its presumed maximiser, and by how much the conjugate may exceed them."""

    def one(target: Device, point: Device, code: Device) -> tuple[Device, Device]:
        u, alone = family.at(code), point[None]
        values, gradient = u.value_and_gradient(alone)
        estimate = point @ target - values[0]
        errors = u.rounding(alone)
        origin, wrong = _at_origin(u, alone)
        if errors is None:
            return estimate + origin, jnp.full_like(estimate, jnp.nan)
        residual = jnp.linalg.norm(gradient[0] - target) + errors[1][0] + 4.0 * EPS * jnp.linalg.norm(target)
        products = (len(point) + 4) * EPS * jnp.sum(jnp.abs(point * target))
        slack = jnp.square(residual) / (2.0 * floor) * (1.0 + 1e-9) + errors[0][0] + products
        return estimate + origin, slack + wrong + EPS * (jnp.abs(estimate) + jnp.abs(origin))

    return jax.vmap(one)(jnp.asarray(y), jnp.asarray(x), jnp.asarray(codes))


def _at_origin(u: AbstractPotential, alone: Device) -> tuple[Device, Device]:
    """Value at the origin, and a bound of its error.

    It is taken off the values on both sides, which changes no sum of two under one condition: what a network adds for a
    condition alone would be noise in means over conditions.
    """
    zero = jnp.zeros_like(alone)
    errors = u.rounding(zero)
    return u(zero)[0], jnp.zeros((), alone.dtype) if errors is None else errors[0][0]
