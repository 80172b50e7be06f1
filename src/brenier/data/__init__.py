"""What comes in and goes out: checks of arrays and frames, supplies of points, files and images.

`as_points` and `check_pair` judge what the user passed; `as_stream` gives training its draws; `read_points` and
`write_points`, `read_image` and `write_image` are the files of the command line, written through `atomic_write`.
"""

from brenier.data.atomic import atomic_write, check_writable, claim_files
from brenier.data.checks import as_points
from brenier.data.files import read_points, write_points
from brenier.data.images import is_image, read_image, to_colours, to_image, write_image
from brenier.data.pairs import check_pair
from brenier.data.stored.opening import open_points
from brenier.data.streams import ArrayStream, IteratorStream, PointStream, SamplerStream, as_stream
from brenier.data.table import InputTypeError, Table

__all__ = [
    "ArrayStream",
    "InputTypeError",
    "IteratorStream",
    "PointStream",
    "SamplerStream",
    "Table",
    "as_points",
    "as_stream",
    "atomic_write",
    "check_pair",
    "check_writable",
    "claim_files",
    "is_image",
    "open_points",
    "read_image",
    "read_points",
    "to_colours",
    "to_image",
    "write_image",
    "write_points",
]
