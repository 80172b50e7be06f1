"""Coupled batches: put two clouds in orders that match, so that their sampling noise cancels in differences.

The gradient of the dual is a difference of two means, over source points and over the current preimages of target
points. At the optimum both clouds have one distribution, so a batch whose two halves cover space alike has far less
noise than two independent draws, and each point is still used equally often: no bias.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["coupled_orders"]

Order = NDArray[np.intp]

_LOOKED_AT = 8
"""Points of a cell that decide along which axis it is cut; more cost more and couple no better."""


def coupled_orders(x: NDArray[np.floating], z: NDArray[np.floating]) -> tuple[Order, Order]:
    """Orders of two clouds under the same recursive median splits: `x[a[i]]` and `z[b[i]]` lie in matching cells.

    Each cell of both clouds is cut at its own median along the axis in which a few points of the cell of `x` span
    most, until cells hold one point.

    Args:
        x: `(n, d)` points, `n` a power of two.
        z: `(n, d)` points.

    Returns:
        Two permutations of `range(n)`.

    Note: Cost: `log2(n)` partial sorts of `n` numbers.
    """
    count = len(x)
    if count & (count - 1) or len(z) != count:
        raise ValueError(f"both clouds need one size, a power of two; got {count} and {len(z)} points.")
    order_x, order_z = np.arange(count), np.arange(count)
    # Coordinate after coordinate in memory, so that keys are read without touching whole points.
    flat_x, flat_z = (np.ascontiguousarray(points.T).ravel() for points in (x, z))
    for level in range(count.bit_length() - 1):
        cells_x, cells_z = order_x.reshape(1 << level, -1), order_z.reshape(1 << level, -1)
        some = x[cells_x[:, :: max(cells_x.shape[1] // _LOOKED_AT, 1)]]
        offset = np.argmax(np.ptp(some, axis=1), axis=1)[:, None] * count
        order_x = _halve(cells_x, flat_x[cells_x + offset])
        order_z = _halve(cells_z, flat_z[cells_z + offset])
    return order_x, order_z


def _halve(cells: Order, keys: NDArray[np.floating]) -> Order:
    """Move the smaller half of each row's keys to the front of the row."""
    ranks = np.argpartition(keys, keys.shape[1] // 2, axis=1)
    return np.take_along_axis(cells, ranks, axis=1).reshape(-1)
