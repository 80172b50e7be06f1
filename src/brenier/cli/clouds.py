"""Files of the command line as clouds of points, and the checks that come before any work."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import typer

from brenier._errors import InputError
from brenier.cli.conditions import naming_conditions

if TYPE_CHECKING:
    from brenier.conditional.maps import ConditionalMap
    from brenier.data.conditions import Column
    from brenier.data.table import Table
    from brenier.maps import TransportMap

__all__ = [
    "FORMATS",
    "POINT_SUFFIXES",
    "Cloud",
    "Key",
    "TargetKey",
    "check_columns",
    "check_names",
    "check_output",
    "read_cloud",
    "read_pair",
    "unit_of",
]

POINT_SUFFIXES = (".npy", ".npz", ".csv", ".tsv", ".parquet")
FORMATS = "a .npy, .npz, .csv, .tsv or .parquet file, or an image"

_CHANNELS = ["red", "green", "blue"]

Key: TypeAlias = Annotated[
    str | None, typer.Option("--key", metavar="NAME", help="Array to read in .npz files that hold several.")
]
TargetKey: TypeAlias = Annotated[
    str | None, typer.Option("--target-key", metavar="NAME", help="The same for TARGET, if its array has another name.")
]


class Cloud(NamedTuple):
    """The points in a file.

    Attributes:
        path: The file.
        table: Its points; the colours of all pixels, from 0 to 1, if it is an image.
        image: Height and width of an image.
        conditions: Columns of the file that are no part of the points, an entry for each.
    """

    path: Path
    table: "Table"
    image: tuple[int, int] | None = None
    conditions: "Sequence[Column]" = ()


def read_cloud(path: Path, key: str | None, conditions: Sequence[str] = ()) -> Cloud:
    """Read points or an image.

    Args:
        path: The file.
        key: Which array, if the file is an .npz archive.
        conditions: Names of the columns of a table that hold conditions; see `read_with_conditions`.

    Raises:
        InputError: The file cannot be read, not as points, or not with these conditions.
    """
    from brenier.data import Table, is_image, read_image, to_colours
    from brenier.data.content import AbsentError
    from brenier.data.files import read_with_conditions

    if not is_image(path):
        with naming_conditions():
            table, columns = read_with_conditions(path, key, conditions)
        return Cloud(path, table, conditions=columns)
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


def read_pair(
    source: Path,
    target: Path,
    key: str | None,
    target_key: str | None,
    read: Callable[[Path, str | None], Cloud] = read_cloud,
) -> tuple[Cloud, Cloud]:
    """Read two files.

    Args:
        source: First file.
        target: Second file.
        key: Which array, for those of the two that are .npz archives; there must be one.
        target_key: The same for the target alone.
        read: How to read one of them.
    """
    archives = [path.suffix.lower() == ".npz" for path in (source, target)]
    first = key if archives[0] or not archives[1] else None
    second = key if target_key is None and archives[1] else target_key
    return read(source, first), read(target, second)


def check_columns(cloud: Cloud, map_: "TransportMap | ConditionalMap") -> None:
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
    names = cloud.table.columns
    expected = None if expected is None else list(expected)
    if names is not None and expected is not None and names != expected:
        what = "order" if sorted(names) == sorted(expected) else "names"
        raise InputError(
            f"`{cloud.path}` must have the columns of {owner}, {', '.join(expected)}; got {', '.join(names)}. "
            f"Change the {what} of its columns, or write it without names."
        )


def unit_of(map_: "TransportMap | ConditionalMap") -> str:
    """What distances by a map are measured in."""
    if (map_.coordinates.scale == 1.0).all():
        return "in the units of the data"
    return "with each column in units of its scale (see `brenier inspect`)"


def check_output(path: Path, *inputs: Path) -> None:
    """Check that a file can be written, and is none of those that are read.

    Raises:
        InputError: It cannot, or it is.
    """
    from brenier.data.atomic import check_writable

    check_writable(path)
    for other in inputs:
        if path.exists() and other.exists() and os.path.samefile(path, other):
            raise InputError(f"`{path}` is also an input, and would be overwritten. Name another file.")
