"""The held-out dual value: the one number that chooses between states of a fit."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._types import Array, Float, Points, Values
from brenier.conjugates import Tolerance, best_starts, better_starts, solve_batch, solve_stragglers
from brenier.geometry import AbstractGeometry
from brenier.geometry.surplus import AbstractSurplus, InnerProduct
from brenier.potentials import AbstractFamily, AbstractFunction
from brenier.solvers import BFGS, LBFGS, AbstractSolver

__all__ = ["Holdout", "HoldoutValue", "mean_and_error"]

_TOLERANCE = Tolerance(rtol=0.0, atol=2e-3)
_MAX_STEPS = 60
_UNCONVERGED = 0.003
"""Share of held-out points that may miss the tolerance; their certified error is charged to the value."""

_CHARGED = 1e-3
"""Charge, relative to the objective, from which on these points are solved, too: a few of them, in heavy tails, can
hide what the network has gained."""

_STRAGGLER_STEPS = 60

_STARTS = 512
"""Held-out source points that are tried as conjugates of each target point, where there may be several solutions."""


class HoldoutValue(NamedTuple):
    """What held-out points say about a potential, in the new coordinates.

    Attributes:
        potential: `(n,)` values `u(x)`.
        conjugate: `(m,)` upper bounds of `u*(y)`, if the potential has a convexity floor.
        unconverged: Share of the conjugates that missed their tolerance.
        charge: Mean by which `conjugate` may be too large, for residuals that are not zero.
        weights: `(n,)` and `(m,)`, each summing to one; None where all points count alike.
    """

    potential: NDArray[np.float64]
    conjugate: NDArray[np.float64]
    unconverged: float
    charge: float = 0.0
    weights: tuple[NDArray[np.float64] | None, NDArray[np.float64] | None] = (None, None)

    def state(self) -> dict[str, Any]:
        """The fields in which values on the same points differ, as arguments."""
        values = self._asdict()
        del values["weights"]
        return values

    @property
    def objective(self) -> float:
        """`E u(x) + E u*(y)`: smaller is better, and smallest for the optimal potential."""
        a, b = self.weights
        return float(np.average(self.potential, weights=a) + np.average(self.conjugate, weights=b))

    def gain_over(self, other: "HoldoutValue") -> tuple[float, float]:
        """By how much the objective is smaller than that of `other` on the same points, and its standard error."""
        first = mean_and_error(other.potential - self.potential, self.weights[0])
        second = mean_and_error(other.conjugate - self.conjugate, self.weights[1])
        return first[0] + second[0], math.hypot(first[1], second[1])


class Holdout:
    """Held-out points of both sides, and the conjugates of the last potential as a start for the next.

    Args:
        x, y: Points in the new coordinates; with a condition, its numbers behind them, and equal for the two points of
            a row.
        scale: Standard deviation of each coordinate.
        solver: Inner solver.
        unit, offset: `dual = offset - unit^2 * objective`, in squared units of the data.
        weights: Weights of the rows of both sides, each summing to one; None where all count alike.
        surplus: What takes the place of the inner product, where the cost is not quadratic.
    """

    def __init__(
        self,
        x: NDArray[np.float32],
        y: NDArray[np.float32],
        scale: NDArray[np.floating],
        solver: AbstractSolver,
        unit: float = 1.0,
        offset: float = 0.0,
        weights: tuple[NDArray[np.float64] | None, NDArray[np.float64] | None] = (None, None),
        surplus: AbstractSurplus | None = None,
    ) -> None:
        # In NumPy: a program would be compiled for every number of rows that is only copied.
        self._x, self._y = np.asarray(x), np.asarray(y)
        self._scale = jnp.asarray(scale, jnp.float32)
        self._solver = BFGS() if isinstance(solver, BFGS) else LBFGS()
        self._surplus = InnerProduct(len(scale)) if surplus is None else surplus
        self._conjugates = self._x0()
        self._unit, self._offset, self._weights = unit, offset, weights

    @classmethod
    def of(
        cls,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        coordinates: AbstractGeometry,
        solver: AbstractSolver,
        weights: tuple[NDArray[np.float64] | None, NDArray[np.float64] | None] = (None, None),
    ) -> "Holdout":
        """Held-out points given in the units of the data.

        With conditions, there are as many points on both sides, and the two of a row have conditions that are about
        equal. The potential is asked under that of the target: a function of the condition alone then cancels, which
        would otherwise make the value as large as one likes.
        """
        inner_x, inner_y = coordinates.enter_x(x), coordinates.enter_y(y)
        if coordinates.conditions is not None:
            inner_x[:, coordinates.dim :] = inner_y[:, coordinates.dim :]
        offset = coordinates.dual_offset(x, y, *weights)
        return cls(inner_x, inner_y, coordinates.spread, solver, coordinates.unit, offset, weights, coordinates.surplus)

    def state(self) -> dict[str, Any]:
        """The conjugates at which the next solves start."""
        return {"conjugates": np.array(self._conjugates)}

    def restore(self, state: dict[str, Any]) -> None:
        """Start the next solves at the conjugates that `state` gave."""
        self._conjugates = np.array(state["conjugates"])

    def dual(self, value: HoldoutValue) -> float:
        """Dual value, an estimate of `W2^2 / 2` in squared units of the data."""
        return self._offset - self._unit**2 * value.objective

    def baseline(self) -> HoldoutValue:
        """The value of the baseline: of the Gaussian map, half the squared norm in Bures coordinates."""
        dim = len(self._scale)
        x, y = (np.asarray(rows, np.float64)[:, :dim] for rows in (self._x, self._y))
        return HoldoutValue(*self._surplus.baseline_values(x, y), 0.0, weights=self._weights)

    def evaluate(self, u: AbstractFamily) -> HoldoutValue:
        """Value of a potential. An unconverged conjugate is raised by its certified error, never flattered."""
        floor = self._surplus.floor(u.convexity_floor())
        slack = 0.0 if floor is None else float(0.5 / floor)
        count, filled, guess = len(self._y), _pad(self._y), jnp.asarray(_pad(self._conjugates))
        if isinstance(u, AbstractFunction) and isinstance(self._surplus, InnerProduct) and floor is not None:
            guess = better_starts(u, jnp.asarray(filled), jnp.asarray(_pad(self._x)[:_STARTS]), guess)
        solved = solve_batch(
            self._solver,
            u,
            filled,
            guess,
            self._scale,
            _TOLERANCE,
            _MAX_STEPS,
            _UNCONVERGED * count / len(filled),
            self._surplus,
        )
        self._conjugates, converged = np.asarray(solved.points)[:count], np.asarray(solved.converged)[:count]
        if floor is None and not isinstance(self._surplus, InnerProduct):
            converged = self._improve(u, converged)
        value = self._value(u, slack, converged)
        left = np.flatnonzero(~converged)
        if not len(left) or value.charge <= _CHARGED * abs(value.objective):
            return value
        rows = self._y[left], self._conjugates[left]
        again = solve_stragglers(u, *rows, self._scale, _TOLERANCE, _STRAGGLER_STEPS, self._surplus)
        self._conjugates, converged = self._conjugates.copy(), converged.copy()
        self._conjugates[left], converged[left] = again.points, again.converged
        return self._value(u, slack, converged)

    def _x0(self) -> NDArray[np.float32]:
        """Conjugates of the baseline."""
        x0 = self._surplus.x0(jnp.asarray(_pad(self._y)[:, : len(self._scale)]))
        return np.asarray(x0)[: len(self._y)]

    def _improve(self, u: AbstractFamily, converged: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Take better points where some held-out source point is one: inner problems may have several solutions.

        With one that is not the best, the conjugate would be too low, and the dual value too high.
        """
        function, points = u.condition(jnp.asarray(self._y))
        starts = jnp.asarray(self._x[:_STARTS, : len(self._scale)])
        places, largest = best_starts(function, self._surplus, points, starts)
        before, _ = _conjugate_values(function, self._surplus, points, jnp.asarray(self._conjugates))
        rows = np.flatnonzero(~(np.asarray(before) >= np.asarray(largest)))
        if not len(rows):
            return converged
        x0 = np.asarray(starts)[np.asarray(places)[rows]]
        again = solve_stragglers(u, self._y[rows], x0, self._scale, _TOLERANCE, _STRAGGLER_STEPS, self._surplus)
        after, _ = _conjugate_values(function, self._surplus, points[rows], jnp.asarray(again.points))
        # A solver looks for a root, not for the largest value: where it has lost some of that, the start stands.
        kept = np.asarray(after) >= np.asarray(largest)[rows]
        self._conjugates, converged = self._conjugates.copy(), converged.copy()
        self._conjugates[rows] = np.where(kept[:, None], again.points, x0)
        converged[rows] = kept & again.converged
        return converged

    def _value(self, u: AbstractFamily, slack: float, converged: NDArray[np.bool_]) -> HoldoutValue:
        """The value at the present conjugates."""
        x, y, z = (jnp.asarray(_pad(part)) for part in (self._x, self._y, self._conjugates))
        parts = (np.asarray(part, np.float64) for part in _values(u, x, y, z, self._surplus))
        values, conjugates, residual = (
            part[: len(rows)] for part, rows in zip(parts, (self._x, self._y, self._y), strict=True)
        )
        charges = slack * np.square(residual)
        return HoldoutValue(
            values,
            conjugates + charges,
            float(np.average(~converged, weights=self._weights[1])),
            float(np.average(charges, weights=self._weights[1])),
            self._weights,
        )


def mean_and_error(values: NDArray[np.float64], weights: NDArray[np.float64] | None) -> tuple[float, float]:
    """A weighted mean, and its standard error; that of a ratio of two means, to first order."""
    if weights is None:
        return float(values.mean()), float(np.sqrt(values.var() / len(values)))
    mean = float(weights @ values)
    return mean, float(np.sqrt(np.sum(np.square(weights * (values - mean)))))


def _pad(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows, and copies of the last one up to a power of two: one program then serves many numbers of rows."""
    missing = (1 << (len(rows) - 1).bit_length()) - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing else rows


@eqx.filter_jit
def _conjugate_values(u: AbstractFunction, surplus: AbstractSurplus, y: Points, z: Points) -> tuple[Values, Values]:
    return surplus.dual_values(u, y, z)


@eqx.filter_jit
def _values(
    u: AbstractFamily, x: Float[Array, "n e"], y: Float[Array, "m e"], z: Points, surplus: AbstractSurplus
) -> tuple[Values, Values, Values]:
    """Values of the potential, and values and residuals of the conjugate at its presumed maximisers `z`."""
    (source, points), (target, images) = u.condition(x), u.condition(y)
    return source(points), *surplus.dual_values(target, images, z)
