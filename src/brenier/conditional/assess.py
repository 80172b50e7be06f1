"""The mean distance over the numbers of conditions, with what is certain about it: `certificates.assess` for rows."""

import numpy as np
from numpy.typing import NDArray

from brenier.batches import map_batches
from brenier.certificates import Distance
from brenier.certificates.mismatch import mismatch
from brenier.certificates.population import population_bound
from brenier.conditional.terms import conditional_terms
from brenier.conjugates import conjugate_points, images
from brenier.geometry.conditional import ConditionalGeometry
from brenier.potentials import AbstractFamily

__all__ = ["smooth_distance"]

Matrix = NDArray[np.float64]


def smooth_distance(
    c: ConditionalGeometry,
    family: AbstractFamily,
    x: Matrix,
    y: Matrix,
    weights: Matrix,
    given: Matrix | None = None,
    *,
    confidence: float,
    empirical: bool,
    seed: int,
) -> Distance:
    """Distance of one class whose conditions are numbers; see `TransportMap.distance`.

    Args:
        c: Coordinates of the potentials.
        family: Potentials.
        x: `(n, d + 1 + q)` rows of the source in the units of the data, with their codes behind them.
        y: `(m, d + 1 + q)` rows of the target.
        weights: `(m,)`, summing to one, under which the numbers of `y` are distributed as those of `x`.
        given: `(n,)` weights of the rows of `x`, summing to one; equal ones by default.
        confidence: Level of the lower bound for the populations.
        empirical: Whether to test images against targets.
        seed: Of that test.
    """
    dim = c.dim
    solved = conjugate_points(family, c.enter_y(y), scale=c.spread)
    terms = conditional_terms(c, family, x, y, solved.points)
    surplus = c.surplus
    inner, _ = map_batches(lambda part: images(family, surplus, part), c.enter_x(x))
    moved = c.leave_y(inner, x[:, dim:])
    dual = float(np.average(terms.source, weights=given) + weights @ terms.target)
    test = None
    if empirical:
        # Jointly with the numbers, in units of the spread of the target: the images must follow the condition.
        size = float(np.sqrt(np.mean(np.var(y[:, :dim] / c.scale, axis=0))))
        joint_x = np.column_stack([moved / c.scale, size * x[:, dim + 1 :]])
        joint_y = np.column_stack([y[:, :dim] / c.scale, size * y[:, dim + 1 :]])
        test = mismatch(joint_x, joint_y, seed, given, weights if np.ptp(weights) > 0 else None)
    bound = None
    if terms.certified:
        bound = population_bound(terms.source, terms.target - terms.slack, confidence, given, weights)
    squares = np.sum(np.square((moved - x[:, :dim]) / c.scale), axis=1)
    return Distance(
        w2=float(np.sqrt(max(2.0 * dual, 0.0))),
        dual=dual,
        cost=float(np.sqrt(np.average(squares, weights=given))),
        unconverged=float(np.mean(~solved.converged)),
        dim=dim,
        counts=(len(x), len(y)),
        confidence=confidence,
        population=bound,
        inexact=float(terms.slack.mean()) if terms.certified else None,
        empirical=None,
        mismatch=test,
    )
