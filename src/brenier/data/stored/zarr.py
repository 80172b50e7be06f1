"""Arrays of zarr in folders, alone or in a group."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from brenier._errors import InputError
from brenier.data.content import Asked, Content
from brenier.data.shapes import check_shape
from brenier.data.stored.base import Stored

__all__ = ["ZarrFolder", "require_zarr"]


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
        import zarr

        self.path = path
        try:
            root: Any = zarr.open(str(path), mode="r")
        except (ValueError, OSError, KeyError) as error:
            raise InputError(f"`{path}` is no folder of zarr: {error}. Check the path.") from error
        self._others: dict[str, Any] = {}
        if hasattr(root, "array_keys"):
            present = sorted(root.array_keys())
            others = [name for name in present if name not in asked.columns]
            asked.check(present, present, path)
            chosen = asked.key or ("points" if "points" in others else others[0] if len(others) == 1 else None)
            if chosen not in present:
                raise InputError(f"`{path}` holds the arrays {', '.join(present) or 'none'}. Choose one with `key`.")
            self._array = root[chosen]
            self._others = {name: root[name] for name in asked.columns if name in present}
        else:
            asked.check((), None, path)
            self._array = root
        check_shape(self._array.shape, str(path), None, None)
        if np.dtype(self._array.dtype).kind not in "iuf":
            raise InputError(f"`{path}` must hold numbers; got dtype {self._array.dtype}.")
        names = self._array.attrs.get("columns")
        self.rows, self.dim = self._array.shape
        self.columns = list(names) if isinstance(names, list) and len(names) == self.dim else None
        self.beside, self.block = list(self._others), self._array.chunks[0]

    def content(self, start: int, stop: int) -> Content:
        try:
            points = np.asarray(self._array[start:stop])
            taken = {name: np.asarray(array[start:stop]) for name, array in self._others.items()}
        except (ValueError, OSError, RuntimeError) as error:
            raise InputError(f"`{self.path}`, rows {start:,} to {stop - 1:,}: {error}. Write it again.") from error
        return Content(points, taken)


def require_zarr(path: Path) -> None:
    """Refuse folders of zarr where that is not installed."""
    if importlib.util.find_spec("zarr") is None:
        raise InputError(f'`{path}`: .zarr folders need zarr. Run `pip install "brenier[zarr]"`.')
