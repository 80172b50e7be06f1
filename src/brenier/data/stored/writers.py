"""Tables written some rows at a time, whole or not at all."""

import abc
import csv
import io
import os
import secrets
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from brenier._errors import InputError
from brenier.data import archives, text
from brenier.data.atomic import atomic_write
from brenier.data.conditions import Column, label_text
from brenier.data.parquet import require_pyarrow
from brenier.data.stored.zarr import require_zarr
from brenier.data.table import Matrix

__all__ = ["RowWriter", "check_folder", "row_writer"]

_ZARR_BYTES = 1 << 22
"""Of a chunk of an array of zarr."""


class RowWriter(abc.ABC):
    """Takes rows in their order."""

    @abc.abstractmethod
    def write(self, points: Matrix, conditions: Sequence[Column]) -> None:
        """The next rows, with the columns beside them."""

    @abc.abstractmethod
    def end(self) -> None:
        """Write what belongs behind the last row."""


@contextmanager
def row_writer(path: Path, dim: int, columns: Sequence[str] | None, rows: int | None) -> Iterator[RowWriter]:
    """Open a table for writing; it takes the place of `path` only once the block has ended well.

    Args:
        path: Ends in .npy, .npz, .csv, .tsv, .parquet or .zarr.
        dim: Number of columns.
        columns: Their names, if they have some.
        rows: Number of rows; an .npz archive must know it.

    Raises:
        InputError: The target cannot be written.
    """
    suffix, names = path.suffix.lower(), None if columns is None else list(columns)
    if suffix == ".zarr":
        with _atomic_folder(path) as folder:
            writer: RowWriter = _Zarr(path, folder, dim, names)
            yield writer
            writer.end()
        return
    with atomic_write(path) as handle:
        if suffix == ".npy":
            writer = _Npy(handle, dim)
        elif suffix == ".npz":
            writer = _Npz(handle, path, dim, names, rows or 0)
        else:
            writer = (_Parquet if suffix == ".parquet" else _Text)(handle, path, dim, names)
        yield writer
        writer.end()


