"""Bounds on the W2 distance between two samples as they are: they hold for whatever a training has done."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brenier.certificates.couplings import EXACT_PAIRS, exact_plan, guided_plan, plan_cost
from brenier.certificates.terms import DualTerms
from brenier.certificates.transforms import discrete_dual

__all__ = ["Interval", "empirical_interval"]

Array = NDArray[np.float64]

_TRANSFORMED = 250_000_000_000
"""Operations of a discrete c-transform up to which it is done: a minute or so."""


class Interval(NamedTuple):
    """Bounds on the least mean cost of a coupling of two weighted samples; for W2, of half the squared distance.

    Attributes:
        lower: Feasible dual value.
        upper: Cost of a feasible coupling.
        method: `"exact"`, `"transforms"`, `"potential"` or, of costs other than the quadratic one, `"means"`: where the
            lower bound comes from.
    """

    lower: float
    upper: float
    method: str


def empirical_interval(
    x: Array,
    y: Array,
    images: Array,
    terms: DualTerms,
    *,
    a: Array | None = None,
    b: Array | None = None,
    exact: int = EXACT_PAIRS,
    transformed: int = _TRANSFORMED,
) -> Interval:
    """Enclose half the squared W2 distance between two samples. Rounding errors are bounded, too.

    Up to five million pairs of points both bounds come from an exact solver and agree but for rounding. Beyond, the
    upper bound is the cost of a coupling that follows the map, exact within cells; the lower one is the dual of the
    potential after two discrete c-transforms, or, where those would take minutes, as it is.

    Args:
        x: `(n, d)` source points, in the units of the cost.
        y: `(m, d)` target points.
        images: `(n, d)` images of `x`.
        terms: Dual values of the points.
        a: `(n,)` weights with sum one; equal ones by default.
        b: `(m,)` weights with sum one; equal ones by default.
        exact: Most pairs for an exact coupling.
        transformed: Most operations for the transforms.
    """
    a = np.full(len(x), 1.0 / len(x)) if a is None else a
    b = np.full(len(y), 1.0 / len(y)) if b is None else b
    pairs = len(x) * len(y)
    if pairs <= exact:
        plan, dual = exact_plan(x, y, a, b)
        return Interval(discrete_dual(x, y, dual, a, b), plan_cost(plan, x, y, a, b), "exact")
    upper = plan_cost(guided_plan(x, images, y, a, b), x, y, a, b)
    if pairs * (x.shape[1] + 16) <= transformed:
        return Interval(discrete_dual(x, y, terms.source, a, b), upper, "transforms")
    lower = float(a @ terms.source + b @ (terms.target - terms.slack)) if terms.certified else 0.0
    return Interval(max(lower, 0.0), upper, "potential")
