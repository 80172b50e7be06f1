"""A learned transport map: frozen, free of training code, usable for as long as its file exists."""

from collections.abc import Mapping
from functools import partial
from os import PathLike
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier import mapfile
from brenier._errors import ConvergenceWarning, InputError, MapFileError, warn
from brenier._summary import map_lines, summary
from brenier._types import Points, Values
from brenier.batches import map_batches, map_chunks
from brenier.certificates import Distance, assess, inverse_errors
from brenier.conjugate import Tolerance, certified_gaps, conjugate_points, dual_values
from brenier.coordinates import BuresCoordinates
from brenier.costs import Mahalanobis, SquaredEuclidean
from brenier.data.checks import as_points
from brenier.data.frames import Moved, like
from brenier.data.kinds.dask import blockwise, is_lazy
from brenier.data.table import Matrix, Table, Unchecked
from brenier.data.weights import weighted_table
from brenier.density.change import LogDensity
from brenier.density.methods import DensityMethods
from brenier.potentials import AbstractPotential
from brenier.refined import gradients, refined

__all__ = [
    "Distance",
    "Dual",
    "Inverse",
    "LogDensity",
    "TransportMap",
    "check_confidence",
    "warn_unconverged",
]


class Inverse(NamedTuple):
    """Preimages with what is known about each.

    Attributes:
        points: `(n, d)` source points `x` with `T(x) = y`, the best found where that failed.
        residual: `(n,)` Euclidean norms of `T(x) - y`, in units of the target, with the rounding of `forward`.
        converged: `(n,)` whether each met its tolerance.
        steps: `(n,)` rounds of the inner solvers.
        error: `(n,)` bounds on the distance to the exact preimages, in units of the source: each holds for its point,
            converged or not. NaN where the potential is not known to be convex; None if they were not asked for.
        disagree: `(n,)` for other costs, whether two starts led to different solutions; None where there is only one.
    """

    points: Matrix
    residual: Matrix
    converged: NDArray[np.bool_]
    steps: NDArray[np.int32]
    error: Matrix | None = None
    disagree: NDArray[np.bool_] | None = None


class Dual(NamedTuple):
    """A dual value.

    Attributes:
        value: Estimate of `W2^2 / 2`, in expectation at most the truth up to the error of the conjugates.
        unconverged: Share of the target points whose conjugate missed its tolerance.
        gap: Certified gap: with exact conjugates the value would lie between `value - gap` and `value`, up to rounding;
            NaN if the potential is not known to be convex.
    """

    value: float
    unconverged: float
    gap: float


