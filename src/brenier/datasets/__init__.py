"""Pairs of distributions and families of them whose optimal maps are known exactly."""

from brenier.datasets.constructed import ConstructedPair
from brenier.datasets.families import FamilyPair, GaussianFamily
from brenier.datasets.gaussian import GaussianPair
from brenier.datasets.wasserstein2 import Wasserstein2Pair

__all__ = [
    "ConstructedPair",
    "FamilyPair",
    "GaussianFamily",
    "GaussianPair",
    "Wasserstein2Pair",
]
