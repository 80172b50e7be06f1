"""The geometry of the squared great-circle distance: points of a sphere whose radius suits the clouds."""

from collections.abc import Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from brenier._errors import InputError
from brenier.costs import GreatCircle, to_record
from brenier.costs.sphere import exponential, logarithm
from brenier.geometry._base import AbstractGeometry, Matrix
from brenier.geometry._record import GeometryRecord, Tensors, check_shapes
from brenier.geometry.surplus import SphereSurplus
from brenier.geometry.surplus.sphere import unpush

__all__ = ["SphereGeometry"]

_UNEQUAL = 1e-3
"""Relative difference of lengths that counts as rounding: numbers may come from files with three digits."""

_MOST_POINTS = 1 << 12
"""Points a side from which the start is chosen."""


class SphereGeometry(AbstractGeometry):
    r"""Points of the sphere of radius `1 / unit`, on which both clouds have about unit variance.

    Attributes:
        radius: Length of the vectors of the data.
        unit: Length of one unit, in radians.
        mean: `(d,)` mean of the source's unit vectors.
        root: `(d, d)` a square root of their covariance.
        pull: `(d,)` the linear function with which training starts, see `SphereSurplus`.
    """

    radius: float
    unit: float
    mean: Matrix
    root: Matrix
    pull: Matrix

    @classmethod
    def between(
        cls, x: Matrix, y: Matrix, a: Matrix | None = None, b: Matrix | None = None, seed: int = 0
    ) -> "SphereGeometry":
        """Choose coordinates from points of a sphere.

        Args:
            x: `(n, d)` points of the source, vectors of one length.
            y: `(m, d)` points of the target, of the same length.
            a: `(n,)` weights of the source points, summing to one; equal ones by default.
            b: `(m,)` weights of the target points.
            seed: Seed of the choice of points from which the start is computed.

        Raises:
            InputError: The points are not vectors of one length.
        """
        lengths = [np.linalg.norm(points, axis=1) for points in (x, y)]
        radius = float(np.median(np.concatenate(lengths)))
        for name, side in zip("XY", lengths, strict=True):
            _check_lengths(side, radius, name)
        sides = [points / length[:, None] for points, length in zip((x, y), lengths, strict=True)]
        means = [np.average(points, axis=0, weights=weights) for points, weights in zip(sides, (a, b), strict=True)]
        # Along the sphere there is a dimension less.
        variances = [max(1.0 - float(mean @ mean), 1e-12) / (x.shape[1] - 1) for mean in means]
        covariance = np.cov(sides[0], rowvar=False, aweights=a, bias=True)
        values, vectors = np.linalg.eigh(covariance)
        rng = np.random.default_rng(seed)
        few = [_some(points, weights, rng) for points, weights in zip(sides, (a, b), strict=True)]
        return cls(
            radius=radius,
            unit=float(np.sqrt(np.sqrt(variances[0] * variances[1]))),
            mean=means[0],
            root=vectors * np.sqrt(np.maximum(values, 0.0)),
            pull=_best_pull(*few),
        )

    @property
    def dim(self) -> int:
        return len(self.mean)

    @property
    def cost(self) -> GreatCircle:
        return GreatCircle()

    @property
    def scale(self) -> Matrix:
        """Ones: the cost knows no units."""
        return np.ones(self.dim)

    @property
    def spread(self) -> Matrix:
        """`(dim,)` standard deviation of the new coordinates, roughly: one for all, so that no direction is special."""
        return np.ones(self.dim)

    def surplus_in(self, dtype: type[np.floating]) -> SphereSurplus:
        centre = tuple((self.mean / self.unit).tolist())
        return SphereSurplus(1.0 / self.unit, centre, jnp.asarray(self.pull, dtype))

    def precise_x(self, points: Matrix) -> Matrix:
        """Source points in the new coordinates; `InputError` for vectors of another length than those of the fit."""
        return self._enter(points, "X")

    def precise_y(self, points: Matrix) -> Matrix:
        """Target points in the new coordinates; `InputError` for vectors of another length than those of the fit."""
        return self._enter(points, "Y")

    def leave_x(self, points: NDArray[np.floating], codes: Matrix | None = None) -> Matrix:
        return self.radius * self.measure(np.asarray(points, np.float64))

    def leave_y(self, points: NDArray[np.floating], codes: Matrix | None = None) -> Matrix:
        return self.leave_x(points)

    def geodesic(self, x: Matrix, y: Matrix, t: float) -> Matrix:
        """Points a share `t` of the way from `x` to `y` along great circles."""
        with jax.enable_x64(True):
            one, two = jnp.asarray(self.measure(x)), jnp.asarray(self.measure(y))
            return self.radius * np.asarray(exponential(one, t * logarithm(one, two)))

    def starts(self, count: int, seed: int = 0) -> NDArray[np.float32]:
        """Points where the source is: drawn from the Gaussian with its moments, and put onto the sphere."""
        normal = np.random.default_rng(seed).standard_normal((count, self.dim))
        return (self.measure(self.mean + normal @ self.root.T) / self.unit).astype(np.float32)

    def measure(self, points: Matrix) -> Matrix:
        """Points as unit vectors."""
        return points / np.linalg.norm(points, axis=1, keepdims=True)

    def source_offsets(self, rows: Matrix) -> Matrix:
        return -self.measure(rows) @ self.pull

    def target_offsets(self, rows: Matrix) -> Matrix:
        return np.full(len(rows), 0.5 * self.unit**2 * self.dim)

    def record(self) -> GeometryRecord:
        return GeometryRecord(3, {"cost": to_record(self.cost)}, dict(vars(self)))

    @classmethod
    def recognises(cls, entries: Mapping[str, Any]) -> bool:
        cost = entries.get("cost")
        return isinstance(cost, Mapping) and cost.get("name") == GreatCircle.name

    @classmethod
    def from_record(cls, entries: Mapping[str, Any], tensors: Tensors) -> Self:
        radius, unit = (float(tensors[name]) for name in ("radius", "unit"))
        d = len(tensors["mean"])
        if d < 2 or not 0 < radius < np.inf or not 0 < unit < np.inf:
            raise ValueError(f"a sphere of {d} columns, radius {radius} and unit {unit} is none")
        check_shapes(tensors, {"mean": (d,), "root": (d, d), "pull": (d,)})
        return cls(radius, unit, tensors["mean"], tensors["root"], tensors["pull"])

    def _enter(self, points: Matrix, name: str) -> Matrix:
        lengths = np.linalg.norm(points, axis=1)
        _check_lengths(lengths, self.radius, name)
        return points / (self.unit * lengths[:, None])


