"""Points in any kind of file, from its first row to its last, some rows at a time."""

import abc
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data import text as plain_text
from brenier.data.content import AbsentError, Asked, Content, Places
from brenier.data.shapes import check_shape
from brenier.data.stored.base import Stored
from brenier.data.stored.opening import is_stored, open_stored
from brenier.data.table import Matrix

__all__ = ["Block", "RowsInOrder", "open_sequence"]


class Block(NamedTuple):
    """Some rows.

    Attributes:
        start: Number of the first of them.
        points: `(n, dim)`, checked.
        taken: Columns beside them, by name.
        share: Of the file that has been read, from 0 to 1.
    """

    start: int
    points: Matrix
    taken: Mapping[str, NDArray[Any]]
    share: float


class RowsInOrder(abc.ABC):
    """Rows in their order.

    Attributes:
        dim: Number of columns.
        columns: Their names, where the file has some.
        beside: Columns that were asked for, as far as the file has them, in the order in which they were.
        rows: Number of rows; None where it is not known before the end.
    """

    dim: int
    columns: list[str] | None
    beside: Sequence[str]
    rows: int | None

    @abc.abstractmethod
    def blocks(self, count: int) -> Iterator[Block]:
        """All rows, `count` at a time."""

    @abc.abstractmethod
    def counted(self) -> int:
        """Number of rows, if need be by reading all of them."""


def open_sequence(path: Path, asked: Asked) -> RowsInOrder:
    """Open a table of any kind to read it from start to end.

    Args:
        path: .npy, .npz, .csv, .tsv, .parquet (a file or a folder), .zarr or .h5ad.
        asked: Array or part that holds the points, and columns beside them.

    Raises:
        InputError: The file cannot be read.
    """
    if is_stored(path):
        return _Stored(open_stored(path, asked))
    try:
        return (_Archive if path.suffix.lower() == ".npz" else _Text)(path, asked)
    except OSError as error:
        raise InputError(f"`{path}` cannot be read: {error.strerror or error}. Check the path.") from error


class _Stored(RowsInOrder):
    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        self.dim, self.columns, self.beside, self.rows = stored.dim, stored.columns, stored.beside, stored.rows

    def blocks(self, count: int) -> Iterator[Block]:
        for start in range(0, self.stored.rows, count):
            stop = min(start + count, self.stored.rows)
            content = self.stored.content(start, stop)
            points = self.stored.checked(content.points, start, stop)
            yield Block(start, points, content.taken, stop / self.stored.rows)

    def counted(self) -> int:
        return self.stored.rows


class _Archive(RowsInOrder):
    """Arrays of an .npz archive, each read from start to end at the same pace."""

    def __init__(self, path: Path, asked: Asked) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                present = [name.removesuffix(".npy") for name in archive.namelist() if name != "columns.npy"]
                self._owners = {
                    name: owner
                    for name in asked.columns
                    if (owner := name if name in present else _owner(name)) in present
                }
                others = [name for name in present if name not in self._owners.values()]
                asked.check(self._owners, present, path)
                if (asked.key not in others) if asked.key is not None else len(others) != 1:
                    raise InputError(f"`{path}` holds the arrays {', '.join(others)}. Choose one with `key`.")
                self._key = others[0] if asked.key is None else asked.key
                with archive.open(f"{self._key}.npy") as member:
                    shape, _, dtype = _header(member)
                names = None
                if "columns.npy" in archive.namelist():
                    with archive.open("columns.npy") as member:
                        names = np.lib.format.read_array(member, allow_pickle=False)
        except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"`{path}` is not a whole .npz archive of numbers: {error}. Write it again.") from error
        check_shape(shape, str(path), None, None)
        if dtype.kind not in "iuf":
            raise InputError(f"`{path}` must hold numbers; got dtype {dtype}.")
        if names is not None and names.shape != shape[1:]:
            raise InputError(
                f"`{path}`: the array `columns` of shape {names.shape} does not name the columns of `{self._key}`, "
                f"which has shape {shape}. Remove or rename it."
            )
        self.rows, self.dim = shape
        self.columns = None if names is None else [str(name) for name in names]
        self.beside = list(self._owners)

    def blocks(self, count: int) -> Iterator[Block]:
        arrays = list(dict.fromkeys([self._key, *self._owners.values()]))
        try:
            with zipfile.ZipFile(self.path) as archive:
                members = {name: _Member(archive.open(f"{name}.npy"), name, self) for name in arrays}
                for start in range(0, self.rows or 0, count):
                    stop = min(start + count, self.rows or 0)
                    found = {name: member.rows(stop - start) for name, member in members.items()}
                    taken = {
                        name: found[owner] if name == owner else found[owner][:, _place(name)]
                        for name, owner in self._owners.items()
                    }
                    points = _checked(self, found[self._key], start, stop)
                    yield Block(start, points, taken, stop / (self.rows or 1))
        except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            if isinstance(error, InputError):
                raise
            message = f"`{self.path}` is not a whole .npz archive of numbers: {error}. Write it again."
            raise InputError(message) from error

    def counted(self) -> int:
        return self.rows or 0


