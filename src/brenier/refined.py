"""What single precision cannot see of a preimage: residuals in double precision, and a solve there where they miss.

In directions with far less variance than others the rounding errors of a gradient, small beside its largest entries,
are many times the tolerance, which is in units of each direction's own standard deviation. A solve in single precision
then ends where the rounded residual happens to be small, or nowhere.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._types import Points
from brenier.batches import map_batches
from brenier.certificates.terms import double
from brenier.conjugate import ConjugatePoints, Tolerance, solve_stragglers
from brenier.potentials import AbstractPotential

__all__ = ["Refined", "gradients", "refined"]

Array = NDArray[np.float64]

_ROUNDING = 2.0
"""Residual in double precision, in tolerances, up to which a point that was solved in single precision stands."""


class Refined(NamedTuple):
    """Preimages in double precision.

    Attributes:
        points: `(n, d)` points.
        converged: `(n,)` whether the residual in double precision is at most the tolerance, or at most twice that where
            single precision had found it to be.
        steps: `(n,)` rounds of all solvers.
    """

    points: Array
    converged: NDArray[np.bool_]
    steps: NDArray[np.int32]


def refined(
    u: AbstractPotential,
    y: Array,
    solved: ConjugatePoints,
    scale: Array,
    tolerance: Tolerance | None = None,
    max_steps: int = 100,
) -> Refined:
    """Judge solutions of `grad u(x) = y` in double precision, and solve there what misses the tolerance.

    Args:
        u: Potential.
        y: `(n, d)` target points in the coordinates of `u`.
        solved: What single precision has found.
        scale: `(d,)` standard deviation of each coordinate.
        tolerance: When a row is done; by default `Tolerance()`.
        max_steps: Budget of rounds in double precision.

    Note: Cost: one gradient in double precision a point; a solve, and its compilation, where points miss.
    """
    tolerance = Tolerance() if tolerance is None else tolerance
    bound = tolerance.atol + tolerance.rtol * _norms(y / scale)
    points = solved.points.astype(np.float64)
    with jax.enable_x64(True):
        precise = double(u)
        gradient = map_batches(lambda part: gradients(precise, jnp.asarray(part)), points)
        converged = solved.converged & (_norms((gradient - y) / scale) <= _ROUNDING * bound)
        # Where single precision overflows, the forward map has no image either.
        left = np.flatnonzero(~converged & np.isfinite(points).all(axis=1) & np.isfinite(solved.residual))
        if not len(left):
            return Refined(points, converged, solved.steps)
        again = solve_stragglers(precise, y[left], points[left], jnp.asarray(scale), tolerance, max_steps)
        better = map_batches(lambda part: gradients(precise, jnp.asarray(part)), again.points)
    points[left] = again.points
    converged[left] = _norms((better - y[left]) / scale) <= bound[left]
    steps = solved.steps.copy()
    steps[left] += again.steps
    return Refined(points, converged, steps)


def _norms(residual: Array) -> Array:
    return np.sqrt(np.mean(np.square(residual), axis=1))


@eqx.filter_jit
def gradients(u: AbstractPotential, x: Points) -> Points:
    """Gradients of a potential, in the precision of its arrays."""
    return u.gradient(x)
