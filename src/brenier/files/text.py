"""Tables in text, .csv and .tsv: points are numbers, columns beside them may be text."""

import csv
import io
import math
import re
from array import array
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brenier._errors import DataWarning, InputError, warn
from brenier.data.conditions import Column, label_text
from brenier.data.stored import Block, Content, Rows
from brenier.data.table import Unchecked, shorten
from brenier.files.asked import Asked, Places
from brenier.files.format import Format, RowWriter

__all__ = ["Text", "is_number"]

_MISSING = {"", "?", "-", "na", "n/a", "null", "none"}
"""Spellings of an absent number; a first row that has some, and numbers besides, is data and not a header."""

_NO_LABEL = {"", "na", "n/a", "nan", "null"}
"""Spellings of an absent label. The others above may well be labels: "none" is a treatment."""

_DIGITS, _INTEGER = re.compile(r"[+-]?[0-9]+"), re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")
"""Digits, and those of them that are numbers: with leading zeros, or too many for 64 bits, they are names."""


_ROWS_AT_ONCE = 1 << 14
"""Rows that are parsed at once where only their number or their kinds are wanted."""


class Text(Format):
    """Rows of fields with commas or tabs between them, under names or not."""

    suffixes = (".csv", ".tsv")
    positional = False

    def open(self, path: Path, asked: Asked) -> Rows:
        return _File(path, asked)

    def writer(self, target: Unchecked, path: Path, dim: int, columns: list[str] | None, rows: int | None) -> RowWriter:
        return _Writer(target, path, columns)


class _Part(NamedTuple):
    """Some rows.

    Attributes:
        points: Numbers of the points, row by row.
        taken: Fields of the columns beside them, by name.
        share: Share of the file that has been read.
    """

    points: NDArray[np.float64]
    taken: dict[str, list[str]]
    share: float


class _File(Rows):
    """Parsed from its first row to its last, once for each time that its rows are wanted.

    The first row with numbers is looked at when it is opened.
    """

    def __init__(self, path: Path, asked: Asked) -> None:
        self.path, self._asked, self.rows, self.dim, self._kinds = path, asked, None, 0, None
        with closing(self._parts(1)) as parts:
            if next(parts, None) is None:
                raise InputError(f"`{path}` has no rows of numbers. Is it the right file?")

    def whole(self) -> Content:
        for part in self._parts(None):
            return Content(part.points, {name: _convert(fields) for name, fields in part.taken.items()})
        raise self.truncation()

    def blocks(self, count: int) -> Iterator[Block]:
        kinds, start = self._seen(), 0
        for part in self._parts(count):
            stop = start + len(part.points)
            taken = {name: kinds[name].read(fields) for name, fields in part.taken.items()}
            yield Block(start, self.check(part.points, start, stop), taken, part.share)
            start = stop

    def count(self) -> int:
        if self.rows is None:
            self.rows = sum(len(part.points) for part in self._parts(_ROWS_AT_ONCE))
        return self.rows

    def _seen(self) -> "dict[str, _FieldKind]":
        """What the columns beside the points hold, which takes all of their fields to say."""
        if self._kinds is None:
            kinds, rows = {name: _FieldKind() for name in self.beside}, 0
            for part in self._parts(_ROWS_AT_ONCE) if kinds else ():
                rows += len(part.points)
                for name, fields in part.taken.items():
                    kinds[name].see(fields)
            self._kinds, self.rows = kinds, rows if kinds else self.rows
        return self._kinds

    def _parts(self, count: int | None) -> Generator[_Part]:
        """Parse rows, so many at a time, or all at once; every complaint names a line."""
        path, size = self.path, max(self.path.stat().st_size, 1)
        places, numbers, taken, width = Places({}, ()), array("d"), {}, 0

        def make(share: float) -> _Part:
            return _Part(np.frombuffer(numbers, np.float64).reshape(-1, self.dim), taken, share)

        with open(path, "rb") as handle, io.TextIOWrapper(handle, encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, delimiter=_delimiter(path), strict=True)
            try:
                for row in filter(None, reader):
                    if width == 0:
                        width, header = len(row), _header(row, path)
                        places = self._place(row, header)
                        taken = {name: [] for name in places.taken}
                        if header is not None:
                            continue
                    if len(row) != width:
                        raise InputError(
                            f"`{path}`, line {reader.line_num}: {len(row)} fields where the lines before have {width}. "
                            f"Fields are separated by {_delimiter(path)!r}."
                        )
                    for name, place in places.taken.items():
                        taken[name].append(row[place])
                    numbers.extend(_parse(row, places.points, self.columns, path, reader.line_num))
                    if count is not None and len(numbers) >= count * self.dim:
                        yield make(min(handle.tell() / size, 1.0))
                        numbers, taken = array("d"), {name: [] for name in places.taken}
            except (csv.Error, UnicodeDecodeError) as error:
                message = f"`{path}`, after line {reader.line_num}: {error}. Save it as plain UTF-8 text."
                raise InputError(message) from error
        if numbers:
            yield make(1.0)

    def _place(self, row: list[str], header: list[str] | None) -> Places:
        """Where the points and the columns beside them are, from the first row."""
        if header is None:
            self._asked.check((), None, self.path)
            places = Places({}, range(len(row)))
            if not self.dim:  # in the first of several passes
                _warn_if_counting(row, self.path)
        else:
            places = self._asked.places(header, self.path)
        self.dim, self.beside = len(places.points), list(places.taken)
        self.columns = None if header is None else [header[place] for place in places.points]
        return places


