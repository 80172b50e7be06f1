"""How far a map or a cloud is from the truth. NumPy in, numbers out."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["cosine_similarity", "sliced_w2", "unexplained_variance"]

Array = NDArray[np.floating]

_MOST_PROJECTIONS_AT_ONCE = 64


def unexplained_variance(mapped: Array, truth: Array, variance: float | None = None) -> float:
    """L2-UVP in percent: `100 * E|mapped - truth|^2 / variance`.

    Args:
        mapped: `(n, d)` images under the learned map.
        truth: `(n, d)` images under the exact map.
        variance: Total variance (trace of the covariance) of the target; estimated from `truth` by default.

    Returns:
        0 for the exact map, 100 for the constant map to the mean.

    References:
        Korotin et al. 2021, "Do neural optimal transport solvers work?", section 4.1.
    """
    total = float(np.var(truth, axis=0, dtype=np.float64).sum()) if variance is None else variance
    return float(100.0 * np.mean(np.sum(np.square(mapped - truth, dtype=np.float64), axis=1)) / total)


def cosine_similarity(mapped: Array, truth: Array, start: Array) -> float:
    """Cosine between learned and exact displacements, as vectors in L2: 1 is the same direction everywhere.

    References: Korotin et al. 2021, section 4.1.
    """
    learned, exact = np.asarray(mapped - start, np.float64), np.asarray(truth - start, np.float64)
    return float(np.sum(learned * exact) / np.sqrt(np.sum(learned**2) * np.sum(exact**2)))


def sliced_w2(x: Array, y: Array, *, scale: Array | None = None, projections: int = 256, seed: int = 0) -> float:
    """Sliced Wasserstein-2 distance between two clouds: root mean squared W2 of random one-dimensional projections.

    Args:
        x: `(n, d)` points.
        y: `(m, d)` points; the sizes may differ.
        scale: Units of the columns, divided out first; ones by default.
        projections: Number of random directions.
        seed: Seed of the directions; equal seeds compare on equal directions.

    Returns:
        The distance (not squared, not halved), in the units left after `scale`.

    Note: Cost: one sort of each cloud a projection.

    References: Bonneel et al. 2015, equation 6, with the expectation estimated over directions.
    """
    scale = np.ones(x.shape[1]) if scale is None else scale
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((x.shape[1], projections))
    directions /= np.linalg.norm(directions, axis=0)
    total = 0.0
    for start in range(0, projections, _MOST_PROJECTIONS_AT_ONCE):
        part = directions[:, start : start + _MOST_PROJECTIONS_AT_ONCE]
        total += float(_w2_squared_1d((x / scale) @ part, (y / scale) @ part).sum())
    return float(np.sqrt(total / projections))


def _w2_squared_1d(x: Array, y: Array) -> Array:
    """Exact squared W2 of each column: the integral of the squared difference of the two step quantile functions."""
    x, y = np.sort(x, axis=0), np.sort(y, axis=0)
    if len(x) == len(y):
        return np.mean(np.square(x - y), axis=0)
    levels = np.union1d(np.arange(1, len(x) + 1) / len(x), np.arange(1, len(y) + 1) / len(y))
    weights = np.diff(levels, prepend=0.0)
    middle = levels - weights / 2
    rows_x = np.minimum((middle * len(x)).astype(np.intp), len(x) - 1)
    rows_y = np.minimum((middle * len(y)).astype(np.intp), len(y) - 1)
    return weights @ np.square(x[rows_x] - y[rows_y])
