"""A learned family of transport maps: one for every value of a condition."""

from collections.abc import Callable, Mapping
from functools import partial
from os import PathLike
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier import mapfile
from brenier._errors import DataWarning, InputError, MapFileError, warn
from brenier._summary import map_lines, summary
from brenier.batches import map_batches, map_chunks
from brenier.conditional.assess import smooth_distance
from brenier.conditional.balance import weights_towards
from brenier.conditional.codes import described, read_codes
from brenier.conditional.coordinates import ConditionalCoordinates
from brenier.conditional.distance import ConditionalDistance, averaged
from brenier.conditional.rows import conjugates, gradients, values
from brenier.conditional.space import ConditionSpace
from brenier.conjugate import Tolerance, certified_gaps, conjugate_points
from brenier.coordinates import BuresCoordinates
from brenier.data.checks import as_points
from brenier.data.conditions import Conditions, is_single, read_conditions
from brenier.data.frames import Moved, like
from brenier.data.kinds.dask import blockwise, is_lazy, known_rows
from brenier.data.table import Matrix, Unchecked, listed
from brenier.data.weights import as_weights
from brenier.maps import Dual, Inverse, TransportMap, check_confidence, warn_unconverged
from brenier.potentials import AbstractFamily

__all__ = ["ConditionalMap"]

_FEW = 64
"""Different numbers up to which each is handled as a map of its own; classes always are."""


