"""Transport costs: what it costs to move a unit of mass from `x` to `y`.

A new cost is one file with a class derived from `AbstractDisplacementCost`, and its name in `COSTS`, which is how saved
maps and the command line find it.
"""

from brenier.costs._base import AbstractCost, AbstractDisplacementCost
from brenier.costs.elastic_net import ElasticNet
from brenier.costs.log_cosh import LogCosh
from brenier.costs.own import Convex
from brenier.costs.pnorm import PNorm
from brenier.costs.quadratic import Mahalanobis, SquaredEuclidean

__all__ = [
    "COSTS",
    "AbstractCost",
    "AbstractDisplacementCost",
    "Convex",
    "ElasticNet",
    "LogCosh",
    "Mahalanobis",
    "PNorm",
    "SquaredEuclidean",
]

COSTS: dict[str, type[AbstractCost]] = {
    cost.name: cost for cost in (ElasticNet, LogCosh, Mahalanobis, PNorm, SquaredEuclidean)
}
