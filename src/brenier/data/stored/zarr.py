"""Arrays of zarr in folders, alone or in a group."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from brenier._errors import InputError
from brenier.data.content import Asked, Content
from brenier.data.shapes import check_shape
from brenier.data.stored.base import Stored
from brenier.data.stored.zarr_metadata import is_array, is_group, subfolders
from brenier.data.table import listed, shortened

__all__ = ["ZarrFolder", "require_zarr"]

DAMAGE = (OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, EOFError)
"""What zarr and its codecs raise where a folder is damaged."""


class ZarrFolder(Stored):
    """A table in an array, with the columns beside it as other arrays of its group.

    Args:
        path: The folder.
        asked: `key` names the array of a group that has several; the columns are other arrays of it.

    Raises:
        InputError: It is no array of numbers, or not clear which.
    """

    def __init__(self, path: Path, asked: Asked) -> None:
        require_zarr(path)
        from brenier.data.stored.zarr_door import open_array

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
        except DAMAGE as error:
            raise InputError(f"`{path}` is no folder of zarr that can be read: {error}. Check the path.") from error
        self._array, described = opened
        check_shape(described.shape, str(path), None, None)
        if described.dtype.kind not in "iuf":
            raise InputError(f"`{path}` must hold numbers; got dtype {described.dtype}.")
        self.rows, self.dim = described.shape
        for name, other in self._others.items():
            if other.ndim not in (1, 2) or other.shape[0] != self.rows:
                raise InputError(
                    f"`{path}`: `{shortened(name)}` must have one entry for each of the {self.rows} points; got shape "
                    f"{other.shape}."
                )
        names = described.attributes.get("columns") if isinstance(described.attributes, dict) else None
        if not isinstance(names, list) or len(names) != self.dim or not all(isinstance(own, str) for own in names):
            names = None
        self.columns = names
        self.beside, self.block = list(self._others), self._array.chunks[0]

    def _from_group(self, path: Path, asked: Asked) -> tuple[Any, dict[str, Any]]:
        """The array of points in a group, and those beside it that were asked for."""
        from brenier.data.stored.zarr_door import open_array

        present = [name for name in subfolders(path) if is_array(path / name)]
        if not present and not is_group(path):
            raise ValueError("it has neither `zarr.json` nor `.zarray` or `.zgroup`")
        others = [name for name in present if name not in asked.columns]
        asked.check(present, present, path)
        chosen = asked.key or ("points" if "points" in others else others[0] if len(others) == 1 else None)
        if chosen not in present:
            there = listed([shortened(name) for name in present], 10)
            raise InputError(f"`{path}` holds the arrays {there or 'none'}. Choose one with `key`.")
        arrays = {name: open_array(path / name) for name in (chosen, *asked.columns) if name in present}
        taken = {name: arrays[name] for name in asked.columns if name in present}
        return arrays[chosen], {name: opened[0] for name, opened in taken.items() if opened is not None}

    def content(self, start: int, stop: int) -> Content:
        try:
            points = np.asarray(self._array[start:stop])
            taken = {name: np.asarray(array[start:stop]) for name, array in self._others.items()}
        except DAMAGE as error:
            raise InputError(f"`{self.path}`, rows {start:,} to {stop - 1:,}: {error}. Write it again.") from error
        return Content(points, taken)


def require_zarr(path: Path) -> None:
    """Refuse folders of zarr where that is not installed."""
    if importlib.util.find_spec("zarr") is None:
        raise InputError(f'`{path}`: .zarr folders need zarr. Run `pip install "brenier[zarr]"`.')
