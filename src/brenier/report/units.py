"""How the page speaks of the cost: its units, and what the map without a network is called."""

from typing import TypeAlias

import numpy as np

from brenier.conditional.maps import ConditionalMap
from brenier.costs import AbstractCost, SquaredEuclidean
from brenier.data.table import Matrix
from brenier.general.maps import CostMap
from brenier.maps import TransportMap

__all__ = ["AnyMap", "baseline", "cost_of", "measured", "scale_of", "units", "weights_of_columns"]

AnyMap: TypeAlias = TransportMap | ConditionalMap | CostMap


def cost_of(map_: AnyMap) -> AbstractCost:
    """The cost; maps with conditions have the quadratic one."""
    return SquaredEuclidean() if isinstance(map_, ConditionalMap) else map_.cost


def scale_of(map_: AnyMap) -> Matrix:
    """Units of the columns in the cost; ones where the cost knows none."""
    return np.asarray(getattr(map_.coordinates, "scale", np.ones(map_.dim)))


def measured(map_: AnyMap, points: Matrix) -> Matrix:
    """Points as the cost takes them; for squared distances it is half the squared Euclidean one of these."""
    return points / map_.coordinates.scale if isinstance(map_, ConditionalMap) else map_.coordinates.measured(points)


def weights_of_columns(map_: AnyMap, direction: Matrix) -> Matrix:
    """How much each column, in units of its scale, counts in a direction of measured points."""
    root = getattr(map_.coordinates, "root", None)
    return direction if root is None else root.T @ direction


def units(map_: AnyMap) -> str:
    """What lengths on the page are measured in."""
    scaled = (scale_of(map_) != 1.0).any()
    if getattr(map_.coordinates, "root", None) is not None:
        return "in units of the Mahalanobis distance" + (", of columns in units of their scale" if scaled else "")
    return "with each column in units of its scale in the cost" if scaled else "in the units of the data"


def baseline(map_: AnyMap) -> str:
    """What the map that needs no network is called, without an article."""
    return map_.coordinates.surplus.baseline_name.removeprefix("the ")
