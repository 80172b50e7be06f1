"""Files of the command line as clouds of points, and the checks that come before any work."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import typer

from brenier._errors import InputError
from brenier.cli.cells import is_cells, key_of
from brenier.cli.conditions import naming_conditions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brenier.data.conditions import Column
    from brenier.maps import TransportMap

__all__ = [
    "FORMATS",
    "Cloud",
    "Key",
    "TargetKey",
    "check_columns",
    "check_map_output",
    "check_names",
    "check_output",
    "check_table",
    "check_weight",
    "compare_names",
    "read_cloud",
    "read_pair",
    "weight_lines",
]

FORMATS = "a .npy, .npz, .csv, .tsv, .parquet or .h5ad file, a .zarr folder, a folder of .parquet files, or an image"

_CHANNELS = ["red", "green", "blue"]

Key: TypeAlias = Annotated[
    str | None, typer.Option("--key", metavar="NAME", help="Array to read in .npz files that hold several.")
]
TargetKey: TypeAlias = Annotated[
    str | None, typer.Option("--target-key", metavar="NAME", help="Array to read in TARGET, if not --key.")
]


class Cloud(NamedTuple):
    """The points in a file.

    Attributes:
        path: The file.
        table: Its points, or what reads them in parts; the colours of all pixels, from 0 to 1, if it is an image.
        image: Height and width of an image.
        conditions: Columns of the file that are no part of the points, an entry for each.
        weight: The column with the weight of each point, if there is one.
        part: Where in an .h5ad file the points are; None in any other.
    """

    path: Path
    table: Any  # `Table`, or `Stored` where the rows of a fit are read in parts
    image: tuple[int, int] | None = None
    conditions: "Sequence[Column]" = ()
    weight: "Column | None" = None
    part: str | None = None

    @property
    def rows(self) -> int:
        """Number of points."""
        return len(self.table.values) if hasattr(self.table, "values") else self.table.rows

    @property
    def weights(self) -> "NDArray | None":
        """The weights as methods of maps take them."""
        return None if self.weight is None else self.weight.values


def read_cloud(path: Path, key: str | None, conditions: Sequence[str] = (), weight: str | None = None) -> Cloud:
    """Read points or an image.

    Args:
        path: The file.
        key: Which array, if the file is an .npz archive; which part, if it is an .h5ad file, see `key_of`.
        conditions: Names of the columns of a table that hold conditions; see `read_with_conditions`.
        weight: Name of the column that holds weights; the points of a file without it have none.

    Raises:
        InputError: The file cannot be read, not as points, or not with these conditions.
    """
    if weight is not None:
        return _with_weight(path, key, conditions, weight)
    from brenier.data import Table
    from brenier.files import is_image, read_image, to_colours
    from brenier.files.asked import AbsentError
    from brenier.files.points import read_with_conditions

    if not is_image(path):
        with naming_conditions():
            table, columns = read_with_conditions(path, key, conditions)
        return Cloud(path, table, conditions=columns, part=(key or "X") if is_cells(path) else None)
    if key is not None:
        raise InputError(f"`key` ({key!r}) selects an array of an .npz archive; `{path}` is not one. Leave it out.")
    if conditions:
        names = ", ".join(f"`{name}`" for name in conditions)
        raise AbsentError(
            f"`{path}` is an image, whose pixels have no column {names} to take conditions from. Write colours and "
            "conditions to a table instead."
        )
    image = read_image(path)
    return Cloud(path, Table(to_colours(image), _CHANNELS), image.shape[:2])


def _with_weight(path: Path, key: str | None, conditions: Sequence[str], weight: str) -> Cloud:
    """Read points, conditions and the column of weights, if the file has that."""
    from brenier.files.asked import AbsentError

    if weight in conditions:
        raise InputError(f"`{weight}` cannot be both a condition and the weight. Name another column.")
    try:
        cloud = read_cloud(path, key, [*conditions, weight])
    except AbsentError:
        return read_cloud(path, key, conditions)
    *rest, last = cloud.conditions
    if last.name != weight:
        raise InputError(f"`{path}`: `{weight}` has several columns. Weights are one number for each point.")
    return cloud._replace(conditions=rest, weight=last)


def check_weight(weight: str | None, clouds: Sequence[Cloud]) -> None:
    """Raise `InputError` if no file has the column of weights."""
    if weight is not None and all(cloud.weight is None for cloud in clouds):
        paths = " and ".join(f"`{cloud.path}`" for cloud in clouds)
        raise InputError(f"`--weight`: there is no column `{weight}` in {paths}. Name a column of at least one file.")


def weight_lines(clouds: Sequence[Cloud]) -> list[tuple[str, str]]:
    """Which files have weights, for people: a label and a text, or nothing."""
    from brenier.data.weights import as_weights, effective_size

    texts = []
    for cloud in clouds:
        shares = None if cloud.weight is None else as_weights(cloud.weights, cloud.rows, "weight")
        if shares is not None and cloud.weight is not None:
            rows = f"{len(shares):,} rows count as {effective_size(shares):,.0f}"
            texts.append(f"{cloud.weight.name} of {cloud.path}, whose {rows}")
    return [("Weights", "; ".join(texts))] if texts else []


def read_pair(
    source: Path,
    target: Path,
    key: str | None,
    target_key: str | None,
    read: Callable[[Path, str | None], Cloud] = read_cloud,
    cells: str | None = None,
) -> tuple[Cloud, Cloud]:
    """Read two files.

    Args:
        source: First file.
        target: Second file.
        key: Which array, for those of the two that are .npz archives; there must be one.
        target_key: Which array of the target, if it differs from `key`.
        read: How to read one of them.
        cells: Which part, for those of the two that are .h5ad files.
    """
    archives = [path.suffix.lower() == ".npz" for path in (source, target)]
    first = key if archives[0] or not archives[1] else None
    second = key if target_key is None and archives[1] else target_key
    return read(source, key_of(source, first, cells)), read(target, key_of(target, second, cells))


def check_columns(cloud: Cloud, map_: "TransportMap") -> None:
    """Check that a map can take the points of a file.

    Raises:
        InputError: Another number of columns, or other names, than in the fit.
    """
    from brenier.data import as_points

    as_points(cloud.table, str(cloud.path), columns=map_.dim)
    check_names(cloud, map_.columns, "the map")


def check_names(cloud: Cloud, expected: Sequence[str] | None, owner: str) -> None:
    """Check the names of columns, where both sides have some.

    Raises:
        InputError: Other names, or another order.
    """
    compare_names(cloud.path, cloud.table.columns, expected, owner)


def compare_names(path: Path, names: Sequence[str] | None, expected: Sequence[str] | None, owner: str) -> None:
    """Check the names of the columns of a file against those expected; passes where either side has none.

    Raises:
        InputError: Other names, or another order.
    """
    names = None if names is None else list(names)
    expected = None if expected is None else list(expected)
    if names is not None and expected is not None and names != expected:
        what = "order" if sorted(names) == sorted(expected) else "names"
        raise InputError(
            f"`{path}` must have the columns of {owner}, {', '.join(expected)}; got {', '.join(names)}. "
            f"Change the {what} of its columns, or write it without names."
        )


def check_output(path: Path, *inputs: Path) -> None:
    """Check that a file can be written, and is none of those that are read.

    Raises:
        InputError: It cannot be written, or is one of `inputs`.
    """
    from brenier.files.atomic import check_writable

    check_writable(path)
    for file in inputs:
        if path.exists() and file.exists() and os.path.samefile(path, file):
            raise InputError(f"`{path}` is also an input, and would be overwritten. Name another file.")


def check_map_output(path: Path, *inputs: Path) -> None:
    """Check that a map file can be written, is no input, and does not have the name of a table or an image.

    Raises:
        InputError: It cannot be written, is one of `inputs`, or has such a name.
    """
    from brenier.files import is_image
    from brenier.files.registry import table_suffixes

    check_output(path, *inputs)
    if path.suffix.lower() in table_suffixes() or is_cells(path) or is_image(path):
        raise InputError(f"`{path}` is to hold a map. Name it `{path.with_suffix('.brenier')}`.")


def check_table(path: Path) -> None:
    """Check that the name of a file has the suffix of a table.

    Raises:
        InputError: It has not.
    """
    from brenier.files.registry import table_suffixes

    if path.suffix.lower() not in table_suffixes():
        raise InputError(f"`{path}` must end in {', '.join(table_suffixes())}; got {path.suffix!r}.")
