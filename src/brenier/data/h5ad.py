"""AnnData in .h5ad files, by anndata where that is installed: one part read piece by piece, or added to a copy."""

import importlib.util
import os
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.atomic import atomic_write
from brenier.data.cells import Place, dense
from brenier.data.conditions import as_labels
from brenier.data.content import Asked, Content
from brenier.data.frames import frame_columns
from brenier.data.hdf5 import DAMAGE, check_parts, check_sparse
from brenier.data.table import Matrix, Table, Unchecked, shortened

__all__ = ["add_to_h5ad", "names_of", "opened_h5ad", "read_h5ad", "refuse_h5ad"]


def read_h5ad(handle: BinaryIO, path: Path, asked: Asked) -> Content:
    """Read the part that `asked.key` names, such as `obsm/X_pca`, and columns of `obs`; nothing else.

    Sparse and dense matrices are read some rows at a time, into one array in double precision.

    Raises:
        InputError: There is no such part, or it is too large to be made dense; the file is no AnnData; or there is no
            anndata to read it with.
    """
    place = Place.read(asked.key or "X")
    with opened_h5ad(handle, path, "r") as (file, io), _reading(path):
        parts = [str(place), "obs"] + (["var"] if place.named else [])
        check_parts(file, parts, handle.seek(0, os.SEEK_END), str(path))
        element = file.get(str(place))
        if element is None:
            groups = {group: _keys(file.get(group)) for group in ("obsm", "layers")}
            there = {group: keys for group, keys in groups.items() if keys} | ({"X": []} if "X" in file else {})
            raise place.missing(str(path), there)
        points = _part(element, path, place, io)
        names = names_of(file["var"], io) if place.named else None
        if names is not None and np.ndim(points) == 2 and points.shape[1] != len(names):
            raise ValueError(f"`{place}` has {points.shape[1]} columns, `var` names {len(names)}")
        obs = io.read_elem(file["obs"])
        if not hasattr(obs, "columns"):
            raise ValueError("`obs` is not a frame")
    present = [str(name) for name in obs.columns]
    asked.check(present, present, path)
    taken = [name for name in asked.columns if name in present]
    found = frame_columns(obs[taken]) if taken else []
    columns = {str(column.label): as_labels(column) for column in found or ()}
    return Content(points if names is None else Table(points, names), columns)


def refuse_h5ad(handle: BinaryIO, path: Path, *given: object) -> None:
    """What stands for the writer of the format: points alone are no AnnData."""
    raise InputError(f"`{path}` cannot be written from points alone, without an .h5ad file that they are a part of.")


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
        record: How they came about, for `uns["brenier"]` under the key of the place.
        shape: `(n, d)`, where `values` are blocks.

    Raises:
        InputError: The copy cannot be written.
    """
    with atomic_write(output) as handle:
        with open(source, "rb") as original:
            shutil.copyfileobj(original, handle, 1 << 20)
        handle.flush()
        with opened_h5ad(handle, Path(handle.name), "r+") as (file, io):
            group = _group(file, place.group, io)
            if shape is None:
                io.write_elem(group, str(place.key), values)
            else:
                _write_blocks(group, str(place.key), values, shape)
            if record is not None:
                uns = _group(file, "uns", io)
                others = io.read_elem(uns["brenier"]) if "brenier" in uns else {}
                io.write_elem(uns, "brenier", {**others, str(place.key): dict(record)})


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Damage that shows up in reading, as an error that says so; what anndata says of old formats is not for here."""
    from anndata._io.specs.registry import IORegistryError  # has no public name

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:  # a ValueError, too
        raise
    except (*DAMAGE, IORegistryError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else repr(error)
        raise InputError(f"`{path}` is not a whole .h5ad file: {reason}. Write it again.") from error


def _keys(group: Unchecked) -> list[str]:
    return [shortened(own) for own in group] if hasattr(group, "keys") else []


@contextmanager
def opened_h5ad(handle: BinaryIO, path: Path, mode: str) -> Iterator[tuple[Any, Any]]:
    """A file of HDF5, and the functions of anndata that read and write its parts."""
    if importlib.util.find_spec("anndata") is None:
        raise InputError(f'`{path}`: .h5ad files need anndata. Run `pip install "brenier[anndata]"`.')
    import h5py
    from anndata import io

    try:
        file = h5py.File(handle.name, mode)
    except DAMAGE as error:
        raise InputError(f"`{path}` is not a whole .h5ad file: {error}. Write it again.") from error
    with file:
        try:
            there = set(file)
        except DAMAGE as error:
            raise InputError(f"`{path}` is not a whole .h5ad file: {error}. Write it again.") from error
        if not {"obs", "var"} <= there:
            raise InputError(f"`{path}` is no AnnData: it lacks `obs` or `var`. Write it with `AnnData.write_h5ad`.")
        yield file, io


def _write_blocks(group: Any, key: str, blocks: Iterable[Matrix], shape: tuple[int, int]) -> None:  # noqa: ANN401
    """Write a dense array as `write_elem` does, without ever holding all of it."""
    if key in group:
        del group[key]
    written = group.create_dataset(key, shape=shape, dtype=np.float64)
    written.attrs["encoding-type"], written.attrs["encoding-version"] = "array", "0.2.0"
    start = 0
    for block in blocks:
        written[start : start + len(block)] = block
        start += len(block)


def _group(file: Any, name: str, io: Any) -> Any:  # noqa: ANN401
    if name not in file:
        io.write_elem(file, name, {})
    return file[name]


def _part(element: Unchecked, path: Path, place: Place, io: Any) -> Unchecked:  # noqa: ANN401
    """A matrix in an open file as an array, a frame as one."""
    kind, name = element.attrs.get("encoding-type", "array"), f"{path}`, `{place}"
    if kind in ("csr_matrix", "csc_matrix"):
        check_sparse(element, str(path), str(place))
        return dense(io.sparse_dataset(element), name)
    if kind == "array":
        if not hasattr(element, "ndim"):
            raise ValueError(f"`{place}` is no array")
        return dense(element, name) if element.ndim == 2 else element[()]
    return io.read_elem(element)


def names_of(frame: Unchecked, io: Any) -> list[str]:  # noqa: ANN401
    """The index of a frame in an open file."""
    index: NDArray[Any] = np.asarray(io.read_elem(frame[frame.attrs["_index"]]))
    if index.ndim != 1:
        raise ValueError("the index of `var` is not one name a row")
    return [str(name) for name in index]
