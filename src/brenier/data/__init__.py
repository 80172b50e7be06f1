"""What users hand in, checked once: arrays and frames, conditions and weights, and supplies of points.

`as_points` and `check_pair` judge what was passed; `as_stream` gives training its draws. Files are in `brenier.files`.
"""

from brenier.data.checks import as_points
from brenier.data.pairs import check_pair
from brenier.data.stored import Rows, Stored
from brenier.data.streams import ArrayStream, IteratorStream, PointStream, SamplerStream, as_stream
from brenier.data.table import InputTypeError, Table

__all__ = [
    "ArrayStream",
    "InputTypeError",
    "IteratorStream",
    "PointStream",
    "Rows",
    "SamplerStream",
    "Stored",
    "Table",
    "as_points",
    "as_stream",
    "check_pair",
]
