"""Archives of NumPy, .npz: several arrays under names. Nothing in them is ever unpickled."""

import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, takewhile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.conditions import Column, label_text
from brenier.data.memory import check_expansion
from brenier.data.shapes import check_shape
from brenier.data.stored import Block, Content, Rows
from brenier.data.table import Unchecked, itemise, shorten
from brenier.files.asked import Asked
from brenier.files.format import Format, RowWriter
from brenier.files.headers import read_entries, read_header

__all__ = ["Npz", "read_members"]

_POINTS, _NAMES = "points", "columns"
"""Arrays of a written archive: the points, and the names of their columns where they have some."""

_DAMAGE = (ValueError, EOFError, RuntimeError, OverflowError, KeyError, struct.error, zipfile.BadZipFile, zlib.error)
"""What damaged archives raise."""

_PART = re.compile(r"(.+)\[([0-9]+)\]")
"""How one column of an array is called: `c[0]` is the first of `c`."""


class Npz(Format):
    """Arrays under names: points, the names of their columns, conditions and weights."""

    suffixes = (".npz",)
    positional = False
    keyed = True

    def open(self, path: Path, asked: Asked) -> Rows:
        return _File(path, asked)

    def writer(self, target: Unchecked, path: Path, dim: int, columns: list[str] | None, rows: int | None) -> RowWriter:
        return _Writer(target, path, dim, columns, rows)


class _File(Rows):
    """One array of points, and arrays or columns of arrays beside it, held in memory: they may be compressed."""

    rows: int  # pyright: ignore[reportIncompatibleVariableOverride] - known from the start

    def __init__(self, path: Path, asked: Asked) -> None:
        self.path = path
        with open(path, "rb") as handle, _open_members(handle, path) as members:
            present = [name for name in members if name != _NAMES]
            owners = {name: owner for name in asked.columns if (owner := _owner(name, present)) is not None}
            asked.check(owners, present, path)
            candidates = [name for name in present if name not in owners.values()]
            chosen = _choose_points(asked.key, present, candidates, path)
            wanted = {chosen, *owners.values()} | ({_NAMES} if _NAMES in members else set())
            arrays = members.read(wanted)
        points, names = arrays[chosen], arrays.get(_NAMES)
        taken = {
            name: arrays[owner] if name == owner else _part(arrays[owner], name, path) for name, owner in owners.items()
        }
        if names is not None and names.shape != points.shape[1:]:
            raise InputError(
                f"`{path}`: the array `columns` of shape {names.shape} does not name the columns of `{chosen}`, which "
                f"has shape {points.shape}. Remove or rename it."
            )
        check_shape(points.shape, str(path), None, points)
        self.rows, self.dim = points.shape
        self.columns = None if names is None else [str(name) for name in names]
        self.beside, self._content = list(taken), Content(points, taken)

    def whole(self) -> Content:
        return self._content

    def blocks(self, count: int) -> Iterator[Block]:
        points, taken = self._content
        for name, values in taken.items():
            if values.shape[:1] != (self.rows,):
                raise InputError(
                    f"`{self.path}`: `{name}` must have one entry for each of the {self.rows} points; got shape "
                    f"{values.shape}."
                )
        for start in range(0, self.rows, count):
            stop = min(start + count, self.rows)
            beside = {name: values[start:stop] for name, values in taken.items()}
            yield Block(start, self.check(points[start:stop], start, stop), beside, stop / self.rows)

    def count(self) -> int:
        return self.rows


