"""Points of any kind are read here, and given back in the same form. No library is imported that is not in use."""

from typing import Any

from numpy.typing import NDArray
from sklearn import get_config

from brenier.data.kinds import Arrays, FrameColumn, Moved, kind_of
from brenier.data.table import Matrix, Unchecked

__all__ = ["FrameColumn", "Moved", "as_plain", "frame_columns", "like", "output_like", "read", "wants_own_form"]


def read(value: Unchecked, name: str) -> NDArray[Any] | list[FrameColumn]:
    """What a value holds, unchecked: an array of any shape, or the columns of a frame.

    Args:
        value: Points in any form.
        name: The argument's name in messages.

    Raises:
        InputError: The value cannot be read, or not as it is.
    """
    return kind_of(value).read(value, name)


def frame_columns(value: Unchecked) -> list[FrameColumn] | None:
    """The columns of a frame; None where the value is not one."""
    kind = kind_of(value)
    content = kind.read(value, "frame") if kind.framed else None
    return content if isinstance(content, list) else None


def as_plain(value: Unchecked, name: str) -> Unchecked:
    """Turn tensors, and arrays of JAX and of dask, into those of NumPy; all else is returned as it is.

    Args:
        value: Labels, numbers or weights.
        name: The argument's name in messages.

    Raises:
        InputError: The value cannot be read as it is.
    """
    kind = kind_of(value)
    return value if kind.framed or isinstance(kind, Arrays) else kind.read(value, name)


def like(given: Unchecked, points: Matrix) -> Moved:
    """Give points the form of what the user passed.

    Args:
        given: What the user passed.
        points: `(n, d)`, a row and a column for each of `given`.

    Returns:
        A frame of the type of `given`, with its columns, its rows in their order and its index if it has one; a tensor,
        an array of JAX or of dask for one of these; for anything else, the points themselves.
    """
    return kind_of(given).like(given, points)


def output_like(estimator: object, given: Unchecked, points: Matrix) -> Moved:
    """Give the result of `transform` the form of its input; an array where `set_output` was called.

    scikit-learn then makes the frame, and it cannot make that of one library from that of another.
    """
    return like(given, points) if wants_own_form(estimator) else points


def wants_own_form(estimator: object) -> bool:
    """Whether `transform` of a scikit-learn estimator keeps the form of its input: `set_output` was not called."""
    setting = getattr(estimator, "_sklearn_output_config", {}).get("transform", get_config()["transform_output"])
    return setting == "default"
