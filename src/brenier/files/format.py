"""What a file format is: how its files are opened, and how they are written."""

import abc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from brenier.data.conditions import Column
from brenier.data.stored import Rows
from brenier.data.table import Unchecked
from brenier.files.asked import Asked
from brenier.files.atomic import atomic_write

__all__ = ["Format", "RowWriter"]


class RowWriter(abc.ABC):
    """Writes rows in the order in which they come."""

    @abc.abstractmethod
    def write(self, points: Unchecked, conditions: Sequence[Column]) -> None:
        """Write the next rows, `(n, d)` numbers, with the columns beside them."""

    @abc.abstractmethod
    def end(self) -> None:
        """Write what belongs behind the last row."""


class Format(abc.ABC):
    """A format of tables of points. There is one reader, which reads all rows or some, and one writer.

    Attributes:
        suffixes: How names of its files end, in lower case.
        positional: Whether any rows can be read, so that `open` gives a `Stored`.
        keyed: Whether its files may hold several tables, of which a key chooses one.
        folder: Whether it is a folder rather than a file.
        alone: Whether points alone can be written to it, without what they are a part of.
    """

    suffixes: ClassVar[tuple[str, ...]]
    positional: ClassVar[bool] = True
    keyed: ClassVar[bool] = False
    folder: ClassVar[bool] = False
    alone: ClassVar[bool] = True

    @abc.abstractmethod
    def open(self, path: Path, asked: Asked) -> Rows:
        """Open a file: a `Stored` where any rows can be read.

        Raises:
            InputError: The file has another format, is damaged, lacks what is asked for, or declares more than it has.
            OSError: The file cannot be read.
        """

    @abc.abstractmethod
    def writer(self, target: Unchecked, path: Path, dim: int, columns: list[str] | None, rows: int | None) -> RowWriter:
        """Begin to write rows.

        Args:
            target: What `open_target` gives.
            path: What messages call the file.
            dim: Number of columns.
            columns: Their names, where they have some.
            rows: Number of rows, where it is known.

        Raises:
            InputError: The format cannot hold this.
        """

    @contextmanager
    def open_target(self, path: Path) -> Iterator[Any]:
        """Open what rows are written to: a file that takes the place of `path` once the block has ended well.

        Raises:
            InputError: The target cannot be written.
        """
        with atomic_write(path) as handle:
            yield handle
