"""Tables in text, .csv and .tsv: points are numbers, columns beside them may be text."""

import csv
import io
import math
import re
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from brenier._errors import DataWarning, InputError, warn
from brenier.data.conditions import Column, label_text
from brenier.data.content import Asked, Content, Places
from brenier.data.table import Table, shortened

__all__ = ["FieldKind", "delimiter", "fields", "is_number", "parts", "read_text", "write_text"]

_MISSING = {"", "?", "-", "na", "n/a", "null", "none"}
"""Spellings of an absent number; a first row that has some, and numbers besides, is data and not a header."""

_NO_LABEL = {"", "na", "n/a", "nan", "null"}
"""Spellings of an absent label. The others above may well be labels: "none" is a treatment."""

_DIGITS, _INTEGER = re.compile(r"[+-]?[0-9]+"), re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")
"""Digits, and those of them that are numbers: with leading zeros, or too many for 64 bits, they are names."""


def read_text(handle: BinaryIO, path: Path, asked: Asked) -> Content:
    """Parse rows; every complaint names a line."""
    for columns, places, numbers, taken in parts(handle, path, asked, None):
        points = np.frombuffer(numbers, np.float64).reshape(-1, len(places.points))
        names = None if columns is None else [columns[place] for place in places.points]
        return Content(Table(points, names), {name: _typed(fields) for name, fields in taken.items()})
    raise InputError(f"`{path}` has no rows of numbers. Is it the right file?")


def parts(
    handle: BinaryIO, path: Path, asked: Asked, count: int | None
) -> Iterator[tuple[list[str] | None, Places, "array[float]", dict[str, list[str]]]]:
    """Parse rows, so many at a time, or all at once; every complaint names a line.

    Yields:
        Names of all columns, places, the numbers of the points row by row, and the fields of what was asked for.
    """
    columns: list[str] | None = None
    width = 0
    places = Places({}, ())
    numbers, taken = array("d"), {}
    with io.TextIOWrapper(handle, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, delimiter=delimiter(path), strict=True)
        try:
            for row in reader:
                if not row:
                    continue
                if width == 0:
                    width = len(row)
                    if _is_header(row):
                        columns = _header(row, path)
                        places = asked.places(columns, path)
                        taken = {name: [] for name in places.taken}
                        continue
                    asked.check((), None, path)
                    places = Places({}, range(width))
                    _warn_if_counting(row, path)
                if len(row) != width:
                    raise InputError(
                        f"`{path}`, line {reader.line_num}: {len(row)} fields where the lines before have {width}. "
                        f"Fields are separated by {delimiter(path)!r}."
                    )
                for name, place in places.taken.items():
                    taken[name].append(row[place])
                numbers.extend(_parse(row, places.points, columns, path, reader.line_num))
                if count is not None and len(numbers) >= count * len(places.points):
                    yield columns, places, numbers, taken
                    numbers, taken = array("d"), {name: [] for name in places.taken}
        except (csv.Error, UnicodeDecodeError) as error:
            message = f"`{path}`, after line {reader.line_num}: {error}. Save it as plain UTF-8 text."
            raise InputError(message) from error
    if numbers:
        yield columns, places, numbers, taken


class FieldKind:
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
        """The fields as what they are; gaps become None, for others to name."""
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
        column = f"`{shortened(columns[j])}`" if columns else str(j + 1)
        hint = " The decimal mark must be a point, the separator a comma." if ";" in row[j] else ""
        raise InputError(
            f"`{path}`, line {line}, column {column}: {repr(row[j])[:200]} is not a number. "
            f"Drop or encode the column, or drop the line.{hint}"
        ) from error


def _typed(fields: list[str]) -> NDArray[Any]:
    """A column as numbers if all of its fields are some, as text otherwise; gaps become None, for others to name."""
    kind = FieldKind()
    kind.see(fields)
    return kind.read(fields)


def _is_header(row: Sequence[str]) -> bool:
    """Whether the first row names the columns: not all of it is numbers, nor numbers with gaps."""
    words = [field for field in row if not is_number(field)]
    return bool(words) and not (len(words) < len(row) and all(word.strip().lower() in _MISSING for word in words))


def _header(row: list[str], path: Path) -> list[str]:
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
    """Whether a field reads as a number in other programs, too: to Python, 1_000 and digits of any script are some."""
    try:
        float(field)
    except ValueError:
        return False
    return _is_plain(field.strip())


def _is_plain(text: str) -> bool:
    return text.isascii() and "_" not in text


def write_text(
    handle: BinaryIO,
    path: Path,
    values: NDArray[np.generic],
    columns: list[str] | None,
    conditions: Sequence[Column],
) -> None:
    """Write rows of points, with their conditions behind them; names that would read as a row of numbers are left out.

    Raises:
        InputError: Names of conditions would be left out.
    """
    names = None if columns is None else [*columns, *(str(column.name) for column in conditions)]
    named = names is not None and _is_header(names)
    if conditions and not named:
        raise InputError(
            f"`{path}`: its header would read as a row of numbers: {', '.join(names or ())}. Rename a column, or write "
            "another format."
        )
    text = io.TextIOWrapper(handle, encoding="utf-8", newline="")
    writer = csv.writer(text, delimiter=delimiter(path), lineterminator="\n")
    rows = values.tolist()  # Python floats, whose text form is the shortest that reads back exactly
    if conditions:
        beside = zip(*(fields(column.values) for column in conditions), strict=True)
        rows = ([*row, *own] for row, own in zip(rows, beside, strict=True))
    try:
        if names is not None and named:
            writer.writerow(names)
        writer.writerows(rows)
    finally:
        text.detach()  # the handle is closed where it was opened


def fields(values: NDArray[Any]) -> list[Any]:
    """Entries of a column as they are written."""
    return values.tolist() if values.dtype.kind in "iuf" else [label_text(entry) for entry in values]


def delimiter(path: Path) -> str:
    """What separates fields, by the name of the file."""
    return "\t" if path.suffix.lower() == ".tsv" else ","
