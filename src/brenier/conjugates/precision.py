"""What single precision cannot see of a preimage: residuals in double precision, and a solve there where they miss.

In directions with far less variance than others the rounding errors of a gradient, small beside its largest entries,
are many times the tolerance, which is in units of each direction's own standard deviation. A solve in single precision
then ends where the rounded residual happens to be small, or nowhere.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._chunks import map_batches
from brenier.conjugates.minimum import find_minima
from brenier.conjugates.problem import ConjugatePoints, Tolerance, gradients, solve_stragglers
from brenier.potentials import AbstractFamily, double
from brenier.solvers import Status

__all__ = ["Precise", "refine"]

Matrix = NDArray[np.float64]

_ROUNDING = 2.0
"""Residual in double precision, in tolerances, up to which a point that was solved in single precision stands."""


class Precise(NamedTuple):
    """Preimages in double precision.

    Attributes:
        points: `(n, d)` points.
        code: `(n,)` position in `brenier.solvers.Status`: converged where the residual in double precision is at most
            the tolerance, or at most twice that where single precision had found it to be.
        steps: `(n,)` rounds of all solvers.
    """

    points: Matrix
    code: NDArray[np.int32]
    steps: NDArray[np.int32]

    @property
    def converged(self) -> NDArray[np.bool_]:
        """`(n,)` whether each row met its tolerance."""
        return self.code == Status.converged.code


def refine(
    u: AbstractFamily,
    y: Matrix,
    solved: ConjugatePoints,
    scale: Matrix,
    tolerance: Tolerance | None = None,
    max_steps: int = 100,
) -> Precise:
    """Judge solutions of `grad u(x) = y` in double precision, and solve there what misses the tolerance.

    Args:
        u: Potential, or a family of them.
        y: `(n, d + k)` rows of the target in the coordinates of `u`.
        solved: Solutions found in single precision.
        scale: `(d,)` standard deviation of each coordinate.
        tolerance: When a row is done; by default `Tolerance()`.
        max_steps: Budget of rounds in double precision.

    Note: Cost: one gradient in double precision a point; a solve, and its compilation, where points miss.
    """
    tolerance = Tolerance() if tolerance is None else tolerance
    points, target = solved.points.astype(np.float64), y[:, : u.dim]
    # The condition is the one that images are computed under.
    codes = y[:, u.dim :].astype(np.float32).astype(np.float64)
    bound = tolerance.atol + tolerance.rtol * _norms(target / scale)
    with jax.enable_x64(True):
        precise = double(u)

        def residuals(rows: NDArray[np.intp]) -> Matrix:
            every = np.column_stack([points, codes])[rows]
            return _norms((map_batches(lambda part: gradients(precise, part), every) - target[rows]) / scale)

        code = np.where(
            solved.converged & ~(residuals(np.arange(len(y))) <= _ROUNDING * bound),
            Status.max_steps_reached.code,
            solved.code,
        ).astype(np.int32)
        # Where single precision overflows, the forward map has no image either.
        left = (code != Status.converged.code) & np.isfinite(points).all(axis=1) & np.isfinite(solved.residual)
        left = np.flatnonzero(left)
        if not len(left):
            return Precise(points, code, solved.steps)
        again = solve_stragglers(
            precise, np.column_stack([target, codes])[left], points[left], jnp.asarray(scale), tolerance, max_steps
        )
        points[left], steps = again.points, solved.steps.copy()
        steps[left] += again.steps
        met = residuals(left) <= bound[left]
        missed = np.where(again.converged, Status.max_steps_reached.code, again.code)
        code[left] = np.where(met, Status.converged.code, missed)
        rest = left[~met]
        if len(rest) and u.convexity_floor() is not None:
            rows = np.column_stack([target, codes])[rest]
            found = find_minima(precise, rows, points[rest], scale, bound[rest])
            points[rest] = found.points
            steps[rest] += found.steps
            code[rest[_norms(found.gradient / scale) <= bound[rest]]] = Status.converged.code
    return Precise(points, code, steps)


def _norms(residual: Matrix) -> Matrix:
    return np.sqrt(np.mean(np.square(residual), axis=1))
