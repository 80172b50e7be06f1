"""Tables in .parquet files, by pyarrow where that is installed."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.conditions import Column, label_text
from brenier.data.content import Asked, Content

__all__ = ["read_parquet", "require_pyarrow", "write_parquet"]


def read_parquet(handle: BinaryIO, path: Path, asked: Asked) -> Content:
    """Read a table; the index of a frame counts only where it was asked for."""
    require_pyarrow(path)
    from pyarrow import parquet

    try:
        table = parquet.read_table(handle)
    except ValueError as error:
        raise InputError(f"`{path}` is not a whole .parquet file: {error}. Write it again.") from error
    places = asked.places(table.column_names, path)
    taken = {name: table.column(place).to_numpy(zero_copy_only=False) for name, place in places.taken.items()}
    # pandas stores the index of a frame as one more column, unless it only counts the rows.
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    points = [place for place in places.points if table.column_names[place] not in index]
    return Content(table.select(points), taken)


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
