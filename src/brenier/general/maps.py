"""A learned map for a cost other than the quadratic one."""

from collections.abc import Mapping
from functools import partial
from os import PathLike
from typing import Any

import equinox as eqx
import numpy as np
from numpy.typing import NDArray

from brenier import mapfile
from brenier._errors import ConvergenceWarning, InputError, MapFileError, warn
from brenier._summary import map_lines, summary
from brenier._types import Mask, Points, Values
from brenier.batches import map_batches, map_chunks
from brenier.conjugate import Tolerance, certified_gaps
from brenier.costs import AbstractCost
from brenier.data.checks import as_points
from brenier.data.frames import Moved, like
from brenier.data.kinds.dask import blockwise, is_lazy
from brenier.data.table import Matrix, Table, Unchecked
from brenier.data.weights import weighted_table
from brenier.general.conjugates import GlobalConjugates, global_conjugates
from brenier.general.distance import CostDistance, assess_cost
from brenier.general.sphere import CostCoordinates
from brenier.maps import Dual, Inverse, check_confidence, warn_unconverged
from brenier.potentials import AbstractPotential
from brenier.surplus import AbstractSurplus

__all__ = ["CostMap"]

_ANCHORS = 1024
"""Points that cover the source, from which inner problems are started a second time."""


class CostMap(eqx.Module):
    """Optimal-transport map for a cost `c(x, y)` other than the quadratic one, in both directions.

    Points are in the units of the data, and come back in the form in which they came, as for `TransportMap`.

    Attributes:
        coordinates: Coordinates in which the potential lives; they hold the cost.
        potential: The potential `u`; its slope says, with the cost, where a point goes.
        columns: Names of the columns, if the data of the fit had any.
        info: How the map was made: settings, versions, counts. JSON values only.

    Example:
        >>> import numpy as np
        >>> from brenier import BrenierMap
        >>> from brenier.costs import PNorm
        >>> X = np.random.default_rng(0).normal(size=(500, 2))
        >>> map_ = BrenierMap(cost=PNorm(1.5), max_steps=128, random_state=0).fit(X, X + 1.0).map_
        >>> bool(np.abs(map_.forward([[1.0, 0.0]]) - [[2.0, 1.0]]).max() < 0.01)
        True
    """

    coordinates: CostCoordinates
    potential: AbstractPotential
    columns: tuple[str, ...] | None = eqx.field(static=True, default=None)
    info: Mapping[str, Any] = eqx.field(static=True, default_factory=dict)

    @property
    def dim(self) -> int:
        """Number of columns."""
        return self.coordinates.dim

    def lines(self) -> list[tuple[str, str]]:
        """Labels and texts of what `print` shows."""
        return map_lines(
            "CostMap",
            self.dim,
            self.columns,
            cost=str(self.cost),
            potential=type(self.potential).__name__,
            hyperparameters=self.potential.hyperparameters(),
            conditions=None,
            info=self.info,
        )

    def __repr__(self) -> str:
        return summary(self.lines())

    @property
    def cost(self) -> AbstractCost:
        """The cost, of points with each column in units of its scale."""
        return self.coordinates.cost

    def forward(self, X: Unchecked) -> Moved:
        """Images of source points, in the form of `X`.

        Warns, with row numbers, where the potential is steeper than the cost of any displacement, as may be for
        `LogCosh`: the image is then the one farthest away.

        Args:
            X: `(n, dim)` source points.

        Note: Cost: one gradient of the potential a point.
        """
        if is_lazy(X):
            return blockwise(X, "X", self.dim, self.forward)
        images, steep = self._moved(self._points(X, "X"))
        _warn_steep(steep)
        return like(X, images)

    def inverse(self, Y: Unchecked, *, tolerance: Tolerance | None = None) -> Moved:
        """Preimages of target points. Warns, with row numbers, where one was not found to tolerance.

        Args:
            Y: `(n, dim)` target points.
            tolerance: When a point counts as solved; by default `Tolerance()`.
        """
        if is_lazy(Y):
            return blockwise(Y, "Y", self.dim, partial(self.inverse, tolerance=tolerance))
        result = self.inverse_with_status(Y, tolerance=tolerance)
        warn_unconverged(result)
        return like(Y, result.points)

    def inverse_with_status(self, Y: Unchecked, *, tolerance: Tolerance | None = None, error: bool = False) -> Inverse:
        """Preimages, as arrays, with residual, status and steps for each row; never warns.

        Args:
            Y: `(n, dim)` target points.
            tolerance: When a point counts as solved; by default `Tolerance()`.
            error: Not known for these costs: its bounds are NaN.

        Returns:
            What is known of each row; `disagree` says where two starts led to different solutions of the equation, of
            which the one with the larger dual value was taken.
        """

        def solve(target: Matrix) -> Inverse:
            found, disagree = self._conjugates(target, tolerance)
            points = self.coordinates.leave_x(found.points)
            residual = np.linalg.norm(self._forward(points) - target, axis=1)
            errors = np.full(len(target), np.nan) if error else None
            return Inverse(points, residual, found.converged, found.steps, errors, disagree)

        return map_chunks(solve, self._points(Y, "Y"))

    def interpolate(self, X: Unchecked, t: float) -> Moved:
        """Points on the way: `(1 - t) x + t T(x)`, whatever the convex cost; on the sphere along great circles.

        Args:
            X: `(n, dim)` source points.
            t: 0 gives the source, 1 the image.
        """
        if is_lazy(X):
            return blockwise(X, "X", self.dim, partial(self.interpolate, t=t))
        x = self._points(X, "X")
        return like(X, self.coordinates.between_points(x, self._forward(x), t))

    def dual(self, X: Unchecked, Y: Unchecked, *, x_weight: Unchecked = None, y_weight: Unchecked = None) -> Dual:
        """Dual value of this map's potential on two samples: an estimate of the least mean cost.

        Args:
            X: `(n, dim)` source points.
            Y: `(m, dim)` target points; the sizes may differ.
            x_weight: `(n,)` weights of the source points; equal ones by default.
            y_weight: `(m,)` weights of the target points.
        """
        (x, a), (y, b) = self._weighted(X, x_weight, "X"), self._weighted(Y, y_weight, "Y")
        c, surplus = self.coordinates, self.coordinates.surplus
        found, _ = self._conjugates(y)
        values = map_batches(lambda part: _potential(self.potential, part), c.enter_x(x))
        conjugates, residuals = map_batches(
            lambda y, x: _conjugates(self.potential, surplus, y, x), c.enter_y(y), found.points
        )
        objective = sum(
            float(np.average(np.asarray(side, np.float64), weights=weights))
            for side, weights in ((values, a), (conjugates, b))
        )
        gap = float(np.average(certified_gaps(self.potential, residuals, surplus), weights=b))
        unconverged = float(np.average(~found.converged, weights=b))
        return Dual(c.dual_offset(x, y, a, b) - c.unit**2 * objective, unconverged, c.unit**2 * gap)

    def distance(
        self,
        X: Unchecked,
        Y: Unchecked,
        *,
        x_weight: Unchecked = None,
        y_weight: Unchecked = None,
        confidence: float = 0.95,
        empirical: bool = True,
        seed: int = 0,
    ) -> CostDistance:
        """The least mean cost between two samples and their populations: an estimate, bounds, and a test.

        Args:
            X: `(n, dim)` source points that the fit has not seen; at least two.
            Y: `(m, dim)` target points; the sizes may differ.
            x_weight: `(n,)` weights of the source points; equal ones by default.
            y_weight: `(m,)` weights of the target points.
            confidence: Level of the lower bound on the cost between the populations, in (0, 1), where there is one.
            empirical: Whether to enclose the cost between these very samples, too, and to test the image.
            seed: Of the test.
        """
        (x, a), (y, b) = self._weighted(X, x_weight, "X"), self._weighted(Y, y_weight, "Y")
        for name, points in (("X", x), ("Y", y)):
            if len(points) < 2:
                raise InputError(f"`{name}` must have at least 2 points for a distance; got {len(points)}.")
        check_confidence(confidence)
        return assess_cost(
            self.coordinates,
            self.potential,
            x,
            y,
            images=self._forward(x),
            conjugates=self._conjugates(y),
            confidence=confidence,
            empirical=empirical,
            seed=seed,
            a=a,
            b=b,
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Write the map to one file, whole or not at all; a cost given by functions cannot be saved."""
        mapfile.save(path, self.coordinates, self.potential, self.columns, self.info)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "CostMap":
        """Read a map. Runs no code from the file, and refuses one that is truncated or altered."""
        contents = mapfile.load(path)
        if not isinstance(contents.coordinates, CostCoordinates) or not isinstance(
            contents.potential, AbstractPotential
        ):
            raise MapFileError(f"'{path}' holds a map of another kind. Read it with `brenier.load_map`.")
        return cls(contents.coordinates, contents.potential, contents.columns, contents.info)

    def _forward(self, x: Matrix) -> Matrix:
        return self._moved(x)[0]

    def _moved(self, x: Matrix) -> tuple[Matrix, NDArray[np.bool_]]:
        """Images, and where the potential was too steep."""
        surplus = self.coordinates.surplus
        images, steep = map_batches(lambda part: _images(self.potential, surplus, part), self.coordinates.enter_x(x))
        return self.coordinates.leave_y(images), steep

    def _conjugates(self, y: Matrix, tolerance: Tolerance | None = None) -> GlobalConjugates:
        c = self.coordinates
        return global_conjugates(
            self.potential,
            c.surplus,
            c.enter_y(y),
            anchors=c.anchors(_ANCHORS),
            scale=c.spread,
            tolerance=tolerance,
        )

    def _points(self, value: Unchecked, name: str) -> Matrix:
        return as_points(value, name, columns=self.dim, names=self.columns).values

    def _weighted(self, value: Unchecked, weights: Unchecked, name: str) -> tuple[Matrix, Matrix | None]:
        """Points of positive weight, and their weights if there are any."""
        table, found = weighted_table(Table(self._points(value, name)), weights, f"{name.lower()}_weight")
        return table.values, found


def _warn_steep(steep: NDArray[np.bool_]) -> None:
    """Warn, at the line that called its caller, of points whose potential no displacement matches."""
    rows = np.flatnonzero(steep)
    if len(rows):
        warn(
            f"at {len(rows)} of {len(steep)} points the potential is steeper than the cost of any displacement: rows "
            f"{', '.join(map(str, rows[:10]))}{' ...' if len(rows) > 10 else ''}. Their images are the farthest that "
            "the cost can tell apart. Such rows lie outside the data of the fit, or the fit was too short.",
            ConvergenceWarning,
        )


@eqx.filter_jit
def _images(u: AbstractPotential, surplus: AbstractSurplus, x: Points) -> tuple[Points, Mask]:
    slope = u.gradient(x)
    return surplus.image(x, slope), surplus.too_steep(x, slope)


@eqx.filter_jit
def _potential(u: AbstractPotential, x: Points) -> Values:
    return u(x)


@eqx.filter_jit
def _conjugates(u: AbstractPotential, surplus: AbstractSurplus, y: Points, x: Points) -> tuple[Values, Values]:
    return surplus.dual_values(u, y, x)
