"""AnnData, in memory or in a file: which part holds the points, and that part as a table.

Nothing here imports anndata: the objects that users pass have all methods that are needed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.kinds import is_from
from brenier.data.memory import fits, limit_text, rows_at_once, size_text
from brenier.data.table import Table, Unchecked, itemise

__all__ = ["Place", "columns_of", "densify", "is_cells", "read_cells"]

_FROM = {"X": "layers", "layers": "layers", "obsm": "obsm"}
"""Group that images are written to, by the group that the points are in: both have the same columns."""


class Place(NamedTuple):
    """Where the points are.

    Attributes:
        group: `"obsm"`, `"layers"`, or `"X"`.
        key: Name in the group; None for `"X"`.
    """

    group: str = "X"
    key: str | None = None

    @classmethod
    def of(cls, layer: str | None, obsm: str | None) -> "Place":
        """The place that two options mean, of which at most one is given; without either, `.X`.

        Raises:
            InputError: Both are given.
        """
        if layer is not None and obsm is not None:
            raise InputError(f"`layer` ({layer!r}) and `obsm` ({obsm!r}) are both given. Leave one out.")
        if obsm is not None:
            return cls("obsm", obsm)
        return cls() if layer is None else cls("layers", layer)

    @classmethod
    def read(cls, text: str) -> "Place":
        """Read a place from the text that `str` makes of it."""
        group, _, key = text.partition("/")
        return cls(group, key or None)

    def __str__(self) -> str:
        return self.group if self.key is None else f"{self.group}/{self.key}"

    @property
    def named(self) -> bool:
        """Whether its columns are the variables, with their names."""
        return self.group != "obsm"

    def beside(self, suffix: str, key: str | None = None) -> "Place":
        """Where images of the points are written: into `obsm` if they come from there, into a layer otherwise.

        Args:
            suffix: What follows the key of an `obsm`; the key of a layer.
            key: The key to use instead.
        """
        default = f"{self.key}_{suffix}" if self.group == "obsm" else suffix
        return Place(_FROM[self.group], default if key is None else key)

    def missing(self, name: str, present: Mapping[str, Iterable[str]]) -> InputError:
        """The error where there is no such place.

        Args:
            name: What it is missing from.
            present: Keys of `obsm` and `layers`; `X` is among the keys if there is one.
        """
        parts = [f"{group} {itemise(list(keys), 10)}" if keys else group for group, keys in present.items()]
        what = "`.X`" if self.key is None else f"{self.group} '{self.key}'"
        return InputError(f"`{name}` has no {what}; it has {'; '.join(parts) or 'none'}. Choose one of these.")


def is_cells(value: object) -> bool:
    """Whether a value is an AnnData."""
    return is_from(value, "anndata", "AnnData")


def read_cells(adata: Unchecked, name: str, place: Place) -> Table | Unchecked:
    """The points of an AnnData, unchecked, for `as_points`: a table with names, or whatever `obsm` holds.

    Args:
        adata: In memory or backed by a file.
        name: The argument's name in messages.
        place: Which part.

    Raises:
        InputError: There is no such part, or it is sparse and too large to be made dense.
    """
    try:
        part = adata.X if place.key is None else getattr(adata, place.group)[place.key]
    except KeyError:
        part = None
    if part is None:
        present = {group: list(getattr(adata, group)) for group in ("obsm", "layers")}
        there = {group: keys for group, keys in present.items() if keys} | ({} if adata.X is None else {"X": []})
        raise place.missing(name, there)
    values = densify(part, f"{name}`, `{place}")
    return Table(values, [str(name) for name in adata.var_names]) if place.named else values


def densify(part: Unchecked, name: str) -> Unchecked:
    """Turn a part into an array; what is sparse or in a file is read in pieces, so that it is never held twice.

    Args:
        part: NumPy array or frame, sparse matrix, or the like of either in an open file.
        name: What messages call it.

    Raises:
        InputError: The array would be larger than is made dense at once.
    """
    if isinstance(part, np.ndarray) or hasattr(part, "iloc") or not hasattr(part, "shape") or len(part.shape) != 2:
        return part
    if hasattr(part, "chunks") and hasattr(part, "dask"):
        return part
    rows, columns = part.shape
    if not fits(rows * columns):
        raise InputError(
            f"`{name}` has {rows:,} rows and {columns:,} columns, {size_text(rows * columns)} as a dense array in "
            f"double precision; at most {limit_text()} is made. Fit principal components instead, `obsm='X_pca'` after "
            "`scanpy.pp.pca`, or select fewer variables."
        )
    values = np.empty((rows, columns))
    if getattr(part, "format", "") == "csc":  # of which rows cannot be read without reading all of it
        step = rows_at_once(rows)
        for start in range(0, columns, step):
            values[:, start : start + step] = _to_array(part[:, start : start + step])
    else:
        step = rows_at_once(columns)
        for start in range(0, rows, step):
            values[start : start + step] = _to_array(part[start : start + step])
    return values


def _to_array(piece: Unchecked) -> NDArray[Any]:
    return piece.toarray() if hasattr(piece, "toarray") else np.asarray(piece)


def columns_of(obs: Unchecked, names: str | Sequence[str], argument: str, owner: str) -> Unchecked:
    """Columns of the frame of observations, as a frame.

    Args:
        obs: The frame.
        names: One name, or several.
        argument: The argument that names them, in messages.
        owner: What messages call the AnnData.

    Raises:
        InputError: The frame lacks one of the columns.
    """
    columns = [names] if isinstance(names, str) else list(names)
    missing = [repr(name) for name in columns if name not in obs.columns]
    if missing:
        there = itemise([repr(str(name)) for name in obs.columns], 10) or "no columns"
        raise InputError(f"`{argument}` names {itemise(missing)}, which `{owner}.obs` lacks; it has {there}.")
    return obs[columns]
