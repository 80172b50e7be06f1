"""Frames of pandas, polars and pyarrow: their columns, and new frames like them.

They are recognised by what they can do, so none of the three is ever imported.
"""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config

from brenier.data.table import Matrix, Unchecked

__all__ = ["FrameColumn", "Moved", "frame_columns", "like", "output_like"]

Moved: TypeAlias = Matrix | Any
"""Points in the form in which they were given: a frame for a frame, a NumPy array for anything else."""

_CATEGORIES = ("category", "categorical", "enum", "dictionary")
_TRUTH_VALUES = ("bool", "sparse[bool")


class FrameColumn(NamedTuple):
    """One column of a frame.

    Attributes:
        label: Its name, or whatever else it is called by.
        values: `(n,)`; those that are missing are None, NaN or `pandas.NA`.
        kind: `"category"` or `"truth"` where the frame declares it to be one of categories or of truth values, else "".
    """

    label: object
    values: NDArray[Any]
    kind: str = ""


def frame_columns(value: Unchecked) -> list[FrameColumn] | None:
    """The columns of a frame; None where the value is not one."""
    if hasattr(value, "column_names"):  # pyarrow
        columns = zip(value.column_names, value.columns, strict=True)
        return [FrameColumn(label, _arrow_column(own), _kind(own.type)) for label, own in columns]
    if hasattr(value, "get_columns"):  # polars
        columns = zip(value.columns, value.get_columns(), strict=True)
        return [FrameColumn(label, own.to_numpy(), _kind(getattr(own, "dtype", ""))) for label, own in columns]
    if hasattr(value, "iloc") and hasattr(value, "columns"):  # pandas
        columns = ((label, value.iloc[:, place]) for place, label in enumerate(value.columns))
        return [FrameColumn(label, _pandas_column(own), _kind(own.dtype)) for label, own in columns]
    return None


def like(given: Unchecked, points: Matrix) -> Moved:
    """Points in the form in which others came.

    Args:
        given: What the user passed.
        points: `(n, d)`, a row and a column for each of `given`.

    Returns:
        A new frame of the type of `given`, with its columns, its rows in their order and its index if it has one; the
        points themselves where it is no frame.
    """
    if hasattr(given, "column_names") and hasattr(given, "schema"):  # pyarrow
        arrays = [np.ascontiguousarray(column) for column in points.T]
        table = type(given).from_arrays(arrays, names=given.column_names)
        return table.replace_schema_metadata(given.schema.metadata)
    if hasattr(given, "get_columns"):  # polars
        return type(given)(points, schema=given.columns, orient="row")
    if hasattr(given, "iloc") and hasattr(given, "columns"):  # pandas
        return type(given)(points, index=given.index, columns=given.columns)
    return points


def output_like(estimator: object, given: Unchecked, points: Matrix) -> Moved:
    """The same for `transform` of a scikit-learn estimator: the points themselves where `set_output` was called.

    scikit-learn then makes the frame, and it cannot make that of one library from that of another.
    """
    own = getattr(estimator, "_sklearn_output_config", {}).get("transform", get_config()["transform_output"])
    return like(given, points) if own == "default" else points


def _kind(dtype: object) -> str:
    """What the type of a column declares, by its name: the libraries have no common class of types."""
    name = str(dtype).lower()
    return "category" if name.startswith(_CATEGORIES) else "truth" if name.startswith(_TRUTH_VALUES) else ""


def _arrow_column(column: Unchecked) -> NDArray[Any]:
    if _kind(column.type) == "category":  # read as it is, a missing entry becomes the first category
        column = column.cast(column.type.value_type)
    return column.to_numpy(zero_copy_only=False)


def _pandas_column(series: Unchecked) -> NDArray[Any]:
    if isinstance(series.dtype, np.dtype):
        return series.to_numpy()
    if series.dtype.kind in "iuf":  # at once, which is far faster than entry by entry
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    return series.to_numpy(dtype="datetime64[ns]" if series.dtype.kind == "M" else object)
