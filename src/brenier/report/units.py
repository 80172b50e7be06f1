"""How a report names the units of the cost."""

from brenier.maps import TransportMap

__all__ = ["units"]


def units(map_: TransportMap) -> str:
    """The unit of lengths in a report, as a phrase."""
    g = map_.geometry
    scaled = (g.scale != 1.0).any()
    if g.quadratic and not g.euclidean:
        return "in units of the Mahalanobis distance" + (", of columns in units of their scale" if scaled else "")
    return "with each column in units of its scale in the cost" if scaled else "in the units of the data"
