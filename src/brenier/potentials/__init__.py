"""Potentials: Equinox modules that map `(n, d)` points to `(n,)` values. The forward map is their gradient.

A new potential is one file with a class derived from `AbstractPotential`, and one line in `POTENTIALS`, which is how
saved maps find it.
"""

from brenier.potentials._base import AbstractPotential
from brenier.potentials.icnn import ICNN
from brenier.potentials.mlp import MLP
from brenier.potentials.quadratic import Quadratic

__all__ = ["ICNN", "MLP", "POTENTIALS", "AbstractPotential", "Quadratic"]

POTENTIALS: dict[str, type[AbstractPotential]] = {"icnn": ICNN, "mlp": MLP, "quadratic": Quadratic}
