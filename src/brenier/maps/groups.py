"""Group rows by their condition, and put the results of the groups back in their places."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier.data.conditions import Conditions, is_single, read_conditions
from brenier.data.kinds.dask import known_rows, move_blocks
from brenier.data.table import Matrix, Unchecked

__all__ = ["conditioned_blocks", "group_rows", "merge"]


def group_rows(codes: Matrix) -> list[tuple[Matrix, Any]]:
    """The different conditions, each with the numbers of its rows."""
    if codes.strides[0] == 0:
        return [(codes[0], slice(None))]
    different, number = np.unique(codes, axis=0, return_inverse=True)
    number = number.reshape(-1)  # NumPy 2.0 alone has a column here
    order = np.argsort(number, kind="stable")
    return list(zip(different, np.split(order, np.cumsum(np.bincount(number))[:-1]), strict=True))


def merge(parts: list[tuple[Any, Any]], count: int) -> Any:  # noqa: ANN401
    """Put the results of groups of rows, arrays or named tuples of arrays, in the order of the rows.

    Args:
        parts: Row numbers of each group, and its result.
        count: Number of rows in all.
    """
    first = parts[0][1]
    if first is None or len(parts) == 1:
        return first
    if isinstance(first, tuple):
        fields = zip(*(part for _, part in parts), strict=True)
        rows = [places for places, _ in parts]
        return type(first)(*(merge(list(zip(rows, field, strict=True)), count) for field in fields))
    whole = np.empty((count, *first.shape[1:]), first.dtype)
    for rows, part in parts:
        whole[rows] = part
    return whole


def conditioned_blocks(
    given: Unchecked, name: str, dim: int, condition: Unchecked, move: Callable[..., NDArray[Any]]
) -> Any:  # noqa: ANN401
    """Move a dask array block by block, each with its part of the conditions.

    Args:
        given: `(n, dim)` dask array.
        name: The argument's name in messages.
        dim: Number of columns of the fit.
        condition: One for all rows, or one for each; None without conditions.
        move: Takes the points of a block and the keyword `condition`, and returns as many points.
    """
    if condition is None or is_single(condition):
        return move_blocks(given, name, dim, lambda points: move(points, condition=condition))
    columns = read_conditions(condition, known_rows(given, name), "condition")
    rows = np.column_stack([column.values.astype(object) for column in columns])
    names = [column.name for column in columns]
    return move_blocks(
        given, name, dim, lambda points, part: move(points, condition=Conditions.of(names, part)), beside=rows
    )
