"""One part of an AnnData in an .h5ad file, read from the file some rows at a time."""

from pathlib import Path
from typing import Any

import numpy as np

from brenier._errors import InputError
from brenier.data.anndata_parts import SparseGroup, encoding
from brenier.data.cells import Place
from brenier.data.content import Asked, Content
from brenier.data.h5ad import names_of, open_part, opened_h5ad, reading_h5ad, taken_columns
from brenier.data.hdf5 import DAMAGE, is_group, locate
from brenier.data.stored.base import Stored
from brenier.data.table import shortened

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
        with open(path, "rb") as handle, opened_h5ad(handle, path, "r") as file, reading_h5ad(path):
            element = open_part(file, self.part, path, handle.seek(0, 2), whole=False)
            matrix = self._matrix(element)
            if len(matrix.shape) != 2:
                raise InputError(f"`{path}`: `{self.part}` must have two dimensions; got shape {matrix.shape}.")
            self.rows, self.dim = matrix.shape
            self.block = (getattr(matrix, "chunks", None) or (1,))[0]
            self.columns = names_of(file, path) if self.part.named else None
            if self.columns is not None and len(self.columns) != self.dim:
                raise ValueError(f"`{self.part}` has {self.dim} columns, `var` names {len(self.columns)}")
            self._taken = taken_columns(file, asked, path)
            for name, values in self._taken.items():
                if len(values) != self.rows:
                    raise ValueError(f"the column {shortened(name)!r} has {len(values)} entries, not {self.rows}")
        self.beside = list(self._taken)

    def content(self, start: int, stop: int) -> Content:
        with open(self.path, "rb") as handle, opened_h5ad(handle, self.path, "r") as file:
            try:
                piece = self._matrix(locate(file, str(self.part), str(self.path)))[start:stop]
                points = piece.toarray() if hasattr(piece, "toarray") else np.asarray(piece)
            except InputError:  # a ValueError, too
                raise
            except DAMAGE as error:
                raise InputError(f"`{self.path}`, rows {start:,} to {stop - 1:,}: {error}. Write it again.") from error
        if len(points) != stop - start:
            raise self.shortened()
        return Content(points, {name: values[start:stop] for name, values in self._taken.items()})

    def _matrix(self, element: Any) -> Any:  # noqa: ANN401
        """The points in an open file, of which rows can be read."""
        kind = encoding(element)
        if kind == "csr_matrix":
            return SparseGroup(element, str(self.path))
        if kind == "array" and not is_group(element):
            return element
        raise InputError(
            f"`{self.path}`: `{self.part}` is stored as {shortened(kind)}, of which rows cannot be read alone. Write "
            "it as an array or a csr matrix."
        )
