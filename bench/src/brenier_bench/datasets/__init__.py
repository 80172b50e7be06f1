"""Pairs of distributions with exact maps, and public data sets: small images with labels, and tables."""

from brenier_bench.datasets.constructed import ConstructedPair
from brenier_bench.datasets.families import FamilyPair, GaussianFamily
from brenier_bench.datasets.gaussian import GaussianPair
from brenier_bench.datasets.images import (
    LabelledImages,
    load_digits,
    load_fashion_mnist,
    load_kmnist,
    load_mnist,
    load_usps,
)
from brenier_bench.datasets.tabular import (
    LabelledTable,
    TabularSet,
    load_bsds300,
    load_gas,
    load_hepmass,
    load_magic,
    load_miniboone,
    load_power,
    load_table,
)
from brenier_bench.datasets.wasserstein2 import Wasserstein2Pair

__all__ = [
    "ConstructedPair",
    "FamilyPair",
    "GaussianFamily",
    "GaussianPair",
    "LabelledImages",
    "LabelledTable",
    "TabularSet",
    "Wasserstein2Pair",
    "load_bsds300",
    "load_digits",
    "load_fashion_mnist",
    "load_gas",
    "load_hepmass",
    "load_kmnist",
    "load_magic",
    "load_miniboone",
    "load_mnist",
    "load_power",
    "load_table",
    "load_usps",
]
