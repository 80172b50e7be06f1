"""The geometries that map files can hold."""

from collections.abc import Mapping
from typing import Any

from brenier.geometry._base import AbstractGeometry
from brenier.geometry._record import Tensors
from brenier.geometry.conditional import ConditionalGeometry
from brenier.geometry.displacement import DisplacementGeometry
from brenier.geometry.quadratic import QuadraticGeometry
from brenier.geometry.sphere import SphereGeometry

__all__ = ["GEOMETRIES", "read_geometry"]

GEOMETRIES: list[type[AbstractGeometry]] = [
    SphereGeometry,
    ConditionalGeometry,
    DisplacementGeometry,
    QuadraticGeometry,
]
"""Classes in the order in which they are asked whether a description is one of theirs."""


def read_geometry(entries: Mapping[str, Any], tensors: Tensors) -> AbstractGeometry:
    """Read the geometry of a map file.

    Args:
        entries: The description of the map.
        tensors: Arrays of the geometry, by their names without the prefix `coordinates.`.

    Raises:
        ValueError, TypeError, KeyError: No class recognises the entries, or the arrays do not belong together.
    """
    kind = next(kind for kind in GEOMETRIES if kind.recognises(entries))
    return kind.from_record(entries, tensors)