class _FieldKind:
    """Whether the fields of a column are integers, numbers or text, which takes all of them to say."""

    def __init__(self) -> None:
        self._given, self._integers, self._digits, self._numbers = False, True, True, True

    def see(self, fields: Sequence[str]) -> None:
        """Take some of the fields into account."""
        given = [field for field in map(str.strip, fields) if field.lower() not in _MISSING]
        self._given |= bool(given)
        self._integers = self._integers and all(map(_INTEGER.fullmatch, given))
        self._digits = self._digits and all(map(_DIGITS.fullmatch, given))
        self._numbers = self._numbers and all(map(is_number, given))

    def read(self, fields: Sequence[str]) -> NDArray[Any]:
        """The fields as integers, numbers or text; gaps become None."""
        if self._given and self._integers:
            kind, gaps = int, _MISSING | {"nan"}
        elif self._given and self._numbers and not self._digits:
            kind, gaps = float, _MISSING | {"nan"}
        else:
            kind, gaps = str, _NO_LABEL
        stripped = [field.strip() for field in fields]
        values = [None if field.lower() in gaps else kind(field) for field in stripped]
        return np.array(values, object if kind is str or None in values else None)


def _parse(row: list[str], places: Sequence[int], columns: list[str] | None, path: Path, line: int) -> list[float]:
    try:
        if not _is_plain("".join(row)):
            raise ValueError("digits that only Python takes for some")
        return [float(row[j]) for j in places]
    except ValueError as error:
        wrong = [j for j in places if not is_number(row[j]) and row[j].strip().lower() not in _MISSING]
        if not wrong:  # gaps are left to the check of the whole table, which counts them
            return [float(row[j]) if is_number(row[j]) else math.nan for j in places]
        j = wrong[0]
        column = f"`{shorten(columns[places.index(j)])}`" if columns else str(j + 1)
        hint = " The decimal mark must be a point, the separator a comma." if ";" in row[j] else ""
        raise InputError(
            f"`{path}`, line {line}, column {column}: {repr(row[j])[:200]} is not a number. "
            f"Drop or encode the column, or drop the line.{hint}"
        ) from error


def _convert(fields: list[str]) -> NDArray[Any]:
    """A column as numbers if all of its fields are numbers, as text otherwise; gaps become None."""
    kind = _FieldKind()
    kind.see(fields)
    return kind.read(fields)


def _is_header(row: Sequence[str]) -> bool:
    """Whether the first row names the columns: not all of it is numbers, nor numbers with gaps."""
    words = [field for field in row if not is_number(field)]
    return bool(words) and not (len(words) < len(row) and all(word.strip().lower() in _MISSING for word in words))


def _header(row: list[str], path: Path) -> list[str] | None:
    """The names of the columns; None where the first row is one of numbers."""
    if not _is_header(row):
        return None
    names = [field.strip() for field in row]
    if "" in names:
        raise InputError(
            f"`{path}`: column {names.index('') + 1} has no name. "
            "If it is an index, write the file without it; otherwise name it."
        )
    return names


def _warn_if_counting(row: list[str], path: Path) -> None:
    if len(row) > 1 and row == [str(j) for j in range(len(row))]:
        message = f"The first row of `{path}` reads {','.join(row[:5])}... and is taken as a point. "
        message += "If it numbers the columns, as pandas does, write the file with names or `header=False`."
        warn(message, DataWarning)


def is_number(field: str) -> bool:
    """Whether a field reads as a number in other programs, too: Python also takes 1_000 and digits of any script."""
    try:
        float(field)
    except ValueError:
        return False
    return _is_plain(field.strip())


def _is_plain(text: str) -> bool:
    return text.isascii() and "_" not in text


class _Writer(RowWriter):
    """Rows of points, with their conditions behind them; names that would read as a row of numbers are left out."""

    def __init__(self, handle: BinaryIO, path: Path, names: list[str] | None) -> None:
        self._handle, self._path, self._names, self._first = handle, path, names, True

    def write(self, points: Unchecked, conditions: Sequence[Column]) -> None:
        text = io.TextIOWrapper(self._handle, encoding="utf-8", newline="")
        try:
            writer = csv.writer(text, delimiter=_delimiter(self._path), lineterminator="\n")
            if self._first:
                self._head(writer, points, conditions)
            beside = [_fields(column.values) for column in conditions]
            # `tolist` gives floats of Python, whose text form is the shortest that reads back exactly.
            writer.writerows([*row, *cells] for row, *cells in zip(points.tolist(), *beside, strict=True))
        finally:
            text.detach()  # the handle is closed where it was opened

    def end(self) -> None:
        pass

    def _head(self, writer: Any, points: Unchecked, conditions: Sequence[Column]) -> None:  # noqa: ANN401
        self._first = False
        columns = [f"x{j}" for j in range(points.shape[1])] if conditions and self._names is None else self._names
        names = None if columns is None else [*columns, *(str(column.name) for column in conditions)]
        if names is not None and _is_header(names):
            writer.writerow(names)
        elif conditions:
            raise InputError(
                f"`{self._path}`: its header would read as a row of numbers: {', '.join(names or ())}. Rename a "
                "column, or write another format."
            )


def _fields(values: NDArray[Any]) -> list[Any]:
    """Entries of a column as they are written."""
    return values.tolist() if values.dtype.kind in "iuf" else [label_text(entry) for entry in values]


def _delimiter(path: Path) -> str:
    """What separates fields, by the name of the file."""
    return "\t" if path.suffix.lower() == ".tsv" else ","
