"""Tables in .parquet files, one or a folder of them, read batch by batch."""

import threading
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from brenier._errors import InputError
from brenier.data.content import Asked, Content
from brenier.data.parquet import require_pyarrow
from brenier.data.stored.base import Stored

__all__ = ["ParquetFiles"]

_BATCH = 1 << 14
"""Rows that are decoded at once."""


class ParquetFiles(Stored):
    """The rows of one file, or of all files of a folder in the order of their names.

    Reading goes on where it ended without decoding anything twice; elsewhere it starts at the row group.

    Args:
        path: A file, or a folder; of files in folders in it, too.
        asked: Columns beside the points.

    Raises:
        InputError: No such files, files with different columns, or damaged ones.
    """

    def __init__(self, path: Path, asked: Asked) -> None:
        require_pyarrow(path)
        from pyarrow import parquet

        self.path = path
        files = sorted(own for own in path.rglob("*.parquet") if own.is_file()) if path.is_dir() else [path]
        if not files:
            raise InputError(f"`{path}` has no .parquet files in it. Name another folder.")
        names: list[str] | None = None
        self._groups: list[tuple[Path, int, int]] = []
        for file in files:
            try:
                with parquet.ParquetFile(file) as opened:
                    schema, metadata = opened.schema_arrow, opened.metadata
                    counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
            except ValueError as error:
                raise InputError(f"`{file}` is not a whole .parquet file: {error}. Write it again.") from error
            if names is not None and schema.names != names:
                raise InputError(
                    f"`{file}` must have the columns of `{files[0]}`, {', '.join(names)}; got "
                    f"{', '.join(schema.names)}."
                )
            names = list(schema.names)
            index = (schema.pandas_metadata or {}).get("index_columns", [])
            self._groups += [(file, group, rows) for group, rows in enumerate(counts) if rows]
        places = asked.places(names or [], path)
        self._places = places
        self._points = [place for place in places.points if (names or [])[place] not in index]
        self.columns = [(names or [])[place] for place in self._points]
        self._names = names or []
        self.beside = list(places.taken)
        sizes = [rows for _, _, rows in self._groups]
        self._ends = list(accumulate(sizes))
        self.rows, self.dim = sum(sizes), len(self.columns)
        if not self.rows or not self.dim:
            raise InputError(f"`{path}` has no rows or no columns of points. Is it the right file?")
        self.block = max(sizes)
        self._lock = threading.Lock()
        self._position, self._batches, self._left = -1, iter(()), None

    def content(self, start: int, stop: int) -> Content:
        import pyarrow

        with self._lock:
            try:
                if start != self._position:
                    self._seek(start)
                parts, missing = [], stop - start
                while missing > 0:
                    batch = self._left if self._left is not None else next(self._batches, None)
                    if batch is None:
                        raise self.shortened()
                    parts.append(batch.slice(0, missing))
                    self._left = batch.slice(missing) if batch.num_rows > missing else None
                    missing -= parts[-1].num_rows
                self._position = stop
            except (ValueError, OSError) as error:
                self._position = -1
                if isinstance(error, InputError):
                    raise
                raise InputError(f"`{self.path}`, rows {start:,} to {stop - 1:,}: {error}. Write it again.") from error
        table = pyarrow.Table.from_batches(parts)
        taken = {
            name: table.column(self._names[place]).to_numpy(zero_copy_only=False)
            for name, place in self._places.taken.items()
        }
        return Content(table.select(self.columns or []), taken)

    def _seek(self, start: int) -> None:
        first = next(place for place, end in enumerate(self._ends) if end > start)
        self._batches = self._decoded(first)
        skip, self._left = start - (self._ends[first] - self._groups[first][2]), None
        while skip > 0:
            batch = next(self._batches)
            self._left = batch.slice(skip) if batch.num_rows > skip else None
            skip -= min(batch.num_rows, skip)

    def _decoded(self, first: int) -> Iterator[Any]:
        from pyarrow import parquet

        wanted = [*(self.columns or []), *self.beside]
        for file, group, _ in self._groups[first:]:
            # Otherwise a column of a row group would be fetched as a whole before its first row.
            with parquet.ParquetFile(file, pre_buffer=False, buffer_size=1 << 16) as opened:
                yield from opened.iter_batches(_BATCH, [group], columns=wanted, use_threads=False)
