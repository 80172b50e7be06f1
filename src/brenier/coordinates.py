r"""Bures coordinates: the closed-form Gaussian map as preconditioner and starting point.

The inner product is unchanged by :math:`x' = P(x - m_x)`, :math:`y' = P^{-T}(y - m_y)`, and quadratic-cost transport
depends on the inner product only. With :math:`P = A^{1/2}`, where `A` is the optimal linear map between the two
covariances, both clouds get the *same* covariance and the identity is the optimal Gaussian map. A rotation to the
principal axes and one common unit keep this property. Everything here is float64 NumPy, so that data far from the
origin or in tiny units lose no digits before they reach the float32 core.

References: Bhatia, Jain, Lim 2019, "On the Bures-Wasserstein distance between positive definite matrices".
"""

from typing import NamedTuple, Protocol, TypeAlias

import equinox as eqx
import numpy as np
from numpy.typing import NDArray

from brenier.surplus import AbstractSurplus, InnerProduct

__all__ = ["BuresCoordinates", "Coordinates", "Moments", "bures_map"]

Matrix: TypeAlias = NDArray[np.float64]

_MOSTLY = 0.5
"""Share of a coordinate's variance."""


class Moments(NamedTuple):
    """Mean and covariance of one side, with what had to be done to make the covariance usable.

    Attributes:
        mean: `(d,)`.
        covariance: `(d, d)`, positive definite.
        count: Samples behind it.
        shrinkage: Weight given to uncorrelated columns, in [0, 1].
        lift: `(d, d)` what was added to the covariance in directions without variance: collinear columns. None if
            there are none.
    """

    mean: Matrix
    covariance: Matrix
    count: int
    shrinkage: float = 0.0
    lift: Matrix | None = None


class Coordinates(Protocol):
    """What training asks of coordinates. Rows are points with the numbers of their condition behind them, if any."""

    @property
    def dim(self) -> int:
        """Number of columns of the points."""
        ...

    @property
    def conditions(self) -> tuple[int, int] | None:
        """How many classes and numbers a condition has; None without conditions."""
        ...

    @property
    def spread(self) -> Matrix:
        """`(dim,)` standard deviation of each new coordinate."""
        ...

    @property
    def unit(self) -> float:
        """Length of one unit of the new coordinates."""
        ...

    @property
    def surplus(self) -> AbstractSurplus:
        """What stands between two points in these coordinates."""
        ...

    def enter_x(self, points: Matrix) -> NDArray[np.float32]:
        """Rows of the source in the new coordinates."""
        ...

    def enter_y(self, points: Matrix) -> NDArray[np.float32]:
        """Rows of the target in the new coordinates."""
        ...

    def dual_offset(self, x: Matrix, y: Matrix, a: Matrix | None = None, b: Matrix | None = None) -> float:
        """The dual value before the potential is subtracted; `a` and `b` are weights of the rows."""
        ...


