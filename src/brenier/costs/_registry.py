"""The costs that map files and the command line can name."""

from brenier.costs._base import AbstractCost
from brenier.costs.elastic_net import ElasticNet
from brenier.costs.great_circle import GreatCircle
from brenier.costs.log_cosh import LogCosh
from brenier.costs.pnorm import PNorm
from brenier.costs.quadratic import Mahalanobis, SquaredEuclidean

__all__ = ["COSTS"]

COSTS: dict[str, type[AbstractCost]] = {
    cost.name: cost for cost in (ElasticNet, GreatCircle, LogCosh, Mahalanobis, PNorm, SquaredEuclidean)
}
