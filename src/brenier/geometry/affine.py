r"""Bures coordinates: the closed-form Gaussian map as preconditioner and starting point.

The inner product is unchanged by :math:`x' = P(x - m_x)`, :math:`y' = P^{-T}(y - m_y)`, and quadratic-cost transport
depends on the inner product only. With :math:`P = A^{1/2}`, where `A` is the optimal linear map between the two
covariances, both clouds get the *same* covariance and the identity is the optimal Gaussian map. A rotation to the
principal axes and one common unit keep this property. Everything here is float64 NumPy, so that data far from the
origin or in tiny units lose no digits before they reach the float32 core.

References: Bhatia, Jain, Lim 2019, "On the Bures-Wasserstein distance between positive definite matrices".
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular, svd

from brenier.geometry._base import AbstractGeometry, Matrix
from brenier.geometry._record import Tensors, check_shapes
from brenier.geometry.moments import Moments

__all__ = ["AbstractAffine", "affine_rounding", "bures_coordinates", "read_affine"]

_MOSTLY = 0.5
"""Share of a coordinate's variance."""


class AbstractAffine(AbstractGeometry):
    """Affine coordinates for source and target in which a Gaussian map between them is the identity.

    Attributes:
        mean_x, mean_y: Centres of the two sides.
        to_x, to_y: Matrices of the new coordinates, `x' = to_x (x - mean_x)`.
        from_x, from_y: Their inverses.
        unit: Length of one unit of the new coordinates; values of potentials scale with its square.
        spread: Standard deviation of each new coordinate, the same for both sides.
    """

    mean_x: Matrix
    mean_y: Matrix
    to_x: Matrix
    to_y: Matrix
    from_x: Matrix
    from_y: Matrix
    unit: float
    spread: Matrix

    @property
    def dim(self) -> int:
        return self.mean_x.shape[0]

    @property
    def linear_map(self) -> Matrix:
        """Matrix of the Gaussian map, `T(x) = mean_y + linear_map (x - mean_x)`."""
        return self.from_y @ self.to_x

    @property
    def log_volume(self) -> float:
        return float(np.linalg.slogdet(self.linear_map)[1])

    def precise_x(self, points: Matrix) -> Matrix:
        return (points - self.mean_x) @ self.to_x.T

    def precise_y(self, points: Matrix) -> Matrix:
        return (points - self.mean_y) @ self.to_y.T

    def leave_x(self, points: NDArray[np.floating], codes: Matrix | None = None) -> Matrix:
        return np.asarray(points, np.float64) @ self.from_x.T + self.mean_x

    def leave_y(self, points: NDArray[np.floating], codes: Matrix | None = None) -> Matrix:
        return np.asarray(points, np.float64) @ self.from_y.T + self.mean_y

    def degenerate(self, source: Moments, target: Moments) -> tuple[int, ...]:
        """Numbers of the new coordinates in which a side has next to no variance of its own, but what was added to it.

        Nothing can be learned there: the samples do not say how a potential changes across such a direction.
        """
        given = np.zeros_like(self.spread)
        for side, to in ((source, self.to_x), (target, self.to_y)):
            if side.lift is not None:
                given = np.maximum(given, np.einsum("ij,jk,ik->i", to, side.lift, to) / self.spread**2)
        return tuple(int(axis) for axis in np.flatnonzero(given > _MOSTLY))


def bures_coordinates(source: Moments, target: Moments, scale: Matrix) -> dict[str, Any]:
    """Compute the fields of `AbstractAffine` that match two covariances under the cost `|(x - y) / scale|^2 / 2`.

    Then `to_x^T to_y = I / (unit scale)^2`.

    Args:
        source: Moments of the source, in the units of the data.
        target: Moments of the target.
        scale: `(d,)` units of the columns in the cost.
    """
    units = np.outer(scale, scale)
    first, second = source.covariance / units, target.covariance / units
    # From the widest column to the narrowest, small variances are computed from small numbers alone.
    order = np.argsort(-np.diag(first) * np.diag(second), kind="stable")
    # With S = L L^T, T = M M^T and M^T L = U diag(s) V^T, the matrix W = diag(s)^(1/2) V^T L^-1 has W^T W = A, the
    # Bures map, and gives both sides the covariance diag(s): square root and rotation in one, from the factors,
    # which have half the digits of condition of the covariances.
    lower, lower_target = (np.linalg.cholesky(side[np.ix_(order, order)]) for side in (first, second))
    left, variances, right = svd(lower_target.T @ lower, lapack_driver="gesvd")
    wide, back = scale[order], np.argsort(order)
    roots, unit = np.sqrt(variances)[:, None], float(np.sqrt(variances.mean()))
    return {
        "mean_x": source.mean,
        "mean_y": target.mean,
        "to_x": (roots * solve_triangular(lower, right.T, trans=1, lower=True).T / (unit * wide))[:, back],
        "to_y": (right @ lower.T / roots / (unit * wide))[:, back],
        "from_x": (wide[:, None] * unit * (lower @ right.T / roots.T))[back],
        "from_y": (wide[:, None] * unit * (lower_target @ left / roots.T))[back],
        "unit": unit,
        "spread": np.sqrt(variances) / unit,
    }


def affine_rounding(to_x: Matrix, to_y: Matrix, unit: float) -> Matrix:
    """How far rounding changes a cost that is seen through affine coordinates, in double precision.

    Args:
        to_x: `(..., d, d)` matrices of the coordinates of the source, for points in units of the cost.
        to_y: `(..., d, d)` matrices for the target, with `to_x^T to_y = I / unit^2` but for rounding.
        unit: Length of one unit of the new coordinates.

    Returns:
        `(...)` shares of the squares of centred points and of the shift between the centres, that bound the error.

    References: Higham 2002, "Accuracy and Stability of Numerical Algorithms", section 3.1.
    """
    dim, eps = to_x.shape[-1], np.finfo(np.float64).eps
    wrong = np.linalg.norm(unit**2 * np.swapaxes(to_x, -1, -2) @ to_y - np.eye(dim), axis=(-2, -1))
    sizes = unit**2 * np.linalg.norm(to_x, axis=(-2, -1)) * np.linalg.norm(to_y, axis=(-2, -1))
    return 0.5 * (wrong + 4.0 * (dim + 4) * eps * sizes) + 8.0 * (dim + 8) * eps


def read_affine(tensors: Tensors) -> dict[str, Any]:
    """Read the fields of `AbstractAffine` from the tensors of a map file.

    Raises:
        ValueError, KeyError: One is missing, or they do not belong to one number of columns.
    """
    d = tensors["mean_x"].size
    vectors, matrices = ("mean_x", "mean_y", "spread"), ("to_x", "to_y", "from_x", "from_y")
    shapes = dict.fromkeys(vectors, (d,)) | dict.fromkeys(matrices, (d, d)) | {"unit": ()}
    shapes |= {"root": (d, d)} if "root" in tensors else {}
    check_shapes(tensors, shapes, ("unit", "spread"))
    return {name: tensors[name] for name in (*vectors, *matrices)} | {"unit": float(tensors["unit"])}
