"""Large inputs in bounded memory: fixed batch sizes, so that one compilation serves any number of rows."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

__all__ = ["BATCH", "chunk_rows", "map_batches", "map_chunks"]

BATCH = 8192
"""Rows in one compiled call."""

_CHUNK = 1 << 16
"""Rows of one chunk: so many that what a chunk leaves over is still worth a compiled call."""

_ENTRIES = 1 << 21
"""Numbers in one chunk, in many dimensions; but never less than one batch of rows."""


def map_batches(fn: Callable[..., Any], *arrays: NDArray[Any], batch: int = BATCH, least: int = 32) -> Any:  # noqa: ANN401
    """Apply a row-wise compiled function to any number of rows.

    Args:
        fn: Takes one array for each of `arrays`, with the same number of rows, and returns a pytree of arrays that
            have that number of rows.
        arrays: One or more arrays with the same number of rows, at least one row.
        batch: Rows of one call; a power of two.
        least: Fewest rows of one call; equal to `batch`, it keeps the number of compilations at one.

    Returns:
        The results of all rows, in NumPy. Beside them, memory for one batch.

    Note:
        The last batch is filled up with copies of its last row, to a power of two; those results are cut off.
    """
    return _gather(len(arrays[0]), ((count, fn(*rows)) for count, rows in _pad(arrays, batch, least)))


def map_chunks(fn: Callable[..., Any], *arrays: NDArray[Any]) -> Any:  # noqa: ANN401
    """Apply any row-wise function to slices of many rows, the last of which may be short.

    For functions that do more than one compiled call: what they hold between calls then fits a chunk, not the input.
    """
    chunk = chunk_rows(arrays[0][0].size)
    starts = range(0, len(arrays[0]), chunk)
    parts = ([array[start : start + chunk] for array in arrays] for start in starts)
    return _gather(len(arrays[0]), ((len(rows[0]), fn(*rows)) for rows in parts))


def chunk_rows(columns: int) -> int:
    """Rows of one chunk of a table: chunks of so many rows, moved one by one, give what moving all rows does."""
    return max(BATCH, min(_CHUNK, 1 << (_ENTRIES // max(columns, 1)).bit_length() - 1))


def _pad(arrays: tuple[NDArray[Any], ...], batch: int, least: int) -> Iterator[tuple[int, list[NDArray[Any]]]]:
    for start in range(0, len(arrays[0]), batch):
        rows = [array[start : start + batch] for array in arrays]
        count = len(rows[0])
        missing = min(batch, 1 << max(count - 1, least - 1).bit_length()) - count
        yield count, [np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) for part in rows]


def _gather(rows: int, parts: Iterator[tuple[int, Any]]) -> Any:  # noqa: ANN401
    """Write the first `count` rows of each part behind those of the part before, into arrays of all rows."""
    whole, start = None, 0
    for count, part in parts:
        part = jax.tree.map(lambda array, count=count: np.asarray(array)[:count], part)
        if whole is None:
            whole = jax.tree.map(lambda array: np.empty((rows, *array.shape[1:]), array.dtype), part)
        stop = start + count
        for all_rows, some in zip(jax.tree.leaves(whole), jax.tree.leaves(part), strict=True):
            all_rows[start:stop] = some
        start = stop
    return whole
