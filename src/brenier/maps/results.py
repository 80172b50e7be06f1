"""What a map says about preimages and dual values, and warnings where it could not do what it was asked."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brenier._errors import ConvergenceWarning, warn
from brenier.data.table import Matrix
from brenier.solvers import Status

__all__ = ["Dual", "Images", "Inverse", "warn_steep", "warn_unconverged"]

_SHOWN = 10


class Inverse(NamedTuple):
    """Preimages with what is known about each.

    Attributes:
        points: `(n, d)` source points `x` with `T(x) = y`, the best found where that failed.
        residual: `(n,)` Euclidean norms of `T(x) - y`, in units of the target, with the rounding of `forward`.
        converged: `(n,)` whether each met its tolerance.
        steps: `(n,)` rounds of the inner solvers.
        error: `(n,)` bounds on the distance to the exact preimages, in units of the source: each holds for its point,
            converged or not. NaN where the potential is not known to be convex; None if they were not asked for.
        disagree: `(n,)` whether two starts led to different solutions; None where the cost leaves only one start.
        status: `(n,)` members of `brenier.solvers.Status`, how each solve ended; their values are sentences.
    """

    points: Matrix
    residual: Matrix
    converged: NDArray[np.bool_]
    steps: NDArray[np.int32]
    error: Matrix | None = None
    disagree: NDArray[np.bool_] | None = None
    status: NDArray[np.object_] | None = None

    def reasons(self) -> dict[Status, int]:
        """Number of points that did not converge, by the way in which they ended."""
        ends = [] if self.status is None else self.status[~self.converged].tolist()
        return {status: ends.count(status) for status in Status if status in ends}


class Images(NamedTuple):
    """Images of source points.

    Attributes:
        points: `(n, d)` in the units of the target.
        steep: `(n,)` whether the potential there is steeper than the cost of any displacement.
    """

    points: Matrix
    steep: NDArray[np.bool_]


class Dual(NamedTuple):
    """A dual value.

    Attributes:
        value: Estimate of the least mean cost, of `W2^2 / 2` for a quadratic one; in expectation at most the truth up
            to the error of the conjugates.
        unconverged: Share of the target points whose conjugate missed its tolerance.
        gap: Certified gap: with exact conjugates the value would lie between `value - gap` and `value`, up to rounding;
            NaN if the potential is not known to be convex.
    """

    value: float
    unconverged: float
    gap: float


def warn_unconverged(result: Inverse) -> None:
    """Warn, at the user's line, of preimages that were not found to tolerance."""
    failed = np.flatnonzero(~result.converged)
    if len(failed):
        reasons = " ".join(f"{count} of them: {status.value}" for status, count in result.reasons().items())
        warn(
            f"{len(failed)} of {len(result.points)} preimages are not converged: rows {_numbers(failed)}; largest "
            f"residual {result.residual[failed].max():.3g} in units of the target. They are the best points found. "
            "Such rows usually lie far outside the data of the fit; `inverse_with_status` has the status of each row. "
            f"{reasons}",
            ConvergenceWarning,
        )


def warn_steep(steep: NDArray[np.bool_]) -> None:
    """Warn, at the user's line, of points where the potential is steeper than the cost of any displacement."""
    rows = np.flatnonzero(steep)
    if len(rows):
        warn(
            f"at {len(rows)} of {len(steep)} points the potential is steeper than the cost of any displacement: rows "
            f"{_numbers(rows)}. Their images are the farthest that the cost can tell apart. Such rows lie outside the "
            "data of the fit, or the fit was too short.",
            ConvergenceWarning,
        )


def _numbers(rows: NDArray[np.intp]) -> str:
    """The first of many row numbers."""
    return f"{', '.join(map(str, rows[:_SHOWN]))}{' ...' if len(rows) > _SHOWN else ''}"
