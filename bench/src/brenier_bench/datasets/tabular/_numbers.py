"""Reading tables of numbers, from text and from .npy files."""

import io
import itertools
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.files.headers import read_header
from brenier_bench.datasets.tabular._files import Opened

__all__ = ["read_array", "read_lines", "read_rows", "refuse_pickle"]


_MOST_BYTES = 1 << 31
"""Bytes of the largest array; the largest that is published has a third of it."""


def read_lines(file: Opened) -> Iterator[str]:
    """Lines of a text file that are not empty.

    Raises:
        InputError: The file is not text.
    """
    with io.TextIOWrapper(file.handle, encoding="utf-8-sig") as text:
        try:
            yield from (line for line in text if not line.isspace())
        except UnicodeDecodeError as error:
            raise InputError(f"`{file.where}` is no text: {error}. Is it the original file?") from error


def read_rows(
    lines: Iterable[str], file: Opened, width: int, delimiter: str | None, most: int | None = None
) -> NDArray[np.float64]:
    """`(n, width)` numbers of lines.

    Args:
        lines: The lines, without a header.
        file: What messages name.
        width: How many numbers a line must have.
        delimiter: What is between them; `None` stands for blanks.
        most: How many lines to read at most.

    Raises:
        InputError: There are no lines, or one has another number of entries, or one that is no number.
    """
    lines = itertools.islice(lines, most)
    first = next(iter(lines), None)
    if first is None:
        raise InputError(f"`{file.where}` has no rows. Is it the original file?")
    try:
        rows = np.loadtxt(itertools.chain([first], lines), delimiter=delimiter, comments=None, ndmin=2)
    except InputError:  # of the lines; a ValueError, too
        raise
    except ValueError as error:
        raise InputError(
            f"`{file.where}` is not the table it should be: {str(error)[:200]}. Is it the original file?"
        ) from error
    _check_width(rows, width, file)
    return rows


def read_array(file: Opened, width: int) -> NDArray[np.float64]:
    """`(n, width)` numbers of a .npy file, which is not unpickled.

    Raises:
        InputError: It is no such file, or has another shape.
    """
    try:
        # NumPy takes the reader of a member of a tar file for a file of the system.
        content = io.BytesIO(file.handle.read(_MOST_BYTES + 1))
        held = len(content.getbuffer())
        header = read_header(content)
        if held > _MOST_BYTES or held != header.offset + header.size:
            raise ValueError(f"it declares the shape {header.shape}, and has {held - header.offset:,} bytes of entries")
        content.seek(0)
        rows = np.lib.format.read_array(content, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"`{file.where}` is not a whole .npy file of numbers: {error}. Get it again.") from error
    if rows.ndim != 2 or not np.issubdtype(rows.dtype, np.floating):
        raise InputError(
            f"`{file.where}` holds an array of the shape {rows.shape} and the type {rows.dtype}, not rows of floating-"
            "point numbers. Is it the original file?"
        )
    _check_width(rows, width, file)
    return rows.astype(np.float64)


def refuse_pickle(file: Opened, instead: str) -> None:
    """Refuse a file that could run code when it is read.

    Raises:
        InputError: The name ends with `.pickle` or `.pkl`; the message says to pass `instead`.
    """
    if file.suffix in (".pickle", ".pkl"):
        raise InputError(
            f"`{file.where}` is a pickle, which can run any code when it is read, and is not read here. Pass the "
            f"original {instead} as `path`."
        )


def _check_width(rows: NDArray[np.generic], width: int, file: Opened) -> None:
    if rows.shape[1] != width:
        raise InputError(
            f"`{file.where}` has {rows.shape[1]} columns, not {width}. Is it the file of another data set?"
        )
