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

from brenier.geometry._base import AbstractGeometry, Matrix
from brenier.geometry._record import Tensors, check_shapes
from brenier.geometry.moments import Moments

__all__ = ["AbstractAffine", "bures_coordinates", "bures_map", "read_affine"]

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
        """New coordinates in which one side has next to no variance but what its covariance was given.

        Nothing can be learned there: the samples do not say how a potential changes across such a direction.
        """
        given = np.zeros_like(self.spread)
        for side, to in ((source, self.to_x), (target, self.to_y)):
            if side.lift is not None:
                given = np.maximum(given, np.einsum("ij,jk,ik->i", to, side.lift, to) / self.spread**2)
        return tuple(int(axis) for axis in np.flatnonzero(given > _MOSTLY))


def bures_coordinates(source: Moments, target: Moments, scale: Matrix) -> dict[str, Any]:
    """The fields of `AbstractAffine` that match two covariances under the cost `|(x - y) / scale|^2 / 2`.

    Then `to_x^T to_y = I / (unit scale)^2`.

    Args:
        source: Moments of the source, in the units of the data.
        target: Moments of the target.
        scale: `(d,)` units of the columns in the cost.
    """
    units = np.outer(scale, scale)
    # With S = L L^T, T = M M^T and M^T L = U diag(s) V^T, the matrix W = diag(s)^(1/2) V^T L^-1 has W^T W = A, the
    # Bures map, and gives both sides the covariance diag(s): square root and rotation in one, from the factors,
    # which have half the digits of condition of the covariances.
    lower, other = (np.linalg.cholesky(side.covariance / units) for side in (source, target))
    left, variances, right = np.linalg.svd(other.T @ lower)
    roots, unit = np.sqrt(variances)[:, None], float(np.sqrt(variances.mean()))
    return {
        "mean_x": source.mean,
        "mean_y": target.mean,
        "to_x": roots * np.linalg.solve(lower.T, right.T).T / (unit * scale),
        "to_y": right @ lower.T / roots / (unit * scale),
        "from_x": scale[:, None] * unit * (lower @ right.T / roots.T),
        "from_y": scale[:, None] * unit * (other @ left / roots.T),
        "unit": unit,
        "spread": np.sqrt(variances) / unit,
    }


def read_affine(tensors: Tensors) -> dict[str, Any]:
    """The fields of `AbstractAffine`, of a map file.

    Raises:
        ValueError, KeyError: One is missing, or they do not belong to one number of columns.
    """
    d = tensors["mean_x"].size
    vectors, matrices = ("mean_x", "mean_y", "spread"), ("to_x", "to_y", "from_x", "from_y")
    shapes = dict.fromkeys(vectors, (d,)) | dict.fromkeys(matrices, (d, d)) | {"unit": ()}
    check_shapes(tensors, shapes, ("unit", "spread"))
    return {name: tensors[name] for name in (*vectors, *matrices)} | {"unit": float(tensors["unit"])}


def bures_map(source: Matrix, target: Matrix) -> Matrix:
    r"""Matrix of the optimal map between centred Gaussians with covariances `source` and `target`.

    It is the symmetric positive definite solution `A` of `A source A = target`.

    References: Olkin and Pukelsheim 1982; Peyre and Cuturi 2019, "Computational Optimal Transport", equation 2.40.

    Example:
        >>> import numpy as np
        >>> bures_map(np.diag([1.0, 4.0]), np.diag([4.0, 1.0])).round(6).tolist()
        [[2.0, 0.0], [0.0, 0.5]]
    """
    half, inverse_half = _powers(source)
    middle, _ = _powers(half @ target @ half)
    result = inverse_half @ middle @ inverse_half
    return (result + result.T) / 2


def _powers(matrix: Matrix) -> tuple[Matrix, Matrix]:
    """Square root of a positive definite matrix, and its inverse."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    roots = np.sqrt(np.maximum(values, np.finfo(np.float64).tiny))
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
