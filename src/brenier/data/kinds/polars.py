"""Frames of polars."""

from brenier.data.kinds._kind import FrameColumn, Kind, Moved, column_kind
from brenier.data.table import Matrix, Unchecked

__all__ = ["PolarsFrames"]


class PolarsFrames(Kind):
    """Frames with columns and no index."""

    framed = True

    def owns(self, value: Unchecked) -> bool:
        return hasattr(value, "get_columns")

    def read(self, value: Unchecked, name: str) -> list[FrameColumn]:
        columns = zip(value.columns, value.get_columns(), strict=True)
        return [FrameColumn(label, data.to_numpy(), column_kind(getattr(data, "dtype", ""))) for label, data in columns]

    def like(self, given: Unchecked, points: Matrix) -> Moved:
        return type(given)(points, schema=given.columns, orient="row")
