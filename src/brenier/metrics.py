"""How far a map or a cloud is from the truth. NumPy in, numbers out; every row counts as its weight says."""

import numpy as np
from numpy.typing import NDArray

from brenier.data.weights import as_weights

__all__ = ["cosine_similarity", "mmd_squared", "sliced_w2", "unexplained_variance"]

Array = NDArray[np.floating]

_MOST_PROJECTIONS_AT_ONCE = 64

_MOST_KERNEL_ENTRIES = 1 << 22
"""Kernel values in memory at a time."""


def unexplained_variance(
    mapped: Array, truth: Array, variance: float | None = None, *, weight: Array | None = None
) -> float:
    """L2-UVP in percent: `100 * E|mapped - truth|^2 / variance`.

    Args:
        mapped: `(n, d)` images under the learned map.
        truth: `(n, d)` images under the exact map.
        variance: Total variance (trace of the covariance) of the target; estimated from `truth` by default.
        weight: `(n,)` weights of the rows; equal ones by default.

    Returns:
        0 for the exact map, 100 for the constant map to the mean.

    References:
        Korotin et al. 2021, "Do neural optimal transport solvers work?", section 4.1.

    Example:
        >>> import numpy as np
        >>> truth = np.random.default_rng(0).normal(size=(1000, 2))
        >>> unexplained_variance(truth, truth), round(unexplained_variance(truth.mean(axis=0) + 0 * truth, truth), 6)
        (0.0, 100.0)
    """
    shares = _shares(weight, len(truth), "weight")
    exact = np.asarray(truth, np.float64)
    total = float(shares @ np.sum(np.square(exact - shares @ exact), axis=1)) if variance is None else variance
    return float(100.0 * shares @ np.sum(np.square(mapped - truth, dtype=np.float64), axis=1) / total)


def cosine_similarity(mapped: Array, truth: Array, start: Array, *, weight: Array | None = None) -> float:
    """Cosine between learned and exact displacements, as vectors in L2: 1 is the same direction everywhere.

    Args:
        mapped: `(n, d)` images under the learned map.
        truth: `(n, d)` images under the exact map.
        start: `(n, d)` the points themselves.
        weight: `(n,)` weights of the rows; equal ones by default.

    References: Korotin et al. 2021, section 4.1.

    Example:
        >>> import numpy as np
        >>> start = np.zeros((3, 2))
        >>> round(cosine_similarity(start + [2.0, 0.0], start + [1.0, 1.0], start), 4)  # half a right angle
        0.7071
    """
    shares = _shares(weight, len(start), "weight")
    learned, exact = np.asarray(mapped - start, np.float64), np.asarray(truth - start, np.float64)
    products = (shares @ np.sum(a * b, axis=1) for a, b in ((learned, exact), (learned, learned), (exact, exact)))
    across, first, second = products
    return float(across / np.sqrt(first * second))


def sliced_w2(
    x: Array,
    y: Array,
    *,
    scale: Array | None = None,
    projections: int = 256,
    seed: int = 0,
    x_weight: Array | None = None,
    y_weight: Array | None = None,
) -> float:
    """Sliced Wasserstein-2 distance between two clouds: root mean squared W2 of random one-dimensional projections.

    Args:
        x: `(n, d)` points.
        y: `(m, d)` points; the sizes may differ.
        scale: Units of the columns, divided out first; ones by default.
        projections: Number of random directions.
        seed: Seed of the directions; equal seeds compare on equal directions.
        x_weight: `(n,)` weights of the rows of `x`; equal ones by default.
        y_weight: `(m,)` weights of the rows of `y`; equal ones by default.

    Returns:
        The distance (not squared, not halved), in the units left after `scale`.

    Note: Cost: one sort of each cloud a projection.

    References: Bonneel et al. 2015, equation 6, with the expectation estimated over directions.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(100, 1))
        >>> round(sliced_w2(x, x + 2.0), 6)  # one column: every direction sees all of it
        2.0
    """
    scale = np.ones(x.shape[1]) if scale is None else scale
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((x.shape[1], projections))
    directions /= np.linalg.norm(directions, axis=0)
    alike = x_weight is None and y_weight is None and len(x) == len(y)
    shares = None if alike else (_shares(x_weight, len(x), "x_weight"), _shares(y_weight, len(y), "y_weight"))
    total = 0.0
    for start in range(0, projections, _MOST_PROJECTIONS_AT_ONCE):
        part = directions[:, start : start + _MOST_PROJECTIONS_AT_ONCE]
        first, second = (x / scale) @ part, (y / scale) @ part
        if shares is None:
            total += float(np.mean(np.square(np.sort(first, axis=0) - np.sort(second, axis=0)), axis=0).sum())
        else:
            total += sum(_w2_squared_1d(a, b, *shares) for a, b in zip(first.T, second.T, strict=True))
    return float(np.sqrt(total / projections))


