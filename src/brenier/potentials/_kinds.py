"""The potentials that map files can name."""

from brenier.potentials._base import AbstractFamily
from brenier.potentials.icnn import ICNN
from brenier.potentials.mlp import MLP
from brenier.potentials.modulated import ModulatedICNN
from brenier.potentials.quadratic import Quadratic

__all__ = ["POTENTIALS"]

POTENTIALS: dict[str, type[AbstractFamily]] = {
    "icnn": ICNN,
    "mlp": MLP,
    "modulated": ModulatedICNN,
    "quadratic": Quadratic,
}
