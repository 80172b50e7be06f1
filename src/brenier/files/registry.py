"""Which format reads and writes which file."""

from pathlib import Path

from brenier._errors import InputError
from brenier.files.format import Format
from brenier.files.h5ad import H5ad
from brenier.files.npy import Npy
from brenier.files.npz import Npz
from brenier.files.parquet import Parquet
from brenier.files.text import Text
from brenier.files.zarr import Zarr

__all__ = ["FORMATS", "find_format", "format_of", "register_format", "table_suffixes"]

FORMATS: list[Format] = [Npy(), Npz(), Text(), Parquet(), H5ad(), Zarr()]
"""All formats, in the order in which messages name them."""


def table_suffixes() -> tuple[str, ...]:
    """Suffixes of the files to which points alone can be written."""
    return tuple(suffix for known in FORMATS if known.alone and not known.folder for suffix in known.suffixes)


def register_format(format: Format) -> None:
    """Let another format be read and written wherever files of points are, in this process.

    Args:
        format: Its suffixes must be new.

    Raises:
        InputError: A suffix is taken.
    """
    taken = [suffix for known in FORMATS for suffix in known.suffixes if suffix in format.suffixes]
    if taken:
        raise InputError(f"`format` has the suffix {taken[0]}, which another format has. Choose a new one.")
    FORMATS.append(format)


def find_format(path: Path) -> Format | None:
    """The format of a path by its suffix, None if unknown; a folder without a suffix has .parquet files in it."""
    suffix = path.suffix.lower()
    wanted = ".parquet" if suffix == "" and path.is_dir() else suffix
    return next((known for known in FORMATS if wanted in known.suffixes), None)


def format_of(path: Path) -> Format:
    """The format of a path by its suffix.

    Raises:
        InputError: No format has this suffix.
    """
    format = find_format(path)
    if format is None:
        known = ", ".join(suffix for entry in FORMATS if not entry.folder for suffix in entry.suffixes)
        raise InputError(f"`{path}` must end in {known}; got {path.suffix!r}. Rename or convert the file.")
    return format
