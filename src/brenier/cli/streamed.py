"""Files of points on the command line that are too large to be read whole."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from brenier._errors import InputError
from brenier.cli.cells import is_cells
from brenier.cli.clouds import Cloud

if TYPE_CHECKING:
    from brenier.data.stored import Stored

__all__ = [
    "Memory",
    "check_streamed",
    "data_limit",
    "is_archive",
    "is_small",
    "open_side",
    "streamed_line",
    "streamed_record",
    "table_bytes",
]

_SHARE = 4
"""Part of the machine's memory that the data of a command may take, where nothing else was said: one in so many."""

_SMALL = 1 << 20
"""Bytes of a file below which it is read whole."""

_TEXT_GROWS = 4
"""Bytes that a byte of text may become: `1,` is a number of eight."""

Memory: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Memory for the data, such as 500MB: what would take more is read in parts. A quarter of the machine's by "
        "default.",
    ),
]


def data_limit(memory: str | None) -> int:
    """Bytes that the data of a command may take.

    Raises:
        InputError: The text of `--memory` is not a size.
    """
    from brenier.data.memory import machine_bytes, parse_size

    return machine_bytes() // _SHARE if memory is None else parse_size(memory, "--memory")


def open_side(path: Path, key: str | None, memory: str | None) -> Cloud | None:
    """One side of a fit as rows in a file; None where it is to be read whole.

    Args:
        path: The file.
        key: Part of an .h5ad file, array of a .zarr group.
        memory: What `--memory` gave, for both sides together.
    """
    from brenier.data.stored import MEMORY
    from brenier.files.points import is_stored, open_points
    from brenier.files.registry import format_of

    limit = data_limit(memory) // 2
    if not path.exists() or not is_stored(path) or is_small(path, memory):
        return None
    if key is not None and not format_of(path).keyed:
        return None
    stored = open_points(path, key, memory=limit)
    if stored.fits:
        return None
    part = (key or "X") if is_cells(path) else None
    return Cloud(path, stored.limit_memory(limit if memory is not None else min(MEMORY, limit)), part=part)


def check_streamed(clouds: Sequence[Cloud], **options: object) -> None:
    """Check that no option needs all rows at once where a file is read in parts.

    Raises:
        InputError: One does; the message spells its name with dashes.
    """
    for name, value in options.items():
        for cloud in clouds:
            if value and stored_of(cloud) is not None:
                raise InputError(
                    f"`--{name.replace('_', '-')}` needs all rows at once, but `{cloud.path}` would take more than its "
                    "share of memory and is read in parts. Raise `--memory`, fit a part of the rows, or leave it out."
                )


def stored_of(cloud: Cloud) -> "Stored | None":
    """The rows of a cloud that is read in parts; None for one that was read whole."""
    from brenier.data.stored import Stored

    return cloud.table if isinstance(cloud.table, Stored) else None


def streamed_record(clouds: Sequence[Cloud]) -> list[int | None]:
    """Bytes of rows that each side may hold in memory; None where all rows were read."""
    return [None if (stored := stored_of(cloud)) is None else stored.memory for cloud in clouds]


def streamed_line(clouds: Sequence[Cloud]) -> list[tuple[str, str]]:
    """Which files are read in parts, and how much memory each takes, for people: a label and a text, or nothing."""
    from brenier.data.memory import size_text

    texts = [
        f"{cloud.path}, of which at most {size_text(stored.memory / 8)} were in memory"
        for cloud in clouds
        if (stored := stored_of(cloud)) is not None
    ]
    return [("Streamed", "; ".join(texts))] if texts else []


def is_small(path: Path, memory: str | None) -> bool:
    """Whether a file is so small that it is read whole unexamined; never if `--memory` was given."""
    return memory is None and path.is_file() and path.stat().st_size < _SMALL


def table_bytes(path: Path, key: str | None) -> float:
    """Estimated bytes that the points of a table take in double precision, without reading them."""
    from brenier.files.points import is_stored, open_points

    if is_stored(path):
        stored = open_points(path, key)
        return 8.0 * stored.rows * stored.dim
    if is_archive(path):
        with zipfile.ZipFile(path) as archive:
            return float(sum(member.file_size for member in archive.infolist()))
    return _TEXT_GROWS * float(path.stat().st_size)


def is_archive(path: Path) -> bool:
    """Whether a file is an .npz archive, which is read whole."""
    return path.suffix.lower() == ".npz" and zipfile.is_zipfile(path)
