"""Frames of pandas, and of libraries with the same interface."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier.data.kinds._kind import FrameColumn, Kind, Moved, column_kind
from brenier.data.table import Matrix, Unchecked

__all__ = ["PandasFrames"]


class PandasFrames(Kind):
    """Frames with columns and an index."""

    framed = True

    def owns(self, value: Unchecked) -> bool:
        return hasattr(value, "iloc") and hasattr(value, "columns")

    def read(self, value: Unchecked, name: str) -> list[FrameColumn]:
        columns = ((label, value.iloc[:, place]) for place, label in enumerate(value.columns))
        return [FrameColumn(label, _values(values), column_kind(values.dtype)) for label, values in columns]

    def like(self, given: Unchecked, points: Matrix) -> Moved:
        return type(given)(points, index=given.index, columns=given.columns)


def _values(series: Unchecked) -> NDArray[Any]:
    if isinstance(series.dtype, np.dtype):
        return series.to_numpy()
    if series.dtype.kind in "iuf":  # at once, which is far faster than entry by entry
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    return series.to_numpy(dtype="datetime64[ns]" if series.dtype.kind == "M" else object)
