"""Geometries: a transport cost, and the coordinates in which its map is next to the identity.

A new kind of cost, one that is no function of the displacement, is a class derived from `AbstractGeometry`, one derived
from `AbstractSurplus` in `brenier.geometry.surplus`, and an entry in `GEOMETRIES`, which is how saved maps find it.
`sphere.py` in both places is the example.
"""

from brenier.geometry._base import AbstractGeometry
from brenier.geometry._record import GeometryRecord
from brenier.geometry._registry import GEOMETRIES, read_geometry
from brenier.geometry.affine import AbstractAffine
from brenier.geometry.between import conditional_between
from brenier.geometry.conditional import ConditionalGeometry
from brenier.geometry.displacement import DisplacementGeometry, Pairs
from brenier.geometry.moments import Moments, accumulate_moments, carry_flat, moments
from brenier.geometry.quadratic import QuadraticGeometry
from brenier.geometry.sphere import SphereGeometry

__all__ = [
    "GEOMETRIES",
    "AbstractAffine",
    "AbstractGeometry",
    "ConditionalGeometry",
    "DisplacementGeometry",
    "GeometryRecord",
    "Moments",
    "Pairs",
    "QuadraticGeometry",
    "SphereGeometry",
    "accumulate_moments",
    "carry_flat",
    "conditional_between",
    "moments",
    "read_geometry",
]
