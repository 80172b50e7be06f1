"""Optimal-transport maps from samples: forward map, inverse and distance from one convex potential.

`BrenierMap` learns maps and `BrenierDensity` densities; `TransportMap` is what they learned. All are loaded at first
use, so that importing the package is quick.
"""

from typing import TYPE_CHECKING

from brenier._errors import (
    CheckpointWarning,
    ConvergenceWarning,
    DataWarning,
    DistributedError,
    InputError,
    MapFileError,
    SolveError,
)

if TYPE_CHECKING:
    from brenier._cache import enable_cache
    from brenier.certificates import Distance
    from brenier.estimators.brenier_density import BrenierDensity
    from brenier.estimators.brenier_map import BrenierMap
    from brenier.estimators.dequantizer import Dequantizer
    from brenier.estimators.joined import JoinedMap
    from brenier.estimators.training import Training
    from brenier.hamilton_jacobi.formula import HopfLax, hopf_lax
    from brenier.maps import Inverse, TransportMap
    from brenier.report.write import write_report

__all__ = [
    "BrenierDensity",
    "BrenierMap",
    "CheckpointWarning",
    "ConvergenceWarning",
    "DataWarning",
    "Dequantizer",
    "Distance",
    "DistributedError",
    "HopfLax",
    "InputError",
    "Inverse",
    "JoinedMap",
    "MapFileError",
    "SolveError",
    "Training",
    "TransportMap",
    "enable_cache",
    "hopf_lax",
    "write_report",
]

_HOMES = {
    "BrenierDensity": "brenier.estimators.brenier_density",
    "BrenierMap": "brenier.estimators.brenier_map",
    "Dequantizer": "brenier.estimators.dequantizer",
    "Distance": "brenier.certificates",
    "HopfLax": "brenier.hamilton_jacobi.formula",
    "Inverse": "brenier.maps",
    "JoinedMap": "brenier.estimators.joined",
    "Training": "brenier.estimators.training",
    "TransportMap": "brenier.maps",
    "enable_cache": "brenier._cache",
    "hopf_lax": "brenier.hamilton_jacobi.formula",
    "write_report": "brenier.report.write",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'brenier' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