class ConditionalMap(eqx.Module):
    """Optimal-transport maps in both directions, under a condition. Points are in the units of the data of the fit.

    Images and preimages come in the form of the points, see `docs/inputs.md`.
    A condition is one label, number or tuple for all points, or an array, series or frame with one for each. Numbers
    beyond the range of the fit are taken as its ends, with a warning.

    Attributes:
        coordinates: Affine coordinates for each condition, in which the potentials live.
        family: The convex potentials; their gradients are the maps in those coordinates.
        space: Which conditions there are.
        columns: Names of the columns, if the data of the fit had any.
        info: How the map was made: settings, versions, counts. JSON values only.

    Example:
        >>> import numpy as np
        >>> from brenier import BrenierMap
        >>> rng = np.random.default_rng(0)
        >>> kind = rng.choice(["a", "b"], size=2000)
        >>> X = rng.normal(size=(2000, 2))
        >>> Y = X * np.where(kind == "a", 2.0, 0.5)[:, None]
        >>> ot = BrenierMap(max_steps=128, random_state=0).fit(X, Y, x_condition=kind, y_condition=kind)
        >>> map_ = ot.map_
        >>> bool(abs(map_.forward([[1.0, 0.0]], "a")[0, 0] - 2.0) < 0.1)
        True
        >>> bool(abs(map_.at("b").forward([[1.0, 0.0]])[0, 0] - 0.5) < 0.1)
        True
    """

    coordinates: ConditionalCoordinates
    family: AbstractFamily
    space: ConditionSpace = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True, default=None)
    info: Mapping[str, Any] = eqx.field(static=True, default_factory=dict)

    @property
    def dim(self) -> int:
        """Number of columns."""
        return self.coordinates.dim

    def lines(self) -> list[tuple[str, str]]:
        """Labels and texts of what `print` shows."""
        return map_lines(
            "ConditionalMap",
            self.dim,
            self.columns,
            cost=None,
            potential=type(self.family).__name__,
            hyperparameters=self.family.hyperparameters(),
            conditions=described(self.space),
            info=self.info,
        )

    def __repr__(self) -> str:
        return summary(self.lines())

    def at(self, condition: Unchecked) -> TransportMap:
        """The map of one condition, an ordinary `TransportMap`: exact, certified and saved as any other.

        Args:
            condition: A label or number; a tuple with one entry for each column of the conditions, or a mapping.
        """
        return self._at(self.codes(condition, 1)[0])

    def forward(self, X: Unchecked, condition: Unchecked) -> Moved:
        """Images `T(x; c)` of source points.

        Args:
            X: `(n, dim)` source points.
            condition: Of all points, or of each.

        Returns:
            `(n, dim)`. Cost: a gradient of the potential a point, and as much again where every point has its own
            condition.
        """
        if is_lazy(X):
            return self._blockwise(X, "X", condition, self.forward)
        x = self._points(X, "X")
        codes = self.codes(condition, len(x))

        def one(map_: TransportMap, own: Matrix) -> Matrix:
            return map_.forward(own)

        def each(own: Matrix, code: Matrix) -> Matrix:
            rows = np.column_stack([own, code])
            images = map_batches(lambda part: gradients(self.family, part), self.coordinates.enter_x(rows))
            return self._leave_y(images, code)

        return like(X, self._apply(one, each, x, codes))

    def inverse(self, Y: Unchecked, condition: Unchecked, *, tolerance: Tolerance | None = None) -> Moved:
        """Preimages of target points. Warns, with row numbers, where one was not found to tolerance.

        Args:
            Y: `(n, dim)` target points.
            condition: Of all points, or of each.
            tolerance: When a point counts as solved; by default `Tolerance()`.
        """
        if is_lazy(Y):
            return self._blockwise(Y, "Y", condition, partial(self.inverse, tolerance=tolerance))
        result = self.inverse_with_status(Y, condition, tolerance=tolerance)
        warn_unconverged(result)
        return like(Y, result.points)

    def inverse_with_status(
        self, Y: Unchecked, condition: Unchecked, *, tolerance: Tolerance | None = None, error: bool = False
    ) -> Inverse:
        """Preimages, as arrays, with residual, status and steps for each row; never warns of those.

        Args:
            Y: `(n, dim)` target points.
            condition: Of all points, or of each.
            tolerance: When a point counts as solved; by default `Tolerance()`.
            error: Whether to bound the distance of each point to the exact preimage, too; where every point has its
                own condition, that is done point by point, some milliseconds each.
        """
        y = self._points(Y, "Y")
        codes = self.codes(condition, len(y))

        def one(map_: TransportMap, own: Matrix) -> Inverse:
            return map_.inverse_with_status(own, tolerance=tolerance, error=error)

        def each(own: Matrix, code: Matrix) -> Inverse:
            rows = self.coordinates.enter_y(np.column_stack([own, code]))
            solved = conjugate_points(self.family, rows, scale=self.coordinates.spread, tolerance=tolerance)
            found = np.column_stack([solved.points, code.astype(np.float32)])
            reached = map_batches(lambda part: gradients(self.family, part), found)
            residual = np.linalg.norm(self._leave_y(reached, code) - own, axis=1)
            points = self.coordinates.leave_x(np.column_stack([solved.points, code]))[:, : self.dim]
            return Inverse(points, residual, solved.converged, solved.steps)

        return self._apply(one, None if error else each, y, codes)

    def interpolate(self, X: Unchecked, t: float, condition: Unchecked) -> Moved:
        """Points on the way: `(1 - t) x + t T(x; c)`, McCann's displacement interpolation."""
        if is_lazy(X):
            return self._blockwise(X, "X", condition, lambda own, code: self.interpolate(own, t, code))
        x = self._points(X, "X")
        return like(X, (1.0 - t) * x + t * self.forward(x, condition))

    def dual(
        self,
        X: Unchecked,
        Y: Unchecked,
        x_condition: Unchecked,
        y_condition: Unchecked,
        *,
        x_weight: Unchecked = None,
        y_weight: Unchecked = None,
    ) -> Dual:
        """Dual value on two samples, a mean over the conditions of the source: an estimate of `E_c W2^2 / 2`.

        Args:
            X: `(n, dim)` source points.
            Y: `(m, dim)` target points; the sizes may differ.
            x_condition: Of the source points.
            y_condition: Of the target points; they are weighted to be distributed as those of the source.
            x_weight: `(n,)` weights of the source points; equal ones by default.
            y_weight: `(m,)` weights of the target points.
        """
        (x, a), (y, b) = self._rows((X, Y), (x_condition, y_condition), (x_weight, y_weight))
        c, dim = self.coordinates, self.dim
        weights = self._weights(x[:, dim:], y[:, dim:], a, b)
        inner_y = c.enter_y(y)
        solved = conjugate_points(self.family, inner_y, scale=c.spread)
        of_source = map_batches(lambda part: values(self.family, part), c.enter_x(x))
        of_target = map_batches(lambda b, a: conjugates(self.family, b, a), inner_y, solved.points)
        of_source, of_target = (np.asarray(side, np.float64) for side in (of_source, of_target))
        product = c.unit**2 * (np.average(of_source, weights=a) + weights @ of_target)
        gap = c.unit**2 * float(weights @ certified_gaps(self.family, solved.residual))
        value, unconverged = c.dual_offset(x, y, a, weights) - float(product), np.average(~solved.converged, weights=b)
        return Dual(value, float(unconverged), gap)

    def distance(
        self,
        X: Unchecked,
        Y: Unchecked,
        x_condition: Unchecked,
        y_condition: Unchecked,
        *,
        x_weight: Unchecked = None,
        y_weight: Unchecked = None,
        confidence: float = 0.95,
        empirical: bool = True,
        seed: int = 0,
    ) -> ConditionalDistance:
        """Wasserstein-2 distances under the same condition, of each class and in the mean; see `TransportMap.distance`.

        Use points that the fit has not seen. Where conditions are numbers, target points are weighted so that theirs
        are distributed as those of the source, and there is no interval for the very samples: no two points share a
        condition. The bound on the populations then takes these weights as known.

        Args:
            X: `(n, dim)` source points, two or more of each class.
            Y: `(m, dim)` target points, two or more of each class that `X` has.
            x_condition: Of the source points.
            y_condition: Of the target points.
            x_weight: `(n,)` weights of the source points; equal ones by default. Points without weight are left out.
            y_weight: `(m,)` weights of the target points.
            confidence: Level of the lower bounds on the distances between the populations, in (0, 1).
            empirical: Whether to enclose the distances of these very samples and to test images against targets, too.
            seed: Of that test.
        """
        check_confidence(confidence)
        (x, a), (y, b) = self._rows((X, Y), (x_condition, y_condition), (x_weight, y_weight))
        options: dict[str, Any] = {"confidence": confidence, "empirical": empirical, "seed": seed}
        numbers = np.unique(x[:, self.dim].astype(np.intp))
        parts, names = [], self.space.class_names()
        for number in numbers:
            of_x, of_y = x[:, self.dim] == number, y[:, self.dim] == number
            own_x, own_y, own_a, own_b = x[of_x], y[of_y], _of(a, of_x), _of(b, of_y)
            if min(len(own_x), len(own_y)) < 2:
                raise InputError(
                    f"`X` and `Y` must have at least 2 points of class '{names[number]}' for a distance; got "
                    f"{len(own_x)} and {len(own_y)}."
                )
            if self.space.numbers:
                weights = self._weights(own_x[:, self.dim :], own_y[:, self.dim :], own_a, own_b)
                parts.append(smooth_distance(self.coordinates, self.family, own_x, own_y, weights, own_a, **options))
            else:
                map_ = self._at(own_x[0, self.dim :])
                weighted = {"x_weight": own_a, "y_weight": own_b}
                parts.append(map_.distance(own_x[:, : self.dim], own_y[:, : self.dim], **weighted, **options))
        shares = np.array([np.average(x[:, self.dim] == number, weights=a) for number in numbers])
        return averaged([names[number] for number in numbers], parts, shares / shares.sum())

    def _weights(self, codes_x: Matrix, codes_y: Matrix, a: Matrix | None, b: Matrix | None) -> Matrix:
        """Weights of target points under which their conditions are distributed as those of the source."""
        sides = zip((codes_x, codes_y), (a, b), strict=True)
        given = [np.ones(len(codes)) if own is None else own for codes, own in sides]
        weights, unequal = weights_towards(codes_x, codes_y, *self.space.scaled_ranges, (given[0], given[1]))
        if unequal:
            names = [repr(self.space.class_names()[number]) for number in unequal]
            warn(
                "The numbers of `y_condition` cannot be weighted to be distributed as those of `x_condition`: class "
                f"{listed(names)}. There, the answer compares points of different numbers, too. Pass more points, or "
                "points whose numbers overlap more.",
                DataWarning,
            )
        return weights

    def _rows(
        self,
        clouds: tuple[Unchecked, Unchecked],
        conditions: tuple[Unchecked, Unchecked],
        weights: tuple[Unchecked, Unchecked],
    ) -> tuple[tuple[Matrix, Matrix | None], tuple[Matrix, Matrix | None]]:
        """Points of positive weight with their codes, of those classes that the source has; and their weights."""
        rows, given = [], []
        for name, cloud, condition, weight in zip("XY", clouds, conditions, weights, strict=True):
            points, low = self._points(cloud, name), name.lower()
            own = np.column_stack([points, self.codes(condition, len(points), f"{low}_condition")])
            found = as_weights(weight, len(points), f"{low}_weight")
            rows.append(own if found is None else own[found > 0])
            given.append(None if found is None else found[found > 0])
        rows_x, rows_y = rows
        missing = np.setdiff1d(rows_x[:, self.dim], rows_y[:, self.dim])
        if len(missing):
            names = self.space.class_names()
            raise InputError(
                f"`y_condition` lacks classes of `x_condition`: {listed([repr(names[int(k)]) for k in missing])}. "
                "Leave their points out."
            )
        kept = np.isin(rows_y[:, self.dim], rows_x[:, self.dim])
        return (rows_x, given[0]), (rows_y[kept], _of(given[1], kept))

    def codes(self, condition: Unchecked, rows: int, name: str = "condition") -> Matrix:
        """Codes of conditions for so many points; see `ConditionSpace.encode`.

        Raises:
            InputError: No condition, or one that the fit has not seen.

        Warns:
            DataWarning: Numbers beyond the range of the fit.
        """
        return read_codes(self.space, condition, rows, name)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the map to one file, whole or not at all; see `brenier.mapfile` for the format."""
        mapfile.save(path, self.coordinates, self.family, self.columns, self.info, self.space)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "ConditionalMap":
        """Read a map. Runs no code from the file, and refuses one that is truncated or altered."""
        contents = mapfile.load(path)
        if not isinstance(contents.coordinates, ConditionalCoordinates) or contents.space is None:
            kind = "TransportMap" if isinstance(contents.coordinates, BuresCoordinates) else "CostMap"
            raise MapFileError(f"'{path}' holds a map without conditions. Read it with `{kind}.load`.")
        return cls(contents.coordinates, contents.potential, contents.space, contents.columns, contents.info)

    def _at(self, code: Matrix) -> TransportMap:
        potential = self.family.at(jnp.asarray(np.asarray(code, np.float32)))
        return TransportMap(self.coordinates.at(code), potential, self.columns, self.info)

    def _groups(self, codes: Matrix) -> list[tuple[Matrix, Any]]:
        """Different conditions, and the rows of each."""
        if codes.strides[0] == 0:
            return [(codes[0], slice(None))]
        found, number = np.unique(codes, axis=0, return_inverse=True)
        number = number.reshape(-1)  # NumPy 2.0 alone has a column here
        order = np.argsort(number, kind="stable")
        return list(zip(found, np.split(order, np.cumsum(np.bincount(number))[:-1]), strict=True))

    def _apply(
        self,
        one: Callable[[TransportMap, Matrix], Any],
        each: Callable[[Matrix, Matrix], Any] | None,
        points: Matrix,
        codes: Matrix,
    ) -> Any:  # noqa: ANN401
        """Results of all rows, in order, from maps of single conditions or from rows with their own."""
        groups = self._groups(codes)
        if each is not None and len(groups) > _FEW and self.space.numbers:
            return map_chunks(each, points, codes)
        parts = [(rows, one(self._at(code), points[rows])) for code, rows in groups]
        if len(parts) == 1:
            return parts[0][1]
        return _merged(parts, len(points))

    def _leave_y(self, inner: NDArray[np.floating], codes: Matrix) -> Matrix:
        return self.coordinates.leave_y(np.column_stack([inner, codes]))[:, : self.dim]

    def _blockwise(self, given: Unchecked, name: str, condition: Unchecked, move: Callable[..., Any]) -> Any:  # noqa: ANN401
        """Move an array of dask block by block, each with its part of the conditions."""
        if is_single(condition):
            self.codes(condition, 1)  # so that one that cannot be used is refused now, not when blocks are computed
            return blockwise(given, name, self.dim, lambda own: move(own, condition))
        columns = read_conditions(condition, known_rows(given, name), "condition")
        rows = np.column_stack([column.values.astype(object) for column in columns])
        names = [column.name for column in columns]
        return blockwise(given, name, self.dim, lambda own, part: move(own, Conditions.of(names, part)), rows)

    def _points(self, value: Unchecked, name: str) -> Matrix:
        return as_points(value, name, columns=self.dim, names=self.columns).values


def _of(weights: Matrix | None, rows: NDArray[np.bool_]) -> Matrix | None:
    """Weights of some of the rows, summing to one again."""
    return None if weights is None else weights[rows] / weights[rows].sum()


def _merged(parts: list[tuple[Any, Any]], count: int) -> Any:  # noqa: ANN401
    """Rows of several results, arrays or tuples of them, in their places."""
    first = parts[0][1]
    if first is None:
        return None
    if isinstance(first, tuple):
        fields = zip(*(part for _, part in parts), strict=True)
        rows = [own for own, _ in parts]
        return type(first)(*(_merged(list(zip(rows, field, strict=True)), count) for field in fields))
    whole = np.empty((count, *first.shape[1:]), first.dtype)
    for rows, part in parts:
        whole[rows] = part
    return whole
