"""Transport maps: what a fit gives, its file, and what is known about images, preimages and distances."""

from brenier.maps.mapfile import checksum
from brenier.maps.results import Dual, Inverse
from brenier.maps.transport_map import TransportMap

__all__ = ["Dual", "Inverse", "TransportMap", "checksum"]
