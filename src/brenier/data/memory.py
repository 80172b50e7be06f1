"""How much is made a plain array at once, of what need not be one: sparse matrices, arrays of dask, files."""

import math

__all__ = ["MOST_BYTES", "fits", "limit_text", "rows_at_once", "size_text"]

MOST_BYTES = 1 << 31
"""Largest array, in bytes of float64, that is made of something that was smaller or not yet in memory."""

_CHUNK_BYTES = 1 << 24
"""Bytes of float64 in one piece of such an array."""


def fits(entries: float) -> bool:
    """Whether so many numbers may become an array at once; not where their number is unknown, NaN."""
    return 8 * entries <= MOST_BYTES


def rows_at_once(columns: int) -> int:
    """Rows of one piece."""
    return max(_CHUNK_BYTES // (8 * max(columns, 1)), 1)


def limit_text() -> str:
    """The limit, for people."""
    return size_text(MOST_BYTES / 8)


def size_text(entries: float) -> str:
    """The size of an array of so many numbers in double precision, for people."""
    if math.isnan(entries):
        return "unknown size"
    size, unit = 8.0 * entries, 0
    while size >= 1024.0 and unit < 4:
        size, unit = size / 1024.0, unit + 1
    return f"{size:.3g} {('bytes', 'KiB', 'MiB', 'GiB', 'TiB')[unit]}"
