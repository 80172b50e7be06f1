"""Coordinates for costs of the displacement: those of the quadratic cost with the curvature of this one."""

from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.coordinates import BuresCoordinates, Matrix, Moments
from brenier.costs import AbstractDisplacementCost
from brenier.surplus import DisplacementSurplus
from brenier.training.coupling import coupled_orders

__all__ = ["DisplacementCoordinates", "Pairs"]

_MOST_PAIRS = 1 << 12
"""Pairs from which the curvature of the cost is estimated."""

_BEYOND = 1.5
"""How far the source is taken to extend, relative to the farthest of some points."""

_QUADRATIC = 3.5
"""Growth of a cost from a displacement to twice that from which on it counts as quadratic, for which it is four."""

_TOLD_APART = 1e-2
"""Error of the displacement that the slope of the cost stands for, relative to distances that occur."""

_MOST_COMPARED = 512
"""Points a side on which two starts are compared."""


class Pairs(NamedTuple):
    """Points of both sides, as many of each, in the units of the data; row i of one about matches row i of the other.

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


class DisplacementCoordinates(eqx.Module):
    r"""Affine coordinates in which a cost `h((x - y) / scale)` is about quadratic, with the identity as its Hessian.

    They are Bures coordinates for the quadratic cost whose curvature is the mean one of `h` over displacements that
    occur. The start is the translation between the two centres, which is optimal for every cost where it reaches the
    target; or, where this has the larger dual value, the potential of the Gaussian map of that quadratic cost.

    Attributes:
        inner: The Bures coordinates.
        cost: The cost.
        scale: `(d,)` units of the columns in the cost.
        bend: `(d, d)` the symmetric matrix C of the surplus, see `DisplacementSurplus`: the identity for the
            translation as a start.
        reach: `(d,)` how far the source extends along each new coordinate.
    """

    inner: BuresCoordinates
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
    ) -> "DisplacementCoordinates":
        """Choose coordinates.

        Args:
            source: Moments of the source, in the units of the data.
            target: Moments of the target.
            cost: The cost.
            scale: `(d,)` units of the columns in the cost.
            pairs: Points of both sides that about match.
            certify: Whether the potential is convex and errors are to be bounded, for strongly convex costs: their
                modulus is then taken for the curvature, which makes every inner problem convex.
        """
        shift = (source.mean - target.mean) / scale
        modulus = cost.strong_convexity() if certify else 0.0
        curvature = modulus or _curvature(cost, (pairs.x - pairs.y) / scale, shift)
        inner = BuresCoordinates.between(source, target, scale / np.sqrt(curvature))
        reach = _BEYOND * np.abs(inner.precise_x(pairs.x)).max(axis=0)
        straight = cls(inner, cost, scale, np.eye(inner.dim), reach)
        straight._check_translation()
        bend = np.linalg.solve(inner.from_y, inner.from_x)
        bent = cls(inner, cost, scale, 0.5 * (bend + bend.T), reach)
        if modulus:
            return replace(bent, reach=np.full(inner.dim, np.inf))
        if not _grows_quadratically(cost, sum(np.ptp(points, axis=0) for points in pairs) / scale):
            # Beyond the points a quadratic potential would outgrow the cost, and inner problems had no solution.
            return straight
        step = max(len(pairs.x) // _MOST_COMPARED, 1)
        few = Pairs(pairs.x[::step], pairs.y[::step])
        return max(straight, bent, key=lambda own: own._start_value(few))

    @property
    def dim(self) -> int:
        """Number of columns."""
        return self.inner.dim

    @property
    def conditions(self) -> None:
        """Points have no condition."""

    @property
    def spread(self) -> Matrix:
        """`(dim,)` standard deviation of each new coordinate."""
        return self.inner.spread

    @property
    def unit(self) -> float:
        """Square root of the unit of values in the new coordinates."""
        return self.inner.unit

    @property
    def surplus(self) -> DisplacementSurplus:
        """What takes the place of the inner product, in single precision."""
        return self.surplus_in(np.float32)

    def surplus_in(self, dtype: type[np.floating]) -> DisplacementSurplus:
        """The same in another precision."""
        from_x, from_y = (matrix / self.scale[:, None] for matrix in (self.inner.from_x, self.inner.from_y))
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

    def inert(self, source: Moments, target: Moments) -> tuple[int, ...]:
        """New coordinates in which nothing can be learned, as for `BuresCoordinates`."""
        return self.inner.inert(source, target)

    def enter_x(self, points: Matrix) -> NDArray[np.float32]:
        """Source points in the new coordinates."""
        return self.inner.enter_x(points)

    def enter_y(self, points: Matrix) -> NDArray[np.float32]:
        """Target points in the new coordinates."""
        return self.inner.enter_y(points)

    def precise_x(self, points: Matrix) -> Matrix:
        """The same in double precision."""
        return self.inner.precise_x(points)

    def precise_y(self, points: Matrix) -> Matrix:
        """The same in double precision."""
        return self.inner.precise_y(points)

    def leave_x(self, points: NDArray[np.floating]) -> Matrix:
        """Source points in the units of the data."""
        return self.inner.leave_x(points)

    def leave_y(self, points: NDArray[np.floating]) -> Matrix:
        """Target points in the units of the data."""
        return self.inner.leave_y(points)

    def between_points(self, x: Matrix, y: Matrix, t: float) -> Matrix:
        """Points a share `t` of the way: straight lines are shortest for every convex `h`."""
        return (1.0 - t) * x + t * y

    def anchors(self, count: int, seed: int = 0) -> NDArray[np.float32]:
        """Points where the source is, in the new coordinates: drawn from the Gaussian with its moments."""
        normal = np.random.default_rng(seed).standard_normal((count, self.dim))
        return np.clip(normal * self.spread, -self.reach, self.reach).astype(np.float32)

    def costs(self, x: Matrix, y: Matrix) -> Matrix:
        """Cost of each row of `x` to that of `y`, in double precision."""
        with jax.enable_x64(True):
            return np.asarray(self.cost(jnp.asarray(x / self.scale), jnp.asarray(y / self.scale)))

    def measured(self, points: Matrix) -> Matrix:
        """Points with each column in units of its scale, as the cost takes them."""
        return points / self.scale

    def source_offsets(self, x: Matrix) -> Matrix:
        """Kantorovich potential of the source at each row, before `unit^2 u` is subtracted."""
        inner = self.inner.precise_x(x)
        return (x - self.inner.mean_x) / self.scale @ self._tilt + 0.5 * self.unit**2 * np.sum(
            (inner @ self.bend) * inner, axis=1
        )

    def target_offsets(self, y: Matrix) -> Matrix:
        """The same of the target, before `unit^2` times the conjugate is subtracted."""
        with jax.enable_x64(True):
            fixed = float(self.cost.value(jnp.asarray(self._shift)[None])[0])
        return fixed - (y - self.inner.mean_y) / self.scale @ self._tilt

    def dual_offset(self, x: Matrix, y: Matrix, a: Matrix | None = None, b: Matrix | None = None) -> float:
        """What the dual value is before the potential is subtracted; weights are equal ones by default."""
        return float(np.average(self.source_offsets(x), weights=a) + np.average(self.target_offsets(y), weights=b))

    @property
    def _shift(self) -> Matrix:
        return (self.inner.mean_x - self.inner.mean_y) / self.scale

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
        if not off[worst] <= _TOLD_APART * (np.abs(self._shift).max() + self.inner.unit):
            raise InputError(
                f"`cost`={self.cost} is so flat at the displacement of the centres, {self._shift[worst]:.4g} in column "
                f"{worst}, that other moves cost the same to the last digit: no map is the best one. Choose another "
                "cost, or change its arguments."
            )

    def _start_value(self, pairs: Pairs) -> float:
        """Dual value, between two small samples, of half the squared norm as a potential: the start of training."""
        source = self.source_offsets(pairs.x) - 0.5 * self.unit**2 * np.sum(self.inner.precise_x(pairs.x) ** 2, axis=1)
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
