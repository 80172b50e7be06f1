"""Heavy tails, on request: leave the rows that lie farthest out aside, the same share on both sides."""

import numpy as np

from brenier._errors import InputError
from brenier.data.table import Matrix

__all__ = ["MOST_TRIMMED", "check_share", "keep_share", "outlyingness"]

MOST_TRIMMED = 0.5
"""Share from which on more would be left out than is kept."""


def outlyingness(values: Matrix) -> Matrix:
    """How far out each row lies: the largest distance of its entries from the median, in units of the column's spread.

    The spread is the range of the middle half of the column, so that no tail decides it; where half of a column is one
    value, its mean distance from the median.

    Args:
        values: `(n, d)` points.

    Returns:
        `(n,)`, at least 0; a normal column has its 99th percentile at 1.9.
    """
    centred = np.abs(values - np.median(values, axis=0))
    low, high = np.quantile(values, [0.25, 0.75], axis=0)
    spread = np.where(high > low, high - low, centred.mean(axis=0))
    return np.max(centred / np.where(spread > 0, spread, 1.0), axis=1)


def check_share(share: float) -> None:
    """Refuse shares that cannot be left aside.

    Raises:
        InputError: The share does not lie in [0, 0.5).
    """
    if not 0.0 <= share < MOST_TRIMMED:
        raise InputError(f"`trim` must be a share of at least 0 and less than {MOST_TRIMMED}; got {share!r}.")


def keep_share(values: Matrix, share: float, weights: Matrix | None = None) -> Matrix:
    """Weights that are zero for the rows farthest out, summing to one.

    A map between distributions with heavy tails has a cost that a few rows decide, if it has one at all. Left aside on
    both sides, the same share of them, the others are matched with each other as before where the map is monotone from
    the middle outwards; beyond them it is continued as an affine map.

    Args:
        values: `(n, d)` points.
        share: Share of the total weight to leave aside.
        weights: `(n,)` shares, summing to one; equal by default.
    """
    shares = np.full(len(values), 1.0 / len(values)) if weights is None else weights
    order = np.argsort(-outlyingness(values), kind="stable")
    left_out = np.cumsum(shares[order]) <= share * (1.0 + 1e-12)
    kept = shares.copy()
    kept[order[left_out]] = 0.0
    return kept / kept.sum()
