r"""Densities by change of variables: a base distribution on one side of a map, points on the other.

With the base on the target side, :math:`\log p(x) = \log b(T(x)) + \log\det DT(x)`: one gradient and one Hessian a
point. With the base on the source side, :math:`\log p(y) = \log b(S(y)) - \log\det DT(S(y))`: a solve comes before
them. T is a bijection of the whole space where the potential is strongly convex, so either integrates to one.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._chunks import map_batches, map_chunks
from brenier._errors import InputError
from brenier._products import contract
from brenier._types import Array, Points
from brenier.conjugates import conjugate_points
from brenier.data.table import CheckedTable, Matrix
from brenier.density.bases import Base, Normal
from brenier.density.log_det import EXACT_DIMENSIONS, cholesky_log_det, log_dets

if TYPE_CHECKING:
    from brenier.density.methods import DensityMethods
    from brenier.potentials import AbstractPotential

__all__ = ["LogDensity", "check_side", "density_gradient", "log_density"]

_GRADIENT_ENTRIES = 1 << 18
"""Numbers in one batch of Hessians that are differentiated."""


class LogDensity(NamedTuple):
    """Log densities at points, with what is known about each.

    Attributes:
        value: `(n,)` natural logarithms, for volumes in the units of the data.
        error: `(n,)` standard errors of log determinants that were estimated; zero where they are exact.
        converged: `(n,)` whether the preimage of each point met its tolerance; true where none was needed.
    """

    value: NDArray[np.float64]
    error: NDArray[np.float64]
    converged: NDArray[np.bool_]


def check_side(side: str) -> str:
    """Raise `InputError` for a side other than `"source"` or `"target"`; return it otherwise."""
    if side not in ("source", "target"):
        raise InputError(f"`side` must be 'source' or 'target', the side that the points are on; got {side!r}.")
    return side


def log_density(
    map_: "DensityMethods", points: "Matrix", base: Base, side: str, exact: bool | None = None
) -> LogDensity:
    """Log densities of the base, moved by a map.

    Args:
        map_: The map.
        points: `(n, d)` checked points.
        base: Distribution on the other side.
        side: `"target"` for the image of the base, `"source"` for its preimage.
        exact: Whether to build Hessians whole; by default up to 256 columns.
    """
    # Of one condition: affine coordinates, and a potential.
    c: Any = map_.geometry
    u: Any = map_.potential
    volume = c.log_volume

    def of_source(x: "Matrix") -> LogDensity:
        inner = c.enter_x(x)
        volumes = log_dets(u, inner, exact=exact)
        value = base.log_density(map_.forward(CheckedTable(x))) + volumes.value + volume
        return LogDensity(value, volumes.error, np.ones(len(x), bool))

    def of_target(y: "Matrix") -> LogDensity:
        solved = conjugate_points(u, c.enter_y(y), scale=c.spread)
        volumes = log_dets(u, solved.points, exact=exact)
        value = base.log_density(c.leave_x(solved.points)) - volumes.value - volume
        return LogDensity(value, volumes.error, solved.converged)

    return map_chunks(of_source if side == "source" else of_target, points)


def density_gradient(map_: "DensityMethods", points: "Matrix", base: Base, side: str) -> "Matrix":
    """Gradients of `log_density` in the points, `(n, d)`, in moderate dimension and for normal bases.

    Note: Cost: about `d` more times that of a log density.
    """
    if map_.dim > EXACT_DIMENSIONS:
        raise InputError(
            f"gradients of log densities need whole Hessians, which are built up to {EXACT_DIMENSIONS} dimensions; "
            f"this map has {map_.dim}."
        )
    if not isinstance(base, Normal):
        raise InputError(f"`base` must be normal for gradients of log densities; got {base!r}.")
    normal = base
    # Of one condition: affine coordinates, and a potential.
    c: Any = map_.geometry
    u: Any = map_.potential
    batch = max(32, 1 << (_GRADIENT_ENTRIES // map_.dim**2).bit_length() - 1)

    def of_source(x: "Matrix") -> "Matrix":
        outer = (normal.gradient(map_.forward(CheckedTable(x))) @ c.from_y).astype(np.float32)
        inner = map_batches(lambda part, up: _pull_back(u, part, up), c.enter_x(x), outer, batch=batch)
        return np.asarray(inner, np.float64) @ c.to_x

    def of_target(y: "Matrix") -> "Matrix":
        preimages = conjugate_points(u, c.enter_y(y), scale=c.spread).points
        outer = (normal.gradient(c.leave_x(preimages)) @ c.from_x).astype(np.float32)
        inner = map_batches(lambda part, up: _push_forward(u, part, up), preimages, outer, batch=batch)
        return np.asarray(inner, np.float64) @ c.to_y

    return map_chunks(of_source if side == "source" else of_target, points)


def _log_det_gradient(u: "AbstractPotential", x: Points) -> tuple[Array, Points]:
    """Hessians, and gradients of their log determinants."""

    def total(x: Points) -> tuple[Array, Array]:
        hessians = u.hessian(x)
        return jnp.sum(cholesky_log_det(hessians)), hessians

    gradient, hessians = jax.grad(total, has_aux=True)(x)
    return hessians, gradient


@eqx.filter_jit
def _pull_back(u: "AbstractPotential", x: Points, outer: Points) -> Points:
    hessians, gradient = _log_det_gradient(u, jnp.asarray(x))
    return contract("nij,nj->ni", hessians, outer) + gradient


@eqx.filter_jit
def _push_forward(u: "AbstractPotential", x: Points, outer: Points) -> Points:
    hessians, gradient = _log_det_gradient(u, jnp.asarray(x))
    return jnp.linalg.solve(hessians, (outer - gradient)[..., None])[..., 0]
