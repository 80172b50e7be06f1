"""The geometry of costs of the displacement: coordinates of the quadratic cost with the curvature of this one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.costs import AbstractDisplacementCost, from_record, to_record
from brenier.geometry._base import Matrix
from brenier.geometry._record import GeometryRecord, Tensors, check_shapes
from brenier.geometry.affine import AbstractAffine, bures_coordinates, read_affine
from brenier.geometry.coupling import coupled_orders
from brenier.geometry.moments import Moments
from brenier.geometry.surplus import DisplacementSurplus

__all__ = ["DisplacementGeometry", "Pairs"]

_MOST_PAIRS = 1 << 12
"""Pairs from which the curvature of the cost is estimated."""

_BEYOND = 1.5
"""How far the source is taken to extend, relative to the farthest of some points."""

_QUADRATIC = 3.5
"""Growth of a cost from a displacement to twice that from which on it counts as quadratic, for which it is four."""

_TOLD_APART = 1e-2
"""Error of the displacement that the slope of the cost stands for, relative to distances that occur."""

_RENAMED = {"quadratic_scale": "scale", "scale": "columns", "cost": None}
"""Fields whose tensors in map files have another name, or which are no tensors."""

_MOST_COMPARED = 512
"""Points a side on which two starts are compared."""


class Pairs(NamedTuple):
    """As many points of either side, in the units of the data; row i of one about matches row i of the other.

    They only choose coordinates and start; nothing is learned from the matching.
    """

    x: Matrix
    y: Matrix

    @classmethod
    def match(cls, x: Matrix, y: Matrix, rng: np.random.Generator) -> "Pairs":
        """Match some points of two clouds, centred, by recursive median splits."""
        count = 1 << (min(len(x), len(y), _MOST_PAIRS).bit_length() - 1)
        some = [points[rng.permutation(len(points))[:count]] for points in (x, y)]
        spread = np.maximum(0.5 * (some[0].std(axis=0) + some[1].std(axis=0)), np.finfo(np.float64).tiny)
        orders = coupled_orders(*((points - points.mean(axis=0)) / spread for points in some))
        return cls(*(points[order] for points, order in zip(some, orders, strict=True)))


class DisplacementGeometry(AbstractAffine):
    r"""Affine coordinates in which a cost `h((x - y) / scale)` is about quadratic, with the identity as its Hessian.

    They are Bures coordinates for the quadratic cost whose curvature is the mean one of `h` over displacements that
    occur. The start is the translation between the two centres, which is optimal for every cost where it reaches the
    target; or, where this has the larger dual value, the potential of the Gaussian map of that quadratic cost.

    Attributes:
        mean_x, mean_y, to_x, to_y, from_x, from_y, unit, spread: As `AbstractAffine` has them.
        quadratic_scale: `(d,)` units of the columns in which that quadratic cost is half the squared distance.
        cost: The cost.
        scale: `(d,)` units of the columns in the cost.
        bend: `(d, d)` the symmetric matrix C of the surplus, see `DisplacementSurplus`: the identity for the
            translation as a start.
        reach: `(d,)` how far the source extends along each new coordinate.
    """

    quadratic_scale: Matrix
    cost: AbstractDisplacementCost
    scale: Matrix
    bend: Matrix
    reach: Matrix

    @classmethod
    def between(
        cls,
        source: Moments,
        target: Moments,
        cost: AbstractDisplacementCost,
        scale: Matrix,
        pairs: Pairs,
        certify: bool = False,
    ) -> "DisplacementGeometry":
        """Choose coordinates from moments and about matching points.

        Args:
            source: Moments of the source, in the units of the data.
            target: Moments of the target.
            cost: The cost.
            scale: `(d,)` units of the columns in the cost.
            pairs: Points of both sides that about match.
            certify: Whether the potential is convex and errors are to be bounded. The modulus of a strongly convex cost
                is then taken for the curvature, which makes every inner problem convex.
        """
        shift = (source.mean - target.mean) / scale
        modulus = cost.strong_convexity() if certify else 0.0
        curvature = modulus or _curvature(cost, (pairs.x - pairs.y) / scale, shift)
        quadratic_scale = scale / np.sqrt(curvature)
        parts = bures_coordinates(source, target, quadratic_scale) | {"quadratic_scale": quadratic_scale}
        dim = len(scale)
        straight = cls(**parts, cost=cost, scale=scale, bend=np.eye(dim), reach=np.full(dim, np.inf))
        reach = _BEYOND * np.abs(straight.precise_x(pairs.x)).max(axis=0)
        straight = replace(straight, reach=reach)
        straight._check_translation()
        bend = np.linalg.solve(straight.from_y, straight.from_x)
        bent = replace(straight, bend=0.5 * (bend + bend.T))
        if modulus:
            return replace(bent, reach=np.full(dim, np.inf))
        if not _grows_quadratically(cost, sum(np.ptp(points, axis=0) for points in pairs) / scale):
            # Beyond the points a quadratic potential would outgrow the cost, and inner problems had no solution.
            return straight
        step = max(len(pairs.x) // _MOST_COMPARED, 1)
        few = Pairs(pairs.x[::step], pairs.y[::step])
        return max(straight, bent, key=lambda start: start._start_value(few))

    def surplus_in(self, dtype: type[np.floating]) -> DisplacementSurplus:
        from_x, from_y = (matrix / self.scale[:, None] for matrix in (self.from_x, self.from_y))
        modulus, excess = self.cost.strong_convexity(), None
        if modulus:
            least = np.linalg.eigvalsh(modulus * from_x.T @ from_x / self.unit**2 - self.bend)[0]
            # What single precision may have taken off.
            excess = least - 1e-6 * np.linalg.norm(self.bend, 2)
        matrices = (from_x, from_y, np.linalg.inv(from_x), np.linalg.inv(from_y), self.bend, self._shift, self._tilt)
        return DisplacementSurplus(
            self.cost,
            *(jnp.asarray(array, dtype) for array in matrices),
            unit=jnp.asarray(self.unit**2, dtype),
            reach=jnp.asarray(self.reach, dtype),
            excess=None if excess is None else jnp.asarray(excess, dtype),
        )

    def starts(self, count: int, seed: int = 0) -> NDArray[np.float32]:
        """Points where the source is, in the new coordinates: drawn from the Gaussian with its moments."""
        normal = np.random.default_rng(seed).standard_normal((count, self.dim))
        return np.clip(normal * self.spread, -self.reach, self.reach).astype(np.float32)

    def measure(self, points: Matrix) -> Matrix:
        """Points with each column in units of its scale, as the cost takes them."""
        return points / self.scale

    def source_offsets(self, rows: Matrix) -> Matrix:
        inner, tilted = self.precise_x(rows), (rows - self.mean_x) / self.scale @ self._tilt
        return tilted + 0.5 * self.unit**2 * np.sum((inner @ self.bend) * inner, axis=1)

    def target_offsets(self, rows: Matrix) -> Matrix:
        with jax.enable_x64(True):
            fixed = float(self.cost.value(jnp.asarray(self._shift)[None])[0])
        return fixed - (rows - self.mean_y) / self.scale @ self._tilt

    def record(self) -> GeometryRecord:
        tensors = {name: value for name, value in vars(self).items() if name not in _RENAMED}
        tensors |= {name: getattr(self, field) for field, name in _RENAMED.items() if name}
        return GeometryRecord(3, {"cost": to_record(self.cost)}, tensors)

    @classmethod
    def recognises(cls, entries: Mapping[str, Any]) -> bool:
        return "cost" in entries and "conditions" not in entries

    @classmethod
    def from_record(cls, entries: Mapping[str, Any], tensors: Tensors) -> Self:
        cost = from_record(entries["cost"])
        if not isinstance(cost, AbstractDisplacementCost):
            raise ValueError(f"no coordinates for the cost {cost}")
        parts = read_affine(tensors)
        d = len(parts["mean_x"])
        positive = ("scale", "columns", "reach")
        check_shapes(tensors, dict.fromkeys(positive, (d,)) | {"bend": (d, d)}, positive)
        scales: dict[str, Any] = {field: tensors[name] for field, name in _RENAMED.items() if name}
        return cls(**parts, **scales, cost=cost, bend=tensors["bend"], reach=tensors["reach"])

    @property
    def _shift(self) -> Matrix:
        return (self.mean_x - self.mean_y) / self.scale

    @property
    def _tilt(self) -> Matrix:
        with jax.enable_x64(True):
            return np.asarray(self.cost.gradient(jnp.asarray(self._shift)[None])[0])

    def _check_translation(self) -> None:
        """Refuse a cost that cannot tell the translation between the centres from others in single precision."""
        tilt = jnp.asarray(self._tilt, jnp.float32)[None]
        back = np.asarray(self.cost.conjugate_gradient(self.cost.within_domain(tilt)))[0]
        off = np.abs(back - self._shift)
        worst = int(np.argmax(np.where(np.isfinite(off), off, np.inf)))
        if not off[worst] <= _TOLD_APART * (np.abs(self._shift).max() + self.unit):
            raise InputError(
                f"`cost`={self.cost} is so flat at the displacement of the centres, {self._shift[worst]:.4g} in column "
                f"{worst}, that other moves cost the same to the last digit: no map is the best one. Choose another "
                "cost, or change its arguments."
            )

    def _start_value(self, pairs: Pairs) -> float:
        """Dual value, between two small samples, of half the squared norm as a potential: the start of training."""
        source = self.source_offsets(pairs.x) - 0.5 * self.unit**2 * np.sum(self.precise_x(pairs.x) ** 2, axis=1)
        least = [np.min(self.costs(pairs.x, np.broadcast_to(row, pairs.x.shape)) - source) for row in pairs.y]
        return float(np.mean(source) + np.mean(least))


def _grows_quadratically(cost: AbstractDisplacementCost, far: Matrix) -> bool:
    """Whether twice as long a displacement costs about four times as much, or more, beyond those that are `far`."""
    with jax.enable_x64(True):
        once, twice = (float(cost.value(jnp.asarray(factor * far)[None])[0]) for factor in (1.0, 2.0))
    return twice >= _QUADRATIC * once


def _curvature(cost: AbstractDisplacementCost, displacements: Matrix, shift: Matrix) -> float:
    """Mean slope of the gradient of `h` between the displacement of the centres and those of points, by secants."""
    with jax.enable_x64(True):
        slopes = np.asarray(cost.gradient(jnp.asarray(displacements)) - cost.gradient(jnp.asarray(shift)[None]))
    moved = displacements - shift
    product, square = float(np.sum(slopes * moved)), float(np.sum(moved**2))
    return product / square if product > 0 and square > 0 else 1.0
