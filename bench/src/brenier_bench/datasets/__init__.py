"""Public data sets that experiments use: small images with labels, and tables."""

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

__all__ = [
    "LabelledImages",
    "LabelledTable",
    "TabularSet",
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
