"""Benchmark pairs and families with exact maps, and small images with labels."""

from brenier.datasets.families import FamilyPair, GaussianFamily
from brenier.datasets.gaussian import GaussianPair
from brenier.datasets.images import (
    LabelledImages,
    load_digits,
    load_fashion_mnist,
    load_kmnist,
    load_mnist,
    load_usps,
)
from brenier.datasets.wasserstein2 import Wasserstein2Pair

__all__ = [
    "FamilyPair",
    "GaussianFamily",
    "GaussianPair",
    "LabelledImages",
    "Wasserstein2Pair",
    "load_digits",
    "load_fashion_mnist",
    "load_kmnist",
    "load_mnist",
    "load_usps",
]
