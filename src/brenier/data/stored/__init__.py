"""Points in files that may be larger than memory: .npy, .parquet (one or a folder of them), .zarr and .h5ad."""

from brenier.data.stored.base import MEMORY, Stored
from brenier.data.stored.opening import is_stored, open_points, open_stored
from brenier.data.stored.shuffled import ShuffledSource

__all__ = ["MEMORY", "ShuffledSource", "Stored", "is_stored", "open_points", "open_stored"]
