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
    from brenier.conditional.distance import ConditionalDistance
    from brenier.conditional.maps import ConditionalMap
    from brenier.data.dequantize import Dequantizer
    from brenier.density.estimator import BrenierDensity
    from brenier.estimator import BrenierMap
    from brenier.general.distance import CostDistance
    from brenier.general.maps import CostMap
    from brenier.hamilton_jacobi.formula import HopfLax, hopf_lax
    from brenier.joined import JoinedMap
    from brenier.loading import load_map
    from brenier.maps import Distance, Inverse, TransportMap
    from brenier.report.write import write_report

__all__ = [
    "BrenierDensity",
    "BrenierMap",
    "CheckpointWarning",
    "ConditionalDistance",
    "ConditionalMap",
    "ConvergenceWarning",
    "CostDistance",
    "CostMap",
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
    "TransportMap",
    "enable_cache",
    "hopf_lax",
    "load_map",
    "write_report",
]

_HOMES = {
    "BrenierDensity": "brenier.density.estimator",
    "BrenierMap": "brenier.estimator",
    "ConditionalDistance": "brenier.conditional.distance",
    "ConditionalMap": "brenier.conditional.maps",
    "CostDistance": "brenier.general.distance",
    "CostMap": "brenier.general.maps",
    "Dequantizer": "brenier.data.dequantize",
    "Distance": "brenier.maps",
    "HopfLax": "brenier.hamilton_jacobi.formula",
    "Inverse": "brenier.maps",
    "JoinedMap": "brenier.joined",
    "TransportMap": "brenier.maps",
    "enable_cache": "brenier._cache",
    "hopf_lax": "brenier.hamilton_jacobi.formula",
    "load_map": "brenier.loading",
    "write_report": "brenier.report.write",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'brenier' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
