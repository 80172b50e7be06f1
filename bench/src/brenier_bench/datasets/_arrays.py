"""Reading benchmark files."""

from os import PathLike, fspath
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.table import itemise, shorten
from brenier.files.npz import read_members

__all__ = ["read_arrays"]


def read_arrays(path: str | PathLike[str], needed: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz file, without pickle.

    Raises:
        InputError: The file cannot be read, or lacks one of the arrays `needed`.
    """
    arrays = read_members(Path(fspath(path)))
    missing = [name for name in needed if name not in arrays]
    if missing:
        there = itemise([shorten(name) for name in sorted(arrays)], 10)
        raise InputError(f"'{path}' is not such a pair: it has no arrays {missing}, only {there or 'none'}.")
    return arrays
