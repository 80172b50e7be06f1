"""Files of points and images: one format a file, each with one reader and one writer.

`read_points` and `write_points` take tables of every registered format, `open_points` those larger than memory;
`read_image` and `write_image` are for images. All is written through `atomic_write`, whole or not at all.
"""

from brenier.files.asked import AbsentError, Asked
from brenier.files.atomic import atomic_write, check_writable, claim_files
from brenier.files.format import Format, RowWriter
from brenier.files.images import is_image, read_image, to_colours, to_image, write_image
from brenier.files.points import (
    open_points,
    open_rows,
    read_points,
    read_with_conditions,
    read_without,
    row_writer,
    write_points,
)
from brenier.files.registry import FORMATS, register_format

__all__ = [
    "FORMATS",
    "AbsentError",
    "Asked",
    "Format",
    "RowWriter",
    "atomic_write",
    "check_writable",
    "claim_files",
    "is_image",
    "open_points",
    "open_rows",
    "read_image",
    "read_points",
    "read_with_conditions",
    "read_without",
    "register_format",
    "row_writer",
    "to_colours",
    "to_image",
    "write_image",
    "write_points",
]
