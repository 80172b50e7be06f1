"""What is asked of one kind of input: to be recognised, read, and given back."""

import abc
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.table import Matrix, Unchecked

__all__ = ["FrameColumn", "Kind", "Moved", "column_kind", "is_from", "to_array"]

Moved: TypeAlias = Matrix | Any
"""Points in the form in which they were given."""

_CATEGORIES = ("category", "categorical", "enum", "dictionary")
_TRUTH_VALUES = ("bool", "sparse[bool")


class FrameColumn(NamedTuple):
    """One column of a frame.

    Attributes:
        label: Its name, of any type.
        values: `(n,)`; those that are missing are None, NaN or `pandas.NA`.
        kind: `"category"` or `"truth"` where the frame declares it to be one of categories or of truth values, else "".
    """

    label: object
    values: NDArray[Any]
    kind: str = ""


class Kind(abc.ABC):
    """One kind of input. The library that it comes from is not imported unless a value of it was passed.

    Attributes:
        framed: Whether values are frames, with columns of several types.
    """

    framed: ClassVar[bool] = False

    @abc.abstractmethod
    def owns(self, value: Unchecked) -> bool:
        """Whether a value is of this kind: by the names of its types or what it can do, without an import."""

    @abc.abstractmethod
    def read(self, value: Unchecked, name: str) -> NDArray[Any] | list[FrameColumn]:
        """What it holds, unchecked: an array of any shape, or the columns of a frame; without a copy where possible.

        Args:
            value: A value of this kind.
            name: The argument's name in messages.

        Raises:
            InputError: The value cannot be read, or not as it is; the message says how to pass it.
        """

    def like(self, given: Unchecked, points: Matrix) -> Moved:
        """Points `(n, d)`, a row and a column for each of `given`, in the form of `given`; an array by default."""
        return points

    def is_whole(self, value: Unchecked) -> bool:
        """Whether it is all points at once, rather than a supply of them."""
        return True


def is_from(value: object, library: str, *names: str) -> bool:
    """Whether the class of a value, or a base of it, has one of these names and is from the library or a part of it."""
    return any(cls.__name__ in names and cls.__module__.partition(".")[0] == library for cls in type(value).__mro__)


def column_kind(dtype: object) -> str:
    """What the type of a column declares, by its name: the libraries have no common class of types."""
    name = str(dtype).lower()
    if name.startswith(_CATEGORIES):
        return "category"
    return "truth" if name.startswith(_TRUTH_VALUES) else ""


def to_array(value: Unchecked, name: str) -> NDArray[Any]:
    """Convert what NumPy can read to an array.

    Raises:
        InputError: NumPy cannot read it.
    """
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"`{name}` cannot be read as an array of rows of equal length: {error}") from error
