"""All that is known about the distance of two clouds by one map, put together."""

import numpy as np
from numpy.typing import NDArray

from brenier.certificates.distance import Distance
from brenier.certificates.empirical import empirical_interval
from brenier.certificates.mismatch import mismatch
from brenier.certificates.population import population_bound
from brenier.certificates.terms import dual_terms
from brenier.geometry import QuadraticGeometry
from brenier.potentials import AbstractPotential

__all__ = ["assess"]

Array = NDArray[np.float64]


def assess(
    coordinates: QuadraticGeometry,
    u: AbstractPotential,
    x: Array,
    y: Array,
    *,
    images: Array,
    conjugates: NDArray[np.floating],
    converged: NDArray[np.bool_],
    confidence: float,
    empirical: bool,
    seed: int,
    a: Array | None = None,
    b: Array | None = None,
) -> Distance:
    """The answer of `TransportMap.distance`.

    Args:
        coordinates: Coordinates of the potential.
        u: Potential.
        x: `(n, d)` source points in the units of the data.
        y: `(m, d)` target points.
        images: `(n, d)` images of the source points.
        conjugates: `(m, d)` presumed maximisers for the target points, in the new coordinates.
        converged: `(m,)` which of them met their tolerance.
        confidence: Level of the bound on the populations.
        empirical: Whether to enclose the distance of the samples, and to test the image.
        seed: Of that test.
        a: `(n,)` weights of the source points, summing to one; equal ones by default.
        b: `(m,)` weights of the target points.
    """
    terms = dual_terms(coordinates, u, x, y, conjugates)
    dual = float(np.average(terms.source, weights=a) + np.average(terms.target, weights=b))
    population = None
    if terms.certified:
        population = population_bound(terms.source, terms.target - terms.slack, confidence, a, b)
    interval = test = None
    if empirical:
        # One centre for all: differences stay, and units are divided out of numbers of the size of the clouds.
        centre = 0.5 * (x.mean(axis=0) + y.mean(axis=0))
        own_x, own_y, own_images = (coordinates.measured(points - centre) for points in (x, y, images))
        interval = empirical_interval(own_x, own_y, own_images, terms, a=a, b=b)
        test = mismatch(own_images, own_y, seed, a, b)
    squares = np.sum(np.square(coordinates.measured(images - x)), axis=1)
    return Distance(
        w2=float(np.sqrt(max(2.0 * dual, 0.0))),
        dual=dual,
        cost=float(np.sqrt(np.average(squares, weights=a))),
        unconverged=float(np.average(~converged, weights=b)),
        dim=coordinates.dim,
        counts=(len(x), len(y)),
        confidence=confidence,
        population=population,
        inexact=float(np.average(terms.slack, weights=b)) if terms.certified else None,
        empirical=interval,
        mismatch=test,
    )