def _check_lengths(lengths: Matrix, radius: float, name: str) -> None:
    """Refuse points off the sphere."""
    wrong = np.flatnonzero(~(np.abs(lengths - radius) <= _UNEQUAL * radius) | (lengths == 0.0))
    if len(wrong):
        raise InputError(
            f"`{name}` must hold vectors of one length, that of the sphere, for the great-circle cost; most vectors of "
            f"the fit have length {radius:.6g}, but row {wrong[0]} has {lengths[wrong[0]]:.6g} ({len(wrong)} of "
            f"{len(lengths)} rows differ). Divide each by its length, or make them from latitudes and longitudes with "
            "`brenier.costs.to_vectors`."
        )


def _some(points: Matrix, weights: Matrix | None, rng: np.random.Generator) -> Matrix:
    """Some of the points, all if they are few, as often as their weights say."""
    if weights is None:
        return points[rng.permutation(len(points))[:_MOST_POINTS]]
    return points[rng.choice(len(points), min(len(points), _MOST_POINTS), p=weights)]


def _best_pull(x: Matrix, y: Matrix) -> Matrix:
    """The linear potential with the largest dual value: its inverse map gives the target the mean of the source.

    The dual is concave in the potential. Zero, the identity map, is where it starts.
    """
    centre = x.mean(axis=0)

    def loss(pull: Matrix) -> tuple[float, Matrix]:
        places = np.asarray(unpush(target, jnp.asarray(pull)))
        conjugate = -0.5 * np.square(_angles(places, y)) - places @ pull
        return float(centre @ pull + conjugate.mean()), centre - places.mean(axis=0)

    with jax.enable_x64(True):
        target = jnp.asarray(y)
        return np.asarray(minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x)


def _angles(x: Matrix, y: Matrix) -> Matrix:
    return 2.0 * np.arctan2(np.linalg.norm(x - y, axis=1), np.linalg.norm(x + y, axis=1))
