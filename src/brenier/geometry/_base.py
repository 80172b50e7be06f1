"""What a geometry is: a cost, seen in coordinates in which its map is next to the identity."""

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier.costs import AbstractCost
from brenier.geometry._record import GeometryRecord, Tensors
from brenier.geometry.moments import Moments
from brenier.geometry.surplus import AbstractSurplus

__all__ = ["AbstractGeometry", "Matrix"]

Matrix: TypeAlias = NDArray[np.float64]


class AbstractGeometry(eqx.Module):
    r"""A transport cost and the coordinates in which training works.

    *Rows* are points with the codes of their condition behind them, `(n, dim + k)`: the number of its class, then its
    numbers. Without conditions, k is zero and rows are points.

    In the new coordinates a surplus :math:`k` stands for the cost: up to functions of one side it is minus the cost, in
    units of `unit^2`. A potential :math:`u` and its conjugate :math:`u^k(y) = \max_x k(x, y) - u(x)` give the dual pair
    `source_offsets - unit^2 u` and `target_offsets - unit^2 u^k`, whose sum is at most the cost, for every pair.

    Attributes:
        unit: Length of one unit of the new coordinates; values of potentials scale with its square.
        spread: `(dim,)` standard deviation of each new coordinate, about the same for both sides.
        scale: `(dim,)` units of the columns in the cost.
        cost: The cost, for points with each column in units of its scale.
    """

    unit: eqx.AbstractVar[float]

    if TYPE_CHECKING:  # fields of some leaves and properties of others

        @property
        def spread(self) -> Matrix: ...

        @property
        def scale(self) -> Matrix: ...

        @property
        def cost(self) -> AbstractCost: ...

    else:
        spread: eqx.AbstractVar[Matrix]
        scale: eqx.AbstractVar[Matrix]
        cost: eqx.AbstractVar[AbstractCost]

    @property
    @abc.abstractmethod
    def dim(self) -> int:
        """Number of columns of the points."""

    @property
    def conditions(self) -> tuple[int, int] | None:
        """How many classes and numbers a condition has; None without conditions."""
        return None

    @property
    def quadratic(self) -> bool:
        """Whether the cost is half a squared distance.

        Maps are then gradients of their potentials between affine coordinates: they have densities, and distances that
        are certified up to the last rounding.
        """
        return False

    @property
    def euclidean(self) -> bool:
        """Whether the cost is half the squared Euclidean distance, with each column in units of its scale."""
        return False

    @property
    def baseline_name(self) -> str:
        """Name of the map that needs no network, in words without an article."""
        return self.surplus.baseline_name.removeprefix("the ")

    @property
    def baseline_distance(self) -> float | None:
        """Distance by the map that needs no network; None where there is none, or one for each condition."""
        return None

    @property
    def surplus(self) -> AbstractSurplus:
        """What stands for the cost of two points in the new coordinates, in single precision."""
        return self.surplus_in(np.float32)

    @abc.abstractmethod
    def surplus_in(self, dtype: type[np.floating]) -> AbstractSurplus:
        """What stands for the cost of two points in the new coordinates, in the precision of `dtype`."""

    @abc.abstractmethod
    def precise_x(self, points: Matrix) -> Matrix:
        """Rows of the source in the new coordinates, in double precision; codes stay as they are."""

    @abc.abstractmethod
    def precise_y(self, points: Matrix) -> Matrix:
        """Rows of the target in the new coordinates, in double precision; codes stay as they are."""

    def certified_x(self, rows: Matrix) -> tuple[Matrix, Matrix | None]:
        """Source points in the new coordinates in double precision, and what rounding may have done.

        Returns:
            `(n, dim)` points; `(n,)` their shares in a bound on the error of `source_offsets + target_offsets -
            unit^2 k`, which is the cost of a pair, or None where nothing bounds it.
        """
        return self.precise_x(rows)[:, : self.dim], None

    def certified_y(self, rows: Matrix) -> tuple[Matrix, Matrix | None]:
        """Target points in the new coordinates in double precision, and their shares in the bound of `certified_x`."""
        return self.precise_y(rows)[:, : self.dim], None

    def enter_x(self, points: Matrix) -> NDArray[np.float32]:
        """Rows of the source in the new coordinates, computed in double and returned in single precision."""
        return self.precise_x(points).astype(np.float32)

    def enter_y(self, points: Matrix) -> NDArray[np.float32]:
        """Rows of the target in the new coordinates, computed in double and returned in single precision."""
        return self.precise_y(points).astype(np.float32)

    @abc.abstractmethod
    def leave_x(self, points: NDArray[np.floating], codes: Matrix | None = None) -> Matrix:
        """Source points in the units of the data, `(n, dim)`, from new coordinates: rows, or points and `codes`."""

    @abc.abstractmethod
    def leave_y(self, points: NDArray[np.floating], codes: Matrix | None = None) -> Matrix:
        """Target points in the units of the data, `(n, dim)`, from new coordinates: rows, or points and `codes`."""

    @abc.abstractmethod
    def source_offsets(self, rows: Matrix) -> Matrix:
        """Kantorovich potential of the source at each row, before `unit^2 u` is subtracted."""

    @abc.abstractmethod
    def target_offsets(self, rows: Matrix) -> Matrix:
        """Kantorovich potential of the target at each row, before `unit^2` times the conjugate is subtracted."""

    def dual_offset(self, x: Matrix, y: Matrix, a: Matrix | None = None, b: Matrix | None = None) -> float:
        """Dual value of two samples before potentials are subtracted: the sum of the weighted means of both offsets.

        Args:
            x: Rows of the source, in the units of the data.
            y: Rows of the target.
            a: Weights of the rows of `x`; equal ones by default.
            b: Weights of the rows of `y`.
        """
        return float(np.average(self.source_offsets(x), weights=a) + np.average(self.target_offsets(y), weights=b))

    @abc.abstractmethod
    def measure(self, points: Matrix) -> Matrix:
        """Points as the cost takes them, for instance with each column in units of its scale."""

    def column_weights(self, direction: Matrix) -> Matrix:
        """How much each column, in units of its scale, counts in a direction among points as `measure` gives them."""
        return direction

    def costs(self, x: Matrix, y: Matrix) -> Matrix:
        """Cost of each row of `x` to the same row of `y`, `(n,)`, in double precision."""
        with jax.enable_x64(True):
            return np.asarray(self.cost(jnp.asarray(self.measure(x)), jnp.asarray(self.measure(y))))

    def geodesic(self, x: Matrix, y: Matrix, t: float) -> Matrix:
        """Points a share `t` of the way from `x` to `y`: on straight lines, right for every convex `h(x - y)`."""
        return (1.0 - t) * x + t * y

    def starts(self, count: int, seed: int = 0) -> NDArray[np.float32]:
        """Points that cover the source in the new coordinates, from which inner problems are started a second time.

        No points, `(0, dim)`, where one start is enough.
        """
        return np.zeros((0, self.dim), np.float32)

    def degenerate(self, source: Moments, target: Moments) -> tuple[int, ...]:
        """Numbers of the new coordinates in which a side has next to no variance of its own; none by default."""
        return ()

    @property
    def log_volume(self) -> float:
        """Logarithm of the volume change of the affine map between the two sides, where the cost is quadratic."""
        raise NotImplementedError(f"{type(self).__name__} is no affine change of coordinates")

    def at(self, code: Matrix) -> "AbstractGeometry":
        """The geometry for one condition, given by its code `(k,)`."""
        return self

    @abc.abstractmethod
    def record(self) -> GeometryRecord:
        """What a map file keeps of the geometry, from which `from_record` makes it again."""

    @classmethod
    @abc.abstractmethod
    def recognises(cls, entries: Mapping[str, Any]) -> bool:
        """Whether the entries of a description are those of a geometry of this class."""

    @classmethod
    @abc.abstractmethod
    def from_record(cls, entries: Mapping[str, Any], tensors: Tensors) -> Self:
        """The geometry that a map file describes.

        Args:
            entries: The description of the map.
            tensors: Arrays, by their names without the prefix.

        Raises:
            ValueError, TypeError, KeyError: It describes no such geometry, or its arrays do not belong together.
        """
