"""AnnData in .h5ad files, where anndata is installed: one part read piece by piece, or added to a copy."""

import importlib.util
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.cells import Place, densify
from brenier.data.conditions import as_labels
from brenier.data.frames import frame_columns
from brenier.data.memory import check_expansion
from brenier.data.stored import Content, Rows, Stored
from brenier.data.table import Matrix, Unchecked, shorten
from brenier.files.anndata_parts import FrameGroup, SparseGroup, encoding
from brenier.files.asked import Asked
from brenier.files.atomic import atomic_write
from brenier.files.format import Format, RowWriter
from brenier.files.hdf5 import DAMAGE, check_parts, check_sparse, child, is_group, locate, open_hdf5

__all__ = ["H5ad", "add_to_h5ad"]


class H5ad(Format):
    """One part of an AnnData, and columns of its `obs`."""

    suffixes = (".h5ad",)
    keyed = True
    alone = False

    def open(self, path: Path, asked: Asked) -> Rows:
        return _File(path, asked)

    def writer(self, target: Unchecked, path: Path, dim: int, columns: list[str] | None, rows: int | None) -> RowWriter:
        raise InputError(
            f"`{path}` cannot be written from points alone, without an .h5ad file that they are a part of."
        )


class _File(Stored):
    """A matrix or a frame. Rows of an array, and of a csr matrix, can be read alone; all can be read as a whole.

    `asked.key` names the part, such as `obsm/X_pca`; `X` by default. Columns of `obs` are held in memory.
    """

    def __init__(self, path: Path, asked: Asked) -> None:
        self.path, self._place = path, Place.read(asked.key or "X")
        with self._part() as (file, element):
            self._stored, name = path.stat().st_size, str(self._place)
            beside = ["obs"] + (["var"] if self._place.named else [])
            check_expansion(check_parts(file, beside, self._stored, str(path)), self._stored, str(path))
            self._size = check_parts(file, [name], self._stored, str(path))
            if element is None:
                raise self._place.missing(str(path), _list_keys(file, path))
            self._kind = encoding(element)
            if self._kind in ("csr_matrix", "csc_matrix") and is_group(element):
                check_sparse(element, str(path), name)
            shape = self._points(element).shape
            if len(shape) != 2:
                raise ValueError(f"`{name}` must have two dimensions; it has the shape {shape}")
            self.rows, self.dim = shape
            self.block = 1 if is_group(element) else (element.chunks or (1,))[0]
            if self._place.named:
                self.columns = FrameGroup(child(file, "var", str(path)), "var", str(path)).names()
                if len(self.columns) != self.dim:
                    raise ValueError(f"`{name}` has {self.dim} columns, `var` names {len(self.columns)}")
            self._taken = _columns(file, asked, path)
            for column, values in self._taken.items():
                if len(values) != self.rows:
                    raise ValueError(f"the column {shorten(column)!r} has {len(values)} entries, not {self.rows}")
        self.beside = list(self._taken)

    def content(self, start: int, stop: int) -> Content:
        whole = (start, stop) == (0, self.rows)
        if whole:
            check_expansion(self._size, self._stored, str(self.path))
        elif self._kind not in ("array", "csr_matrix"):
            raise InputError(
                f"`{self.path}`: `{self._place}` is stored as {shorten(self._kind)}, of which rows cannot be read "
                "alone. Write it as an array or a csr matrix."
            )
        with self._part() as (_, element):
            points = self._points(element)
            if whole:
                points = densify(points, f"{self.path}`, `{self._place}")
            else:
                piece = points[start:stop]
                points = piece.toarray() if hasattr(piece, "toarray") else np.asarray(piece)
        if len(points) != stop - start:
            raise self.truncation()
        return Content(points, {name: values[start:stop] for name, values in self._taken.items()})

    @contextmanager
    def _part(self) -> Iterator[tuple[Any, Any]]:
        """The open file, and the part that holds the points if there is one."""
        with open(self.path, "rb"), _open(self.path, self.path, "r") as file, _reading(self.path):
            yield file, locate(file, str(self._place), str(self.path))

    def _points(self, element: Any) -> Unchecked:  # noqa: ANN401
        """The points in an open file: an array of h5py, a sparse matrix by rows or columns, or a frame."""
        if self._kind in ("csr_matrix", "csc_matrix") and is_group(element):
            return SparseGroup(element, str(self.path))
        if is_group(element):
            frame = FrameGroup(element, str(self._place), str(self.path))
            return frame.frame(frame.columns)
        if self._kind != "array":
            raise ValueError(f"`{self._place}` is stored as {shorten(self._kind)}, which holds no points")
        return element


