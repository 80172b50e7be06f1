"""What users hand in, checked once: arrays and frames, conditions and weights, and supplies of points.

`as_points` and `check_pair` judge what was passed; `as_source` gives training its draws. Files are in `brenier.files`.
"""

from brenier.data.checks import as_points
from brenier.data.pairs import check_pair
from brenier.data.sources import ArraySource, IteratorSource, SamplerSource, Source, as_source
from brenier.data.stored import Rows, Stored
from brenier.data.table import InputTypeError, Table

__all__ = [
    "ArraySource",
    "InputTypeError",
    "IteratorSource",
    "Rows",
    "SamplerSource",
    "Source",
    "Stored",
    "Table",
    "as_points",
    "as_source",
    "check_pair",
]