class BuresCoordinates(eqx.Module):
    """Affine coordinates for source and target in which the optimal Gaussian map is the identity.

    Attributes:
        mean_x, mean_y: Centres of the two sides.
        to_x, to_y: Matrices of the new coordinates, `x' = to_x (x - mean_x)`, with `to_x^T to_y = I / (unit scale)^2`.
        from_x, from_y: Their inverses.
        unit: Length of one unit of the new coordinates; values of potentials scale with its square.
        spread: Standard deviation of each new coordinate, the same for both sides.
        scale: Units in which the cost measures the columns: it is `|(x - y) / scale|^2 / 2`.
        root: A matrix `R` where the cost is `|R (x - y) / scale|^2 / 2`, a Mahalanobis distance; None for the identity.

    Example:
        >>> import numpy as np
        >>> source, target = (Moments(np.zeros(2), np.diag(own), 1000) for own in ([1.0, 4.0], [4.0, 1.0]))
        >>> c = BuresCoordinates.between(source, target)
        >>> c.linear_map.round(6).tolist()  # from deviations of 1 and 2 to 2 and 1
        [[2.0, 0.0], [0.0, 0.5]]
    """

    mean_x: Matrix
    mean_y: Matrix
    to_x: Matrix
    to_y: Matrix
    from_x: Matrix
    from_y: Matrix
    unit: float
    spread: Matrix
    scale: Matrix
    root: Matrix | None = None

    @classmethod
    def between(
        cls, source: Moments, target: Moments, scale: Matrix | None = None, root: Matrix | None = None
    ) -> "BuresCoordinates":
        """Coordinates that match the two covariances.

        Args:
            source: Moments of the source, in the units of the data.
            target: Moments of the target.
            scale: `(d,)` units of the columns in the cost; ones by default.
            root: `(d, d)` square root of the matrix of a Mahalanobis distance; the identity by default.
        """
        scale = np.ones_like(source.mean) if scale is None else np.asarray(scale, np.float64)
        if root is not None:
            return cls._between_rooted(source, target, scale, root)
        units = np.outer(scale, scale)
        # With S = L L^T, T = M M^T and M^T L = U diag(s) V^T, the matrix W = diag(s)^(1/2) V^T L^-1 has W^T W = A, the
        # Bures map, and gives both sides the covariance diag(s): square root and rotation in one, from the factors,
        # which have half the digits of condition of the covariances.
        lower, other = (np.linalg.cholesky(side.covariance / units) for side in (source, target))
        left, variances, right = np.linalg.svd(other.T @ lower)
        roots, unit = np.sqrt(variances)[:, None], float(np.sqrt(variances.mean()))
        return cls(
            mean_x=source.mean,
            mean_y=target.mean,
            to_x=roots * np.linalg.solve(lower.T, right.T).T / (unit * scale),
            to_y=right @ lower.T / roots / (unit * scale),
            from_x=scale[:, None] * unit * (lower @ right.T / roots.T),
            from_y=scale[:, None] * unit * (other @ left / roots.T),
            unit=unit,
            spread=np.sqrt(variances) / unit,
            scale=scale,
        )

    @classmethod
    def _between_rooted(cls, source: Moments, target: Moments, scale: Matrix, root: Matrix) -> "BuresCoordinates":
        """The coordinates of the points `R x / scale`, seen from the points themselves."""
        to, back = root / scale, np.linalg.inv(root) * scale[:, None]
        first, second = (
            side._replace(mean=to @ side.mean, covariance=to @ side.covariance @ to.T) for side in (source, target)
        )
        inner = cls.between(first, second)
        return cls(
            mean_x=source.mean,
            mean_y=target.mean,
            to_x=inner.to_x @ to,
            to_y=inner.to_y @ to,
            from_x=back @ inner.from_x,
            from_y=back @ inner.from_y,
            unit=inner.unit,
            spread=inner.spread,
            scale=scale,
            root=root,
        )

    def measured(self, points: Matrix) -> Matrix:
        """Points, or differences of points, in units in which the cost is half the squared Euclidean distance."""
        return points / self.scale if self.root is None else (points / self.scale) @ self.root.T

    @property
    def unmeasured(self) -> Matrix:
        """Matrix that takes columns of differences in those units back to the units of the data."""
        return np.diag(self.scale) if self.root is None else self.scale[:, None] * np.linalg.inv(self.root)

    def inert(self, source: Moments, target: Moments) -> tuple[int, ...]:
        """New coordinates in which one side has next to no variance but what its covariance was given.

        Nothing can be learned there: the samples do not say how a potential changes across such a direction.
        """
        given = np.zeros_like(self.spread)
        for side, to in ((source, self.to_x), (target, self.to_y)):
            if side.lift is not None:
                given = np.maximum(given, np.einsum("ij,jk,ik->i", to, side.lift, to) / self.spread**2)
        return tuple(int(axis) for axis in np.flatnonzero(given > _MOSTLY))

    @property
    def dim(self) -> int:
        """Number of columns."""
        return self.mean_x.shape[0]

    @property
    def conditions(self) -> None:
        """Points have no condition."""

    @property
    def surplus(self) -> InnerProduct:
        """The inner product."""
        return InnerProduct(self.dim)

    @property
    def linear_map(self) -> Matrix:
        """Matrix of the Gaussian map, `T(x) = mean_y + linear_map (x - mean_x)`."""
        return self.from_y @ self.to_x

    def enter_x(self, points: Matrix) -> NDArray[np.float32]:
        """Source points in the new coordinates."""
        return self.precise_x(points).astype(np.float32)

    def enter_y(self, points: Matrix) -> NDArray[np.float32]:
        """Target points in the new coordinates."""
        return self.precise_y(points).astype(np.float32)

    def precise_x(self, points: Matrix) -> Matrix:
        """The same in double precision, for certificates."""
        return (points - self.mean_x) @ self.to_x.T

    def precise_y(self, points: Matrix) -> Matrix:
        """The same in double precision, for certificates."""
        return (points - self.mean_y) @ self.to_y.T

    def dual_offset(self, x: Matrix, y: Matrix, a: Matrix | None = None, b: Matrix | None = None) -> float:
        """What the dual value is, on two samples, before the potential is subtracted.

        With points centred, `|x - y|^2 = |x|^2 + |y|^2 - 2 <x, y> + 2 <shift, x - y> + |shift|^2`. Only the inner
        product meets the potential, so the dual value `E|x - y|^2 / 2` is this minus `unit^2 (E u(x') + E u*(y'))`.
        Weights `a` of the rows of `x` and `b` of those of `y` are equal ones by default.
        """
        centred_x, centred_y = self.measured(x - self.mean_x), self.measured(y - self.mean_y)
        shift = self.measured(self.mean_x - self.mean_y)
        of_x = np.sum(centred_x * (0.5 * centred_x + shift), axis=1)
        of_y = np.sum(centred_y * (0.5 * centred_y - shift), axis=1)
        return float(np.average(of_x, weights=a) + np.average(of_y, weights=b) + 0.5 * shift @ shift)

    def leave_x(self, points: NDArray[np.floating]) -> Matrix:
        """Source points in the units of the data."""
        return np.asarray(points, np.float64) @ self.from_x.T + self.mean_x

    def leave_y(self, points: NDArray[np.floating]) -> Matrix:
        """Target points in the units of the data."""
        return np.asarray(points, np.float64) @ self.from_y.T + self.mean_y


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