def _list_keys(file: Any, path: Path) -> dict[str, list[str]]:  # noqa: ANN401
    """Keys of the groups in which points can be, of those that have some."""
    groups = {group: _keys(child(file, group, str(path))) for group in ("obsm", "layers")}
    return {group: keys for group, keys in groups.items() if keys} | ({"X": []} if "X" in set(file) else {})


def _columns(file: Any, asked: Asked, path: Path) -> dict[str, NDArray[Any]]:  # noqa: ANN401
    """Columns of `obs` that were asked for, of those that it has."""
    obs = FrameGroup(child(file, "obs", str(path)), "obs", str(path))
    asked.check(obs.columns, obs.columns, path)
    names = [name for name in asked.columns if name in obs.columns]
    columns = frame_columns(obs.frame(names)) if names else []
    return {str(column.label): as_labels(column) for column in columns or ()}


def add_to_h5ad(
    source: Path,
    output: Path,
    place: Place,
    values: Matrix | Iterable[Matrix],
    record: Mapping[str, Any] | None = None,
    shape: tuple[int, int] | None = None,
) -> None:
    """Write a copy of a file with points added to it, whole or not at all; all else is copied as it is.

    Args:
        source: The file.
        output: The copy.
        place: Where the points go; what is there is replaced.
        values: `(n, d)`, a row for each observation; or such rows block by block, with `shape`.
        record: How the points were made, for `uns["brenier"]` under the key of the place.
        shape: `(n, d)`, where `values` are blocks.

    Raises:
        InputError: The copy cannot be written.
    """
    with atomic_write(output) as handle:
        with open(source, "rb") as original:
            shutil.copyfileobj(original, handle, 1 << 20)
        handle.flush()
        with _open(Path(handle.name), source, "r+") as file:
            from anndata import io

            with _reading(source):
                group, key = _group(file, place.group, io, source), str(place.key)
                if child(group, key, str(source)) is not None:
                    del group[key]
                records = None if record is None else _group(_group(file, "uns", io, source), "brenier", io, source)
            if shape is None:
                io.write_elem(group, key, values)
            else:
                _write_blocks(group, key, values, shape)
            if records is not None and record is not None:
                io.write_elem(records, key, dict(record))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what damage raises in reading into an error that says so."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what old formats did, which is not for here
            yield
    except InputError:  # a ValueError, too
        raise
    except DAMAGE as error:
        reason = str(error).splitlines()[0][:200] if str(error) else repr(error)
        raise InputError(f"`{path}` is not a whole .h5ad file: {reason}. Write it again.") from error


def _keys(group: Unchecked) -> list[str]:
    return [shorten(name) for name in group] if is_group(group) else []


@contextmanager
def _open(file: Path, path: Path, mode: str) -> Iterator[Any]:
    """A file of HDF5 that has the parts of an AnnData; messages call it `path`."""
    if importlib.util.find_spec("anndata") is None:
        raise InputError(f'`{path}`: .h5ad files need anndata. Run `pip install "brenier[anndata]"`.')
    with ExitStack() as stack:
        with _reading(path):
            opened = stack.enter_context(open_hdf5(file, mode))
            names = set(opened)
        if not {"obs", "var"} <= names:
            raise InputError(f"`{path}` is no AnnData: it lacks `obs` or `var`. Write it with `AnnData.write_h5ad`.")
        yield opened


def _write_blocks(group: Any, key: str, blocks: Iterable[Matrix], shape: tuple[int, int]) -> None:  # noqa: ANN401
    """Write a dense array as `write_elem` does, without ever holding all of it."""
    written = group.create_dataset(key, shape=shape, dtype=np.float64)
    written.attrs["encoding-type"], written.attrs["encoding-version"] = "array", "0.2.0"
    start = 0
    for block in blocks:
        written[start : start + len(block)] = block
        start += len(block)


def _group(parent: Any, name: str, io: Any, path: Path) -> Any:  # noqa: ANN401
    """A group in another one, made if it is missing."""
    if child(parent, name, str(path)) is None:
        io.write_elem(parent, name, {})
    group = child(parent, name, str(path))
    if not is_group(group):
        raise InputError(f"`{path}`: `{name}` is no group, so nothing can be added to it. Write the file again.")
    return group
