"""Tables of points in files: .npy, .npz, .csv, .tsv and .parquet."""

import csv
import importlib.util
import io
import warnings
import zipfile
import zlib
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brenier._errors import DataWarning, InputError
from brenier.data.atomic import FilePath, atomic_write
from brenier.data.checks import as_points
from brenier.data.table import Table, Unchecked

__all__ = ["read_points", "write_points"]

Reader: TypeAlias = Callable[[BinaryIO, Path, str | None], Unchecked]
"""From an open file, its path and the key to whatever `as_points` takes."""

Writer: TypeAlias = Callable[[BinaryIO, Path, NDArray[np.generic], list[str] | None], None]
"""To an open file: its path, the points, and the names of their columns."""

_MISSING = {"", "?", "-", "na", "n/a", "null", "none"}
"""Spellings of an absent number; a first row that has some, and numbers besides, is data and not a header."""

_NAMES_KEY = "columns"
"""Member of an .npz archive that holds the names of the columns."""


def read_points(path: FilePath, key: str | None = None) -> Table:
    """Read and check the points in a file.

    Args:
        path: Ends in .npy, .npz, .csv, .tsv or .parquet. Text files may have a header: a first row that is not all
            numbers.
        key: Which array of an .npz archive. Needed where it holds several.

    Raises:
        InputError: The file is missing, of another kind, damaged, or does not hold a table of finite numbers.

    Warns:
        DataWarning: The first row of a text file counts its columns, as a header of pandas does.
    """
    path = Path(path)
    reader, _ = _format(path)
    if key is not None and path.suffix.lower() != ".npz":
        raise InputError(f"`key` ({key!r}) selects an array of an .npz archive; `{path}` is not one. Leave it out.")
    try:
        with open(path, "rb") as handle:
            content = reader(handle, path, key)
    except OSError as error:
        raise InputError(f"`{path}` cannot be read: {error.strerror or error}. Check the path.") from error
    return as_points(content, str(path))


def write_points(path: FilePath, values: ArrayLike, columns: Sequence[str] | None = None) -> None:
    """Write points to a file, whole or not at all. Numbers are kept to the last digit.

    Args:
        path: Ends in .npy, .npz, .csv, .tsv or .parquet.
        values: `(n, d)` numbers.
        columns: Names of the `d` columns. An .npy file has no place for them; text files leave out names that
            would read as a row of numbers.

    Raises:
        InputError: Another suffix, a target that cannot be written, or values and names that do not match.
    """
    path = Path(path)
    _, writer = _format(path)
    table = np.asarray(values)
    if table.ndim != 2 or table.dtype.kind not in "iuf" or table.dtype.itemsize > 8:
        raise InputError(
            f"`values` must be a 2-D array of numbers of at most 64 bits; got shape {table.shape}, dtype {table.dtype}."
        )
    if columns is not None and len(columns) != table.shape[1]:
        raise InputError(f"`columns` must name {table.shape[1]} columns, as in `values`; got {len(columns)} names.")
    with atomic_write(path) as handle:
        writer(handle, path, table, None if columns is None else list(columns))


def _read_npy(handle: BinaryIO, path: Path, key: str | None) -> Unchecked:
    try:
        return np.lib.format.read_array(handle, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"`{path}` is not a whole .npy file of numbers: {error}. Write it again.") from error


def _write_npy(handle: BinaryIO, path: Path, values: NDArray[np.generic], columns: list[str] | None) -> None:
    np.lib.format.write_array(handle, values, allow_pickle=False)


def _read_npz(handle: BinaryIO, path: Path, key: str | None) -> Unchecked:
    try:
        with np.lib.npyio.NpzFile(handle, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if key in (None, name) or name == _NAMES_KEY}
            present = [name for name in archive.files if name != _NAMES_KEY]
    except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"`{path}` is not a whole .npz archive of numbers: {error}. Write it again.") from error
    if key is None and len(present) != 1:
        raise InputError(f"`{path}` holds {len(present)} arrays ({', '.join(present)}). Choose one with `key`.")
    chosen = present[0] if key is None else key
    if chosen not in present:
        raise InputError(f"`{path}` has no array of points named {key!r} (`key`); it has {', '.join(present)}.")
    points, names = arrays[chosen], arrays.get(_NAMES_KEY)
    if names is None:
        return points
    if names.shape != points.shape[1:]:
        raise InputError(
            f"`{path}`: the array `{_NAMES_KEY}` of shape {names.shape} does not name the columns of `{chosen}`, which "
            f"has shape {points.shape}. Remove or rename it."
        )
    return Table(points, [str(name) for name in names])


