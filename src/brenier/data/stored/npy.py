"""Arrays in .npy files, read by position: pages that were mapped would count as memory in use."""

from pathlib import Path

import numpy as np

from brenier._errors import InputError
from brenier.data.content import Asked, Content
from brenier.data.headers import read_header
from brenier.data.shapes import check_shape
from brenier.data.stored.base import Stored

__all__ = ["NpyFile"]


class NpyFile(Stored):
    """An array of any type of numbers and either order.

    Args:
        path: The file.
        asked: Columns beside the points, which no such file has.

    Raises:
        InputError: It is no .npy file of a table, or not a whole one.
    """

    def __init__(self, path: Path, asked: Asked) -> None:
        asked.check((), None, path)
        self.path = path
        try:
            with open(path, "rb") as handle:
                header = read_header(handle)
                size = handle.seek(0, 2)
        except (ValueError, EOFError) as error:
            raise InputError(f"`{path}` is not a whole .npy file of numbers: {error}. Write it again.") from error
        shape, self._fortran, self._dtype, self._offset = header.shape, header.fortran, header.dtype, header.offset
        check_shape(shape, str(path), None, None)
        if self._dtype.kind not in "iuf":
            raise InputError(f"`{path}` must hold numbers; got dtype {self._dtype}.")
        self.rows, self.dim = shape
        missing = self._offset + self.rows * self.dim * self._dtype.itemsize - size
        if missing > 0:
            raise InputError(f"`{path}` is not a whole .npy file: {missing:,} bytes are missing. Write it again.")

    def content(self, start: int, stop: int) -> Content:
        count, size = stop - start, self._dtype.itemsize
        with open(self.path, "rb") as handle:
            if not self._fortran:
                handle.seek(self._offset + start * self.dim * size)
                found = np.fromfile(handle, self._dtype, count * self.dim)
                if found.size < count * self.dim:
                    raise self.shortened()
                return Content(_native(found).reshape(count, self.dim), {})
            values = np.empty((count, self.dim), self._dtype.newbyteorder("="))
            for column in range(self.dim):
                handle.seek(self._offset + (column * self.rows + start) * size)
                found = np.fromfile(handle, self._dtype, count)
                if found.size < count:
                    raise self.shortened()
                values[:, column] = found
            return Content(values, {})


def _native(values: np.ndarray) -> np.ndarray:
    return values.astype(values.dtype.newbyteorder("="), copy=False)
