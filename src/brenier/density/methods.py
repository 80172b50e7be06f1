"""Densities of a map: change of variables, draws, and the distribution that they start from."""

import abc
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from brenier._errors import ConvergenceWarning, InputError, warn
from brenier.data.table import Matrix, Unchecked, itemise
from brenier.density.bases import Base, Normal, as_base
from brenier.density.change import LogDensity, check_side, density_gradient, log_density
from brenier.density.log_det import log_dets
from brenier.geometry import AbstractGeometry
from brenier.potentials import AbstractFamily

__all__ = ["DensityMethods", "warn_unconverged_densities"]


class DensityMethods(abc.ABC):
    """The methods of `TransportMap` for densities and draws, from its base distribution or another one."""

    geometry: AbstractGeometry
    potential: AbstractFamily
    info: Mapping[str, Any]

    @property
    @abc.abstractmethod
    def dim(self) -> int:
        """Number of columns."""

    @abc.abstractmethod
    def forward(self, X: Unchecked, *, condition: Unchecked = None) -> Any:  # noqa: ANN401
        """Images of source points."""

    @abc.abstractmethod
    def inverse(self, Y: Unchecked, *, condition: Unchecked = None) -> Any:  # noqa: ANN401
        """Preimages of target points."""

    @abc.abstractmethod
    def _points(self, value: Unchecked, name: str) -> Matrix:
        """Checked points."""

    @abc.abstractmethod
    def _by_condition(
        self, answer: Callable[[Any, Matrix], Any], points: Matrix, condition: Unchecked, *, one_by_one: bool = False
    ) -> Any:  # noqa: ANN401
        """Results of all rows, in order, from maps of single conditions."""

    def log_det(self, X: Unchecked, *, condition: Unchecked = None) -> Matrix:
        """Logarithm of the determinant of the map's Jacobian at source points.

        The logarithm of the volume change: `log p_source(x) = log p_image(T(x)) + log_det(x)`.

        Args:
            X: `(n, dim)` source points.
            condition: Needed where the fit had conditions: one for all points, or one for each. Each
                condition has a map, and so a density, of its own.

        Returns:
            `(n,)`. Cost: up to 256 columns, `dim` Hessian-vector products, one factor and `dim^2` memory a point;
            beyond, an estimate from 256 products, see `brenier.density.log_det`.

        Raises:
            InputError: The cost is not quadratic.
        """

        def volumes(map_: Any, x: Matrix) -> Matrix:  # noqa: ANN401 - a map of one condition
            return log_dets(map_.potential, map_.geometry.enter_x(x)).value + map_.geometry.log_volume

        return self._densities(volumes, X, "X", condition)

    def log_density(
        self, points: Unchecked, base: Unchecked = None, *, condition: Unchecked = None, side: str | None = None
    ) -> Matrix:
        """Log density of a base distribution moved by this map. Warns, with row numbers, where a solve failed.

        Args:
            points: `(n, dim)` points.
            base: Distribution on the other side: `"normal"` for the standard normal one, a distribution with a method
                `logpdf`, or a function from points to log densities. By default the one that the fit had.
            condition: Needed where the fit had conditions: one for all points, or one for each.
            side: The side that the points are on: `"target"` for the image of the base, `"source"` for its preimage.
                By default the side without the base of the fit; `"target"` where there was none.

        Returns:
            `(n,)` natural logarithms, for volumes in the units of the data; see `log_density_with_status` for what is
            known about each. Cost: that of `log_det`, and on the target side of `inverse`.

        Raises:
            InputError: The cost is not quadratic.
        """
        result = self.log_density_with_status(points, base, condition=condition, side=side)
        warn_unconverged_densities(result)
        return result.value

    def log_density_with_status(
        self,
        points: Unchecked,
        base: Unchecked = None,
        *,
        condition: Unchecked = None,
        side: str | None = None,
        exact: bool | None = None,
    ) -> LogDensity:
        """Log densities as from `log_density`, with standard error and status of each; without warnings.

        Args:
            points: `(n, dim)` points.
            base: Distribution on the other side, in a form that `log_density` takes; by default that of the fit.
            condition: Needed where the fit had conditions: one for all points, or one for each.
            side: The side that the points are on, `"target"` or `"source"`; by default the one without the base.
            exact: Whether log determinants are exact or estimated; by default exact up to 256 columns.
        """
        distribution, where = self._base(base, side)
        return self._densities(
            lambda map_, rows: log_density(map_, rows, distribution, where, exact), points, "points", condition
        )

    def log_density_gradient(
        self, points: Unchecked, base: Unchecked = None, *, condition: Unchecked = None, side: str | None = None
    ) -> Matrix:
        """Gradients of `log_density` in the points, `(n, dim)`: the score, for samplers and optimisers.

        For normal bases and up to 256 columns only. The arguments are those of `log_density`.
        """
        distribution, where = self._base(base, side)
        return self._densities(
            lambda map_, rows: density_gradient(map_, rows, distribution, where), points, "points", condition
        )

    def sample(
        self,
        n: int,
        base: Unchecked = None,
        *,
        condition: Unchecked = None,
        side: str | None = None,
        seed: int = 0,
    ) -> Matrix:
        """Draw from a base distribution and move the points by this map.

        Args:
            n: Number of points.
            base: Distribution to draw from: `"normal"`, or one with `rvs(size=n, random_state=generator)`. By default
                that of the fit.
            condition: Needed where the fit had conditions: one for all points, or one for each of the `n`.
            side: The side that the points are to be on, `"target"` or `"source"`; by default the one without the base.
            seed: Seed of the draw.

        Returns:
            `(n, dim)` points, in the units of their side.
        """
        self._check_quadratic()
        distribution, where = self._base(base, side)
        if n < 1:
            raise InputError(f"`n` must be at least 1; got {n!r}.")
        drawn = distribution.draw(n, np.random.default_rng(seed))
        move = self.forward if where == "target" else self.inverse
        return move(drawn, condition=condition)

    def _densities(
        self, answer: Callable[[Any, Matrix], Any], points: Unchecked, name: str, condition: Unchecked
    ) -> Any:  # noqa: ANN401
        self._check_quadratic()
        return self._by_condition(answer, self._points(points, name), condition, one_by_one=True)

    def _check_quadratic(self) -> None:
        if not self.geometry.quadratic:
            raise InputError(f"densities need the quadratic cost; this fit has `cost`={self.geometry.cost}.")

    @property
    def density_side(self) -> str:
        """The side of densities by default: the one without the base of the fit; `"target"` without a base."""
        record = self.info.get("base")
        return "source" if record is not None and record["side"] == "target" else "target"

    def _base(self, base: Unchecked, side: str | None) -> tuple[Base, str]:
        """The base distribution, and the side of what it becomes."""
        record = self.info.get("base")
        where = self.density_side if side is None else check_side(side)
        if base is not None:
            return as_base(base, self.dim), where
        if record is None:
            raise InputError(
                "`base` is missing: the fit of this map had no base distribution. Pass 'normal' or a distribution with "
                "`logpdf`, that of the points on the other side."
            )
        if where == record["side"]:
            raise InputError(f"`side` is that of the base of this map, {where!r}. Leave it out, or pass another base.")
        return Normal.read(record), where


def warn_unconverged_densities(result: LogDensity) -> None:
    """Warn, at the user's line, of densities at preimages that were not found to tolerance."""
    failed = np.flatnonzero(~result.converged)
    if len(failed):
        warn(
            f"{len(failed)} of {len(result.value)} log densities are at points whose preimages are not converged: rows "
            f"{itemise([str(row) for row in failed], 10)}. `log_density_with_status` has the status of each row.",
            ConvergenceWarning,
        )
