"""Tables of points in files of every format, and conditions beside them: read whole, in parts, and written."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brenier._errors import InputError
from brenier.data.checks import as_points
from brenier.data.conditions import Column, read_conditions
from brenier.data.memory import check_expansion, stored_bytes
from brenier.data.stored import MEMORY, Content, Rows, Stored
from brenier.data.table import Table
from brenier.files import registry
from brenier.files.asked import Asked
from brenier.files.atomic import FilePath
from brenier.files.format import RowWriter
from brenier.files.registry import find_format, format_of

__all__ = [
    "condition_columns",
    "is_stored",
    "open_points",
    "open_rows",
    "read_points",
    "read_with_conditions",
    "read_without",
    "row_writer",
    "write_points",
]

_PROBE = 16
"""Rows that are read at once, to find columns that hold no numbers."""


def open_rows(path: FilePath, asked: Asked) -> Rows:
    """Open a table of any kind, to read all of it or from start to end.

    Args:
        path: .npy, .npz, .csv, .tsv, .parquet (a file or a folder), .zarr or .h5ad.
        asked: Array or part that holds the points, and columns beside them.

    Raises:
        InputError: The file cannot be read.
    """
    path = Path(path)
    format = format_of(path)
    if asked.key is not None and not format.keyed:
        raise InputError(
            f"`key` ({asked.key!r}) selects an array of an .npz archive; `{path}` is not one. Leave it out."
        )
    try:
        return format.open(path, asked)
    except OSError as error:
        raise InputError(f"`{path}` cannot be read: {error.strerror or error}. Check the path.") from error


def is_stored(path: FilePath) -> bool:
    """Whether a file has a format of which any rows can be read."""
    format = find_format(Path(path))
    return format is not None and format.positional


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
        >>> from brenier.files import open_points
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/a.npy", np.arange(6.0).reshape(3, 2))
        ...     open_points(f"{folder}/a.npy").read(1, 3).tolist()
        [[2.0, 3.0], [4.0, 5.0]]
    """
    path = Path(path)
    if not is_stored(path):
        known = ", ".join(suffix for entry in registry.FORMATS if entry.positional for suffix in entry.suffixes)
        raise InputError(f"`{path}` must end in {known}; got {path.suffix!r}. Convert the file.")
    stored = open_rows(path, Asked(key))
    if not isinstance(stored, Stored):
        raise TypeError(f"{type(stored).__name__} is no Stored, though its format is `positional`")
    last = min(_PROBE, stored.rows)
    check_expansion(8 * last * stored.dim, stored_bytes(path), str(path))
    stored.read(0, last)
    return stored.limit_memory(memory)


def read_points(path: FilePath, key: str | None = None) -> Table:
    """Read and check the points in a file.

    Args:
        path: Ends in .npy, .npz, .csv, .tsv, .parquet or .h5ad. Text files may have a header: a first row that is not
            all numbers.
        key: Which array of an .npz archive, needed where it holds several; which part of an .h5ad file, such as
            `obsm/X_pca` or `layers/counts`, `X` by default.

    Raises:
        InputError: The file is missing, of another kind, damaged, or does not hold a table of finite numbers.

    Warns:
        DataWarning: The first row of a text file counts its columns, as a header of pandas does.
    """
    return _read(path, Asked(key))[0]


