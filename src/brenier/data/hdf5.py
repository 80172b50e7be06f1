"""What is looked at in a file of HDF5 before it is read: nothing in it may lead to other files, or declare what is not.

HDF5 has several ways to say that data lie elsewhere: external and soft links, virtual data sets, external storage. Each
would let a file have others read that its reader can see and its writer cannot. Nothing that is read here needs them.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from brenier._errors import InputError
from brenier.data.memory import check_expansion, most_contents

__all__ = ["DAMAGE", "check_parts", "check_sparse"]

DAMAGE = (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, EOFError)
"""What h5py and its users raise where a file is damaged."""

_MOST_OBJECTS = 100_000
"""Groups and arrays under one name."""

_PIECE = 1 << 20
"""Entries that are compared at once."""


def check_parts(
    file: Any,  # noqa: ANN401
    names: Sequence[str],
    stored: int,
    where: str,
    whole: bool = True,
) -> None:
    """Check all that lies under some names of an open file.

    Args:
        file: Of h5py.
        names: Paths in it; those that it lacks are passed over.
        stored: Bytes of the file.
        where: What messages call the file.
        whole: Whether all of it will be in memory at once, rather than some rows.

    Raises:
        InputError: A link to elsewhere, or arrays far larger than the file.
    """
    import h5py

    size, seen = 0, set()
    for found, name in _walked(file, names, where):
        place = h5py.h5o.get_info(found.id).addr  # type: ignore[attr-defined] - compiled code has no stubs
        if place in seen:
            raise InputError(f"`{where}`: `{name}` is in the file under two names, or in itself. Write it again.")
        seen.add(place)
        for own in ("encoding-type", "encoding-version"):
            if not isinstance(found.attrs.get(own, ""), str):
                raise InputError(f"`{where}`: `{own}` of `{name}` is no text. Write the file again.")
        if len(seen) > _MOST_OBJECTS:
            raise InputError(f"`{where}` has more than {_MOST_OBJECTS:,} groups and arrays. Write only what is needed.")
        if not isinstance(found, h5py.Dataset):
            continue
        if found.is_virtual or found.external:
            raise InputError(
                f"`{where}`: the entries of `{name}` lie in other files, which are not read. Copy them in."
            )
        if math.prod(found.chunks or (0,)) * found.dtype.itemsize > most_contents(stored):
            raise InputError(f"`{where}`: `{name}` is stored in pieces of {found.chunks}, which are too large to read.")
        if found.shape is not None:
            size += math.prod(found.shape) * found.dtype.itemsize
    if whole:
        check_expansion(size, stored, where)


def _walked(file: Any, names: Sequence[str], where: str) -> Iterator[tuple[Any, str]]:  # noqa: ANN401
    """Objects under some names, none of them by a link."""
    import h5py

    def own(group: Any, name: str, path: str) -> Any:  # noqa: ANN401
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.HardLink):
            return group[name]
        if link is None:
            return None
        raise InputError(f"`{where}`: `{path}` is a link to somewhere else, which is not followed. Copy the data in.")

    pending: list[tuple[Any, str]] = []
    for name in names:
        found: Any = file
        for part in name.split("/"):
            found = own(found, part, name) if isinstance(found, h5py.Group) else None
        if found is not None:
            pending.append((found, name))
    while pending:
        found, path = pending.pop()
        yield found, path
        if isinstance(found, h5py.Group):
            pending += [(own(found, name, f"{path}/{name}"), f"{path}/{name}") for name in map(str, found)]


def check_sparse(element: Any, where: str, part: str) -> None:  # noqa: ANN401
    """Check that the arrays of a sparse matrix belong together: compiled code relies on it, and does not look.

    Args:
        element: The group of the matrix, of h5py.
        where: What messages call the file.
        part: What messages call the matrix.

    Raises:
        InputError: They do not.
    """
    shape = [int(own) for own in np.ravel(element.attrs["shape"])]
    data, indices, pointers = (element[name] for name in ("data", "indices", "indptr"))
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
