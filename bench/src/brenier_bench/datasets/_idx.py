"""The IDX format, in which MNIST and its relatives are published."""

import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError

__all__ = ["parse_idx"]

_UNSIGNED_BYTE = 0x08
"""Code of the only type of entries in these data sets."""


def parse_idx(content: bytes, ndim: int, path: Path) -> NDArray[np.uint8]:
    """The array of unsigned bytes in the content of an IDX file.

    Such a file has two zero bytes, a byte for the type of the entries, a byte for the number of axes, the length of
    each axis as a big-endian number of 32 bits, and the entries, of which the last index runs fastest.

    Args:
        content: The whole file, decompressed.
        ndim: Number of axes that the array must have: 3 for images, 1 for labels.
        path: What messages call the file.

    Raises:
        InputError: The content is no IDX file, of another type or number of axes, empty, too short, or too long.

    References: LeCun, Cortes and Burges, "The MNIST database of handwritten digits", "File formats".
    """
    if len(content) < 4 or content[:2] != b"\0\0":
        raise InputError(
            f"`{path}` is no IDX file: it begins with {content[:4].hex(' ') or 'nothing'}, not with two zero bytes, "
            "a type and a number of axes. Is it the original file?"
        )
    kind, axes = content[2], content[3]
    if kind != _UNSIGNED_BYTE:
        raise InputError(
            f"`{path}` has entries of the IDX type 0x{kind:02x}; only unsigned bytes, type 0x{_UNSIGNED_BYTE:02x}, can "
            "be read. Is it the original file?"
        )
    if axes != ndim:
        raise InputError(f"`{path}` has {axes} axes, not {ndim}. Images have 3, labels 1; are the two swapped?")
    start = 4 + 4 * axes
    if len(content) < start:
        raise InputError(
            f"`{path}` is incomplete: it ends after {len(content)} bytes, in its header of {start}. Download it again."
        )
    shape = struct.unpack(f">{axes}I", content[4:start])
    expected, actual = math.prod(shape), len(content) - start
    if expected == 0:
        raise InputError(f"`{path}` is empty: its header gives the shape {shape}. Is it the original file?")
    if actual != expected:
        fault = "incomplete" if actual < expected else "too long"
        raise InputError(
            f"`{path}` is {fault}: its header gives the shape {shape}, that is {expected} bytes, and {actual} follow. "
            "Download it again."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
