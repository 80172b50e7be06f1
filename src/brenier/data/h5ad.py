"""AnnData in .h5ad files, by anndata where that is installed: one part read piece by piece, or added to a copy."""

import importlib.util
import os
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.anndata_parts import FrameGroup, SparseGroup, encoding
from brenier.data.atomic import atomic_write
from brenier.data.cells import Place, dense
from brenier.data.conditions import as_labels
from brenier.data.content import Asked, Content
from brenier.data.frames import frame_columns
from brenier.data.hdf5 import DAMAGE, check_parts, check_sparse, child, is_group, locate, open_hdf5
from brenier.data.table import Matrix, Table, Unchecked, shortened

__all__ = [
    "add_to_h5ad",
    "names_of",
    "open_part",
    "opened_h5ad",
    "read_h5ad",
    "reading_h5ad",
    "refuse_h5ad",
    "taken_columns",
]


def read_h5ad(handle: BinaryIO, path: Path, asked: Asked) -> Content:
    """Read the part that `asked.key` names, such as `obsm/X_pca`, and columns of `obs`; nothing else.

    Sparse and dense matrices are read some rows at a time, into one array in double precision.

    Raises:
        InputError: There is no such part, or it is too large to be made dense; the file is no AnnData; or there is no
            anndata to read it with.
    """
    place = Place.read(asked.key or "X")
    with opened_h5ad(handle, path, "r") as file, reading_h5ad(path):
        element = open_part(file, place, path, handle.seek(0, os.SEEK_END))
        points = _part(element, path, place)
        names = names_of(file, path) if place.named else None
        if names is not None and np.ndim(points) == 2 and points.shape[1] != len(names):
            raise ValueError(f"`{place}` has {points.shape[1]} columns, `var` names {len(names)}")
        taken = taken_columns(file, asked, path)
    return Content(points if names is None else Table(points, names), taken)


def open_part(file: Any, place: Place, path: Path, stored: int, whole: bool = True) -> Any:  # noqa: ANN401
    """Open the part with the points, after a look at all that is read with it.

    Args:
        file: Of h5py.
        place: Which part.
        path: The file.
        stored: Its bytes.
        whole: Whether all of the part will be in memory at once.

    Raises:
        InputError: There is no such part; or something in it, in `obs` or in `var` leads elsewhere or is too large.
    """
    check_parts(file, [str(place), "obs"] + (["var"] if place.named else []), stored, str(path), whole)
    element = locate(file, str(place), str(path))
    if element is None:
        groups = {group: _keys(child(file, group, str(path))) for group in ("obsm", "layers")}
        there = {group: keys for group, keys in groups.items() if keys} | ({"X": []} if "X" in set(file) else {})
        raise place.missing(str(path), there)
    if is_group(element) and encoding(element) in ("csr_matrix", "csc_matrix"):
        check_sparse(element, str(path), str(place))
    return element


def taken_columns(file: Any, asked: Asked, path: Path) -> dict[str, NDArray[Any]]:  # noqa: ANN401
    """Columns of `obs` that were asked for, of those that it has."""
    obs = FrameGroup(child(file, "obs", str(path)), "obs", str(path))
    asked.check(obs.columns, obs.columns, path)
    names = [name for name in asked.columns if name in obs.columns]
    columns = frame_columns(obs.frame(names)) if names else []
    return {str(column.label): as_labels(column) for column in columns or ()}


def names_of(file: Any, path: Path) -> list[str]:  # noqa: ANN401
    """Names of the variables."""
    return FrameGroup(child(file, "var", str(path)), "var", str(path)).names()


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
        with opened_h5ad(handle, source, "r+") as file:
            from anndata import io

            with reading_h5ad(source):
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
def reading_h5ad(path: Path) -> Iterator[None]:
    """Damage that shows up in reading, as an error that says so."""
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
    return [shortened(name) for name in group] if is_group(group) else []


@contextmanager
def opened_h5ad(handle: BinaryIO, path: Path, mode: str) -> Iterator[Any]:
    """A file of HDF5 that has the parts of an AnnData."""
    if importlib.util.find_spec("anndata") is None:
        raise InputError(f'`{path}`: .h5ad files need anndata. Run `pip install "brenier[anndata]"`.')
    with ExitStack() as stack:
        with reading_h5ad(path):
            file = stack.enter_context(open_hdf5(Path(handle.name), mode))
            names = set(file)
        if not {"obs", "var"} <= names:
            raise InputError(f"`{path}` is no AnnData: it lacks `obs` or `var`. Write it with `AnnData.write_h5ad`.")
        yield file


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


def _part(element: Any, path: Path, place: Place) -> Unchecked:  # noqa: ANN401
    """A matrix in an open file as an array, a frame as one."""
    kind, name = encoding(element), f"{path}`, `{place}"
    if kind in ("csr_matrix", "csc_matrix"):
        return dense(SparseGroup(element, str(path)), name)
    if is_group(element):
        frame = FrameGroup(element, str(place), str(path))
        return frame.frame(frame.columns)
    if kind != "array":
        raise ValueError(f"`{place}` is stored as {shortened(kind)}, which holds no points")
    return dense(element, name) if element.ndim == 2 else element[()]
