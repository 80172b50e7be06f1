"""What a map file keeps of a geometry, and the checks of what a file says."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from numpy.typing import NDArray

__all__ = ["GeometryRecord", "Tensors", "check_shapes"]

Tensors: TypeAlias = Mapping[str, NDArray[Any]]
"""Arrays of a geometry in a map file, by their names without the prefix `coordinates.`."""


class GeometryRecord(NamedTuple):
    """The part of a map file that belongs to a geometry.

    Attributes:
        version: The oldest version of the format that can hold it.
        entries: JSON values of the description, by name.
        tensors: Arrays, by their names without the prefix.
    """

    version: int
    entries: dict[str, Any]
    tensors: dict[str, Any]


def check_shapes(tensors: Tensors, shapes: Mapping[str, tuple[int, ...]], positive: Sequence[str] = ()) -> None:
    """Refuse tensors of a geometry that do not have the shapes of one number of columns, or entries above zero.

    Args:
        tensors: Tensors of the geometry, by name.
        shapes: The shape that each must have.
        positive: Names of those whose entries must all be above zero.

    Raises:
        ValueError: Names the first that does not fit.
        KeyError: One is missing.
    """
    for name, shape in shapes.items():
        if name not in tensors:
            raise KeyError(f"coordinates.{name}")
        stored = tensors[name]
        if stored.shape != shape:
            raise ValueError(f"coordinates.{name} has shape {stored.shape}, expected {shape}")
        if name in positive and not (stored > 0).all():
            raise ValueError(f"coordinates.{name} must be positive; its least entry is {stored.min()}")
