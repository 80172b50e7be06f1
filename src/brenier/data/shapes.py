"""Whether a shape is that of points, one a row."""

from brenier._errors import InputError
from brenier.data.table import InputTypeError, Unchecked

__all__ = ["check_shape"]


def check_shape(shape: tuple[int, ...], name: str, columns: int | None, value: Unchecked) -> None:
    """Refuse shapes that are not two-dimensional, are empty, or lack the number of columns of the fit.

    Args:
        shape: The shape; of an array of dask, the number of rows may be unknown, NaN.
        name: The argument's name in messages.
        columns: Number of columns of the fit, if there has been one.
        value: What has this shape.

    Raises:
        InputError: The shape is not that of points.
    """
    if len(shape) == 0:
        raise InputTypeError(f"`{name}` must be a 2-D array, a row for each point; got a {type(value).__name__}.")
    if len(shape) == 1:
        labels = " In `fit(X, Y)`, `Y` is a second sample; labels have no place there." if name == "Y" else ""
        raise InputError(
            f"`{name}` must be 2-D, a row for each point; got shape {shape}. Reshape your data: to (n, 1) with "
            f"`reshape(-1, 1)` for points of one column, to (1, n) with `reshape(1, -1)` for a single point." + labels
        )
    if len(shape) > 2:
        raise InputError(
            f"`{name}` must be 2-D, a row for each point; got shape {shape}. Flatten each point to one row: "
            f"`reshape(len({name}), -1)`."
        )
    for size, what in zip(shape, ("sample", "feature"), strict=True):
        if size == 0:
            raise InputError(
                f"`{name}` has 0 {what}(s) (shape={shape}) while a minimum of 1 is required. "
                "Has a filter removed everything?"
            )
    if columns is not None and shape[1] != columns:
        hint = "Is an index column still in the data?" if shape[1] == columns + 1 else "Select the columns of the fit."
        raise InputError(f"`{name}` must have {columns} columns, as in `fit`; got shape {shape}. {hint}")
