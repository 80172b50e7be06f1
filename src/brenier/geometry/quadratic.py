"""The geometry of half a squared distance: affine coordinates in which the optimal Gaussian map is the identity."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from brenier.costs import Mahalanobis, SquaredEuclidean
from brenier.geometry._base import Matrix
from brenier.geometry._record import GeometryRecord, Tensors, check_shapes
from brenier.geometry.affine import AbstractAffine, affine_rounding, bures_coordinates, read_affine
from brenier.geometry.moments import Moments
from brenier.geometry.surplus import InnerProduct

__all__ = ["QuadraticGeometry"]


class QuadraticGeometry(AbstractAffine):
    """The cost `|R (x - y) / scale|^2 / 2`, in Bures coordinates.

    Attributes:
        mean_x, mean_y, to_x, to_y, from_x, from_y, unit, spread: As `AbstractAffine` has them.
        scale: Units in which the cost measures the columns.
        root: The matrix R of a Mahalanobis distance; None for the identity.

    Example:
        >>> import numpy as np
        >>> from brenier.geometry import Moments
        >>> source, target = (Moments(np.zeros(2), np.diag(side), 1000) for side in ([1.0, 4.0], [4.0, 1.0]))
        >>> geometry = QuadraticGeometry.between(source, target)
        >>> geometry.linear_map.round(6).tolist()  # from deviations of 1 and 2 to 2 and 1
        [[2.0, 0.0], [0.0, 0.5]]
    """

    scale: Matrix
    root: Matrix | None = None

    @classmethod
    def between(
        cls, source: Moments, target: Moments, scale: Matrix | None = None, root: Matrix | None = None
    ) -> "QuadraticGeometry":
        """Coordinates that match the two covariances.

        Args:
            source: Moments of the source, in the units of the data.
            target: Moments of the target.
            scale: `(d,)` units of the columns in the cost; ones by default.
            root: `(d, d)` square root of the matrix of a Mahalanobis distance; the identity by default.
        """
        scale = np.ones_like(source.mean) if scale is None else np.asarray(scale, np.float64)
        if root is None:
            return cls(**bures_coordinates(source, target, scale), scale=scale)
        # The coordinates of the points `R x / scale`, seen from the points themselves.
        to, back = root / scale, np.linalg.inv(root) * scale[:, None]
        first, second = (
            side._replace(mean=to @ side.mean, covariance=to @ side.covariance @ to.T) for side in (source, target)
        )
        parts = bures_coordinates(first, second, np.ones_like(scale))
        parts |= {"mean_x": source.mean, "mean_y": target.mean}
        parts |= {name: parts[name] @ to for name in ("to_x", "to_y")}
        parts |= {name: back @ parts[name] for name in ("from_x", "from_y")}
        return cls(**parts, scale=scale, root=root)

    @property
    def cost(self) -> SquaredEuclidean | Mahalanobis:
        """The cost, for points with each column in units of its scale; its matrix is known up to rounding."""
        return SquaredEuclidean() if self.root is None else Mahalanobis(self.root.T @ self.root)

    @property
    def quadratic(self) -> bool:
        return True

    @property
    def euclidean(self) -> bool:
        return self.root is None

    @property
    def baseline_distance(self) -> float:
        """Distance between the Gaussians with the moments of the two sides."""
        deviations = (self.from_x - self.from_y) * self.spread
        moved = self.measure(np.column_stack([self.mean_x - self.mean_y, deviations]).T)
        return float(np.sqrt(np.sum(moved**2)))

    def surplus_in(self, dtype: type[np.floating]) -> InnerProduct:
        return InnerProduct(self.dim)

    def measure(self, points: Matrix) -> Matrix:
        """Points, or their differences, in units in which the cost is half the squared Euclidean distance."""
        return points / self.scale if self.root is None else (points / self.scale) @ self.root.T

    @property
    def unmeasured(self) -> Matrix:
        """Matrix that takes differences in the units of `measure`, as columns, back to the units of the data."""
        return np.diag(self.scale) if self.root is None else self.scale[:, None] * np.linalg.inv(self.root)

    def certified_x(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        return self.precise_x(rows), self._rounding(rows - self.mean_x)

    def certified_y(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        return self.precise_y(rows), self._rounding(rows - self.mean_y)

    def column_weights(self, direction: Matrix) -> Matrix:
        return direction if self.root is None else self.root.T @ direction

    def costs(self, x: Matrix, y: Matrix) -> Matrix:
        return 0.5 * np.sum(np.square(self.measure(x - y)), axis=1)

    def source_offsets(self, rows: Matrix) -> Matrix:
        """Kantorovich potential of the source at each row, before `unit^2 u` is subtracted.

        With points centred, `|x - y|^2 = |x|^2 + |y|^2 - 2 <x, y> + 2 <shift, x - y> + |shift|^2`, and only the inner
        product meets the potential.
        """
        centred = self.measure(rows - self.mean_x)
        return np.sum(centred * (0.5 * centred + self._shift), axis=1)

    def target_offsets(self, rows: Matrix) -> Matrix:
        centred, shift = self.measure(rows - self.mean_y), self._shift
        return np.sum(centred * (0.5 * centred - shift), axis=1) + 0.5 * shift @ shift

    def record(self) -> GeometryRecord:
        tensors = {name: value for name, value in vars(self).items() if value is not None}
        return GeometryRecord(1 if self.root is None else 3, {}, tensors)

    @classmethod
    def recognises(cls, entries: Mapping[str, Any]) -> bool:
        return not {"cost", "conditions"} & entries.keys()

    @classmethod
    def from_record(cls, entries: Mapping[str, Any], tensors: Tensors) -> Self:
        parts = read_affine(tensors)
        d = len(parts["mean_x"])
        check_shapes(tensors, {"scale": (d,)}, ("scale",))
        return cls(**parts, scale=tensors["scale"], root=tensors.get("root"))

    def _rounding(self, centred: Matrix) -> Matrix:
        to_x, to_y = self.to_x @ self.unmeasured, self.to_y @ self.unmeasured
        squares = np.sum(self.measure(centred) ** 2, axis=1) + float(self._shift @ self._shift)
        return affine_rounding(to_x, to_y, self.unit) * squares

    @property
    def _shift(self) -> Matrix:
        """The displacement of the centres, in units of the cost."""
        return self.measure(self.mean_x - self.mean_y)
