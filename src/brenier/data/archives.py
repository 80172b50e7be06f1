"""Files of NumPy: .npy with one array, .npz with several under names. Nothing in them is ever unpickled."""

import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, takewhile
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.conditions import Column, label_text
from brenier.data.content import Asked, Content
from brenier.data.headers import read_header
from brenier.data.memory import check_expansion
from brenier.data.table import Table, listed, shortened

__all__ = ["joined", "plain", "read_members", "read_npy", "read_npz", "write_npy", "write_npz"]

_POINTS, _NAMES = "points", "columns"
"""Arrays of a written archive: the points, and the names of their columns where they have some."""

_DAMAGE = (ValueError, EOFError, RuntimeError, OverflowError, KeyError, struct.error, zipfile.BadZipFile, zlib.error)
"""What damaged archives raise."""

_PART = re.compile(r"(.+)\[([0-9]+)\]")
"""How one column of an array is called: `c[0]` is the first of `c`."""


def read_npy(handle: BinaryIO, path: Path, asked: Asked) -> Content:
    """Map an array from its file, which has no names to find columns by: rows are read when they are used."""
    asked.check((), None, path)
    try:
        return Content(_mapped(handle, path), {})
    except (ValueError, EOFError) as error:
        raise InputError(f"`{path}` is not a whole .npy file of numbers: {error}. Write it again.") from error


def _mapped(handle: BinaryIO, path: Path) -> NDArray[Any]:
    header = read_header(handle)
    if handle.seekable():
        held = handle.seek(0, os.SEEK_END) - header.offset
        if held < header.size:
            raise ValueError(f"it declares the shape {header.shape}, {header.size:,} bytes, of which it has {held:,}")
        handle.seek(0)
    try:
        return np.asarray(np.lib.format.open_memmap(path, mode="r"))
    except (
        ValueError,
        OSError,
    ):  # pipes and some file systems cannot be mapped; of damage, reading says best what it is
        return np.lib.format.read_array(handle, allow_pickle=False)


def write_npy(
    handle: BinaryIO,
    path: Path,
    values: NDArray[np.generic],
    columns: list[str] | None,
    conditions: Sequence[Column],
) -> None:
    """Write the points alone; there is no place for names and conditions."""
    np.lib.format.write_array(handle, values, allow_pickle=False)


def read_npz(handle: BinaryIO, path: Path, asked: Asked) -> Content:
    """Read one array of points, and arrays or columns of arrays beside it."""
    with _opened(handle, path) as members:
        present = [name for name in members if name != _NAMES]
        owners = {name: owner for name in asked.columns if (owner := _owner(name, present)) is not None}
        others = [name for name in present if name not in owners.values()]
        asked.check(owners, present, path)
        chosen = _chosen(asked.key, present, others, path)
        arrays = members.read({*owners.values(), chosen, _NAMES} & members.keys())
    points, names = arrays[chosen], arrays.get(_NAMES)
    taken = {
        name: arrays[owner] if name == owner else _part(arrays[owner], name, path) for name, owner in owners.items()
    }
    if names is None:
        return Content(points, taken)
    if names.shape != points.shape[1:]:
        raise InputError(
            f"`{path}`: the array `{_NAMES}` of shape {names.shape} does not name the columns of `{chosen}`, which "
            f"has shape {points.shape}. Remove or rename it."
        )
    return Content(Table(points, [str(name) for name in names]), taken)