def check_folder(path: Path) -> None:
    """Check now whether a folder of zarr can be written later.

    Raises:
        InputError: It cannot.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise InputError(f"`{path}` cannot be written: there is no folder `{target.parent}`. Create it first.")
    if target.exists() and not (target / "zarr.json").exists() and not (target / ".zgroup").exists():
        raise InputError(f"`{path}` exists and is no folder of zarr, and would be replaced by one. Name another.")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"`{path}` cannot be written: `{target.parent}` is read-only. Name another folder.")


@contextmanager
def _atomic_folder(path: Path) -> Iterator[Path]:
    """A folder beside the target that takes its place once the block has ended well."""
    check_folder(path)
    target = Path(os.path.realpath(path))
    mark = secrets.token_hex(8)
    temporary, old = target.with_name(f".brenier-{mark}.tmp"), target.with_name(f".brenier-{mark}.old")
    try:
        temporary.mkdir()
        yield temporary
        if target.exists():
            os.replace(target, old)
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"`{path}` cannot be written: {error.strerror or error}. Name another.") from error
    finally:
        if old.exists() and not target.exists():
            os.replace(old, target)
        for left in (temporary, old):
            if left.exists():
                shutil.rmtree(left)


class _Npy(RowWriter):
    """The header is written again at the end; it has room for any number of rows."""

    def __init__(self, handle: BinaryIO, dim: int) -> None:
        self._handle, self._dim, self._rows = handle, dim, 0
        self._header()
        self._start = handle.tell()

    def write(self, points: Matrix, conditions: Sequence[Column]) -> None:
        self._handle.write(np.ascontiguousarray(points, np.float64).data)
        self._rows += len(points)

    def end(self) -> None:
        self._handle.seek(0)
        self._header()
        if self._handle.tell() != self._start:
            raise RuntimeError("the header of an .npy file changed its length")

    def _header(self) -> None:
        shape = (self._rows, self._dim)
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float64)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._handle, header)


class _Npz(RowWriter):
    """Points first, as they come; columns beside them are kept until the end, since members cannot be interleaved."""

    def __init__(self, handle: BinaryIO, path: Path, dim: int, names: list[str] | None, rows: int) -> None:
        self._path, self._names, self._beside = path, names, {}
        self._archive = zipfile.ZipFile(handle, "w")
        self._member = self._archive.open("points.npy", "w", force_zip64=True)
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float64)), "fortran_order": False}
        np.lib.format.write_array_header_1_0(self._member, header | {"shape": (rows, dim)})

    def write(self, points: Matrix, conditions: Sequence[Column]) -> None:
        self._member.write(np.ascontiguousarray(points, np.float64).data)
        for column in conditions:
            self._beside.setdefault(str(column.name), []).append(archives.plain(column.values))

    def end(self) -> None:
        self._member.close()
        names = {} if self._names is None else {"columns": np.array(self._names)}
        beside = archives.joined({name: np.concatenate(own) for name, own in self._beside.items()})
        clash = sorted({"points", "columns"} & beside.keys())
        if clash:
            raise InputError(f"`{self._path}` cannot hold a condition named `{clash[0]}`: its own array has that name.")
        for name, values in (names | beside).items():
            with self._archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)
        self._archive.close()


class _Text(RowWriter):
    def __init__(self, handle: BinaryIO, path: Path, dim: int, names: list[str] | None) -> None:
        self._handle, self._path, self._first = handle, path, True
        self._names = names

    def write(self, points: Matrix, conditions: Sequence[Column]) -> None:
        if self._first:
            names = self._names
            if conditions and names is None:
                names = [f"x{j}" for j in range(points.shape[1])]
            text.write_text(self._handle, self._path, points, names, conditions)
            self._first = False
            return
        wrapped = io.TextIOWrapper(self._handle, encoding="utf-8", newline="")
        writer = csv.writer(wrapped, delimiter=text.delimiter(self._path), lineterminator="\n")
        beside = [text.fields(column.values) for column in conditions]
        writer.writerows([*row, *own] for row, *own in zip(points.tolist(), *beside, strict=True))
        wrapped.detach()

    def end(self) -> None:
        pass


class _Parquet(RowWriter):
    """A row group for each call."""

    def __init__(self, handle: BinaryIO, path: Path, dim: int, names: list[str] | None) -> None:
        require_pyarrow(path)
        self._handle, self._names, self._writer = handle, names or [f"x{j}" for j in range(dim)], None

    def write(self, points: Matrix, conditions: Sequence[Column]) -> None:
        import pyarrow
        from pyarrow import parquet

        arrays = [pyarrow.array(np.ascontiguousarray(column)) for column in points.T]
        arrays += [
            pyarrow.array(
                own.values if own.values.dtype.kind in "biuf" else [label_text(entry) for entry in own.values]
            )
            for own in conditions
        ]
        names = [*self._names, *(str(column.name) for column in conditions)]
        table = pyarrow.Table.from_arrays(arrays, names=names)
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._handle, table.schema)
        self._writer.write_table(table)

    def end(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _Zarr(RowWriter):
    """A group with the array `points`, whose attribute `columns` has the names, and one for each column beside it."""

    def __init__(self, path: Path, folder: Path, dim: int, names: list[str] | None) -> None:
        require_zarr(path)
        from brenier.data.stored.zarr_door import create_group

        self._path = path
        self._group: Any = create_group(folder)
        self._arrays: dict[str, Any] = {}
        self._names, self._dim, self._chunk = names, dim, max(_ZARR_BYTES // (8 * dim), 1)

    def write(self, points: Matrix, conditions: Sequence[Column]) -> None:
        self._append("points", np.asarray(points, np.float64))
        for column in conditions:
            if column.values.dtype.kind not in "biuf":
                raise InputError(
                    f"`{self._path}` cannot hold `{column.name}`, which is text. Write .parquet, .csv or .npz."
                )
            self._append(str(column.name), column.values)

    def end(self) -> None:
        if self._names is not None and "points" in self._arrays:
            self._arrays["points"].attrs["columns"] = self._names

    def _append(self, name: str, values: np.ndarray) -> None:
        array, inner = self._arrays.get(name), values.shape[1:]
        if array is None:
            array = self._group.create_array(name, shape=(0, *inner), chunks=(self._chunk, *inner), dtype=values.dtype)
            self._arrays[name] = array
        start = array.shape[0]
        array.resize((start + len(values), *inner))
        array[start:] = values
