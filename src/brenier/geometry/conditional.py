r"""The geometry of half a squared distance under conditions: Bures coordinates for every value of one.

For each condition c, `A(c)` is the matrix of the Gaussian map and :math:`A = L L^\top` its Cholesky factors. In

.. math:: x' = R L(c)^\top (x - m_x(c)), \qquad y' = R L(c)^{-1} (y - m_y(c)),

the inner product is what it was, the Gaussian map is the identity, and everything is as smooth in c as the moments are,
which eigenvectors would not be. The rotation R, to the principal axes of the mean covariance, is one for all.

`m_x`, `m_y` and L, with the logarithms of its diagonal, are polynomials in the numbers of a condition, a set for each
class; so L is invertible for every condition. A polynomial that is not quite the factor costs the network a little
work, and the map nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import equinox as eqx
import numpy as np
from numpy.typing import NDArray

from brenier.conditions.basis import legendre, terms
from brenier.costs import SquaredEuclidean
from brenier.geometry._base import AbstractGeometry, Matrix
from brenier.geometry._record import GeometryRecord, Tensors, check_shapes
from brenier.geometry.affine import affine_rounding
from brenier.geometry.quadratic import QuadraticGeometry
from brenier.geometry.surplus import InnerProduct

__all__ = ["ConditionalGeometry"]

_ENTRIES = 1 << 21
"""Numbers in the factors of the rows that are moved together."""


class ConditionalGeometry(AbstractGeometry):
    """Affine coordinates for source and target under which the Gaussian map is about the identity, for every condition.

    Rows are points with their condition behind them: the number of its class, then its numbers.

    Attributes:
        mean_x, mean_y: `(classes, p, d)` coefficients of the centres of the two sides.
        factor: `(classes, p, d (d + 1) / 2)` coefficients of the lower triangle of L, in units of the cost, with the
            diagonal as logarithms.
        low, high: `(classes, q)` range of the numbers of each class; beyond it, they are taken as its ends.
        rotation: `(d, d)` the matrix R.
        unit: Length of one unit of the new coordinates.
        spread: `(d,)` standard deviation of each new coordinate over all conditions, about the same for both sides.
        scale: `(d,)` units in which the cost measures the columns.
        degree: Degree of the polynomials.
    """

    mean_x: Matrix
    mean_y: Matrix
    factor: Matrix
    low: Matrix
    high: Matrix
    rotation: Matrix
    unit: float
    spread: Matrix
    scale: Matrix
    degree: int = eqx.field(static=True)

    @property
    def cost(self) -> SquaredEuclidean:
        return SquaredEuclidean()

    @property
    def dim(self) -> int:
        return len(self.scale)

    @property
    def quadratic(self) -> bool:
        return True

    @property
    def euclidean(self) -> bool:
        return True

    @property
    def conditions(self) -> tuple[int, int]:
        return self.low.shape

    def surplus_in(self, dtype: type[np.floating]) -> InnerProduct:
        return InnerProduct(self.dim)

    def measure(self, points: Matrix) -> Matrix:
        """Points, or their differences, in units in which the cost is half the squared Euclidean distance."""
        return points / self.scale

    def costs(self, x: Matrix, y: Matrix) -> Matrix:
        return 0.5 * np.sum(np.square(self.measure(x - y)), axis=1)

    def at(self, code: Matrix) -> QuadraticGeometry:
        """The geometry for one condition, without conditions, given by its code `(1 + q,)`."""
        number, basis = int(code[0]), self._basis(code[None])
        lower = self._lower(number, basis)[0]
        scale, turn = self.scale, self.rotation
        inverse = np.linalg.inv(lower)
        return QuadraticGeometry(
            mean_x=(basis @ self.mean_x[number])[0],
            mean_y=(basis @ self.mean_y[number])[0],
            to_x=turn @ lower.T / (self.unit * scale),
            to_y=turn @ inverse / (self.unit * scale),
            from_x=scale[:, None] * self.unit * (inverse.T @ turn.T),
            from_y=scale[:, None] * self.unit * (lower @ turn.T),
            unit=self.unit,
            spread=self.spread,
            scale=scale,
        )

    def precise_x(self, points: Matrix) -> Matrix:

        def enter(lower: Matrix, mean: Matrix, part: Matrix) -> Matrix:
            return np.einsum("nji,nj->ni", lower, (part - mean) / self.scale) @ self.rotation.T / self.unit

        return self._move(points, self.mean_x, enter)

    def precise_y(self, points: Matrix) -> Matrix:

        def enter(lower: Matrix, mean: Matrix, part: Matrix) -> Matrix:
            return _solve_forward(lower, (part - mean) / self.scale) @ self.rotation.T / self.unit

        return self._move(points, self.mean_y, enter)

    def certified_x(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        return self._certify(rows, of_source=True)

    def certified_y(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        return self._certify(rows, of_source=False)

    def leave_x(self, points: NDArray[np.floating], codes: Matrix | None = None) -> Matrix:

        def leave(lower: Matrix, mean: Matrix, part: Matrix) -> Matrix:
            return mean + self.scale * _solve_backward(lower, self.unit * part @ self.rotation)

        return self._move(_join(points, codes), self.mean_x, leave)[:, : self.dim]

    def leave_y(self, points: NDArray[np.floating], codes: Matrix | None = None) -> Matrix:

        def leave(lower: Matrix, mean: Matrix, part: Matrix) -> Matrix:
            return mean + self.scale * np.einsum("nij,nj->ni", lower, self.unit * part @ self.rotation)

        return self._move(_join(points, codes), self.mean_y, leave)[:, : self.dim]

    def source_offsets(self, rows: Matrix) -> Matrix:
        """Kantorovich potential of the source at each row under its condition, before `unit^2 u` is subtracted."""
        mean_x, mean_y = self._means(rows)
        centred, shift = (rows[:, : self.dim] - mean_x) / self.scale, (mean_x - mean_y) / self.scale
        return np.sum(centred * (0.5 * centred + shift), axis=1)

    def target_offsets(self, rows: Matrix) -> Matrix:
        mean_x, mean_y = self._means(rows)
        centred, shift = (rows[:, : self.dim] - mean_y) / self.scale, (mean_x - mean_y) / self.scale
        return np.sum(centred * (0.5 * centred - shift), axis=1) + 0.5 * np.sum(shift**2, axis=1)

    def record(self) -> GeometryRecord:
        tensors = dict(vars(self))
        return GeometryRecord(2, {"degree": tensors.pop("degree")}, tensors)

    @classmethod
    def recognises(cls, entries: Mapping[str, Any]) -> bool:
        return "conditions" in entries

    @classmethod
    def from_record(cls, entries: Mapping[str, Any], tensors: Tensors) -> Self:
        if "cost" in entries:
            raise ValueError("conditions need the quadratic cost")
        degree, mean = entries["degree"], tensors["mean_x"]
        count, numbers = tensors["low"].shape
        p, d = mean.shape[1] if mean.ndim == 3 else 0, tensors["scale"].size
        if type(degree) is not int or not 0 <= degree <= p or terms(numbers, degree) != p:
            raise ValueError(f"`degree` {repr(degree)[:20]} does not belong to {p} polynomials of {numbers} numbers")
        shapes = {
            "mean_x": (count, p, d),
            "mean_y": (count, p, d),
            "factor": (count, p, d * (d + 1) // 2),
            "low": (count, numbers),
            "high": (count, numbers),
            "rotation": (d, d),
            "unit": (),
            "spread": (d,),
            "scale": (d,),
        }
        check_shapes(tensors, shapes, ("unit", "spread", "scale"))
        arrays: dict[str, Any] = {name: tensors[name] for name in shapes if name != "unit"}
        return cls(**arrays, unit=float(tensors["unit"]), degree=degree)

    def matrices(self, codes: Matrix) -> tuple[Matrix, Matrix, Matrix, Matrix]:
        """Centres `(n, d)` of both sides and matrices `(n, d, d)` of both, for points in units of the cost."""
        count, dim = len(codes), self.dim
        means, turned = np.empty((2, count, dim)), np.empty((2, count, dim, dim))
        for number, rows in _by_class(codes[:, 0].astype(np.intp)):
            basis = self._basis(codes[rows])
            lower = self._lower(number, basis)
            means[0, rows], means[1, rows] = basis @ self.mean_x[number], basis @ self.mean_y[number]
            turned[0, rows] = self.rotation @ lower.transpose(0, 2, 1) / self.unit
            turned[1, rows] = self.rotation @ np.linalg.inv(lower) / self.unit
        return means[0], means[1], turned[0], turned[1]

    def _certify(self, rows: Matrix, *, of_source: bool) -> tuple[Matrix, Matrix]:
        """Points by the very matrices whose product is known, and the bound on what rounding did to it."""
        points, rounding = np.empty((len(rows), self.dim)), np.empty(len(rows))
        step = max(_ENTRIES // (2 * self.dim**2), 1)
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            mean_x, mean_y, to_x, to_y = self.matrices(rows[part, self.dim :])
            centred = (rows[part, : self.dim] - (mean_x if of_source else mean_y)) / self.scale
            shift = (mean_x - mean_y) / self.scale
            points[part] = np.einsum("nij,nj->ni", to_x if of_source else to_y, centred)
            squares = np.sum(centred**2, axis=1) + np.sum(shift**2, axis=1)
            rounding[part] = affine_rounding(to_x, to_y, self.unit) * squares
        return points, rounding

    def _means(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        means = np.empty((2, len(rows), self.dim))
        for number, chosen in _by_class(rows[:, self.dim].astype(np.intp)):
            basis = self._basis(rows[chosen, self.dim :])
            means[0, chosen], means[1, chosen] = basis @ self.mean_x[number], basis @ self.mean_y[number]
        return means[0], means[1]

    def _move(self, rows: Matrix, means: Matrix, move: Callable[[Matrix, Matrix, Matrix], Matrix]) -> Matrix:
        """Apply `move(factors, centres, points)` to the points of all rows, each under its condition."""
        result = rows.copy()
        at_once = max(_ENTRIES // self.dim**2, 1)
        for number, chosen in _by_class(rows[:, self.dim].astype(np.intp)):
            # A class without numbers has one factor for all of its rows.
            step = len(chosen) if not self.low.shape[1] else at_once
            for start in range(0, len(chosen), step):
                some = chosen[start : start + step]
                basis = self._basis(rows[some[:1] if not self.low.shape[1] else some, self.dim :])
                lower = np.broadcast_to(self._lower(number, basis), (len(some), self.dim, self.dim))
                result[some, : self.dim] = move(lower, basis @ means[number], rows[some, : self.dim])
        return result

    def _basis(self, codes: Matrix) -> Matrix:
        """Polynomials of the numbers, from -1 to 1 over the range of the class."""
        number = int(codes[0, 0])
        low, high = self.low[number], self.high[number]
        inside = np.clip(codes[:, 1:], low, high)
        return legendre((2.0 * inside - low - high) / np.where(high > low, high - low, 1.0), self.degree)

    def _lower(self, number: int, basis: Matrix) -> Matrix:
        """`(n, d, d)` factors L."""
        packed = basis @ self.factor[number]
        lower = np.zeros((len(basis), self.dim, self.dim))
        rows, columns = np.tril_indices(self.dim)
        lower[:, rows, columns] = packed
        diagonal = np.arange(self.dim)
        lower[:, diagonal, diagonal] = np.exp(lower[:, diagonal, diagonal])
        return lower


def _join(points: NDArray[np.floating], codes: Matrix | None) -> Matrix:
    """Points with the codes of their conditions behind them, as they are where they have them already."""
    rows = points if codes is None else np.column_stack([points, codes])
    return np.asarray(rows, np.float64)


def _by_class(numbers: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Every class that occurs, with its rows."""
    order = np.argsort(numbers, kind="stable")
    different, starts = np.unique(numbers[order], return_index=True)
    for number, rows in zip(different, np.split(order, starts[1:]), strict=True):
        yield int(number), rows


def _solve_forward(lower: Matrix, values: Matrix) -> Matrix:
    """`L^-1 values`, a row and a factor at a time, all rows together."""
    result = np.empty_like(values)
    for j in range(values.shape[1]):
        known = np.einsum("nk,nk->n", lower[:, j, :j], result[:, :j])
        result[:, j] = (values[:, j] - known) / lower[:, j, j]
    return result


def _solve_backward(lower: Matrix, values: Matrix) -> Matrix:
    """`L^-T values`, a row and a factor at a time, all rows together."""
    result = np.empty_like(values)
    for j in reversed(range(values.shape[1])):
        known = np.einsum("nk,nk->n", lower[:, j + 1 :, j], result[:, j + 1 :])
        result[:, j] = (values[:, j] - known) / lower[:, j, j]
    return result
