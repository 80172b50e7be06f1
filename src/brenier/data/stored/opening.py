"""Which class reads which file."""

from collections.abc import Callable
from pathlib import Path

from brenier._errors import InputError
from brenier.data.atomic import FilePath
from brenier.data.content import Asked
from brenier.data.memory import check_expansion, stored_bytes
from brenier.data.stored.base import MEMORY, Stored
from brenier.data.stored.h5ad import H5adFile
from brenier.data.stored.npy import NpyFile
from brenier.data.stored.parquet import ParquetFiles
from brenier.data.stored.zarr import ZarrFolder

__all__ = ["is_stored", "open_points", "open_stored"]

_PROBE = 16
"""Rows that are read at once, to find columns that hold no numbers."""

_FORMATS: dict[str, Callable[[Path, Asked], Stored]] = {
    ".npy": NpyFile,
    ".parquet": ParquetFiles,
    ".zarr": ZarrFolder,
    ".h5ad": H5adFile,
}


def open_points(path: FilePath, key: str | None = None, *, memory: int = MEMORY) -> Stored:
    """Open points that may be larger than memory, as a side of `BrenierMap.fit`.

    Where they take more than half of `memory` in double precision, a fit reads them block by block in random order; it
    then holds no more of them than `memory` at any time, besides one stored block (row group, chunk) while this is
    decoded. See docs/larger-than-memory.md.

    Args:
        path: A .npy, .parquet or .h5ad file, a .zarr folder, or a folder of .parquet files with the same columns.
        key: Which array of a .zarr group, which part of an .h5ad file (`X` by default).
        memory: Bytes, at least a million.

    Raises:
        InputError: The file is missing, of another kind, damaged, or does not hold a table of finite numbers.

    Example:
        >>> import numpy as np, tempfile
        >>> from brenier.data import open_points
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/a.npy", np.arange(6.0).reshape(3, 2))
        ...     open_points(f"{folder}/a.npy").read(1, 3).tolist()
        [[2.0, 3.0], [4.0, 5.0]]
    """
    return open_stored(path, Asked(key)).limited(memory)


def is_stored(path: FilePath) -> bool:
    """Whether a file is of a kind that can be read some rows at a time, in any order."""
    path = Path(path)
    return path.suffix.lower() in _FORMATS or (path.is_dir() and path.suffix == "")


def open_stored(path: FilePath, asked: Asked) -> Stored:
    """The same with columns beside the points."""
    path = Path(path)
    kind = _FORMATS.get(path.suffix.lower(), ParquetFiles if path.is_dir() else None)
    if kind is None:
        raise InputError(f"`{path}` must end in {', '.join(_FORMATS)}; got {path.suffix!r}. Convert the file.")
    if asked.key is not None and kind not in (ZarrFolder, H5adFile):
        raise InputError(f"`key` ({asked.key!r}) selects a part of .zarr and .h5ad; `{path}` is neither. Leave it out.")
    try:
        stored = kind(path, asked)
        last = min(_PROBE, stored.rows)
        check_expansion(8 * last * stored.dim, stored_bytes(path), str(path))
        stored.checked(stored.content(0, last).points, 0, last)
    except OSError as error:
        raise InputError(f"`{path}` cannot be read: {error.strerror or error}. Check the path.") from error
    return stored
