r"""Bounds on the transport cost of two samples under any cost.

Of the dual values only numbers are needed: for any :math:`f_i`, :math:`h_j = \min_i c(x_i, y_j) - f_i` makes a feasible
pair, whatever the cost and the numbers are.

What is assumed of the rounding of a cost, which nobody can know of a function that others wrote: in double precision,
its value for a pair is off by no more than `8 (d + 8)` roundings of the largest cost of any pair, `d` columns. That
holds for the costs of this package, but for Mahalanobis ones whose matrix is so close to a singular one that all
displacements have costs far below the matrix's norm times their squared length.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.certificates.couplings import EXACT_PAIRS, Plan, exact_plan, guided_plan, plan_bound
from brenier.certificates.empirical import Interval
from brenier.certificates.pairs import c_transform, cost_matrix, row_costs
from brenier.certificates.transforms import EPS, dual_value
from brenier.costs import AbstractCost, AbstractDisplacementCost

__all__ = ["general_interval"]

Array = NDArray[np.float64]

_TRANSFORMED = 10_000_000_000
"""Operations up to which the two discrete c-transforms are done: half a minute with a cheap cost, minutes at worst."""


class _Bounds(NamedTuple):
    """A lower bound, and bounds on the cost of any pair."""

    lower: float
    least: float
    most: float


def general_interval(
    cost: AbstractCost,
    x: Array,
    y: Array,
    images: Array,
    source_values: Array,
    *,
    a: Array | None = None,
    b: Array | None = None,
    exact: int = EXACT_PAIRS,
    transformed: int = _TRANSFORMED,
) -> Interval:
    """Enclose the least cost of a coupling of two weighted samples.

    The bounds hold for any `images` and `source_values`; the better these are, the tighter the bounds. Rounding errors
    are bounded, too, under the assumption above.

    Up to five million pairs of points both bounds come from an exact solver and agree but for rounding. Beyond, the
    upper one is the cost of a coupling that follows the images, exact within cells, and the lower one the dual value of
    `source_values` after two discrete c-transforms. Where those would take minutes, it is the cost of the displacement
    of the means, `h(mean(x) - mean(y))`, which no coupling is below if `h` is convex (Jensen's inequality); costs that
    are no function of the displacement have no such bound and are transformed however long it takes.

    Args:
        cost: The cost.
        x: `(n, d)` source points, in the units of the cost.
        y: `(m, d)` target points.
        images: `(n, d)` where a map sends `x`.
        source_values: `(n,)` values of a dual potential, `f(x)`.
        a: `(n,)` weights with sum one; equal ones by default.
        b: `(m,)` weights with sum one; equal ones by default.
        exact: Most pairs for an exact coupling.
        transformed: Most operations for the transforms, `n m (d + 16)`.

    Returns:
        The bounds, with `"exact"`, `"transforms"` or `"means"` as the method.

    Raises:
        InputError: An array has another shape or is not finite, or the cost is not finite between some pair.
        SolveError: The network simplex did not end.

    Note: Cost: the cost function for every pair, three times up to five million pairs, twice up to the limit of the
    transforms; memory for five million costs and some tens of megabytes.

    References: Peyre and Cuturi 2019, "Computational Optimal Transport", section 3.1 and 5.1.

    Example:
        >>> import numpy as np
        >>> from brenier.certificates import general_interval
        >>> from brenier.costs import PNorm
        >>> x, y = np.array([[0.0], [1.0]]), np.array([[3.0], [2.0]])
        >>> bounds = general_interval(PNorm(3.0), x, y, images=x, source_values=np.zeros(2))
        >>> print(f"{bounds.lower:.6f} to {bounds.upper:.6f}")  # both points move by 2: 2^3 / 3
        2.666667 to 2.666667
    """
    _check(x, y, images, source_values)
    a = np.full(len(x), 1.0 / len(x)) if a is None else a
    b = np.full(len(y), 1.0 / len(y)) if b is None else b
    pairs = len(x) * len(y)
    costs = partial(_lift, cost)
    if pairs <= exact:
        plan, dual = exact_plan(x, y, a, b, costs)
        bounds, method = _by_transforms(cost, x, y, dual, a, b), "exact"
    else:
        plan = guided_plan(x, images, y, a, b, costs)
        if isinstance(cost, AbstractDisplacementCost) and pairs * (x.shape[1] + 16) > transformed:
            bounds, method = _by_means(cost, x, y, a, b), "means"
        else:
            bounds, method = _by_transforms(cost, x, y, source_values, a, b), "transforms"
    return Interval(bounds.lower, _upper(cost, plan, x, y, a, b, bounds), method)


def _check(x: Array, y: Array, images: Array, source_values: Array) -> None:
    for name, array, shape in (
        ("y", y, (len(y), x.shape[1])),
        ("images", images, x.shape),
        ("source_values", source_values, (len(x),)),
    ):
        if np.shape(array) != shape:
            raise InputError(f"`{name}` must have shape {shape}, as `x` has {x.shape}; got {np.shape(array)}.")
    for name, array in (("x", x), ("y", y), ("images", images), ("source_values", source_values)):
        if not np.isfinite(array).all():
            raise InputError(
                f"`{name}` has entries that are not finite. Replace them; for a dual value, any number does."
            )


def _lift(cost: AbstractCost, x: Array, y: Array) -> Array:
    """Costs of all pairs, and where some are negative the least added to all: POT's simplex fails on negative ones."""
    costs = cost_matrix(cost, x, y)
    return costs - min(0.0, costs.min())


def _operations(dim: int) -> int:
    """Roundings of the largest cost that the cost of a pair may be off by."""
    return 8 * (dim + 8)


def _by_transforms(cost: AbstractCost, x: Array, y: Array, f: Array, a: Array, b: Array) -> _Bounds:
    first = c_transform(cost, x, y, f, axis=0)
    second = c_transform(cost, x, y, first.values, axis=1)
    size = max(abs(first.least), abs(first.most))
    lower = dual_value(second.values, first.values, a, b, size, _operations(x.shape[1]))
    return _Bounds(lower, first.least, first.most)


def _by_means(cost: AbstractDisplacementCost, x: Array, y: Array, a: Array, b: Array) -> _Bounds:
    """Jensen's inequality, and bounds on all pairs from the box that the displacements are in."""
    dim, count = x.shape[1], len(x) + len(y)
    centre = 0.5 * (x.mean(axis=0) + y.mean(axis=0))
    z = a @ (x - centre) - b @ (y - centre)
    off = EPS * (count + 8) * (np.abs(x - centre).max() + np.abs(y - centre).max())
    middle = 0.5 * (x.max(axis=0) + x.min(axis=0)) - 0.5 * (y.max(axis=0) + y.min(axis=0))
    radius = (0.5 + 1e-9) * (np.ptp(x, axis=0) + np.ptp(y, axis=0)) + 1e-12 * (np.abs(x).max() + np.abs(y).max())
    with jax.enable_x64(True):
        rows = jnp.asarray(np.stack([z, middle]))
        values, slopes = np.asarray(cost.value(rows)), np.asarray(cost.gradient(rows))
        # Any point of a box is the mean of d points, each as many times as far out along one axis.
        ends = [np.asarray(cost.value(jnp.asarray(middle + sign * dim * np.diag(radius)))) for sign in (1.0, -1.0)]
    # The tangent at the mean that was computed is below `h` at the true one.
    size = np.abs(values[0]) + np.abs(slopes[0]) @ np.abs(z)
    lower = values[0] - off * np.abs(slopes[0]).sum() - EPS * (_operations(dim) + count) * size
    most = float(np.mean(np.maximum(*ends)))
    least = float(values[1] - np.abs(slopes[1]) @ radius)
    return _Bounds(float(lower), least, most)


def _upper(cost: AbstractCost, plan: Plan, x: Array, y: Array, a: Array, b: Array, bounds: _Bounds) -> float:
    costs = row_costs(cost, x[plan.rows], y[plan.columns])
    size = max(abs(bounds.least), abs(bounds.most))
    # Costs below zero are lifted, which adds the same to every coupling.
    lift = max(0.0, -bounds.least)
    value = plan_bound(plan, costs + lift, a, b, bounds.most + lift, 1)
    return float(value - lift + EPS * (_operations(x.shape[1]) + len(x) + len(y)) * size)
