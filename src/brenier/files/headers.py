"""Arrays as .npy files hold them: headers are read strictly, and what does not look as NumPy writes it is refused."""

import ast
import math
import re
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Header", "read_entries", "read_header"]

_LONGEST = 10_000
"""Characters of the longest header, NumPy's own limit; that of a plain array has about a hundred."""

_MOST_ENTRIES = 1 << 60

_NUMBER = "(?:0|[1-9][0-9]{0,17})"
_FIELDS = {
    "descr": r"'(?P<descr>[<>|=]?[biufcSUVOmM][0-9]{0,9}(?:\[[0-9]{0,9}[A-Za-z]{1,2}\])?)'",
    "fortran_order": "(?:True|False)",
    "shape": rf"\((?P<shape>(?:{_NUMBER}, ?)*{_NUMBER}?)\)",
}
_FIELD = re.compile("|".join(rf"'{name}': ?{value},? ?" for name, value in _FIELDS.items()))
_NAME = re.compile("'(descr|fortran_order|shape)'")


class Header(NamedTuple):
    """What a .npy file says of its array.

    Attributes:
        dtype: Its type.
        shape: Its shape.
        offset: Bytes of the file before its entries.
        fortran: Whether the first index changes fastest.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int
    fortran: bool

    @property
    def size(self) -> int:
        """Bytes of the entries."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(handle: IO[bytes]) -> Header:
    """Read the header of an array of a plain type from the start of a file.

    Args:
        handle: Open for reading; left just after the header.

    Raises:
        ValueError: It is not the header of a plain array; the text says why, without the name of the file.
    """
    magic = handle.read(8)
    if magic[:6] != b"\x93NUMPY":
        raise ValueError("the magic string is not correct: it does not begin as .npy files do")
    width = {1: 2, 2: 4, 3: 4}.get(magic[6] if len(magic) == 8 else 0)
    if width is None:
        raise ValueError("it has an unknown version of the format")
    prefix = handle.read(width)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < width or length > _LONGEST:
        raise ValueError(f"its header of {length} bytes is longer than the {_LONGEST} that are read")
    raw = handle.read(length)
    if len(raw) < length:
        raise ValueError("it ends in its header")
    text = raw.decode("latin1").rstrip(" \n")
    names = {match[0]: match for match in _NAME.finditer(text)}
    fields = list(_FIELD.finditer(text[1:-1]))
    whole = "".join(match[0] for match in fields)
    parted = all(match[0].rstrip().endswith(",") for match in fields[:-1])
    if not (text[:1] == "{" and text[-1:] == "}" and parted and whole == text[1:-1] and len(fields) == len(names) == 3):
        raise ValueError(f"its header is not that of a plain array: {text[:200]!r}")
    try:
        ast.literal_eval(raw.decode("latin1"))  # as NumPy does, which warns and tries again where this fails
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"its header is not that of a plain array: {text[:200]!r}") from error
    described = next(match["descr"] for match in fields if match["descr"] is not None)
    shape = next(match["shape"] for match in fields if match["shape"] is not None)
    try:
        dtype = np.dtype(described)
    except (TypeError, ValueError) as error:
        raise ValueError(f"its type {described!r} is none") from error
    if dtype.itemsize == 0:
        raise ValueError(f"its type {described!r} has no bytes")
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded: they are pickles, which can run code")
    sizes = tuple(int(length) for length in re.findall("[0-9]+", shape))
    if len(sizes) > 32 or math.prod(max(length, 1) for length in sizes) * max(dtype.itemsize, 1) > _MOST_ENTRIES:
        raise ValueError(f"its shape {shape[:200]} is larger than any memory")
    return Header(dtype, sizes, 8 + width + length, "'fortran_order': True" in text or "'fortran_order':True" in text)


def read_entries(handle: IO[bytes], header: Header) -> NDArray[Any]:
    """Read the entries of an array, all of them, from behind its header.

    Raises:
        ValueError: The file has fewer entries.
    """
    raw = handle.read(header.size)
    if len(raw) < header.size:
        raise ValueError(f"it ends after {len(raw):,} of {header.size:,} bytes of entries")
    entries = np.frombuffer(raw, header.dtype) if header.size else np.empty(0, header.dtype)
    return entries.reshape(header.shape, order="F" if header.fortran else "C")
