"""Arrays of dask: moved block by block when values are asked for, read as a whole where they fit, else streamed."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.kinds._kind import Kind, Moved, is_from
from brenier.data.memory import fits, limit_text, size_text
from brenier.data.shapes import check_shape
from brenier.data.table import Matrix, Unchecked

__all__ = ["Blocks", "DaskArrays", "is_lazy", "known_rows", "move_blocks"]

_TOGETHER = 8
"""Blocks that are mixed in a stream, so that what lies in one place of the data does not come at one time."""


def is_lazy(value: Unchecked) -> bool:
    """Whether a value is an array of dask."""
    return is_from(value, "dask", "Array")


class DaskArrays(Kind):
    """Arrays of dask."""

    def owns(self, value: Unchecked) -> bool:
        return is_lazy(value)

    def read(self, value: Unchecked, name: str) -> NDArray[Any]:
        if not self.is_whole(value):
            raise InputError(
                f"`{name}` is a dask array of {size_text(value.size)} in double precision; at most {limit_text()} is "
                "computed at once. `fit` without conditions streams it, and `transform` moves it block by block. "
                f"Elsewhere pass a part of it, or `{name}.compute()`."
            )
        return np.asarray(value.compute())

    def like(self, given: Unchecked, points: Matrix) -> Moved:
        return _divide(points, given)

    def is_whole(self, value: Unchecked) -> bool:
        return fits(value.size)


class Blocks:
    """The blocks of an array, in random order, to be iterated over again and again: a stream for `IteratorStream`.

    Every batch has the rows of up to eight blocks that lie apart, shuffled, as far as they fit into memory.

    Args:
        value: Array of dask.
        seed: Seed of the orders.
    """

    def __init__(self, value: Unchecked, seed: int) -> None:
        self._value = value.rechunk({1: -1}) if value.ndim == 2 else value
        self._rng = np.random.default_rng(seed)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        import dask

        blocks = [self._value.blocks[place] for place in self._rng.permutation(self._value.numblocks[0])]
        for start in range(0, len(blocks), self._count_mixed()):
            parts = dask.compute(*blocks[start : start + self._count_mixed()])  # type: ignore[attr-defined]
            rows = np.concatenate([part for part in parts if len(part)] or parts[:1])
            if len(rows):
                yield rows[self._rng.permutation(len(rows))]

    def _count_mixed(self) -> int:
        most = max(self._value.chunks[0]) * self._value.shape[1]
        return next((count for count in range(_TOGETHER, 1, -1) if fits(count * most)), 1)


def move_blocks(
    given: Unchecked, name: str, columns: int, move: Callable[..., Matrix], beside: NDArray[Any] | None = None
) -> Moved:
    """Move an array of dask block by block, when its values are asked for.

    Args:
        given: `(n, columns)` array of dask.
        name: The argument's name in messages.
        columns: Number of columns of the fit.
        move: Maps the points of a block to as many points; with `beside`, takes the rows of that as well.
        beside: `(n, k)`, a row for each point, to be divided as the points are; see `known_rows`.

    Raises:
        InputError: Another shape.
    """
    import dask.array

    check_shape(given.shape, name, columns, given)
    rows = given.rechunk({1: -1})
    conditions = [] if beside is None else [_divide(beside, rows)]

    def move_block(block: Unchecked, *conditions: NDArray[Any]) -> Matrix:
        # What a filter has emptied, no map needs to see.
        return move(block, *conditions) if block.shape[0] else np.empty((0, columns))

    return dask.array.map_blocks(
        move_block, rows, *conditions, dtype=np.float64, chunks=rows.chunks, meta=np.empty((0, 0)), name=None
    )


def known_rows(given: Unchecked, name: str) -> int:
    """Number of rows of an array of dask.

    Raises:
        InputError: The number is not known before the blocks are computed.
    """
    if np.isnan(given.shape[0]):
        raise InputError(
            f"`{name}` has blocks of unknown length, so conditions of each row cannot be divided among them. Call "
            f"`{name}.compute_chunk_sizes()` first."
        )
    return given.shape[0]


def _divide(rows: NDArray[Any], given: Unchecked) -> Any:  # noqa: ANN401
    """An array with blocks of the same rows as another."""
    import dask.array

    chunks: Any = (given.chunks[0], -1)
    return dask.array.from_array(rows, chunks=chunks)