class _Members(dict[str, zipfile.ZipInfo]):
    """The arrays of an open archive, by name."""

    def __init__(self, archive: zipfile.ZipFile, stored: int, path: Path) -> None:
        super().__init__({info.filename.removesuffix(".npy"): info for info in archive.infolist()})
        self._archive, self._stored, self._path = archive, stored, path

    def read(self, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Read some arrays. All sizes are checked first, so that memory is taken only for what fits."""
        names = list(names)
        check_expansion(sum(self[name].file_size for name in names), self._stored, str(self._path))
        return {name: self._one(self[name]) for name in names}

    def _one(self, info: zipfile.ZipInfo) -> NDArray[Any]:
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"a member is compressed by method {info.compress_type}, which .npz archives do not have")
        with self._archive.open(info) as member:
            header = read_header(member)
            if header.offset + header.size != info.file_size:
                raise ValueError(
                    f"{shorten(info.filename)} declares the shape {header.shape}, {header.size:,} bytes, and has "
                    f"{info.file_size - header.offset:,}"
                )
            array = read_entries(member, header)
            member.read(1)  # at its end the checksum is compared
        return array


@contextmanager
def _open_members(handle: BinaryIO, path: Path) -> Iterator[_Members]:
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
        InputError: The archive cannot be read, is damaged, or holds far more than its size.
    """
    try:
        with open(path, "rb") as handle, _open_members(handle, path) as members:
            return members.read(members)
    except OSError as error:
        raise InputError(f"`{path}` cannot be read: {error.strerror or error}. Check the path.") from error


def _choose_points(key: str | None, present: Sequence[str], candidates: Sequence[str], path: Path) -> str:
    """The array of points: among those that do not hold conditions."""
    if key is None and len(candidates) != 1:
        besides = " besides the conditions" if len(candidates) < len(present) else ""
        shown = itemise([shorten(name) for name in candidates], 10)
        raise InputError(f"`{path}` holds {len(candidates)} arrays{besides} ({shown}). Choose one with `key`.")
    chosen = candidates[0] if key is None else key
    if chosen in candidates:
        return chosen
    if chosen in present:
        raise InputError(f"`{path}`: the array {key!r} cannot be both the points (`key`) and a condition.")
    shown = itemise([shorten(name) for name in present], 10)
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


def _to_plain(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers as they are, all else as text."""
    return values if values.dtype.kind in "biuf" else np.array([label_text(entry) for entry in values])


def _join(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays by name, with `c[0]`, `c[1]` and so on joined as the columns of `c` where they are of one type."""
    merged = dict(arrays)
    for owner in {match[1] for name in arrays if (match := _PART.fullmatch(name)) and match[1] not in arrays}:
        names = list(takewhile(arrays.__contains__, (f"{owner}[{place}]" for place in count())))
        if len({arrays[name].dtype.kind for name in names}) == 1:
            merged[owner] = np.column_stack([merged.pop(name) for name in names])
    return merged


class _Writer(RowWriter):
    """Points first, as they come; columns beside them are kept until the end, since members cannot be interleaved.

    The points become `points`, the names of their columns `columns`, and each condition an array under its name;
    conditions that were the columns of one array become one again.
    """

    def __init__(self, handle: BinaryIO, path: Path, dim: int, names: list[str] | None, rows: int | None) -> None:
        if rows is None:
            raise InputError(f"`{path}`: an .npz archive begins with its number of rows, which must be known.")
        self._path, self._names, self._shape, self._beside = path, names, (rows, dim), {}
        self._archive = zipfile.ZipFile(handle, "w")  # not `numpy.savez`, for which some names are arguments
        self._member: Any = None

    def write(self, points: Unchecked, conditions: Sequence[Column]) -> None:
        values = np.asarray(points)
        if self._member is None:
            self._member = self._archive.open(f"{_POINTS}.npy", "w", force_zip64=True)
            header = {"descr": np.lib.format.dtype_to_descr(values.dtype), "fortran_order": False, "shape": self._shape}
            np.lib.format.write_array_header_1_0(self._member, header)
        self._member.write(np.ascontiguousarray(values).data)
        for column in conditions:
            self._beside.setdefault(str(column.name), []).append(_to_plain(column.values))

    def end(self) -> None:
        if self._member is not None:
            self._member.close()
        names = {} if self._names is None else {_NAMES: np.array(self._names)}
        beside = _join({name: np.concatenate(pieces) for name, pieces in self._beside.items()})
        clash = sorted({_POINTS, _NAMES} & beside.keys())
        if clash:
            raise InputError(
                f"`{self._path}` cannot hold a condition named `{clash[0]}`, as its own array has that name."
            )
        for name, values in (names | beside).items():
            with self._archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)
        self._archive.close()
