"""Rows that are nearly other rows: copies with noise, by which held-out points look like those of training."""

import numpy as np
from numpy.typing import NDArray

from brenier.data.table import Matrix

__all__ = ["near_copies"]

_GAP = 100.0
"""Ratio between neighbouring distances that no distribution with a density has in the middle of many of them."""

_FEWEST = (0.1, 0.05)
"""Least share of the distances below such a gap, and above it."""

_ENOUGH = 50
"""Fewest distances for which a share of them means something."""


def near_copies(standardised: Matrix) -> float:
    """Share of the rows that lie much closer to another row than the rest do, though not on it.

    Rows are sorted along one direction, so that a row and its copy are neighbours, or nearly all are. The distances of
    neighbours then have a gap: those of copies are of the size of the noise, those of others are not. Equal rows
    are not near-copies: discrete distributions have them.

    Args:
        standardised: `(n, d)` points, with all columns in comparable units.

    Returns:
        The share; 0 where there is no gap. Cost: a sort, and a few passes over the rows.
    """
    direction = np.random.default_rng(0).standard_normal(standardised.shape[1])
    order = np.argsort(standardised @ direction, kind="stable")
    distances = np.empty(len(order) - 1)
    step = max((1 << 20) // standardised.shape[1], 1)
    for start in range(0, len(distances), step):
        rows = standardised[order[start : start + step + 1]]
        distances[start : start + step] = np.sqrt(np.sum(np.square(np.diff(rows, axis=0)), axis=1))
    return _count_below_gap(np.sort(distances[distances > 0])) / len(standardised)


def _count_below_gap(distances: NDArray[np.float64]) -> int:
    """How many of these sorted distances lie below the widest gap; 0 if that is too narrow to count."""
    count = len(distances)
    first, last = int(_FEWEST[0] * count), count - int(_FEWEST[1] * count)
    if count < _ENOUGH or last - first < 2:
        return 0
    steps = np.diff(np.log(distances[first - 1 : last + 1]))
    widest = int(np.argmax(steps))
    return first + widest if steps[widest] > np.log(_GAP) else 0