def _write_npz(handle: BinaryIO, path: Path, values: NDArray[np.generic], columns: list[str] | None) -> None:
    if columns is None:
        np.savez(handle, points=values)
    else:
        np.savez(handle, points=values, columns=np.array(columns))


def _read_text(handle: BinaryIO, path: Path, key: str | None) -> Table:
    """Parse rows of numbers; every complaint names a line."""
    columns: list[str] | None = None
    width = 0
    numbers = array("d")
    with io.TextIOWrapper(handle, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, delimiter=_delimiter(path), strict=True)
        try:
            for row in reader:
                if not row:
                    continue
                if width == 0:
                    width = len(row)
                    if _is_header(row):
                        columns = _header(row, path)
                        continue
                    _warn_if_counting(row, path)
                if len(row) != width:
                    raise InputError(
                        f"`{path}`, line {reader.line_num}: {len(row)} fields where the lines before have {width}. "
                        f"Fields are separated by {_delimiter(path)!r}."
                    )
                numbers.extend(_parse(row, columns, path, reader.line_num))
        except (csv.Error, UnicodeDecodeError) as error:
            message = f"`{path}`, after line {reader.line_num}: {error}. Save it as plain UTF-8 text."
            raise InputError(message) from error
    if not numbers:
        raise InputError(f"`{path}` has no rows of numbers. Is it the right file?")
    return Table(np.frombuffer(numbers, np.float64).reshape(-1, width), columns)


def _parse(row: list[str], columns: list[str] | None, path: Path, line: int) -> list[float]:
    try:
        return [float(field) for field in row]
    except ValueError as error:
        j = next(j for j, field in enumerate(row) if not _is_number(field))
        column = f"`{columns[j]}`" if columns else str(j + 1)
        hint = " The decimal mark must be a point, the separator a comma." if ";" in row[j] else ""
        raise InputError(
            f"`{path}`, line {line}, column {column}: {row[j]!r} is not a number. "
            f"Drop or encode the column, or drop the line.{hint}"
        ) from error


def _is_header(row: list[str]) -> bool:
    """Whether the first row names the columns: not all of it is numbers, nor numbers with gaps."""
    words = [field for field in row if not _is_number(field)]
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
        warnings.warn(message, DataWarning, stacklevel=4)  # points at the caller of `read_points`


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _write_text(handle: BinaryIO, path: Path, values: NDArray[np.generic], columns: list[str] | None) -> None:
    text = io.TextIOWrapper(handle, encoding="utf-8", newline="")
    writer = csv.writer(text, delimiter=_delimiter(path), lineterminator="\n")
    try:
        if columns is not None and _is_header(columns):
            writer.writerow(columns)
        writer.writerows(values.tolist())  # Python floats, whose text form is the shortest that reads back exactly
    finally:
        text.detach()  # the handle is closed where it was opened


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _read_parquet(handle: BinaryIO, path: Path, key: str | None) -> Unchecked:
    _require_pyarrow(path)
    from pyarrow import parquet

    try:
        table = parquet.read_table(handle)
    except ValueError as error:
        raise InputError(f"`{path}` is not a whole .parquet file: {error}. Write it again.") from error
    # pandas stores the index of a frame as one more column, unless it only counts the rows.
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    return table.drop_columns([name for name in index if isinstance(name, str)])


def _write_parquet(handle: BinaryIO, path: Path, values: NDArray[np.generic], columns: list[str] | None) -> None:
    _require_pyarrow(path)
    import pyarrow
    from pyarrow import parquet

    names = [f"x{j}" for j in range(values.shape[1])] if columns is None else columns
    arrays = [pyarrow.array(np.ascontiguousarray(column)) for column in values.T]
    parquet.write_table(pyarrow.Table.from_arrays(arrays, names=names), handle)


def _require_pyarrow(path: Path) -> None:
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError(f'`{path}`: .parquet files need pyarrow. Run `pip install "brenier[parquet]"`.')


_FORMATS: dict[str, tuple[Reader, Writer]] = {
    ".npy": (_read_npy, _write_npy),
    ".npz": (_read_npz, _write_npz),
    ".csv": (_read_text, _write_text),
    ".tsv": (_read_text, _write_text),
    ".parquet": (_read_parquet, _write_parquet),
}


def _format(path: Path) -> tuple[Reader, Writer]:
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise InputError(f"`{path}` must end in {', '.join(_FORMATS)}; got {suffix!r}. Rename or convert the file.")
    return _FORMATS[suffix]
