"""One part of an AnnData in an .h5ad file, read from the file some rows at a time."""

from pathlib import Path
from typing import Any

import numpy as np

from brenier._errors import InputError
from brenier.data.cells import Place
from brenier.data.conditions import as_labels
from brenier.data.content import Asked, Content
from brenier.data.frames import frame_columns
from brenier.data.h5ad import names_of, opened_h5ad
from brenier.data.hdf5 import check_parts, check_sparse
from brenier.data.stored.base import Stored

__all__ = ["H5adFile"]


class H5adFile(Stored):
    """A dense matrix, or a sparse one by rows. Columns of obs that are asked for are held in memory.

    Args:
        path: The file.
        asked: `key` names the part, such as `obsm/X_pca`; `X` by default. The columns are those of obs.

    Raises:
        InputError: There is no such part, or its rows cannot be read.
    """

    def __init__(self, path: Path, asked: Asked) -> None:
        self.path = path
        self.part = Place.read(asked.key or "X")
        with open(path, "rb") as handle, opened_h5ad(handle, path, "r") as (file, io):
            parts = [str(self.part), "obs"] + (["var"] if self.part.named else [])
            check_parts(file, parts, handle.seek(0, 2), str(path), whole=False)
            element = file.get(str(self.part))
            if element is None:
                groups = {group: list(file.get(group, ())) for group in ("obsm", "layers")}
                there = {group: keys for group, keys in groups.items() if keys} | ({"X": []} if "X" in file else {})
                raise self.part.missing(str(path), there)
            kind = element.attrs.get("encoding-type", "array")
            if kind not in ("array", "csr_matrix"):
                raise InputError(
                    f"`{path}`: `{self.part}` is stored as {kind}, of which rows cannot be read alone. Write it as an "
                    "array or a csr matrix."
                )
            if kind == "csr_matrix":
                check_sparse(element, str(path), str(self.part))
            shape = element.shape if kind == "array" else tuple(element.attrs["shape"])
            if len(shape) != 2:
                raise InputError(f"`{path}`: `{self.part}` must have two dimensions; got shape {shape}.")
            self.rows, self.dim = (int(length) for length in shape)
            self.block = element.chunks[0] if kind == "array" and element.chunks else 1
            self.columns = names_of(file["var"], io) if self.part.named else None
            self._taken = _columns(file, io, asked, path)
        self.beside = list(self._taken)

    def content(self, start: int, stop: int) -> Content:
        with open(self.path, "rb") as handle, opened_h5ad(handle, self.path, "r") as (file, io):
            element = file[str(self.part)]
            try:
                sparse = element.attrs.get("encoding-type", "array") == "csr_matrix"
                points = io.sparse_dataset(element)[start:stop].toarray() if sparse else np.asarray(element[start:stop])
            except (OSError, ValueError) as error:
                raise InputError(f"`{self.path}`, rows {start:,} to {stop - 1:,}: {error}. Write it again.") from error
        if len(points) != stop - start:
            raise self.shortened()
        return Content(points, {name: values[start:stop] for name, values in self._taken.items()})


def _columns(file: Any, io: Any, asked: Asked, path: Path) -> dict[str, Any]:  # noqa: ANN401
    """Columns of obs that were asked for."""
    present = [str(name) for name in file["obs"].attrs.get("column-order", ())]
    asked.check(present, present, path)
    taken = [name for name in asked.columns if name in present]
    if not taken:
        return {}
    found = frame_columns(io.read_elem(file["obs"])[taken])
    return {str(column.label): as_labels(column) for column in found or ()}
