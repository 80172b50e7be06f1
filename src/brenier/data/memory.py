"""How large a plain array may be made at once from sparse matrices, arrays of dask, and files."""

import math
import os
import re
from pathlib import Path

from brenier._errors import InputError

__all__ = [
    "MOST_BYTES",
    "check_expansion",
    "fits",
    "limit_text",
    "machine_bytes",
    "most_contents",
    "parse_size",
    "rows_at_once",
    "size_text",
    "stored_bytes",
]

MOST_BYTES = 1 << 31
"""Largest array, in bytes of float64, that is made of something that was smaller or not yet in memory."""

_MOST_TIMES = 16
"""How much larger than a file its contents may be, where they are larger than `MOST_BYTES`."""

_CHUNK_BYTES = 1 << 24
"""Bytes of float64 in one piece of such an array."""


def fits(entries: float) -> bool:
    """Whether so many numbers may become an array at once; False where their number is unknown, NaN."""
    return 8 * entries <= MOST_BYTES


def check_expansion(size: int, stored: int, name: str) -> None:
    """Refuse contents that are far larger than their file, before memory is taken for them.

    Up to `MOST_BYTES` anything is read; beyond, up to 16 times the bytes of the file: compressed numbers are seldom
    smaller, and files made to fill memory are a thousand times smaller.

    Args:
        size: Bytes of the contents, as the file declares them.
        stored: Bytes of the file.
        name: What messages call the file.

    Raises:
        InputError: The contents are far larger than the file.
    """
    if size > most_contents(stored):
        raise InputError(
            f"`{name}` declares contents of {size_text(size / 8)}, in a file of {size_text(stored / 8)}. At most "
            f"{limit_text()}, or {_MOST_TIMES} times the file, is read. Write it without compression, or in parts."
        )


def stored_bytes(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def most_contents(stored: int) -> int:
    """Bytes of the largest contents that are read from a file of so many bytes."""
    return max(MOST_BYTES, _MOST_TIMES * stored)


def rows_at_once(columns: int) -> int:
    """Rows to read at once, of so many columns."""
    return max(_CHUNK_BYTES // (8 * max(columns, 1)), 1)


def limit_text() -> str:
    """The size of the largest array that is made at once, for people."""
    return size_text(MOST_BYTES / 8)


def size_text(entries: float) -> str:
    """The size of an array of so many numbers in double precision, for people."""
    if math.isnan(entries):
        return "unknown size"
    size, unit = 8.0 * entries, 0
    while size >= 1024.0 and unit < 4:
        size, unit = size / 1024.0, unit + 1
    return f"{size:.3g} {('bytes', 'KiB', 'MiB', 'GiB', 'TiB')[unit]}"


def machine_bytes() -> int:
    """Memory of the machine, or of the control group that the process is in where that has less."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else ""
    return min(size, int(text)) if text.isdigit() else size


def parse_size(text: str, name: str) -> int:
    """Bytes of a size as people write it: `500MB`, `2GB`, `1.5 GiB`, or a plain number of bytes.

    Raises:
        InputError: The text is not a size.
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kKMGT]?)(i?)(B?)\s*", text)
    if match is None:
        raise InputError(f"`{name}` must be a size such as 500MB or 2GB; got {text!r}.")
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** " KMGT".index(match[2].upper() or " "))
