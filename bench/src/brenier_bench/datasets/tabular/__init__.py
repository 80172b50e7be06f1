"""Tables of the density-estimation literature with its preprocessing, and some smaller ones."""

from brenier_bench.datasets.tabular.bsds300 import load_bsds300
from brenier_bench.datasets.tabular.gas import load_gas
from brenier_bench.datasets.tabular.hepmass import load_hepmass
from brenier_bench.datasets.tabular.magic import load_magic
from brenier_bench.datasets.tabular.miniboone import load_miniboone
from brenier_bench.datasets.tabular.power import load_power
from brenier_bench.datasets.tabular.registry import TABLES, load_table
from brenier_bench.datasets.tabular.result import LabelledTable, TabularSet

__all__ = [
    "TABLES",
    "LabelledTable",
    "TabularSet",
    "load_bsds300",
    "load_gas",
    "load_hepmass",
    "load_magic",
    "load_miniboone",
    "load_power",
    "load_table",
]
