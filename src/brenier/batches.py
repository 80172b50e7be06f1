"""Large inputs in bounded memory: fixed batch sizes, so that one compilation serves any number of rows."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

__all__ = ["BATCH", "map_batches"]

BATCH = 8192
"""Rows in one compiled call."""


def map_batches(fn: Callable[..., Any], *arrays: NDArray[Any], batch: int = BATCH, least: int = 32) -> Any:  # noqa: ANN401
    """Apply a row-wise compiled function to any number of rows.

    Args:
        fn: Takes one array for each of `arrays`, with the same number of rows, and returns a pytree of arrays that
            have that number of rows.
        arrays: One or more, with the same number of rows, at least one.
        batch: Rows a call; a power of two.
        least: Fewest rows a call; equal to `batch`, it keeps the number of compilations at one.

    Returns:
        The results of all rows, in NumPy.

    Note:
        The last batch is filled up with copies of its last row, to a power of two; those results are cut off.
    """
    parts = [
        jax.tree.map(lambda result, count=count: np.asarray(result)[:count], fn(*rows))
        for count, rows in _padded(arrays, batch, least)
    ]
    return jax.tree.map(lambda *results: np.concatenate(results), *parts)


def _padded(arrays: tuple[NDArray[Any], ...], batch: int, least: int) -> Iterator[tuple[int, list[NDArray[Any]]]]:
    for start in range(0, len(arrays[0]), batch):
        rows = [array[start : start + batch] for array in arrays]
        count = len(rows[0])
        missing = min(batch, 1 << max(count - 1, least - 1).bit_length()) - count
        yield count, [np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) for part in rows]
