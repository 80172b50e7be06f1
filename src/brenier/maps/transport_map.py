"""A learned transport map: frozen, free of training code, usable for as long as its file exists."""

from collections.abc import Callable, Mapping
from functools import partial
from os import PathLike
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from brenier._chunks import map_batches, map_chunks
from brenier._errors import InputError
from brenier._words import map_lines, summary
from brenier.certificates import Distance, inverse_errors
from brenier.conditions import ConditionSpace, describe, read_codes
from brenier.conjugates import (
    GlobalConjugates,
    Tolerance,
    certified_gaps,
    conjugate_values,
    global_conjugates,
    images,
    potential_values,
    refine,
)
from brenier.costs import AbstractCost
from brenier.data.checks import as_points
from brenier.data.conditions import is_single
from brenier.data.frames import Moved, like
from brenier.data.kinds.dask import is_lazy
from brenier.data.table import Matrix, Unchecked
from brenier.density.methods import DensityMethods
from brenier.geometry import AbstractGeometry
from brenier.maps import mapfile
from brenier.maps.distances import check_confidence, measure
from brenier.maps.groups import conditioned_blocks, group_rows, merge
from brenier.maps.results import Dual, Images, Inverse, warn_steep, warn_unconverged
from brenier.maps.sides import read_sides, weigh_towards
from brenier.potentials import AbstractFamily
from brenier.solvers import Status

__all__ = ["TransportMap"]

_STARTS = 1024
"""Points that cover the source, for a second start of inner problems that may have several solutions."""

_FEW = 64
"""Different numbers up to which each is handled as a map of its own; classes always are."""


