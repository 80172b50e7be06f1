"""Whether a map hits the target: how far its image is from fresh target points, and whether chance explains it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brenier.metrics import sliced_w2

__all__ = ["Mismatch", "mismatch"]

Array = NDArray[np.float64]

_MOST_TESTED = 1000
"""Points a side of the test, whose cost grows with their square."""

_PERMUTATIONS = 499


class Mismatch(NamedTuple):
    """Difference between the image of the source and the target.

    Attributes:
        sliced_w2: Sliced W2 distance between the two samples, in the units of the cost: sampling error included.
        mmd: Square root of the estimated squared maximum mean discrepancy (unbiased; zero where negative), with a
            Gaussian kernel as wide as the median distance between points; on at most 1,000 points a side.
        p_value: Share of random relabellings with a discrepancy at least as large. Small: the map visibly misses the
            target. Not small: points of this number cannot tell.
    """

    sliced_w2: float
    mmd: float
    p_value: float


def mismatch(images: Array, y: Array, seed: int = 0, a: Array | None = None, b: Array | None = None) -> Mismatch:
    """Compare images of source points with target points, in the units of the cost.

    Args:
        images: `(n, d)` images of source points that the fit has not seen.
        y: `(m, d)` target points that the fit has not seen.
        seed: Of the directions, of the points in the test, and of the relabellings.
        a: `(n,)` weights of the images, summing to one; equal ones by default. The test needs points that count alike:
            each is kept with a probability in proportion to its weight.
        b: `(m,)` weights of the target points.

    Note: Cost: 256 sorts, and 500 products of a vector with a matrix of at most 2,000 rows and columns.

    References: Gretton et al. 2012, "A kernel two-sample test", equation 3, with the permutation test of section 5.
    """
    rng = np.random.default_rng(seed)
    x, y_part = (_alike(points, weights, rng) for points, weights in ((images, a), (y, b)))
    squared, p_value = _permutation_test(x, y_part, rng)
    distance = sliced_w2(images, y, seed=seed, x_weight=a, y_weight=b)
    return Mismatch(distance, float(np.sqrt(max(squared, 0.0))), p_value)


def _alike(points: Array, weights: Array | None, rng: np.random.Generator) -> Array:
    """Some of the points, an independent sample of what they stand for; at least two of them."""
    order = rng.permutation(len(points))
    if weights is not None:
        kept = rng.uniform(size=len(points)) * weights.max() < weights
        order = np.concatenate([order[kept[order]], order[~kept[order]]])[: max(int(kept.sum()), 2)]
    return points[order[:_MOST_TESTED]]


def _permutation_test(x: Array, y: Array, rng: np.random.Generator) -> tuple[float, float]:
    points = np.concatenate([x, y])
    count, first = len(points), len(x)
    squares = np.sum(points**2, axis=1)
    distances = np.maximum(squares[:, None] + squares - 2.0 * points @ points.T, 0.0)
    width = np.median(distances[np.triu_indices(count, 1)])
    kernel = np.exp(-distances / width) if width > 0 else (distances == 0).astype(np.float64)
    np.fill_diagonal(kernel, 0.0)
    labels = np.zeros((count, _PERMUTATIONS + 1))
    labels[:first, 0] = 1.0
    for column in range(1, _PERMUTATIONS + 1):
        labels[rng.permutation(count)[:first], column] = 1.0
    products = kernel @ labels
    within_x = np.sum(labels * products, axis=0)
    across = products.sum(axis=0) - within_x
    within_y = kernel.sum() - within_x - 2.0 * across
    second = count - first
    found = within_x / (first * (first - 1)) + within_y / (second * (second - 1)) - 2.0 * across / (first * second)
    # Relabellings that give the same split have the same value but for rounding.
    return float(found[0]), float(np.mean(found >= found[0] - 1e-12))
