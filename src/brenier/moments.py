"""Means and covariances that can be trusted: shrunk when samples are few, lifted when columns are collinear."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from brenier.coordinates import Moments

__all__ = ["accumulate_moments", "moments"]

_FEW = 20
"""Samples a dimension below which covariances are shrunk."""

_EIGENVALUE_FLOOR = 1e-6
"""Least variance of a direction kept, with every column scaled to unit variance."""


def moments(values: NDArray[np.float64], spread: NDArray[np.float64] | None = None) -> Moments:
    """Mean and positive definite covariance of a sample.

    With fewer than 20 samples a dimension, correlations are shrunk towards zero by the Ledoit-Wolf amount. Directions
    with next to no variance (collinear columns, fewer samples than dimensions) are lifted to a millionth of a unit
    column's variance, so that coordinates exist; the map is the identity along them, up to scale.

    Args:
        values: `(n, d)`, `n >= 2`; no constant column, unless `spread` is given.
        spread: `(d,)` what counts as a unit of each column, their standard deviations by default: a part of a sample
            may have no variance where all of it has some.
    """
    mean = values.mean(axis=0)
    covariance = np.atleast_2d(np.cov(values.T))
    return _usable(mean, covariance, len(values), values, spread)


def accumulate_moments(batches: Iterable[NDArray[np.float64]]) -> Moments:
    """The same from a stream of batches that are never held together, for samplers.

    References: Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance", equation 1.5.
    """
    count, mean, scatter = 0, np.zeros(()), np.zeros(())
    for batch in batches:
        total = count + len(batch)
        centre = batch.mean(axis=0)
        centred, shift = batch - centre, centre - mean
        scatter = scatter + centred.T @ centred + np.outer(shift, shift) * (count * len(batch) / total)
        mean = mean + shift * (len(batch) / total)
        count = total
    return _usable(mean, np.atleast_2d(scatter / (count - 1)), count, None)


def _usable(
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
    count: int,
    values: NDArray[np.float64] | None,
    spread: NDArray[np.float64] | None = None,
) -> Moments:
    spread = np.sqrt(np.diag(covariance)) if spread is None else spread
    correlation = covariance / np.outer(spread, spread)
    shrinkage = 0.0
    if values is not None and count < _FEW * len(mean):
        from sklearn.covariance import ledoit_wolf_shrinkage

        shrinkage = float(ledoit_wolf_shrinkage((values - mean) / spread, assume_centered=True))
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
