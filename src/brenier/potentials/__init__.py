"""Potentials: Equinox modules that map `(n, d)` points to `(n,)` values. The forward map is their gradient.

A new potential is one file with a class derived from `AbstractPotential`, and one line in `POTENTIALS` in
`_kinds.py`, which is how saved maps find it. A family of them, one for every condition, derives from `AbstractFamily`.
"""

from brenier.potentials._base import AbstractFamily, AbstractFunction, AbstractPotential, double
from brenier.potentials._kinds import POTENTIALS
from brenier.potentials.icnn import ICNN
from brenier.potentials.mlp import MLP
from brenier.potentials.modulated import ModulatedICNN
from brenier.potentials.on_sphere import OnSphere
from brenier.potentials.quadratic import Quadratic

__all__ = [
    "ICNN",
    "MLP",
    "POTENTIALS",
    "AbstractFamily",
    "AbstractFunction",
    "AbstractPotential",
    "ModulatedICNN",
    "OnSphere",
    "Quadratic",
    "double",
]

POTENTIALS["sphere"] = OnSphere  # here, because it finds its inner potential in the same table
