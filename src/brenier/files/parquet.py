"""Tables in .parquet files, one or a folder of them, read batch by batch by pyarrow where that is installed."""

import importlib.util
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from brenier._errors import InputError
from brenier.data.conditions import Column, label_text
from brenier.data.memory import check_expansion
from brenier.data.stored import Content, Rows, Stored
from brenier.data.table import Unchecked, shorten
from brenier.files.asked import Asked
from brenier.files.format import Format, RowWriter

__all__ = ["Parquet"]

_BATCH = 1 << 14
"""Rows that are decoded at once."""

_DAMAGE = (OSError, RuntimeError, LookupError, TypeError, ValueError, OverflowError)
"""What pyarrow raises where a file is damaged; its own exceptions derive from these or from `ArrowException`."""


class Parquet(Format):
    """Columns under names, in a file or in all files of a folder in the order of their names."""

    suffixes = (".parquet",)

    def open(self, path: Path, asked: Asked) -> Rows:
        _require_pyarrow(path)
        return _Files(path, asked)

    def writer(self, target: Unchecked, path: Path, dim: int, columns: list[str] | None, rows: int | None) -> RowWriter:
        _require_pyarrow(path)
        return _Writer(target, columns or [f"x{j}" for j in range(dim)])


class _Files(Stored):
    """Reading goes on where it ended without decoding anything twice; elsewhere it starts at the row group."""

    def __init__(self, path: Path, asked: Asked) -> None:
        self.path = path
        files = sorted(file for file in path.rglob("*.parquet") if file.is_file()) if path.is_dir() else [path]
        if not files:
            raise InputError(f"`{path}` has no .parquet files in it. Name another folder.")
        self._names: list[str] = []
        self._groups: list[tuple[Path, int, int]] = []
        index: list[Any] = []
        for file in files:
            with _reading(f"`{file}` is not a whole .parquet file"), _open(file) as opened:
                names, index, counts = opened.schema_arrow.names, _index(opened.schema_arrow), _counts(opened.metadata)
                check_expansion(_count_bytes(opened.metadata), file.stat().st_size, str(file))
            if self._groups and names != self._names:
                raise InputError(
                    f"`{file}` must have the columns of `{files[0]}`, {', '.join(map(shorten, self._names))}; got "
                    f"{', '.join(map(shorten, names))}."
                )
            self._names = names
            self._groups += [(file, group, rows) for group, rows in enumerate(counts) if rows]
        places = asked.places(self._names, path)
        self._taken = places.taken
        # pandas stores the index of a frame as one more column, unless it only counts the rows.
        self._points = [place for place in places.points if self._names[place] not in index]
        self.columns = [self._names[place] for place in self._points]
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

        whole = (start, stop) == (0, self.rows)
        where = f"`{self.path}`" + ("" if whole else f", rows {start:,} to {stop - 1:,}")
        with self._lock, _reading(f"{where} is not a whole .parquet file"):
            position, self._position = self._position, -1
            if start != position:
                self._seek(start)
            parts, missing = [], stop - start
            while missing > 0:
                batch = self._left if self._left is not None else next(self._batches, None)
                if batch is None:
                    raise self.truncation()
                parts.append(batch.slice(0, missing))
                self._left = batch.slice(missing) if batch.num_rows > missing else None
                missing -= parts[-1].num_rows
            self._position = stop
            table = pyarrow.Table.from_batches(parts)
        with _reading(f"{where} has conditions that are no labels or numbers", "Encode them."):
            taken = {name: table.column(place).to_numpy(zero_copy_only=False) for name, place in self._taken.items()}
        return Content(table.select(self._points), taken)

    def _seek(self, start: int) -> None:
        first = next(place for place, end in enumerate(self._ends) if end > start)
        self._batches = self._decode(first)
        skip, self._left = start - (self._ends[first] - self._groups[first][2]), None
        while skip > 0:
            batch = next(self._batches)
            self._left = batch.slice(skip) if batch.num_rows > skip else None
            skip -= min(batch.num_rows, skip)

    def _decode(self, first: int) -> Iterator[Any]:
        """Batches from a row group on, with all columns: names could stand for several."""
        for file, group, rows in self._groups[first:]:
            with _open(file) as opened:
                # One thread: each takes memory for a page, whose size the file declares.
                for batch in opened.iter_batches(_BATCH, [group], use_threads=False):
                    batch.validate(full=True)  # what is not whole in it, compiled code would not look for
                    rows -= batch.num_rows
                    yield batch
            if rows:
                raise ValueError(f"a row group has {-rows:,} more rows than it declares")


@contextmanager
def _reading(what: str, way_out: str = "Write it again.") -> Iterator[None]:
    """Turn what damage raises in reading into an error that says so."""
    import pyarrow

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata, which are not looked at
            yield
    except InputError:  # a ValueError, too
        raise
    except (*_DAMAGE, pyarrow.ArrowException) as error:
        if getattr(error, "errno", None) is not None:  # of the system, whose reason is a better message
            raise
        raise InputError(f"{what}: {str(error)[:200]}. {way_out}") from error


@contextmanager
def _open(file: Path) -> Iterator[Any]:
    from pyarrow import parquet

    # Otherwise a column of a row group would be fetched as a whole before its first row.
    with open(file, "rb") as handle, parquet.ParquetFile(handle, pre_buffer=False, buffer_size=1 << 16) as opened:
        yield opened


def _counts(metadata: Any) -> list[int]:  # noqa: ANN401
    """Rows of each row group."""
    counts = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    if any(count < 0 for count in counts) or sum(counts) != metadata.num_rows:
        raise ValueError(f"it declares {metadata.num_rows} rows, its parts have others")
    return counts


def _count_bytes(metadata: Any) -> int:  # noqa: ANN401
    """Bytes that a file expands to, by its metadata: values, or text that one page repeats."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    return max(8 * metadata.num_rows * metadata.num_columns, sum(max(group.total_byte_size, 0) for group in groups))


def _index(schema: Any) -> list[Any]:  # noqa: ANN401
    """Names of the columns that pandas made of the index of a frame, as far as its notes can be read."""
    try:
        notes = schema.pandas_metadata
    except (ValueError, RecursionError):
        return []
    names = notes.get("index_columns") if isinstance(notes, dict) else None
    return names if isinstance(names, list) else []


class _Writer(RowWriter):
    """A row group for each call."""

    def __init__(self, handle: BinaryIO, names: list[str]) -> None:
        self._handle, self._names, self._writer = handle, names, None

    def write(self, points: Unchecked, conditions: Sequence[Column]) -> None:
        import pyarrow
        from pyarrow import parquet

        arrays = [pyarrow.array(np.ascontiguousarray(column)) for column in points.T]
        arrays += [pyarrow.array(_to_plain(column)) for column in conditions]
        names = [*self._names, *(str(column.name) for column in conditions)]
        table = pyarrow.Table.from_arrays(arrays, names=names)
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._handle, table.schema)
        self._writer.write_table(table)

    def end(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _to_plain(column: Column) -> Any:  # noqa: ANN401
    values = column.values
    return values if values.dtype.kind in "biuf" else [label_text(entry) for entry in values]


def _require_pyarrow(path: Path) -> None:
    """Refuse .parquet files where pyarrow is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError(f'`{path}`: .parquet files need pyarrow. Run `pip install "brenier[parquet]"`.')
