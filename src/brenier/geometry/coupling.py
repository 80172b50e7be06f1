"""Coupled batches: put two clouds in orders that match, so that their sampling noise cancels in differences.

The gradient of the dual is a difference of two means, over source points and over the current preimages of target
points. At the optimum both clouds have one distribution, so a batch whose two halves cover space alike has far less
noise than two independent draws, and each point is still used equally often: no bias.
"""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._types import Array

__all__ = ["coupled_orders", "partitioned_orders", "sorted_orders"]

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

    Note: Cost: `log2(n)` partial sorts of `n` numbers; on an accelerator, as many whole sorts in one compiled call.
    """
    count = len(x)
    if count & (count - 1) or len(z) != count:
        raise ValueError(f"both clouds need one size, a power of two; got {count} and {len(z)} points.")
    if jax.default_backend() != "cpu":
        order_x, order_z = sorted_orders(jnp.asarray(x), jnp.asarray(z))
        return np.asarray(order_x, np.intp), np.asarray(order_z, np.intp)
    return partitioned_orders(x, z)


def partitioned_orders(x: NDArray[np.floating], z: NDArray[np.floating]) -> tuple[Order, Order]:
    """The orders, on the host."""
    count = len(x)
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


@jax.jit
def sorted_orders(x: Array, z: Array) -> tuple[Array, Array]:
    """The orders by whole sorts, which accelerators are good at. Compiled once for each size."""
    count = len(x)
    order_x = order_z = jnp.arange(count, dtype=jnp.int32)
    for level in range(count.bit_length() - 1):
        cells_x, cells_z = order_x.reshape(1 << level, -1), order_z.reshape(1 << level, -1)
        some = x[cells_x[:, :: max(cells_x.shape[1] // _LOOKED_AT, 1)]]
        axis = jnp.argmax(jnp.ptp(some, axis=1), axis=1)[:, None]
        order_x, order_z = (
            jax.lax.sort((points[cells, axis], cells), num_keys=1, is_stable=False)[1].reshape(-1)
            for points, cells in ((x, cells_x), (z, cells_z))
        )
    return order_x, order_z


def _halve(cells: Order, keys: NDArray[np.floating]) -> Order:
    """Move the smaller half of each row's keys to the front of the row."""
    ranks = np.argpartition(keys, keys.shape[1] // 2, axis=1)
    return np.take_along_axis(cells, ranks, axis=1).reshape(-1)