class _Member:
    """One array of an archive, from start to end."""

    def __init__(self, handle: Any, name: str, owner: _Archive) -> None:  # noqa: ANN401
        self._handle = handle
        found: tuple[Any, bool, np.dtype[Any]] = _header(handle)
        shape, fortran, self._dtype = found
        if not shape:
            raise InputError(f"`{owner.path}`: `{name}` is a single number, not one for each point.")
        if fortran and len(shape) > 1:
            raise InputError(
                f"`{owner.path}`: `{name}` is stored by columns, and an archive is read from start to end. Write it "
                "with `numpy.ascontiguousarray`, or as .npy."
            )
        if shape[0] != owner.rows:
            raise InputError(f"`{owner.path}`: `{name}` must have one entry for each of the {owner.rows} points.")
        self._inner = shape[1:]

    def rows(self, count: int) -> NDArray[Any]:
        size = count * int(np.prod(self._inner, dtype=np.int64)) * self._dtype.itemsize
        found = self._handle.read(size)
        if len(found) < size:
            raise EOFError("an array ends early")
        return np.frombuffer(found, self._dtype).reshape(count, *self._inner)


class _Text(RowsInOrder):
    """Rows of text. Where columns beside the points were asked for, a first pass finds out what they hold."""

    def __init__(self, path: Path, asked: Asked) -> None:
        self.path, self._asked = path, asked
        self.columns, self.rows, self.beside, self._kinds = None, None, [], {}
        self.dim = 0
        for columns, places, _, _, _ in self._parts(1):
            self.dim, self.beside = len(places.points), list(places.taken)
            self.columns = None if columns is None else [columns[place] for place in places.points]
            break
        if not self.dim:
            raise InputError(f"`{path}` has no rows of numbers. Is it the right file?")
        if self.beside:
            kinds, rows = {name: plain_text.FieldKind() for name in self.beside}, 0
            for _, _, numbers, taken, _ in self._parts(1 << 14):
                rows += len(numbers) // self.dim
                for name, fields in taken.items():
                    kinds[name].see(fields)
            self._kinds, self.rows = kinds, rows

    def blocks(self, count: int) -> Iterator[Block]:
        start = 0
        for _, _, numbers, taken, share in self._parts(count):
            points = np.frombuffer(numbers, np.float64).reshape(-1, self.dim)
            stop = start + len(points)
            typed = {name: self._kinds[name].read(fields) for name, fields in taken.items()}
            yield Block(start, _checked(self, points, start, stop), typed, share)
            start = stop

    def counted(self) -> int:
        if self.rows is None:
            self.rows = sum(len(numbers) // self.dim for _, _, numbers, _, _ in self._parts(1 << 14))
        return self.rows

    def _parts(self, count: int) -> Iterator[tuple[list[str] | None, Places, Any, dict[str, list[str]], float]]:
        with open(self.path, "rb") as handle:
            size = max(self.path.stat().st_size, 1)
            for columns, places, numbers, taken in plain_text.parts(handle, self.path, self._asked, count):
                yield columns, places, numbers, taken, 1.0 if handle.closed else min(handle.tell() / size, 1.0)


def _checked(owner: "_Archive | _Text", points: Any, start: int, stop: int) -> Matrix:  # noqa: ANN401
    """As for what is stored, whose messages these are."""
    return _Names(owner.path, -1 if owner.rows is None else owner.rows, owner.dim).checked(points, start, stop)


class _Names(Stored):
    """The names in messages about what is no `Stored`."""

    def __init__(self, path: Path, rows: int, dim: int) -> None:
        self.path, self.rows, self.dim = path, rows, dim

    def content(self, start: int, stop: int) -> Content:
        raise AbsentError(f"`{self.path}` is read from start to end only.")


def _owner(name: str) -> str | None:
    match = re.fullmatch(r"(.+)\[([0-9]+)\]", name)
    return match[1] if match else None


def _place(name: str) -> int:
    return int(name[name.rindex("[") + 1 : -1])


def _header(member: Any) -> Any:  # noqa: ANN401
    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(member)
    return np.lib.format.read_array_header_2_0(member)
