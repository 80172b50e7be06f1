"""Parts of an AnnData in an open file of HDF5, read by their encoding: frames, their columns, sparse matrices.

anndata itself would follow whatever a file says about where its data are: the names of columns and of the index come
from attributes, which may be paths to anywhere. Here each object is opened by `child`, which refuses that.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.table import Unchecked, shorten
from brenier.files.hdf5 import child, is_group, is_name

__all__ = ["FrameGroup", "SparseGroup", "encoding"]

_OLD_CATEGORIES = "__categories"
"""Group of a frame that anndata before 0.8 wrote, with the categories of its columns under their names."""


def encoding(element: Any) -> str:  # noqa: ANN401
    """How a part is stored, in the words of anndata; old files do not say it of plain arrays."""
    return element.attrs.get("encoding-type", "dict" if is_group(element) else "array")


class FrameGroup:
    """A frame, of which columns are read as they are asked for.

    Args:
        group: The group of the frame, of h5py, or what the file has in its place.
        name: What messages call it.
        where: What messages call the file.

    Attributes:
        columns: Names of the columns.

    Raises:
        ValueError: The group is not a frame.
        InputError: The name of a column or of the index is a path that leads elsewhere.
    """

    def __init__(self, group: Any, name: str, where: str) -> None:  # noqa: ANN401
        if not is_group(group) or encoding(group) != "dataframe":
            raise ValueError(f"`{name}` is not a frame")
        self._group, self._name, self._where = group, name, where
        self.columns = [_text(entry) for entry in np.ravel(group.attrs.get("column-order", ()))]
        self._index = _text(group.attrs["_index"])
        # A slash inside is no way out: some have written columns called so, which can be left unread.
        paths = [column for column in self.columns if {"", ".", ".."} & set(column.split("/"))]
        if paths or not is_name(self._index):
            path = shorten(paths[0] if paths else self._index)
            raise InputError(f"`{where}`: {path!r} in `{name}` is a path, not the name of a column. Write it again.")

    def names(self) -> list[str]:
        """The index as text."""
        index = np.asarray(self.column(self._index))
        if index.ndim != 1:
            raise ValueError(f"the index of `{self._name}` is not one name a row")
        return [str(name) for name in index]

    def frame(self, names: list[str]) -> Any:  # noqa: ANN401
        """Some columns as a frame of pandas, without its index."""
        import pandas as pd

        return pd.DataFrame({name: self.column(name) for name in names}, columns=pd.Index(names, dtype=object))

    def column(self, name: str) -> Unchecked:
        """One column, as pandas takes it.

        Raises:
            ValueError: The column is missing, or not encoded as a column.
            InputError: The entries lie elsewhere.
        """
        import pandas as pd

        element = self._child(self._group, name)
        kind = encoding(element)
        if not is_group(element):
            values = _entries(element, name)
            if "categories" not in element.attrs:
                return values
            kept = self._child(self._child(self._group, _OLD_CATEGORIES), name)
            return pd.Categorical.from_codes(values, pd.Index(_entries(kept, name)))
        if kind == "categorical":
            codes = _entries(self._child(element, "codes"), name)
            categories = self._read_plain(self._child(element, "categories"), name)
            return pd.Categorical.from_codes(codes, pd.Index(categories))
        return self._read_plain(element, name)

    def _read_plain(self, element: Any, name: str) -> Unchecked:  # noqa: ANN401
        """An array, or one with a mask of what is missing."""
        import pandas as pd

        if not is_group(element):
            return _entries(element, name)
        kind = encoding(element)
        if kind not in ("nullable-integer", "nullable-boolean", "nullable-string-array"):
            raise ValueError(f"the column {shorten(name)!r} of `{self._name}` is stored as {shorten(kind)}")
        values, mask = (_entries(self._child(element, part), name) for part in ("values", "mask"))
        if mask.dtype != bool or mask.shape != values.shape:
            raise ValueError(f"the column {shorten(name)!r} of `{self._name}` has a mask of another shape")
        if kind == "nullable-string-array":
            text = values.astype(object)
            text[mask] = None
            return text
        made = pd.arrays.IntegerArray if kind == "nullable-integer" else pd.arrays.BooleanArray
        return made(values, mask)

    def _child(self, group: Any, name: str) -> Any:  # noqa: ANN401
        element = child(group, name, self._where) if is_group(group) else None
        if element is None:
            raise ValueError(f"`{self._name}` lacks {shorten(name)!r}")
        return element


def _text(value: Unchecked) -> str:
    if not isinstance(value, str | bytes):
        raise ValueError(f"a name is {value!r}, which is no text")
    return value.decode() if isinstance(value, bytes) else str(value)


def _entries(array: Any, name: str) -> NDArray[Any]:  # noqa: ANN401
    """Numbers, truth values or text, one a row."""
    if is_group(array) or array.ndim != 1 or array.dtype.kind not in "biufSO":
        raise ValueError(f"{shorten(name)!r} is no column of numbers or text")
    if array.dtype.kind in "SO":  # of references, `asstr` says what they are
        return np.asarray(array.asstr()[()], object)
    return array[()]


class SparseGroup:
    """A sparse matrix, of which some rows, or columns where it is stored by these, are read at a time.

    Args:
        group: The group of the matrix, of h5py, after `check_sparse`.
        where: What messages call the file.

    Attributes:
        format: `"csr"` or `"csc"`.
        shape: Rows and columns.
    """

    def __init__(self, group: Any, where: str) -> None:  # noqa: ANN401
        self.format = encoding(group)[:3]
        self.shape = tuple(int(length) for length in np.ravel(group.attrs["shape"]))
        parts = ("data", "indices", "indptr")
        self._data, self._indices, self._pointers = (child(group, part, where) for part in parts)

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401
        """Some rows `[a:b]` as a matrix of SciPy; of csc, some columns `[:, a:b]`."""
        from scipy import sparse

        by_rows = self.format == "csr"
        major, minor = self.shape if by_rows else self.shape[::-1]
        start, stop, _ = (key if by_rows else key[1]).indices(major)
        pointers = self._pointers[start : stop + 1]
        first, last = int(pointers[0]), int(pointers[-1])
        data, indices = self._data[first:last], self._indices[first:last]
        inside = not len(indices) or (indices.min() >= 0 and indices.max() < minor)
        if not (inside and (pointers[1:] >= pointers[:-1]).all() and len(data) == len(indices) == last - first):
            raise ValueError("a sparse matrix is not the one that it was when it was opened")
        made = sparse.csr_matrix if by_rows else sparse.csc_matrix
        shape = (stop - start, minor) if by_rows else (minor, stop - start)
        return made((data, indices, pointers - first), shape)
