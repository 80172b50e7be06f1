"""The kinds of input that hold points, one a file: each is recognised, read, and given back as it came.

To add one, write a `Kind` in a file of its own, list it here before those that would claim it, and add a line to the
makers in `tests/test_inputs.py`.
"""

from brenier.data.kinds._kind import FrameColumn, Kind, Moved, is_from
from brenier.data.kinds.arrays import Arrays
from brenier.data.kinds.arrow import ArrowTables
from brenier.data.kinds.dask import DaskArrays
from brenier.data.kinds.jax import JaxArrays
from brenier.data.kinds.pandas import PandasFrames
from brenier.data.kinds.polars import PolarsFrames
from brenier.data.kinds.refused import Refused
from brenier.data.kinds.torch import Tensors
from brenier.data.table import Unchecked

__all__ = ["KINDS", "FrameColumn", "Kind", "Moved", "is_from", "kind_of"]

KINDS: tuple[Kind, ...] = (
    Refused(),
    DaskArrays(),
    Tensors(),
    JaxArrays(),
    ArrowTables(),
    PolarsFrames(),
    PandasFrames(),
    Arrays(),
)
"""In the order in which they are asked; the last takes everything."""


def kind_of(value: Unchecked) -> Kind:
    """The first kind that a value is of."""
    return next(kind for kind in KINDS if kind.owns(value))
