"""What a method of a comparison returns, and how it is scored."""

import platform
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import equinox as eqx
import jax
import numpy as np

from brenier.maps import TransportMap
from brenier.metrics import cosine_similarity, unexplained_variance
from brenier_bench.problem import Points, Problem

__all__ = ["Fitted", "Map", "Preimages", "count_parameters", "machine", "peak_memory", "score"]

Map = Callable[[Any], Any]
"""From `(n, d)` points to their images, in NumPy or anything that NumPy can read."""


@dataclass(frozen=True)
class Fitted:
    """What a method of a comparison returns.

    Attributes:
        forward: The map.
        inverse: The map back; `None` for methods that have none.
        steps: Training steps taken; `None` for methods without steps.
        settings: Settings that the result depends on, as JSON values.
        parameters: Number of learned parameters; `None` for methods without any.
    """

    forward: Map
    inverse: Map | None
    steps: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    parameters: int | None = None


class Preimages:
    """The inverse of a map of brenier, for `Fitted`.

    Args:
        map_: The map.

    Attributes:
        unconverged: Share of the points of the last call whose solve did not converge.
    """

    def __init__(self, map_: TransportMap) -> None:
        self._map, self.unconverged = map_, 0.0

    def __call__(self, points: Points) -> Points:
        """Preimages of `(n, d)` points."""
        solution = self._map.inverse_with_status(points)
        self.unconverged = float(np.mean(~solution.converged))
        return solution.points


def score(problem: Problem, fitted: Fitted) -> dict[str, Any]:
    """Errors of both maps on the test points: L2-UVP in percent, and cosines.

    Errors that are not finite, and those of a map worse than the constant one, count as diverged.
    """
    record: dict[str, Any] = {"steps": fitted.steps, "params": fitted.parameters, "settings": dict(fitted.settings)}
    sides = {
        "forward": (fitted.forward, problem.test_x, problem.test_y, problem.var_y),
        "inverse": (fitted.inverse, problem.test_y, problem.test_x, problem.var_x),
    }
    for name, (transport, points, truth, variance) in sides.items():
        if transport is None:
            record |= {f"l2_uvp_{name}": None, f"cosine_{name}": None}
            continue
        images = np.asarray(transport(points), np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # errors that are not finite are what is looked for
            record[f"l2_uvp_{name}"] = unexplained_variance(images, truth, variance)
            record[f"cosine_{name}"] = cosine_similarity(images, truth, points)
    errors = [record[f"l2_uvp_{name}"] for name in sides if record[f"l2_uvp_{name}"] is not None]
    record["diverged"] = not all(error <= 100.0 for error in errors)
    return record


def count_parameters(*networks: Any) -> int:  # noqa: ANN401 - any pytrees
    """Number of learned parameters in some networks."""
    return sum(int(array.size) for array in jax.tree.leaves(eqx.filter(networks, eqx.is_inexact_array)))


def machine() -> dict[str, Any]:
    """Peak memory of the process, its device and the versions of its libraries, as JSON values."""
    packages = ("brenier", "jax", "jaxlib", "equinox", "optax", "numpy", "scipy", "scikit-learn")
    return {
        "peak_memory_mb": peak_memory(),
        "device": jax.devices()[0].platform,
        "versions": {name: version(name) for name in packages} | {"python": platform.python_version()},
    }


def peak_memory() -> float:
    """Peak resident memory of this process in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024**2 if sys.platform == "darwin" else 1024), 1)
