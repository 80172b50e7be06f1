"""Benchmark pairs with exact maps."""

from brenier.datasets.gaussian import GaussianPair
from brenier.datasets.wasserstein2 import Wasserstein2Pair

__all__ = ["GaussianPair", "Wasserstein2Pair"]