def mmd_squared(
    x: Array, y: Array, *, width: float = 1.0, x_weight: Array | None = None, y_weight: Array | None = None
) -> float:
    """Squared maximum mean discrepancy between two clouds, with the Gaussian kernel `exp(-|x - y|^2 / (2 width^2))`.

    The distance between the two weighted empirical distributions themselves (a V-statistic, never negative): samples
    of one distribution are about `1 / n + 1 / m` apart.

    Args:
        x: `(n, d)` points.
        y: `(m, d)` points.
        width: Width of the kernel.
        x_weight: `(n,)` weights of the rows of `x`; equal ones by default.
        y_weight: `(m,)` weights of the rows of `y`; equal ones by default.

    Note: Cost: `(n + m)^2` kernel values, a few million in memory at a time.

    References: Gretton et al. 2012, "A kernel two-sample test", equation 5.

    Example:
        >>> import numpy as np
        >>> one, other = np.zeros((1, 1)), np.ones((1, 1))
        >>> bool(np.isclose(mmd_squared(one, other), 2.0 - 2.0 * np.exp(-0.5))), mmd_squared(one, one)
        (True, 0.0)
    """
    a, b = _shares(x_weight, len(x), "x_weight"), _shares(y_weight, len(y), "y_weight")
    first, second = (np.asarray(points, np.float64) / width for points in (x, y))
    value = _kernel_mean(first, first, a, a) + _kernel_mean(second, second, b, b)
    return float(max(value - 2.0 * _kernel_mean(first, second, a, b), 0.0))


def _kernel_mean(x: Array, y: Array, a: Array, b: Array) -> float:
    squares = np.sum(np.square(y), axis=1)
    step = max(_MOST_KERNEL_ENTRIES // len(y), 1)
    total = 0.0
    for start in range(0, len(x), step):
        part = x[start : start + step]
        distances = np.sum(np.square(part), axis=1)[:, None] + squares - 2.0 * part @ y.T
        total += float(a[start : start + step] @ np.exp(-0.5 * np.maximum(distances, 0.0)) @ b)
    return total


def _w2_squared_1d(x: Array, y: Array, a: Array, b: Array) -> float:
    """Exact squared W2 of two weighted samples: the integral of the squared difference of their quantile functions."""
    order_x, order_y = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    ends_x, ends_y = np.cumsum(a[order_x]), np.cumsum(b[order_y])
    ends_x[-1] = ends_y[-1] = 1.0
    levels = np.union1d(ends_x, ends_y)
    masses = np.diff(levels, prepend=0.0)
    middle = levels - masses / 2
    rows_x = order_x[np.minimum(np.searchsorted(ends_x, middle), len(x) - 1)]
    rows_y = order_y[np.minimum(np.searchsorted(ends_y, middle), len(y) - 1)]
    return float(masses @ np.square(x[rows_x] - y[rows_y]))


def _shares(weight: Array | None, rows: int, name: str) -> NDArray[np.float64]:
    weights = as_weights(weight, rows, name)
    return np.full(rows, 1.0 / rows) if weights is None else weights
