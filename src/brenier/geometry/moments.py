"""Means and covariances that can be trusted: shrunk when samples are few, lifted when columns are collinear."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brenier.data.pairs import is_constant
from brenier.data.weights import effective_size

__all__ = ["Moments", "accumulate_moments", "carry_flat", "moments"]

_FEW = 20
"""Samples a dimension below which covariances are shrunk."""

_EIGENVALUE_FLOOR = 1e-6
"""Least variance of a direction kept, with every column scaled to unit variance."""


class Moments(NamedTuple):
    """Mean and covariance of one side, with what had to be done to make the covariance usable.

    Attributes:
        mean: `(d,)` mean.
        covariance: `(d, d)`, positive definite.
        count: Number of samples.
        shrinkage: Weight given to uncorrelated columns, in [0, 1].
        lift: `(d, d)` what was added to the covariance in directions without variance, as collinear columns have;
            None if there are none.
        flat: `(d,)` which columns are constant; their entries of `covariance` are 0 until `carry_flat` fills them in.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    count: int
    shrinkage: float = 0.0
    lift: NDArray[np.float64] | None = None
    flat: NDArray[np.bool_] | None = None


def moments(
    values: NDArray[np.float64],
    spread: NDArray[np.float64] | None = None,
    weights: NDArray[np.float64] | None = None,
) -> Moments:
    """Mean and positive definite covariance of a sample.

    The covariance is that of the empirical distribution: with `n`, not `n - 1`, under the sum. With fewer than 20
    samples a dimension, correlations are shrunk towards zero by the Ledoit-Wolf amount. Directions
    with next to no variance (collinear columns, fewer samples than dimensions) are lifted to a millionth of a unit
    column's variance, so that coordinates exist; the map is the identity along them, up to scale.

    Args:
        values: `(n, d)`, `n >= 2`. Constant columns are marked, see `Moments.flat`, unless `spread` is given.
        spread: `(d,)` what counts as a unit of each column, their standard deviations by default: a part of a sample
            may have no variance where all of it has some.
        weights: `(n,)` share of each row, summing to one; equal ones by default. Kish's effective number of samples
            then decides about shrinkage.
    """
    if weights is None:
        weights = np.full(len(values), 1.0 / len(values))
    mean = weights @ values
    centred = values - mean
    covariance = (centred * weights[:, None]).T @ centred
    count = round(effective_size(weights))
    flat = is_constant(values.min(axis=0), values.max(axis=0))
    if spread is None and flat.any():
        return _without(flat, mean, covariance, count, (centred, weights))
    return _usable(mean, covariance, count, (centred, weights), spread)


def accumulate_moments(batches: Iterable[NDArray[np.float64]]) -> Moments:
    """Mean and positive definite covariance of a stream of `(n, d)` batches, which are never held together.

    References: Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance", equation 1.5.
    """
    count, mean, scatter, low, high = 0, np.zeros(()), np.zeros(()), np.array(np.inf), np.array(-np.inf)
    for batch in batches:
        low, high = np.minimum(low, batch.min(axis=0)), np.maximum(high, batch.max(axis=0))
        total = count + len(batch)
        centre = batch.mean(axis=0)
        centred, shift = batch - centre, centre - mean
        scatter = scatter + centred.T @ centred + np.outer(shift, shift) * (count * len(batch) / total)
        mean = mean + shift * (len(batch) / total)
        count = total
    covariance, flat = np.atleast_2d(scatter / count), is_constant(low, high)
    return _without(flat, mean, covariance, count, None) if flat.any() else _usable(mean, covariance, count, None)


def _usable(
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
    count: int,
    sample: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    spread: NDArray[np.float64] | None = None,
) -> Moments:
    """Moments that can be used, from those of a sample; its centred rows and their weights, if they are at hand."""
    spread = np.sqrt(np.diag(covariance)) if spread is None else spread
    correlation = covariance / np.outer(spread, spread)
    shrinkage = 0.0
    if sample is not None and count < _FEW * len(mean):
        shrinkage = _ledoit_wolf(sample[0] / spread, sample[1], correlation)
        correlation = (1.0 - shrinkage) * correlation + shrinkage * np.eye(len(mean))
    eigenvalues, vectors = np.linalg.eigh((correlation + correlation.T) / 2)
    units = np.outer(spread, spread)
    low = eigenvalues < _EIGENVALUE_FLOOR
    if not low.any():
        return Moments(mean, correlation * units, count, shrinkage)
    missing = np.maximum(_EIGENVALUE_FLOOR - eigenvalues, 0.0)
    lift = (vectors * missing) @ vectors.T
    correlation = (vectors * (eigenvalues + missing)) @ vectors.T
    return Moments(mean, correlation * units, count, shrinkage, lift * units)


def _without(
    flat: NDArray[np.bool_],
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
    count: int,
    sample: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
) -> Moments:
    """The moments of the columns that are not constant, with zeros for the others."""
    kept = np.flatnonzero(~flat)
    whole = np.zeros_like(covariance)
    if not kept.size:
        return Moments(mean, whole, count, flat=flat)
    rest = None if sample is None else (sample[0][:, kept], sample[1])
    part = _usable(mean[kept], covariance[np.ix_(kept, kept)], count, rest)
    whole[np.ix_(kept, kept)] = part.covariance
    lift = None
    if part.lift is not None:
        lift = np.zeros_like(covariance)
        lift[np.ix_(kept, kept)] = part.lift
    return Moments(mean, whole, count, part.shrinkage, lift, flat)


def carry_flat(source: Moments, target: Moments) -> tuple[Moments, Moments]:
    """Moments of two sides whose map moves columns that are constant on either by the difference of their means.

    Such a column gets one variance on both sides and no correlation, so that the Gaussian map is a translation along
    it; all of that variance counts as added (`Moments.lift`), so that no network learns anything of it. The variance is
    that of the side that has some, or the mean one of the columns that are not constant.
    """
    sides = source, target
    flat = np.zeros(len(source.mean), bool)
    for side in sides:
        if side.flat is not None:
            flat |= side.flat
    if not flat.any():
        return sides
    variances = np.maximum(*(np.diag(side.covariance) for side in sides))
    usual = float(variances[~flat].mean()) if (~flat).any() else 1.0
    added = np.where(flat, np.where(variances > 0, variances, usual), 0.0)
    kept = np.outer(~flat, ~flat)

    def carry(side: Moments) -> Moments:
        lift = np.diag(added) + (0.0 if side.lift is None else side.lift * kept)
        return side._replace(covariance=side.covariance * kept + np.diag(added), lift=lift, flat=flat)

    return carry(source), carry(target)


def _ledoit_wolf(rows: NDArray[np.float64], weights: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    """Share of the identity that makes a covariance closest to the truth in expectation.

    scikit-learn's `ledoit_wolf_shrinkage` for centred rows, with weights that it does not know: the sampling error of
    the covariance is that of a weighted mean of the rows' own products.

    References: Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices",
    lemmas 3.2 to 3.4.
    """
    dim = len(covariance)
    squared = float(np.sum(np.square(covariance)))
    norms = np.sum(np.square(rows), axis=1)
    products = np.einsum("ij,ij->i", rows @ covariance, rows)
    error = float(np.sum(np.square(weights) * (np.square(norms) - 2.0 * products + squared)))
    distance = squared - float(np.trace(covariance)) ** 2 / dim
    return min(error, distance) / distance if distance > 0 else 0.0