class _Members(dict[str, zipfile.ZipInfo]):
    """The arrays of an open archive, by name."""

    def __init__(self, archive: zipfile.ZipFile, stored: int, path: Path) -> None:
        super().__init__({info.filename.removesuffix(".npy"): info for info in archive.infolist()})
        self._archive, self._stored, self._path = archive, stored, path

    def read(self, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Some of them. All sizes are checked first, so that memory is taken for what fits only."""
        names = list(names)
        check_expansion(sum(self[name].file_size for name in names), self._stored, str(self._path))
        return {name: self._one(self[name]) for name in names}

    def _one(self, info: zipfile.ZipInfo) -> NDArray[Any]:
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"a member is compressed by method {info.compress_type}, which .npz archives do not have")
        with self._archive.open(info) as member:
            header = read_header(cast("BinaryIO", member))
            if header.offset + header.size != info.file_size:
                raise ValueError(
                    f"{shortened(info.filename)} declares the shape {header.shape}, {header.size:,} bytes, and has "
                    f"{info.file_size - header.offset:,}"
                )
        with self._archive.open(info) as member:
            array = np.lib.format.read_array(member, allow_pickle=False)
            member.read(1)  # at its end the checksum is compared
        return array


@contextmanager
def _opened(handle: BinaryIO, path: Path) -> Iterator[_Members]:
    try:
        with zipfile.ZipFile(handle) as archive:
            yield _Members(archive, handle.seek(0, os.SEEK_END), path)
    except InputError:  # a ValueError, too
        raise
    except _DAMAGE as error:
        raise InputError(f"`{path}` is not a whole .npz archive of numbers: {error}. Write it again.") from error


def read_members(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an archive, by name.

    Raises:
        InputError: It cannot be read, is damaged, or far larger than its file.
    """
    try:
        with open(path, "rb") as handle, _opened(handle, path) as members:
            return members.read(members)
    except OSError as error:
        raise InputError(f"`{path}` cannot be read: {error.strerror or error}. Check the path.") from error


def _chosen(key: str | None, present: Sequence[str], others: Sequence[str], path: Path) -> str:
    """The array of points: among those that do not hold conditions."""
    if key is None and len(others) != 1:
        besides = " besides the conditions" if len(others) < len(present) else ""
        shown = listed([shortened(name) for name in others], 10)
        raise InputError(f"`{path}` holds {len(others)} arrays{besides} ({shown}). Choose one with `key`.")
    chosen = others[0] if key is None else key
    if chosen in others:
        return chosen
    if chosen in present:
        raise InputError(f"`{path}`: the array {key!r} cannot be both the points (`key`) and a condition.")
    shown = listed([shortened(name) for name in present], 10)
    raise InputError(f"`{path}` has no array of points named {key!r} (`key`); it has {shown}.")


def _owner(name: str, present: Sequence[str]) -> str | None:
    """The array that a name stands for, or stands for a column of."""
    match = _PART.fullmatch(name)
    return name if name in present else match[1] if match and match[1] in present else None


def _part(array: NDArray[Any], name: str, path: Path) -> NDArray[Any]:
    place = int(name[name.rindex("[") + 1 : -1])
    if array.ndim != 2 or place >= array.shape[1]:
        raise InputError(f"`{path}` has no `{name}`: that array has shape {array.shape}.")
    return array[:, place]


def write_npz(
    handle: BinaryIO,
    path: Path,
    values: NDArray[np.generic],
    columns: list[str] | None,
    conditions: Sequence[Column],
) -> None:
    """Write the points as `points`, the names of their columns as `columns`, and each condition under its name.

    Conditions that were the columns of one array become one again.
    """
    arrays: dict[str, NDArray[Any]] = {_POINTS: values}
    if columns is not None:
        arrays[_NAMES] = np.array(columns)
    beside = joined({str(column.name): plain(column.values) for column in conditions})
    clash = sorted({_POINTS, _NAMES} & beside.keys())
    if clash:
        raise InputError(f"`{path}` cannot hold a condition named `{clash[0]}`, as its own array has that name.")
    # Not `numpy.savez`, for which some names are arguments.
    with zipfile.ZipFile(handle, "w") as archive:
        for name, array in (arrays | beside).items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def plain(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers as they are, all else as text."""
    return values if values.dtype.kind in "biuf" else np.array([label_text(entry) for entry in values])


def joined(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The same arrays, with `c[0]`, `c[1]` and so on as the columns of `c` where they are of one type."""
    merged = dict(arrays)
    for owner in {match[1] for name in arrays if (match := _PART.fullmatch(name)) and match[1] not in arrays}:
        names = list(takewhile(arrays.__contains__, (f"{owner}[{place}]" for place in count())))
        if len({arrays[name].dtype.kind for name in names}) == 1:
            merged[owner] = np.column_stack([merged.pop(name) for name in names])
    return merged
