"""Transport costs: what it costs to move a unit of mass from `x` to `y`.

A new cost is one file with a class derived from `AbstractDisplacementCost`, and its name in `COSTS` in `_registry.py`,
which is how saved maps and the command line find it.
"""

from brenier.costs._base import AbstractCost, AbstractDisplacementCost
from brenier.costs._check import check_cost
from brenier.costs._record import from_record, to_record
from brenier.costs._registry import COSTS
from brenier.costs.elastic_net import ElasticNet
from brenier.costs.great_circle import GreatCircle
from brenier.costs.log_cosh import LogCosh
from brenier.costs.own import Convex
from brenier.costs.pnorm import PNorm
from brenier.costs.quadratic import Mahalanobis, SquaredEuclidean
from brenier.costs.sphere import to_degrees, to_vectors

__all__ = [
    "COSTS",
    "AbstractCost",
    "AbstractDisplacementCost",
    "Convex",
    "ElasticNet",
    "GreatCircle",
    "LogCosh",
    "Mahalanobis",
    "PNorm",
    "SquaredEuclidean",
    "check_cost",
    "from_record",
    "to_degrees",
    "to_record",
    "to_vectors",
]
