"""Tables and record batches of pyarrow."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.kinds._kind import FrameColumn, Kind, Moved, column_kind
from brenier.data.table import Matrix, Unchecked, shorten

__all__ = ["ArrowTables"]


class ArrowTables(Kind):
    """Tables and record batches, with the metadata that others wrote beside them."""

    framed = True

    def owns(self, value: Unchecked) -> bool:
        return hasattr(value, "column_names") and hasattr(value, "schema")

    def read(self, value: Unchecked, name: str) -> list[FrameColumn]:
        columns = zip(value.column_names, value.columns, strict=True)
        return [FrameColumn(label, _values(values, name, label), column_kind(values.type)) for label, values in columns]

    def like(self, given: Unchecked, points: Matrix) -> Moved:
        arrays = [np.ascontiguousarray(column) for column in points.T]
        table = type(given).from_arrays(arrays, names=given.column_names)
        return table.replace_schema_metadata(given.schema.metadata)


def _values(column: Unchecked, name: str, label: str) -> NDArray[Any]:
    from pyarrow import ArrowException

    try:
        if column_kind(column.type) == "category":  # read as it is, a missing entry becomes the first category
            column = column.cast(column.type.value_type)
        return column.to_numpy(zero_copy_only=False)
    except (ArrowException, OverflowError) as error:
        reason = str(error)[:200]
        raise InputError(f"`{name}`: the column `{shorten(label)}` cannot be read: {reason}. Drop it.") from error
