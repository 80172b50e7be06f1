"""Any cost between all pairs of two clouds, a tile of them at a time, in double precision."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier._types import Array as JaxArray
from brenier.costs import AbstractCost

__all__ = ["Transform", "c_transform", "cost_matrix", "row_costs"]

Array = NDArray[np.float64]

_NUMBERS = 1 << 22
"""Coordinates of displacements in memory at a time; a cost may hold several arrays of as many numbers."""

_SIDES = (64, 512)
"""Fewest and most points on a side of a tile. Sides are powers of two, so that few programs are compiled."""


class Transform(NamedTuple):
    """A discrete c-transform.

    Attributes:
        values: Dual values of the other side.
        least: Least cost of a pair.
        most: Largest cost of a pair.
    """

    values: Array
    least: float
    most: float


def cost_matrix(cost: AbstractCost, x: Array, y: Array) -> Array:
    """Costs of all pairs.

    Args:
        cost: The cost.
        x: `(n, d)` points.
        y: `(m, d)` points.

    Returns:
        `(n, m)` costs.

    Raises:
        InputError: One of them is not finite.
    """
    costs = np.empty((len(x), len(y)))
    with jax.enable_x64(True):
        for rows, columns, tile_x, tile_y in _tiles(x, y):
            part = np.asarray(_tile(cost, tile_x, tile_y))
            here = costs[rows, columns]
            here[...] = part[: here.shape[0], : here.shape[1]]
    return _finite(costs, cost)


def row_costs(cost: AbstractCost, x: Array, y: Array) -> Array:
    """Cost of each row of `x`, `(n, d)`, to the same row of `y`; errors as for `cost_matrix`."""
    step = _power(max(1, _NUMBERS // x.shape[1]), len(x))
    parts = []
    with jax.enable_x64(True):
        for start in range(0, len(x), step):
            own_x, own_y = x[start : start + step], y[start : start + step]
            part = np.asarray(_rows(cost, _padded(own_x, step), _padded(own_y, step)))
            parts.append(part[: len(own_x)])
    return _finite(np.concatenate(parts), cost)


def c_transform(cost: AbstractCost, x: Array, y: Array, values: Array, axis: int) -> Transform:
    """`min_i c(x_i, y_j) - f_i` for every `j`, or `min_j c(x_i, y_j) - h_j` for every `i`.

    Args:
        cost: The cost.
        x: `(n, d)` points.
        y: `(m, d)` points.
        values: Dual values of the side over which the minimum is: `(n,)` for axis 0, `(m,)` for axis 1.
        axis: 0 for the values of `y`, 1 for those of `x`.

    Raises:
        InputError: As for `cost_matrix`.
    """
    found = np.full(len(y) if axis == 0 else len(x), np.inf)
    least, most = math.inf, -math.inf
    with jax.enable_x64(True):
        for rows, columns, tile_x, tile_y in _tiles(x, y):
            over, kept = (rows, columns) if axis == 0 else (columns, rows)
            own = _padded(values[over], len(tile_x if axis == 0 else tile_y))
            part, low, high = (np.asarray(each) for each in _minima(cost, tile_x, tile_y, own, axis))
            _finite(np.stack([low, high]), cost)
            here = found[kept]
            np.minimum(here, part[: len(here)], out=here)
            least, most = min(least, float(low)), max(most, float(high))
    return Transform(found, least, most)


def _tiles(x: Array, y: Array) -> Iterator[tuple[slice, slice, JaxArray, JaxArray]]:
    """Rows and columns of each tile and their points; the last ones are repeated to fill it."""
    side = math.isqrt(max(1, _NUMBERS // x.shape[1]))
    side_x, side_y = (_power(min(side, _SIDES[1]), max(len(points), _SIDES[0])) for points in (x, y))
    for row in range(0, len(x), side_x):
        tile_x = _padded(x[row : row + side_x], side_x)
        for column in range(0, len(y), side_y):
            tile_y = _padded(y[column : column + side_y], side_y)
            yield slice(row, row + side_x), slice(column, column + side_y), tile_x, tile_y


def _power(most: int, wanted: int) -> int:
    """The power of two that is enough for so many, or the largest that is allowed."""
    return min(1 << (wanted - 1).bit_length(), 1 << (most.bit_length() - 1))


def _padded(rows: Array, count: int) -> JaxArray:
    """So many rows: the last one again and again, which changes neither a minimum nor a maximum."""
    return jnp.asarray(np.concatenate([rows, np.repeat(rows[-1:], count - len(rows), axis=0)]))


@eqx.filter_jit
def _rows(cost: AbstractCost, x: JaxArray, y: JaxArray) -> JaxArray:
    return cost(x, y)


@eqx.filter_jit
def _tile(cost: AbstractCost, x: JaxArray, y: JaxArray) -> JaxArray:
    shape = (len(x), len(y), x.shape[1])
    left, right = jnp.broadcast_to(x[:, None], shape), jnp.broadcast_to(y[None], shape)
    return cost(left.reshape(-1, shape[2]), right.reshape(-1, shape[2])).reshape(shape[:2])


@eqx.filter_jit
def _minima(cost: AbstractCost, x: JaxArray, y: JaxArray, values: JaxArray, axis: int) -> Any:  # noqa: ANN401
    costs = _tile(cost, x, y)
    return jnp.min(costs - jnp.expand_dims(values, 1 - axis), axis=axis), jnp.min(costs), jnp.max(costs)


def _finite(costs: Array, cost: AbstractCost) -> Array:
    if not np.isfinite(costs).all():
        raise InputError(f"`cost` ({cost}) is not finite between some pairs of points. Remove points that are far out.")
    return costs
