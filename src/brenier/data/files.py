"""Tables of points in files, and conditions beside them: .npy, .npz, .csv, .tsv, .parquet and .h5ad."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brenier._errors import InputError
from brenier.data.archives import read_npy, read_npz, write_npy, write_npz
from brenier.data.atomic import FilePath, atomic_write
from brenier.data.checks import as_points
from brenier.data.conditions import Column, read_conditions
from brenier.data.content import Asked, Content
from brenier.data.h5ad import read_h5ad, refuse_h5ad
from brenier.data.memory import check_expansion, stored_bytes
from brenier.data.parquet import read_parquet, write_parquet
from brenier.data.table import Table
from brenier.data.text import read_text, write_text

__all__ = ["checked_columns", "read_points", "read_with_conditions", "read_without", "write_points"]

Reader: TypeAlias = Callable[[BinaryIO, Path, Asked], Content]
"""From an open file, its path and what is asked for to what is found."""

Writer: TypeAlias = Callable[[BinaryIO, Path, NDArray[np.generic], list[str] | None, Sequence[Column]], None]
"""To an open file: its path, the points, the names of their columns, and conditions beside them."""


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
    path = Path(path)
    return as_points(_read(path, Asked(key)).points, str(path))


def read_with_conditions(path: FilePath, key: str | None, columns: Sequence[str]) -> tuple[Table, list[Column]]:
    """Read points, and the condition of each from columns that then are not part of the points.

    In text files, a column whose fields are all numbers holds numbers, and any other text; digits with leading zeros
    are text. Empty fields are missing, and so are the usual spellings of that: `NA`, `n/a`, `nan` and `null`; among
    numbers also `none`, `-` and `?`.

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
        InputError: As for `read_points`; or entries of a condition are missing, or no labels or numbers.
    """
    path = Path(path)
    content = _read(path, Asked(key, columns))
    table = as_points(content.points, str(path))
    found = [
        column for name in columns for column in checked_columns(name, content.taken[name], len(table.values), path)
    ]
    names = [column.name for column in found]
    twice = [str(name) for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise InputError(f"`{path}`: `{twice[0]}` is asked for twice as a condition. Name each column once.")
    return table, found


def read_without(path: FilePath, key: str | None, columns: Sequence[str]) -> tuple[Table, Mapping[str, NDArray[Any]]]:
    """Read points from a file that may have columns of conditions, and give those of them that it has.

    Args:
        path: As for `read_points`.
        key: As for `read_with_conditions`.
        columns: Names as there; what they hold is not checked.
    """
    path = Path(path)
    content = _read(path, Asked(key, columns, required=False))
    return as_points(content.points, str(path)), content.taken


def write_points(
    path: FilePath, values: ArrayLike, columns: Sequence[str] | None = None, conditions: Sequence[Column] = ()
) -> None:
    """Write points to a file, whole or not at all. Numbers are kept to the last digit.

    Args:
        path: Ends in .npy, .npz, .csv, .tsv or .parquet; see `add_to_h5ad` for .h5ad files.
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
    _, writer = _format(path)
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
    with atomic_write(path) as handle:
        writer(handle, path, table, names, conditions)


def _read(path: Path, asked: Asked) -> Content:
    if path.is_dir() and path.suffix.lower() in ("", ".parquet", ".zarr"):
        from brenier.data.stored.opening import open_stored

        stored = open_stored(path, asked)
        check_expansion(8 * stored.rows * stored.dim, stored_bytes(path), str(path))
        content = stored.content(0, stored.rows)
        return content._replace(points=Table(stored.checked(content.points, 0, stored.rows), stored.columns))
    reader, _ = _format(path)
    if asked.key is not None and path.suffix.lower() not in (".npz", ".h5ad"):
        raise InputError(
            f"`key` ({asked.key!r}) selects an array of an .npz archive; `{path}` is not one. Leave it out."
        )
    try:
        with open(path, "rb") as handle:
            return reader(handle, path, asked)
    except OSError as error:
        raise InputError(f"`{path}` cannot be read: {error.strerror or error}. Check the path.") from error


def checked_columns(name: str, values: NDArray[Any], rows: int, path: Path) -> list[Column]:
    """One column of conditions, or those of an array; messages name the file and the column."""
    columns = read_conditions(values, rows, f"{path}`, column `{name}")
    several = np.ndim(values) == 2 and len(columns) > 1
    return [Column(f"{name}[{place}]" if several else name, own.values) for place, own in enumerate(columns)]


def _check_conditions(conditions: Sequence[Column], names: list[str] | None, rows: int) -> None:
    own = [column.name for column in conditions]
    taken = [*(names or []), *own]
    if None in own or len(set(taken)) < len(taken):
        raise InputError(f"`conditions` must have names that no other column has; got {own} beside {names}.")
    wrong = [len(column.values) for column in conditions if len(column.values) != rows]
    if wrong:
        raise InputError(f"`conditions` must have one entry for each of the {rows} points; got {wrong[0]}.")


_FORMATS: dict[str, tuple[Reader, Writer]] = {
    ".npy": (read_npy, write_npy),
    ".npz": (read_npz, write_npz),
    ".csv": (read_text, write_text),
    ".tsv": (read_text, write_text),
    ".parquet": (read_parquet, write_parquet),
    ".h5ad": (read_h5ad, refuse_h5ad),
}


def _format(path: Path) -> tuple[Reader, Writer]:
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise InputError(f"`{path}` must end in {', '.join(_FORMATS)}; got {suffix!r}. Rename or convert the file.")
    return _FORMATS[suffix]