class TransportMap(DensityMethods, eqx.Module):
    """Optimal-transport map in both directions, or one for every condition. Points are in the units of the fit's data.

    Images and preimages come in the form in which the points came, see `docs/inputs.md`. Where the fit had conditions,
    methods take `condition`: one label, number or tuple for all points, or an array, series or frame with one for each.
    Numbers beyond the range of the fit are moved to its nearest end, with a warning.

    Attributes:
        geometry: The cost, and the coordinates in which the potential lives.
        potential: The potential `u`; its slope and the cost say where a point goes. A family of potentials where there
            are conditions.
        conditions: Which conditions there are; None for a map without.
        columns: Names of the columns, if the data of the fit had any.
        info: How the map was made: settings, versions, counts. JSON values only.

    Example:
        >>> import numpy as np
        >>> from brenier import BrenierMap
        >>> X = np.random.default_rng(0).normal(size=(500, 2))
        >>> map_ = BrenierMap(max_steps=128, random_state=0).fit(X, 2.0 * X).map_
        >>> bool(np.abs(map_.forward([[1.0, 0.0]]) - [[2.0, 0.0]]).max() < 0.01)
        True
    """

    geometry: AbstractGeometry
    potential: AbstractFamily
    conditions: ConditionSpace | None = eqx.field(static=True, default=None)
    columns: tuple[str, ...] | None = eqx.field(static=True, default=None)
    info: Mapping[str, Any] = eqx.field(static=True, default_factory=dict)

    @property
    def dim(self) -> int:
        """Number of columns."""
        return self.geometry.dim

    @property
    def cost(self) -> AbstractCost:
        """The cost, for points with each column in units of its scale; a Mahalanobis matrix is known up to rounding."""
        return self.geometry.cost

    def at(self, condition: Unchecked) -> "TransportMap":
        """The map for one condition: a map without conditions, exact, with certificates, and saved like any other.

        Args:
            condition: A label or number; a tuple with one entry for each column of the conditions, or a mapping.

        Raises:
            InputError: The fit has not seen this condition, or had no conditions.
        """
        return self.at_code(self.codes(condition, 1)[0])

    def forward(self, X: Unchecked, *, condition: Unchecked = None) -> Moved:
        """Images `T(x)` of source points.

        Warns, with row numbers, of points where the potential is steeper than the cost is anywhere, which can happen
        with `LogCosh`: the image is then the farthest that the cost can tell apart.

        Args:
            X: `(n, dim)` source points.
            condition: Needed where the fit had conditions: one for all points, or one for each.

        Returns:
            `(n, dim)` points. Cost: one gradient of the potential a point, two where every point has its own condition;
            beside the result, memory for one batch.
        """
        if is_lazy(X):
            return self._blockwise(X, "X", condition, self.forward)
        moved, steep = self._by_condition(TransportMap.images, self._points(X, "X"), condition)
        warn_steep(steep)
        return like(X, moved)

    def inverse(self, Y: Unchecked, *, condition: Unchecked = None, tolerance: Tolerance | None = None) -> Moved:
        """Preimages of target points. Warns, with row numbers, of those that were not found to tolerance.

        Args:
            Y: `(n, dim)` target points.
            condition: Needed where the fit had conditions: one for all points, or one for each.
            tolerance: When a point counts as solved; by default `Tolerance()`.

        Returns:
            `(n, dim)` points; see `inverse_with_status` for what is known about each.
            Cost: some ten to fifty gradients a point.
        """
        if is_lazy(Y):
            return self._blockwise(Y, "Y", condition, partial(self.inverse, tolerance=tolerance))
        result = self.inverse_with_status(Y, condition=condition, tolerance=tolerance)
        warn_unconverged(result)
        return like(Y, result.points)

    def inverse_with_status(
        self,
        Y: Unchecked,
        *,
        condition: Unchecked = None,
        tolerance: Tolerance | None = None,
        error: bool = False,
    ) -> Inverse:
        """Preimages as an array, with residual, status and steps of each; those that fail cause no warning.

        Args:
            Y: `(n, dim)` target points.
            condition: Needed where the fit had conditions: one for all points, or one for each.
            tolerance: When a point counts as solved; by default `Tolerance()`.
            error: Whether to bound the distance of each point from the exact preimage, too. That takes a gradient in
                double precision a point, and some milliseconds a point where each has its own condition. NaN for costs
                that are not quadratic.
        """
        solve = partial(TransportMap._preimages, tolerance=tolerance, error=error)
        return self._by_condition(solve, self._points(Y, "Y"), condition, one_by_one=error)

    def interpolate(self, X: Unchecked, t: float, *, condition: Unchecked = None) -> Moved:
        """Points on the way to the images, McCann's interpolation: `(1 - t) x + t T(x)`; on a sphere, great circles.

        Args:
            X: `(n, dim)` source points.
            t: Share of the way: 0 gives the source points, 1 their images.
            condition: Needed where the fit had conditions: one for all points, or one for each.
        """
        if is_lazy(X):
            return self._blockwise(X, "X", condition, partial(self.interpolate, t=t))
        x = self._points(X, "X")
        moved, _ = self._by_condition(TransportMap.images, x, condition)
        return like(X, self.geometry.geodesic(x, moved, t))

    def dual(
        self,
        X: Unchecked,
        Y: Unchecked,
        *,
        x_condition: Unchecked = None,
        y_condition: Unchecked = None,
        x_weight: Unchecked = None,
        y_weight: Unchecked = None,
    ) -> Dual:
        """Dual value of this map's potential on two samples: the estimate of the least mean cost behind `distance`.

        Args:
            X: `(n, dim)` source points.
            Y: `(m, dim)` target points; the sizes may differ.
            x_condition: Conditions of the source points, where the fit had some. The value is then a mean over them.
            y_condition: Conditions of the target points, which are weighted to be distributed as those of the source.
            x_weight: `(n,)` weights of the source points; equal ones by default.
            y_weight: `(m,)` weights of the target points.

        Returns:
            The value, an estimate of the least mean cost, and what is known of the conjugates.
        """
        source, target = read_sides(self, (X, Y), (x_condition, y_condition), (x_weight, y_weight))
        g, surplus, weights = self.geometry, self.geometry.surplus, weigh_towards(self, source, target)
        solved, inner_y = self.conjugates(target.rows).best, g.enter_y(target.rows)
        values = map_batches(lambda part: potential_values(self.potential, part), g.enter_x(source.rows))
        conjugates, residuals = map_batches(
            lambda rows, x: conjugate_values(self.potential, surplus, rows, x), inner_y, solved.points
        )
        means = (
            np.average(np.asarray(side, np.float64), weights=shares)
            for side, shares in ((values, source.weights), (conjugates, weights))
        )
        offset = g.dual_offset(source.rows, target.rows, source.weights, weights)
        gap = g.unit**2 * float(np.average(certified_gaps(self.potential, residuals, surplus), weights=weights))
        unconverged = float(np.average(~solved.converged, weights=target.weights))
        return Dual(offset - g.unit**2 * float(sum(means)), unconverged, gap)

    def distance(
        self,
        X: Unchecked,
        Y: Unchecked,
        *,
        x_condition: Unchecked = None,
        y_condition: Unchecked = None,
        x_weight: Unchecked = None,
        y_weight: Unchecked = None,
        confidence: float = 0.95,
        empirical: bool = True,
        seed: int = 0,
    ) -> Distance:
        """Distance between two samples and their populations: an estimate, bounds, and a test.

        It is the Wasserstein-2 distance for quadratic costs, and the least mean cost, without a root, for others. Under
        conditions, it is that of each class and the mean over the conditions of the source. Where conditions are
        numbers, target points are weighted so that theirs are distributed as those of the source, the bound on the
        populations takes these weights as known, and there is no interval for the very samples: no two points share a
        condition.

        Use points that the fit has not seen: on its own training points a flexible potential flatters itself, and the
        bound on the populations does not hold. `docs/certificates.md` has the statements and their proofs.

        Args:
            X: `(n, dim)` source points; at least two, of each class.
            Y: `(m, dim)` target points; the sizes may differ.
            x_condition: Conditions of the source points, where the fit had some.
            y_condition: Conditions of the target points.
            x_weight: `(n,)` weights of the source points; equal ones by default. Points without weight are left out.
            y_weight: `(m,)` weights of the target points.
            confidence: Level of the lower bound on the distance between the populations, in (0, 1).
            empirical: Whether to enclose the distance of these samples as they are and to test the image against the
                target, too: for the interval an exact solver up to 5,000,000 pairs of points, otherwise time in
                proportion to the number of pairs, up to a few minutes.
            seed: Seed of the random directions and relabellings of the test.

        Raises:
            InputError: There are fewer than two points of a class, or `confidence` is not in (0, 1).
        """
        check_confidence(confidence)
        sides = read_sides(self, (X, Y), (x_condition, y_condition), (x_weight, y_weight))
        return measure(self, *sides, confidence=confidence, empirical=empirical, seed=seed)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the map to one file, whole or not at all; see `brenier.maps.mapfile` for the format.

        Raises:
            InputError: The path cannot be written, or the cost was given by functions, which no file can hold.
        """
        mapfile.save(path, mapfile.Contents(self.geometry, self.potential, self.conditions, self.columns, self.info))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "TransportMap":
        """Read a map, with or without conditions, for any cost. Runs no code from the file.

        Args:
            path: A file of `brenier fit`, `brenier density`, or of `save`.

        Raises:
            MapFileError: The file is missing, truncated, altered, of a newer format, or not a map.
        """
        return cls(*mapfile.load(path))

    def codes(self, condition: Unchecked, rows: int, name: str = "condition") -> Matrix:
        """Conditions as the potential reads them, `(rows, k)`; see `ConditionSpace.encode`. Without any, k is zero.

        Raises:
            InputError: The condition is missing, or the fit has not seen it, or had none.

        Warns:
            DataWarning: Numbers beyond the range of the fit.
        """
        if self.conditions is not None:
            return read_codes(self.conditions, condition, rows, name)
        if condition is not None:
            raise InputError(f"`{name}` was given, but the fit had none. Leave it out, or fit with conditions.")
        return np.zeros((rows, 0))

    def rows(self, value: Unchecked, name: str, condition: Unchecked, condition_name: str = "condition") -> Matrix:
        """Check points, and put the codes of their conditions behind them: `(n, dim + k)`."""
        points = self._points(value, name)
        codes = self.codes(condition, len(points), condition_name)
        return np.column_stack([points, codes]) if codes.shape[1] else points

    def at_code(self, code: Matrix) -> "TransportMap":
        """The map for one condition, given by its code `(k,)`; see `codes`."""
        potential = self.potential.at(jnp.asarray(np.asarray(code, np.float32)))
        return TransportMap(self.geometry.at(code), potential, None, self.columns, self.info)

    def images(self, rows: Matrix) -> Images:
        """Images of checked rows, and where the potential is too steep; see `rows`."""
        g, surplus = self.geometry, self.geometry.surplus

        def move(part: Matrix) -> Images:
            inner, steep = map_batches(lambda some: images(self.potential, surplus, some), g.enter_x(part))
            return Images(g.leave_y(inner, part[:, g.dim :]), steep)

        return map_chunks(move, rows)

    def conjugates(self, rows: Matrix, tolerance: Tolerance | None = None) -> GlobalConjugates:
        """Maximisers of the conjugate at checked target rows, in the coordinates of `geometry` and single precision."""
        g = self.geometry
        return global_conjugates(
            self.potential,
            g.surplus,
            g.enter_y(rows),
            starts=g.starts(_STARTS),
            scale=g.spread,
            tolerance=tolerance,
        )

    def lines(self) -> list[tuple[str, str]]:
        """Labels and texts of what `print` shows."""
        return map_lines(
            "TransportMap",
            self.dim,
            self.columns,
            cost=str(self.cost),
            potential=type(self.potential).__name__,
            hyperparameters=self.potential.hyperparameters(),
            conditions=None if self.conditions is None else describe(self.conditions),
            info=self.info,
        )

    def __repr__(self) -> str:
        return summary(self.lines())

    def _preimages(self, rows: Matrix, *, tolerance: Tolerance | None, error: bool) -> Inverse:
        """Preimages of checked rows."""
        g, surplus = self.geometry, self.geometry.surplus

        def solve(target: Matrix) -> Inverse:
            codes = target[:, g.dim :]
            single, disagree = self.conjugates(target, tolerance)
            # What rounding does to a gradient is known where the image is the gradient.
            solved = refine(self.potential, g.precise_y(target), single, g.spread, tolerance) if g.quadratic else single
            inner = np.column_stack([solved.points, codes]).astype(np.float32)
            reached, _ = map_batches(lambda part: images(self.potential, surplus, part), inner)
            residual = np.linalg.norm(g.leave_y(reached, codes) - target[:, : g.dim], axis=1)
            return Inverse(
                points=g.leave_x(solved.points, codes),
                residual=residual,
                converged=solved.converged,
                steps=solved.steps,
                error=inverse_errors(g, self.potential, target, solved.points) if error else None,
                disagree=disagree,
                status=Status.of(solved.code),
            )

        return map_chunks(solve, rows)

    def _by_condition(
        self,
        answer: Callable[["TransportMap", Matrix], Any],
        points: Matrix,
        condition: Unchecked,
        *,
        one_by_one: bool = False,
    ) -> Any:  # noqa: ANN401
        """Results of all rows, in order: from maps of single conditions, or from rows where most have their own.

        Args:
            answer: From a map and rows that it takes to results of these rows.
            points: Checked points.
            condition: Their conditions.
            one_by_one: Whether `answer` can only take maps of single conditions.
        """
        codes = self.codes(condition, len(points))
        if self.conditions is None:
            return answer(self, points)
        groups = group_rows(codes)
        if not one_by_one and len(groups) > _FEW and self.conditions.numbers:
            return map_chunks(lambda part, code: answer(self, np.column_stack([part, code])), points, codes)
        return merge([(rows, answer(self.at_code(code), points[rows])) for code, rows in groups], len(points))

    def _blockwise(self, given: Unchecked, name: str, condition: Unchecked, move: Callable[..., Any]) -> Moved:
        if condition is None or self.conditions is None or is_single(condition):
            self.codes(condition, 1)  # so that one that cannot be used is refused now, not when blocks are computed
        return conditioned_blocks(given, name, self.dim, condition, move)

    def _points(self, value: Unchecked, name: str) -> Matrix:
        return as_points(value, name, columns=self.dim, names=self.columns).values