class TransportMap(DensityMethods, eqx.Module):
    """Optimal-transport map in both directions. Points are in the units of the data of the fit.

    Images and preimages come in the form of the points, see `docs/inputs.md`.

    Attributes:
        coordinates: Affine coordinates in which the potential lives.
        potential: The convex potential; its gradient is the map in those coordinates.
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

    coordinates: BuresCoordinates
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
            "TransportMap",
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
    def cost(self) -> SquaredEuclidean | Mahalanobis:
        """The cost, of points with each column in units of its scale; its matrix is known up to rounding."""
        root = self.coordinates.root
        return SquaredEuclidean() if root is None else Mahalanobis(root.T @ root)

    def forward(self, X: Unchecked) -> Moved:
        """Images `T(x)` of source points.

        Args:
            X: `(n, dim)` source points.

        Returns:
            `(n, dim)` points. Cost: one gradient of the potential a point; beside the result, memory for one batch.
        """
        if is_lazy(X):
            return blockwise(X, "X", self.dim, self.forward)
        return like(X, map_batches(self._forward, self._points(X, "X")))

    def inverse(self, Y: Unchecked, *, tolerance: Tolerance | None = None) -> Moved:
        """Preimages of target points. Warns, with row numbers, where one was not found to tolerance.

        Args:
            Y: `(n, dim)` target points.
            tolerance: When a point counts as solved; by default `Tolerance()`.

        Returns:
            `(n, dim)` points; see `inverse_with_status` for what is known about each.
            Cost: some ten to fifty gradients a point.
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
            error: Whether to bound the distance of each point to the exact preimage, too: a gradient in double
                precision each.
        """
        c = self.coordinates

        def solve(target: Matrix) -> Inverse:
            solved = conjugate_points(self.potential, c.enter_y(target), scale=c.spread, tolerance=tolerance)
            found = refined(self.potential, c.precise_y(target), solved, c.spread, tolerance)
            reached = map_batches(lambda part: gradients(self.potential, part), found.points.astype(np.float32))
            residual = np.linalg.norm(c.leave_y(reached) - target, axis=1)
            errors = inverse_errors(c, self.potential, target, found.points) if error else None
            return Inverse(c.leave_x(found.points), residual, found.converged, found.steps, errors)

        return map_chunks(solve, self._points(Y, "Y"))

    def interpolate(self, X: Unchecked, t: float) -> Moved:
        """Points on the way: `(1 - t) x + t T(x)`, McCann's displacement interpolation.

        Args:
            X: `(n, dim)` source points.
            t: 0 gives the source, 1 the image.
        """
        if is_lazy(X):
            return blockwise(X, "X", self.dim, partial(self.interpolate, t=t))
        x = self._points(X, "X")
        return like(X, (1.0 - t) * x + t * self.forward(x))

    def dual(self, X: Unchecked, Y: Unchecked, *, x_weight: Unchecked = None, y_weight: Unchecked = None) -> Dual:
        """Dual value of this map's potential on two samples, the number that `distance` takes its estimate from.

        Args:
            X: `(n, dim)` source points.
            Y: `(m, dim)` target points; the sizes may differ.
            x_weight: `(n,)` weights of the source points; equal ones by default.
            y_weight: `(m,)` weights of the target points.

        Returns:
            The value, an estimate of `W2^2 / 2` in squared units of the cost, and what is known of the conjugates.
        """
        (x, a), (y, b) = self._weighted(X, x_weight, "X"), self._weighted(Y, y_weight, "Y")
        c = self.coordinates
        inner_y = c.enter_y(y)
        solved = conjugate_points(self.potential, inner_y, scale=c.spread)
        values = map_batches(lambda part: _values(self.potential, part), c.enter_x(x))
        conjugates = map_batches(lambda b, a: _conjugates(self.potential, b, a), inner_y, solved.points)
        means = (
            np.average(np.asarray(side, np.float64), weights=weights)
            for side, weights in ((values, a), (conjugates, b))
        )
        product = c.unit**2 * float(sum(means))
        gap = c.unit**2 * float(np.average(certified_gaps(self.potential, solved.residual), weights=b))
        return Dual(c.dual_offset(x, y, a, b) - product, float(np.average(~solved.converged, weights=b)), gap)

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
    ) -> Distance:
        """Wasserstein-2 distance between two samples and their populations: an estimate, bounds, and a test.

        Use points that the fit has not seen: on its own training points a flexible potential flatters itself, and the
        bound on the populations does not hold. `docs/certificates.md` has the statements and their proofs.

        Args:
            X: `(n, dim)` source points; at least two.
            Y: `(m, dim)` target points; the sizes may differ.
            x_weight: `(n,)` weights of the source points; equal ones by default. Points without weight are left out.
            y_weight: `(m,)` weights of the target points.
            confidence: Level of the lower bound on the distance between the populations, in (0, 1).
            empirical: Whether to enclose the distance of these very samples and to test the image against the target,
                too: for the interval an exact solver up to 5,000,000 pairs of points, otherwise time in proportion to
                the number of pairs, up to a few minutes.
            seed: Of the random directions and relabellings of the test.

        Raises:
            InputError: Fewer than two points, or a level that is none.
        """
        (x, a), (y, b) = self._weighted(X, x_weight, "X"), self._weighted(Y, y_weight, "Y")
        for name, points in (("X", x), ("Y", y)):
            if len(points) < 2:
                raise InputError(f"`{name}` must have at least 2 points for a distance; got {len(points)}.")
        check_confidence(confidence)
        c = self.coordinates
        solved = conjugate_points(self.potential, c.enter_y(y), scale=c.spread)
        return assess(
            c,
            self.potential,
            x,
            y,
            images=self.forward(x),
            conjugates=solved.points,
            converged=solved.converged,
            confidence=confidence,
            empirical=empirical,
            seed=seed,
            a=a,
            b=b,
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Write the map to one file, whole or not at all; see `brenier.mapfile` for the format."""
        mapfile.save(path, self.coordinates, self.potential, self.columns, self.info)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "TransportMap":
        """Read a map. Runs no code from the file, and refuses one that is truncated or altered."""
        contents = mapfile.load(path)
        if contents.space is not None:
            raise MapFileError(f"'{path}' holds a map with conditions. Read it with `ConditionalMap.load`.")
        if not isinstance(contents.coordinates, BuresCoordinates) or not isinstance(
            contents.potential, AbstractPotential
        ):
            raise MapFileError(f"'{path}' holds a map for a cost that is not quadratic. Read it with `CostMap.load`.")
        return cls(contents.coordinates, contents.potential, contents.columns, contents.info)

    def _forward(self, x: Matrix) -> Matrix:
        """Images of one batch."""
        images = gradients(self.potential, jnp.asarray(self.coordinates.enter_x(x)))
        return self.coordinates.leave_y(np.asarray(images))

    def _points(self, value: Unchecked, name: str) -> Matrix:
        return as_points(value, name, columns=self.dim, names=self.columns).values

    def _weighted(self, value: Unchecked, weights: Unchecked, name: str) -> tuple[Matrix, Matrix | None]:
        """Points of positive weight, and their weights if there are any."""
        table, found = weighted_table(Table(self._points(value, name)), weights, f"{name.lower()}_weight")
        return table.values, found


def check_confidence(confidence: float) -> None:
    """Refuse what is no level of confidence."""
    if not 0.0 < confidence < 1.0:
        raise InputError(f"`confidence` must lie strictly between 0 and 1; got {confidence!r}.")


def warn_unconverged(result: Inverse) -> None:
    """Warn, at the line that called its caller, of preimages that were not found."""
    failed = np.flatnonzero(~result.converged)
    if len(failed):
        warn(
            f"{len(failed)} of {len(result.points)} preimages are not converged: rows "
            f"{', '.join(map(str, failed[:10]))}{' ...' if len(failed) > 10 else ''}; largest residual "
            f"{result.residual[failed].max():.3g} in units of the target. They are the best points found. Such "
            "rows usually lie far outside the data of the fit; `inverse_with_status` has the status of each row.",
            ConvergenceWarning,
        )


@eqx.filter_jit
def _values(u: AbstractPotential, x: Points) -> Values:
    return u(x)


@eqx.filter_jit
def _conjugates(u: AbstractPotential, y: Points, x: Points) -> Values:
    return dual_values(u, y, x)[0]
