"""Points in files: read from their first row to their last, or any rows of them."""

import abc
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.checks import as_points
from brenier.data.table import CheckedTable, LabelColumnsError, Matrix, Unchecked, itemise

__all__ = ["MEMORY", "Block", "Content", "Rows", "Stored"]

MEMORY = 256_000_000
"""Bytes that the points of one side may take by default."""

_LEAST_MEMORY = 1_000_000


class Content(NamedTuple):
    """What some rows hold, unchecked.

    Attributes:
        points: The points, in any form that `as_points` takes.
        taken: The columns or arrays that were asked for beside the points, by name.
    """

    points: Unchecked
    taken: Mapping[str, NDArray[Any]]


class Block(NamedTuple):
    """Some rows.

    Attributes:
        start: Number of the first of them.
        points: `(n, dim)`, checked.
        taken: Columns beside them, by name.
        share: Share of the file that has been read, from 0 to 1.
    """

    start: int
    points: Matrix
    taken: Mapping[str, NDArray[Any]]
    share: float


class Rows(abc.ABC):
    """Points in a file or folder, and columns beside them, in their order.

    Attributes:
        path: The file or folder.
        rows: Number of points; None where it is not known before the end.
        dim: Number of columns.
        columns: Their names, where the file has some.
        beside: Names of the columns that were asked for beside the points, as far as the file has them.
    """

    path: Path
    rows: int | None
    dim: int
    columns: list[str] | None = None
    beside: Sequence[str] = ()

    @abc.abstractmethod
    def whole(self) -> Content:
        """All rows at once."""

    @abc.abstractmethod
    def blocks(self, count: int) -> Iterator[Block]:
        """All rows, `count` at a time.

        Raises:
            InputError: Points are not finite numbers, or the file is not whole; the message names file and rows.
        """

    @abc.abstractmethod
    def count(self) -> int:
        """Number of rows, found by reading all of them if need be."""

    def check(self, points: Unchecked, start: int, stop: int) -> Matrix:
        """The points of some rows as numbers, or an error that counts rows from the start of the file."""
        try:
            return as_points(points, str(self.path), columns=self.dim, labels=self.columns).values
        except InputError as error:
            if (start == 0 and stop == self.rows) or isinstance(error, LabelColumnsError):
                raise
            where = f"`{self.path}`, rows {start:,} to {stop - 1:,}"
            bad = _find_nonfinite(points)
            if len(bad):
                rows = itemise([str(start + row) for row in bad])
                raise InputError(
                    f"{where}: NaN or infinity in rows {rows} (from 0). Drop these rows, or fill in the values."
                ) from error
            raise InputError(f"{where}: {error}") from error

    def truncation(self) -> InputError:
        """The error for a file that has become shorter since it was opened."""
        return InputError(f"`{self.path}` has become shorter while it was read. Run this again once it is complete.")


class Stored(Rows):
    """Points in a file of which any rows can be read, so that only those that are asked for are in memory.

    `BrenierMap.fit` takes it as a side: all of it at once where it fits into half of `memory`, in random order through
    a `ShuffledStream` otherwise. Files are opened by `open_points`.

    Attributes:
        rows: Number of points.
        block: Rows that are stored together, so that part of them costs as much as all; 1 where there are no blocks.
        memory: Bytes that a fit may hold of it.
    """

    rows: int  # pyright: ignore[reportIncompatibleVariableOverride] - known from the start
    block: int = 1
    memory: int = MEMORY

    @abc.abstractmethod
    def content(self, start: int, stop: int) -> Content:
        """Rows `start` to `stop`, unchecked, with those of the columns beside them."""

    def whole(self) -> Content:
        return self.content(0, self.rows)

    def blocks(self, count: int) -> Iterator[Block]:
        for start in range(0, self.rows, count):
            stop = min(start + count, self.rows)
            content = self.content(start, stop)
            yield Block(start, self.check(content.points, start, stop), content.taken, stop / self.rows)

    def count(self) -> int:
        return self.rows

    def read(self, start: int, stop: int) -> Matrix:
        """Rows `start` to `stop` in double precision, checked as `as_points` does.

        Raises:
            InputError: Points are not finite numbers, or the file has changed; the message names file and rows.
        """
        return self.check(self.content(start, stop).points, start, stop)

    def limit_memory(self, memory: int) -> "Stored":
        """Set the limit of memory, in bytes, and return these points.

        Raises:
            InputError: The limit is less than a megabyte.
        """
        if memory < _LEAST_MEMORY:
            raise InputError(f"`memory` must be at least {_LEAST_MEMORY:,} bytes; got {memory!r}.")
        self.memory = memory
        return self

    @property
    def fits(self) -> bool:
        """Whether all points, and a copy of them, fit into the memory that a fit may hold of them."""
        return 2 * 8 * self.rows * self.dim <= self.memory

    def table(self) -> CheckedTable:
        """All points at once, checked."""
        return CheckedTable(self.read(0, self.rows), self.columns)

    def __array__(self, *_: object, **__: object) -> NoReturn:
        raise InputError(
            f"`{self.path}` is read in parts, and only `fit` without conditions and weights takes it so. Move its "
            "points with `brenier transform`, or read rows with its method `read`."
        )


def _find_nonfinite(points: Any) -> np.ndarray:  # noqa: ANN401
    """Rows with NaN or infinity, of what can be read as numbers."""
    raw: Any = points
    if hasattr(raw, "column_names"):
        parts = [np.asarray(column.to_numpy(zero_copy_only=False)) for column in raw.columns]
        raw = np.column_stack(parts) if all(part.dtype.kind in "iuf" for part in parts) else np.empty((0, 0))
    raw = np.asarray(raw)
    return np.flatnonzero(~np.isfinite(raw).all(axis=1)) if raw.ndim == 2 and raw.dtype.kind in "iuf" else np.empty(0)
