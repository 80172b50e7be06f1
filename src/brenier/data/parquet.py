"""Tables in .parquet files, by pyarrow where that is installed."""

import importlib.util
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.conditions import Column, label_text
from brenier.data.content import Asked, Content
from brenier.data.memory import check_expansion

__all__ = ["read_parquet", "require_pyarrow", "write_parquet"]

_DAMAGE = (OSError, RuntimeError, KeyError, TypeError, ValueError, IndexError, OverflowError)
"""What pyarrow raises where a file is damaged."""


def read_parquet(handle: BinaryIO, path: Path, asked: Asked) -> Content:
    """Read a table; the index of a frame counts only where it was asked for."""
    require_pyarrow(path)
    import pyarrow
    from pyarrow import parquet

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata, which are not looked at
            file = parquet.ParquetFile(handle)
            _check_size(file, handle, path)
            # One thread: each takes memory for a page, whose size the file declares.
            table = file.read(use_threads=False)
            table.validate(full=True)  # what is not whole in it, compiled code would not look for
    except InputError:  # a ValueError, too
        raise
    except (*_DAMAGE, pyarrow.ArrowException) as error:
        reason = str(error)[:200]
        raise InputError(f"`{path}` is not a whole .parquet file: {reason}. Write it again.") from error
    places = asked.places(table.column_names, path)
    try:
        taken = {name: table.column(place).to_numpy(zero_copy_only=False) for name, place in places.taken.items()}
    except (*_DAMAGE, pyarrow.ArrowException) as error:
        reason = str(error)[:200]
        raise InputError(f"`{path}` has conditions that are no labels or numbers: {reason}. Encode them.") from error
    # pandas stores the index of a frame as one more column, unless it only counts the rows.
    index = _index(table)
    points = [place for place in places.points if table.column_names[place] not in index]
    return Content(table.select(points), taken)


def _check_size(file: Any, handle: BinaryIO, path: Path) -> None:  # noqa: ANN401
    """Refuse what would become far larger than the file, as its metadata say: values, or text that one page repeats."""
    metadata = file.metadata
    rows, columns = metadata.num_rows, metadata.num_columns
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    declared = sum(max(own.total_byte_size, 0) for own in groups)
    if rows < 0 or sum(own.num_rows for own in groups) != rows:
        raise ValueError(f"it declares {rows} rows, its parts have others")
    stored = handle.seek(0, os.SEEK_END)
    check_expansion(max(8 * rows * columns, declared), stored, str(path))


def _index(table: Any) -> list[Any]:  # noqa: ANN401
    """Names of the columns that pandas made of the index of a frame, as far as its notes can be read."""
    try:
        notes = table.schema.pandas_metadata
    except (ValueError, RecursionError):
        return []
    found = notes.get("index_columns") if isinstance(notes, dict) else None
    return found if isinstance(found, list) else []


def write_parquet(
    handle: BinaryIO,
    path: Path,
    values: NDArray[np.generic],
    columns: list[str] | None,
    conditions: Sequence[Column],
) -> None:
    """Write the columns of the points, x0, x1 and so on where they have no names, and those of the conditions."""
    require_pyarrow(path)
    import pyarrow
    from pyarrow import parquet

    names = [f"x{j}" for j in range(values.shape[1])] if columns is None else columns
    arrays = [pyarrow.array(np.ascontiguousarray(column)) for column in values.T]
    arrays += [pyarrow.array(_plain(column.values)) for column in conditions]
    names = [*names, *(str(column.name) for column in conditions)]
    parquet.write_table(pyarrow.Table.from_arrays(arrays, names=names), handle)


def _plain(values: NDArray[Any]) -> NDArray[Any] | list[str]:
    return values if values.dtype.kind in "biuf" else [label_text(entry) for entry in values]


def require_pyarrow(path: Path) -> None:
    """Refuse .parquet files where pyarrow is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError(f'`{path}`: .parquet files need pyarrow. Run `pip install "brenier[parquet]"`.')
