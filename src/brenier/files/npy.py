"""Arrays in .npy files: mapped where all of one is asked for, read by position otherwise."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from brenier._errors import InputError
from brenier.data.conditions import Column
from brenier.data.shapes import check_shape
from brenier.data.stored import Content, Rows, Stored
from brenier.data.table import Unchecked
from brenier.files.asked import Asked
from brenier.files.format import Format, RowWriter
from brenier.files.headers import read_header

__all__ = ["Npy"]


class Npy(Format):
    """A single array, without names."""

    suffixes = (".npy",)

    def open(self, path: Path, asked: Asked) -> Rows:
        return _File(path, asked)

    def writer(self, target: Unchecked, path: Path, dim: int, columns: list[str] | None, rows: int | None) -> RowWriter:
        return _Writer(target, dim)


class _File(Stored):
    """An array of any type of numbers and either order."""

    def __init__(self, path: Path, asked: Asked) -> None:
        asked.check((), None, path)
        self.path = path
        try:
            with open(path, "rb") as handle:
                self._header = header = read_header(handle)
                missing = header.offset + header.size - handle.seek(0, 2)
            if missing > 0:
                raise ValueError(
                    f"it declares the shape {header.shape}, {header.size:,} bytes, and {missing:,} bytes are missing"
                )
        except (ValueError, EOFError) as error:
            raise InputError(f"`{path}` is not a whole .npy file of numbers: {error}. Write it again.") from error
        check_shape(header.shape, str(path), None, None)
        self.rows, self.dim = header.shape

    def content(self, start: int, stop: int) -> Content:
        mapped = self._map() if (start, stop) == (0, self.rows) else None
        return Content(self._read(start, stop) if mapped is None else mapped, {})

    def _map(self) -> np.ndarray | None:
        """All rows as pages of the file, which are read when they are used; None where files cannot be mapped.

        Of parts, pages would count as memory in use for as long as the array of all is there.
        """
        order, header = ("F" if self._header.fortran else "C"), self._header
        try:
            return np.asarray(np.memmap(self.path, header.dtype, "r", header.offset, header.shape, order))
        except (ValueError, OSError):  # as some file systems cannot; of damage, reading says best what it is
            return None

    def _read(self, start: int, stop: int) -> np.ndarray:
        dtype, offset, count = self._header.dtype, self._header.offset, stop - start
        with open(self.path, "rb") as handle:
            if not self._header.fortran:
                handle.seek(offset + start * self.dim * dtype.itemsize)
                return self._entries(handle, count * self.dim).reshape(count, self.dim)
            values = np.empty((count, self.dim), dtype.newbyteorder("="))
            for column in range(self.dim):
                handle.seek(offset + (column * self.rows + start) * dtype.itemsize)
                values[:, column] = self._entries(handle, count)
            return values

    def _entries(self, handle: BinaryIO, count: int) -> np.ndarray:
        dtype = self._header.dtype
        raw = handle.read(count * dtype.itemsize)
        if len(raw) < count * dtype.itemsize:
            raise self.truncation()
        return np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="), copy=False)


class _Writer(RowWriter):
    """The header is written again at the end; it has room for any number of rows."""

    def __init__(self, handle: BinaryIO, dim: int) -> None:
        self._handle, self._dim, self._rows, self._start = handle, dim, 0, 0
        self._dtype = np.dtype(np.float64)

    def write(self, points: Unchecked, conditions: Sequence[Column]) -> None:
        if not self._rows:
            self._dtype = np.asarray(points).dtype
            self._write_header()
            self._start = self._handle.tell()
        self._handle.write(np.ascontiguousarray(points, self._dtype).data)
        self._rows += len(points)

    def end(self) -> None:
        self._handle.seek(0)
        self._write_header()
        if self._handle.tell() != self._start and self._rows:
            raise RuntimeError("the header of a .npy file changed its length")

    def _write_header(self) -> None:
        descr, shape = np.lib.format.dtype_to_descr(self._dtype), (self._rows, self._dim)
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._handle, header)