def read_with_conditions(path: FilePath, key: str | None, columns: Sequence[str]) -> tuple[Table, list[Column]]:
    """Read points, and the condition of each from columns that then are not part of the points.

    In text files, a column whose fields are all numbers holds numbers, any other column text; digits with leading
    zeros are text. Empty fields are missing, and so are the usual spellings of that: `NA`, `n/a`, `nan` and `null`;
    among numbers also `none`, `-` and `?`.

    Args:
        path: As for `read_points`, with a header if it is a text file; not .npy.
        key: Which array of an .npz archive holds the points. Needed where several are left besides the conditions.
        columns: Names of columns (of `obs` in an .h5ad file), or of arrays of an .npz archive with an entry or a row
            for each point. The columns of such an array `c` are called `c[0]`, `c[1]` and so on, and may be asked for
            singly.

    Returns:
        The points, and the conditions in the order of `columns`.

    Raises:
        AbsentError: The file lacks a column.
        InputError: As for `read_points`; or entries of a condition are missing, or neither labels nor numbers.
    """
    path = Path(path)
    table, content = _read(path, Asked(key, columns))
    conditions = [
        column for name in columns for column in condition_columns(name, content.taken[name], len(table.values), path)
    ]
    names = [column.name for column in conditions]
    twice = [str(name) for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise InputError(f"`{path}`: `{twice[0]}` is asked for twice as a condition. Name each column once.")
    return table, conditions


def read_without(path: FilePath, key: str | None, columns: Sequence[str]) -> tuple[Table, Mapping[str, NDArray[Any]]]:
    """Read points from a file that may have columns of conditions, and give those of them that it has.

    Args:
        path: As for `read_points`.
        key: As for `read_with_conditions`.
        columns: Names of columns or arrays, as for `read_with_conditions`; what they hold is not checked.
    """
    table, content = _read(path, Asked(key, columns, required=False))
    return table, content.taken


@contextmanager
def row_writer(path: Path, dim: int, columns: Sequence[str] | None, rows: int | None) -> Iterator[RowWriter]:
    """Open a table for writing; it takes the place of `path` only once the block has ended well.

    Args:
        path: Ends in .npy, .npz, .csv, .tsv, .parquet or .zarr.
        dim: Number of columns.
        columns: Their names, if they have some.
        rows: Number of rows; an .npz archive must know it.

    Raises:
        InputError: The target cannot be written.
    """
    format = format_of(path)
    with format.open_target(path) as target:
        writer = format.writer(target, path, dim, None if columns is None else list(columns), rows)
        yield writer
        writer.end()


def write_points(
    path: FilePath, values: ArrayLike, columns: Sequence[str] | None = None, conditions: Sequence[Column] = ()
) -> None:
    """Write points to a file, whole or not at all. Numbers are kept to the last digit.

    Args:
        path: Ends in .npy, .npz, .csv, .tsv, .parquet or .zarr; see `add_to_h5ad` for .h5ad files.
        values: `(n, d)` numbers.
        columns: Names of the `d` columns. An .npy file has no place for them; text files leave out names that
            would read as a row of numbers.
        conditions: Columns to write beside the points so that `read_with_conditions` finds them; each with a name and
            `n` entries. In an .npz archive they are arrays; an .npy file has no place for them. Where tables have
            conditions but no names, the columns of the points are called x0, x1 and so on.

    Raises:
        InputError: Another suffix, a target that cannot be written, or values and names that do not match.
    """
    path = Path(path)
    format_of(path)
    table = np.asarray(values)
    if table.ndim != 2 or table.dtype.kind not in "iuf" or table.dtype.itemsize > 8:
        raise InputError(
            f"`values` must be a 2-D array of numbers of at most 64 bits; got shape {table.shape}, dtype {table.dtype}."
        )
    if columns is not None and len(columns) != table.shape[1]:
        raise InputError(f"`columns` must name {table.shape[1]} columns, as in `values`; got {len(columns)} names.")
    names = None if columns is None else list(columns)
    if conditions:
        if names is None and path.suffix.lower() != ".npz":
            names = [f"x{j}" for j in range(table.shape[1])]
        _check_conditions(conditions, names, len(table))
    with row_writer(path, table.shape[1], names, len(table)) as writer:
        writer.write(table, conditions)


def _read(path: FilePath, asked: Asked) -> tuple[Table, Content]:
    rows = open_rows(path, asked)
    try:
        content = rows.whole()
    except OSError as error:
        raise InputError(f"`{path}` cannot be read: {error.strerror or error}. Check the path.") from error
    return as_points(content.points, str(path), labels=rows.columns), content


def condition_columns(name: str, values: NDArray[Any], rows: int, path: Path) -> list[Column]:
    """One column of conditions, or those of an array; messages name the file and the column."""
    columns = read_conditions(values, rows, f"{path}`, column `{name}")
    several = np.ndim(values) == 2 and len(columns) > 1
    return [Column(f"{name}[{place}]" if several else name, column.values) for place, column in enumerate(columns)]


def _check_conditions(conditions: Sequence[Column], names: list[str] | None, rows: int) -> None:
    added = [column.name for column in conditions]
    taken = [*(names or []), *added]
    if None in added or len(set(taken)) < len(taken):
        raise InputError(f"`conditions` must have names that no other column has; got {added} beside {names}.")
    wrong = [len(column.values) for column in conditions if len(column.values) != rows]
    if wrong:
        raise InputError(f"`conditions` must have one entry for each of the {rows} points; got {wrong[0]}.")
