"""All that is known about the distance of two clouds by one map, put together."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from brenier.certificates.distance import Distance
from brenier.certificates.empirical import Interval, empirical_interval
from brenier.certificates.general import general_interval
from brenier.certificates.mismatch import Mismatch, mismatch
from brenier.certificates.population import MeanBound, lower_bound, population_bound
from brenier.certificates.terms import DualTerms, dual_terms
from brenier.geometry import AbstractGeometry
from brenier.potentials import AbstractFamily

__all__ = ["assess", "average"]

Array = NDArray[np.float64]


def assess(
    geometry: AbstractGeometry,
    family: AbstractFamily,
    x: Array,
    y: Array,
    *,
    images: Array,
    conjugates: NDArray[np.floating],
    converged: NDArray[np.bool_],
    confidence: float,
    empirical: bool,
    seed: int,
    disagree: NDArray[np.bool_] | None = None,
    a: Array | None = None,
    b: Array | None = None,
) -> Distance:
    """Compute the answer of `TransportMap.distance`, for one condition or for one class whose conditions are numbers.

    Rows are points, with the codes of their condition behind them where each has its own. No two points share a
    condition then: there is no interval around the distance of the samples, and the test of the image is one of points
    and numbers together, since images must follow the condition.

    Args:
        geometry: Coordinates of the potentials, and the cost.
        family: A potential, or potentials under conditions.
        x: `(n, dim + k)` rows of the source in the units of the data.
        y: `(m, dim + k)` rows of the target.
        images: `(n, dim)` images of the source points.
        conjugates: `(m, dim)` presumed maximisers for the target points, in the new coordinates.
        converged: `(m,)` which of them met their tolerance.
        confidence: Level of the bound on the populations.
        empirical: Whether to enclose the distance of the samples, and to test the image.
        seed: Seed of that test.
        disagree: `(m,)` for which of them two starts led to different solutions; for none by default.
        a: `(n,)` weights of the source points, summing to one; equal ones by default.
        b: `(m,)` weights of the target points; those under which their conditions are distributed as the source's.
    """
    a, b = (None if weights is None or np.ptp(weights) == 0 else weights for weights in (a, b))
    terms = dual_terms(geometry, family, x, y, conjugates)
    interval, test = _compare(geometry, x, y, images, terms, seed, a, b) if empirical else (None, None)
    return Distance(
        value=float(np.average(terms.source, weights=a) + np.average(terms.target, weights=b)),
        moved=float(np.average(geometry.costs(x[:, : geometry.dim], images), weights=a)),
        unconverged=float(np.average(~converged, weights=b)),
        disagree=0.0 if disagree is None else float(np.average(disagree, weights=b)),
        name=str(geometry.cost),
        quadratic=geometry.quadratic,
        dim=geometry.dim,
        counts=(len(x), len(y)),
        confidence=confidence,
        population=population_bound(terms.source, terms.target - terms.slack, confidence, a, b)
        if terms.certified
        else None,
        inexact=float(np.average(terms.slack, weights=b)) if terms.certified else None,
        rigorous=terms.certified and terms.rigorous,
        empirical=interval,
        mismatch=test,
    )


def average(parts: Mapping[str, Distance], shares: Array) -> Distance:
    """Average the distances of classes, which the result has as its `parts`.

    Args:
        parts: The distance of each class, by its name.
        shares: Share of the source that each has, summing to one.
    """
    classes = list(parts.values())
    whole = {"parts": dict(parts), "shares": dict(zip(parts, map(float, shares), strict=True))}
    if len(classes) == 1:
        return replace(classes[0], **whole)
    inexact = [part.inexact for part in classes if part.inexact is not None]
    return replace(
        classes[0],
        value=float(shares @ [part.value for part in classes]),
        moved=float(shares @ [part.moved for part in classes]),
        unconverged=float(shares @ [part.unconverged for part in classes]),
        disagree=float(shares @ [part.disagree for part in classes]),
        counts=(sum(part.counts[0] for part in classes), sum(part.counts[1] for part in classes)),
        population=_mean_bound([part.population for part in classes], shares, classes[0].confidence),
        inexact=float(shares @ inexact) if len(inexact) == len(classes) else None,
        rigorous=all(part.rigorous for part in classes),
        empirical=_mean_interval([part.empirical for part in classes], shares),
        mismatch=None,
        **whole,
    )


def _compare(
    geometry: AbstractGeometry,
    x: Array,
    y: Array,
    images: Array,
    terms: DualTerms,
    seed: int,
    a: Array | None,
    b: Array | None,
) -> tuple[Interval | None, Mismatch]:
    """The interval around the distance of the samples, and the test of the image against the target."""
    dim = geometry.dim
    points = [x[:, :dim], y[:, :dim], images]
    if geometry.quadratic:
        # One centre for all: differences stay, and units are divided out of numbers of the size of the clouds.
        centre = 0.5 * (points[0].mean(axis=0) + points[1].mean(axis=0))
        points = [cloud - centre for cloud in points]
    points_x, points_y, points_images = (geometry.measure(cloud) for cloud in points)
    if geometry.conditions is None:
        test = mismatch(points_images, points_y, seed, a, b)
        if geometry.quadratic:
            return empirical_interval(points_x, points_y, points_images, terms, a=a, b=b), test
        return general_interval(geometry.cost, points_x, points_y, points_images, terms.source, a=a, b=b), test
    # Numbers in units of the spread of the target.
    size = float(np.sqrt(np.mean(np.var(points_y, axis=0))))
    joint_x, joint_y = (
        np.column_stack([points, size * rows[:, dim + 1 :]]) for points, rows in ((points_images, x), (points_y, y))
    )
    return None, mismatch(joint_x, joint_y, seed, a, b)


def _mean_bound(bounds: list[MeanBound | None], shares: Array, confidence: float) -> MeanBound | None:
    known = [bound for bound in bounds if bound is not None]
    if len(known) < len(bounds):
        return None
    return lower_bound(
        float(shares @ [bound.value + bound.margin for bound in known]),
        np.square(shares) * [bound.variance for bound in known],
        np.array([bound.freedom for bound in known]),
        confidence,
    )


def _mean_interval(intervals: list[Interval | None], shares: Array) -> Interval | None:
    known = [interval for interval in intervals if interval is not None]
    if len(known) < len(intervals):
        return None
    lower, upper = (float(shares @ [getattr(each, end) for each in known]) for end in ("lower", "upper"))
    methods = {each.method for each in known}
    return Interval(lower, upper, methods.pop() if len(methods) == 1 else "several")
