"""The one door to files of HDF5: nothing in one may lead to other files, or declare what is not there.

HDF5 has several ways to say that data lie elsewhere: external and soft links, virtual data sets, external storage, and
names that are paths. Each would let a file pull in others that its reader can see and its writer cannot. Nothing that
is read here needs them, so files are opened by `open_hdf5` alone, and what is in them by `child` and `locate`.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from brenier._errors import InputError
from brenier.data.memory import most_contents
from brenier.data.table import shorten

__all__ = ["DAMAGE", "check_parts", "check_sparse", "child", "is_group", "is_name", "locate", "open_hdf5"]

DAMAGE = (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, EOFError)
"""What h5py and its users raise where a file is damaged."""

_MOST_OBJECTS = 100_000
"""Most groups and arrays under one name."""

_PIECE = 1 << 20
"""Entries of an array that are compared at once."""


@contextmanager
def open_hdf5(file: Path | BinaryIO, mode: str = "r") -> Iterator[Any]:
    """Open a file of HDF5; what is in it is opened by `child`.

    Args:
        file: Its path, or an open file.
        mode: `"r"`, or `"r+"` to change it.

    Raises:
        OSError: The file is not of HDF5; h5py raises others of `DAMAGE`, too.
    """
    import h5py

    with h5py.File(file, mode) as opened:
        yield opened


def child(group: Any, name: str, where: str) -> Any:  # noqa: ANN401
    """Open what is in a group under a name.

    Args:
        group: A group of h5py.
        name: A name, not a path.
        where: What messages call the file.

    Returns:
        A group or an array of h5py, whose entries lie in this file; None where there is none of that name.

    Raises:
        InputError: The name is a path; or there is a link, an array whose entries lie elsewhere, or what is neither
            group nor array.
    """
    import h5py

    if not is_name(name):
        raise InputError(f"`{where}`: {shorten(name)!r} is a path, not the name of a part of it. Write it again.")
    # Not `get`, which looks for the ends of links, in other files if need be.
    links, raw = group.id.links, name.encode("utf-8", "surrogateescape")
    if not links.exists(raw):
        return None
    if links.get_info(raw).type != h5py.h5l.TYPE_HARD:  # type: ignore[attr-defined] - compiled code has no stubs
        raise InputError(
            f"`{where}`: `{shorten(name)}` is a link to somewhere else, which is not followed. Copy the data in."
        )
    element = group[name]
    if isinstance(element, h5py.Dataset) and (element.is_virtual or element.external):
        raise InputError(
            f"`{where}`: the entries of `{shorten(name)}` lie in other files, which are not read. Copy them in."
        )
    if not isinstance(element, h5py.Dataset | h5py.Group):
        raise InputError(f"`{where}`: `{shorten(name)}` is neither a group nor an array. Write the file again.")
    return element


def locate(file: Any, path: str, where: str) -> Any:  # noqa: ANN401
    """Open what lies under a path that somebody asked for, such as `obsm/X_pca`; None where there is nothing.

    Args:
        file: A file or a group, of h5py.
        path: Names with slashes between them, from the user and never from the file itself.
        where: What messages call the file.

    Raises:
        InputError: As for `child`.
    """
    element = file
    for name in path.split("/"):
        element = child(element, name, where) if is_group(element) else None
    return element


def is_group(element: Any) -> bool:  # noqa: ANN401
    """Whether something is a group, rather than an array or nothing."""
    return hasattr(element, "keys")


def is_name(name: str) -> bool:
    """Whether a name stands for a part of the group itself; paths may lead out of it."""
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def check_parts(
    file: Any,  # noqa: ANN401
    names: Sequence[str],
    stored: int,
    where: str,
) -> int:
    """Check all that lies under some names of an open file.

    Args:
        file: A file of h5py.
        names: Paths in it; those that it lacks are passed over.
        stored: Bytes of the file.
        where: What messages call the file.

    Returns:
        Bytes of all arrays together; what is to be in memory at once goes through `check_expansion`.

    Raises:
        InputError: A link to elsewhere, or pieces of arrays that are far larger than the file.
    """
    import h5py

    size, seen = 0, set()
    for part, name in _walk(file, names, where):
        place = h5py.h5o.get_info(part.id).addr  # type: ignore[attr-defined] - compiled code has no stubs
        if place in seen:
            raise InputError(f"`{where}`: `{name}` is in the file under two names, or in itself. Write it again.")
        seen.add(place)
        for attribute in ("encoding-type", "encoding-version"):
            if not isinstance(part.attrs.get(attribute, ""), str):
                raise InputError(f"`{where}`: `{attribute}` of `{name}` is no text. Write the file again.")
        if len(seen) > _MOST_OBJECTS:
            raise InputError(f"`{where}` has more than {_MOST_OBJECTS:,} groups and arrays. Write only what is needed.")
        if not isinstance(part, h5py.Dataset):
            continue
        if math.prod(part.chunks or (0,)) * part.dtype.itemsize > most_contents(stored):
            raise InputError(f"`{where}`: `{name}` is stored in pieces of {part.chunks}, which are too large to read.")
        if part.shape is not None:
            size += math.prod(part.shape) * part.dtype.itemsize
    return size


def _walk(file: Any, names: Sequence[str], where: str) -> Iterator[tuple[Any, str]]:  # noqa: ANN401
    """Objects under some names, none of them by a link."""
    located = [(locate(file, name, where), name) for name in names]
    pending = [(element, name) for element, name in located if element is not None]
    while pending:
        element, path = pending.pop()
        yield element, path
        if is_group(element):
            pending += [(child(element, name, where), f"{path}/{name}") for name in map(str, element)]


def check_sparse(element: Any, where: str, part: str) -> None:  # noqa: ANN401
    """Check that the arrays of a sparse matrix belong together: compiled code relies on it, and does not check.

    Args:
        element: The group of the matrix, of h5py.
        where: What messages call the file.
        part: What messages call the matrix.

    Raises:
        InputError: They do not belong together.
    """
    shape = [int(length) for length in np.ravel(element.attrs["shape"])]
    data, indices, pointers = (child(element, name, where) for name in ("data", "indices", "indptr"))
    rows = element.attrs["encoding-type"] == "csr_matrix"
    good = len(shape) == 2 and min(shape) >= 0 and data.ndim == indices.ndim == pointers.ndim == 1
    good = good and data.dtype.kind in "biuf" and indices.dtype.kind in "iu" and pointers.dtype.kind in "iu"
    good = good and len(data) == len(indices) and len(pointers) == 1 + shape[0 if rows else 1]
    if good:
        last = 0
        for piece in _pieces(pointers):
            good = good and piece[0] >= last and bool((piece[1:] >= piece[:-1]).all())
            last = int(piece[-1])
        good = good and int(pointers[0]) == 0 and last == len(indices)
        width = shape[1 if rows else 0]
        good = good and all(piece.min() >= 0 and piece.max() < width for piece in _pieces(indices))
    if not good:
        raise InputError(
            f"`{where}`: `{part}` is not a whole sparse matrix: its data, indices and pointers do not belong to the "
            f"shape {tuple(shape)}. Write it again."
        )


def _pieces(array: Any) -> Iterator[Any]:  # noqa: ANN401
    return (array[start : start + _PIECE] for start in range(0, len(array), _PIECE))
