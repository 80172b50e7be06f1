"""Arrays of zarr in folders, alone or in a group."""

import importlib.util
import math
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from brenier._errors import InputError
from brenier.data.conditions import Column
from brenier.data.memory import check_expansion, stored_bytes
from brenier.data.shapes import check_shape
from brenier.data.stored import Content, Rows, Stored
from brenier.data.table import Unchecked, itemise, shorten
from brenier.files.asked import Asked
from brenier.files.format import Format, RowWriter
from brenier.files.zarr_metadata import is_array, is_group, subfolders

__all__ = ["Zarr", "check_folder"]

_DAMAGE = (OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, EOFError)
"""What zarr and its codecs raise where a folder is damaged."""

_CHUNK_BYTES = 1 << 22
"""Bytes of a chunk that is written."""


class Zarr(Format):
    """A table in an array, or in one of a group, with the columns beside it as other arrays of the group."""

    suffixes = (".zarr",)
    keyed = True
    folder = True

    def open(self, path: Path, asked: Asked) -> Rows:
        _require_zarr(path)
        return _Folder(path, asked)

    def writer(self, target: Unchecked, path: Path, dim: int, columns: list[str] | None, rows: int | None) -> RowWriter:
        _require_zarr(path)
        return _Writer(path, target, dim, columns)

    @contextmanager
    def open_target(self, path: Path) -> Iterator[Any]:
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


class _Folder(Stored):
    def __init__(self, path: Path, asked: Asked) -> None:
        from brenier.files.zarr_store import open_array

        self.path = path
        self._others: dict[str, Any] = {}
        try:
            opened = open_array(path)
            if opened is None:
                opened, self._others = self._from_group(path, asked)
            else:
                asked.check((), None, path)
        except InputError:  # a ValueError, too
            raise
        except _DAMAGE as error:
            raise InputError(f"`{path}` is no folder of zarr that can be read: {error}. Check the path.") from error
        self._array, described = opened
        check_shape(described.shape, str(path), None, None)
        if described.dtype.kind not in "iuf":
            raise InputError(f"`{path}` must hold numbers; got dtype {described.dtype}.")
        self.rows, self.dim = described.shape
        for name, array in self._others.items():
            if array.ndim not in (1, 2) or array.shape[0] != self.rows:
                raise InputError(
                    f"`{path}`: `{shorten(name)}` must have one entry for each of the {self.rows} points; got shape "
                    f"{array.shape}."
                )
        names = described.attributes.get("columns") if isinstance(described.attributes, dict) else None
        if not isinstance(names, list) or len(names) != self.dim or not all(isinstance(name, str) for name in names):
            names = None
        self.columns = names
        self.beside, self.block = list(self._others), self._array.chunks[0]
        self._bytes = stored_bytes(path)

    def _from_group(self, path: Path, asked: Asked) -> tuple[Any, dict[str, Any]]:
        """The array of points in a group, and those beside it that were asked for."""
        from brenier.files.zarr_store import open_array

        present = [name for name in subfolders(path) if is_array(path / name)]
        if not present and not is_group(path):
            raise ValueError("it has neither `zarr.json` nor `.zarray` or `.zgroup`")
        candidates = [name for name in present if name not in asked.columns]
        asked.check(present, present, path)
        chosen = asked.key or ("points" if "points" in candidates else candidates[0] if len(candidates) == 1 else None)
        if chosen not in present:
            there = itemise([shorten(name) for name in present], 10)
            raise InputError(f"`{path}` holds the arrays {there or 'none'}. Choose one with `key`.")
        arrays = {name: open_array(path / name) for name in (chosen, *asked.columns) if name in present}
        taken = {name: arrays[name] for name in asked.columns if name in present}
        return arrays[chosen], {name: opened[0] for name, opened in taken.items() if opened is not None}

    def content(self, start: int, stop: int) -> Content:
        beside = sum(math.prod(array.shape[1:]) * array.dtype.itemsize for array in self._others.values())
        check_expansion((stop - start) * (8 * self.dim + beside), self._bytes, str(self.path))
        try:
            points = np.asarray(self._array[start:stop])
            taken = {name: np.asarray(array[start:stop]) for name, array in self._others.items()}
        except _DAMAGE as error:
            raise InputError(f"`{self.path}`, rows {start:,} to {stop - 1:,}: {error}. Write it again.") from error
        return Content(points, taken)


class _Writer(RowWriter):
    """A group with the array `points`, whose attribute `columns` has the names, and one for each column beside it."""

    def __init__(self, path: Path, folder: Path, dim: int, names: list[str] | None) -> None:
        from brenier.files.zarr_store import create_group

        self._path = path
        self._group: Any = create_group(folder)
        self._arrays: dict[str, Any] = {}
        self._names, self._dim, self._chunk = names, dim, max(_CHUNK_BYTES // (8 * dim), 1)

    def write(self, points: Unchecked, conditions: Sequence[Column]) -> None:
        self._append("points", np.asarray(points))
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


def check_folder(path: Path) -> None:
    """Check now whether a folder of zarr can be written later.

    Raises:
        InputError: The folder cannot be written.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise InputError(f"`{path}` cannot be written: there is no folder `{target.parent}`. Create it first.")
    if target.exists() and not (target / "zarr.json").exists() and not (target / ".zgroup").exists():
        raise InputError(f"`{path}` exists and is no folder of zarr, and would be replaced by one. Name another.")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"`{path}` cannot be written: `{target.parent}` is read-only. Name another folder.")


def _require_zarr(path: Path) -> None:
    """Refuse folders of zarr where that is not installed."""
    if importlib.util.find_spec("zarr") is None:
        raise InputError(f'`{path}`: .zarr folders need zarr. Run `pip install "brenier[zarr]"`.')
