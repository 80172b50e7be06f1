"""What every exported file says of itself, in JSON."""

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from itertools import combinations_with_replacement
from typing import Any

from brenier._errors import InputError
from brenier.maps import TransportMap

__all__ = ["DTYPES", "FORMAT", "MARGIN", "as_json", "check_cost", "check_dtype", "description", "powers"]

FORMAT = 1
"""Version of the description."""

MARGIN = 0.02
"""Share of its range by which a number of a condition may lie outside, as `ConditionSpace.outside` has it."""

DTYPES = ("float32", "float64")


def check_dtype(dtype: str) -> None:
    """Check that a precision is `"float32"` or `"float64"`.

    Raises:
        InputError: It is neither.
    """
    if dtype not in DTYPES:
        raise InputError(f"`dtype` must be 'float32' or 'float64'; got {dtype!r}.")


def check_cost(map_: TransportMap) -> None:
    """Check that the cost of a map is a squared distance: other maps are not the gradient of their potential.

    Raises:
        InputError: It is another cost.
    """
    if not map_.geometry.quadratic:
        raise InputError(
            f"`map_` is for the cost {map_.cost}; programs exist for the quadratic cost and `Mahalanobis` only. "
            "Use the map itself, read with `brenier.TransportMap.load`."
        )


def description(map_: TransportMap, program: str, dtype: str) -> dict[str, Any]:
    """The description of an exported program: what it is, takes and returns, as JSON values.

    Args:
        map_: The map.
        program: `"forward"` or `"inverse"`.
        dtype: Type of its points.
    """
    inverse = program == "inverse"
    conditions: Mapping[str, Any] | None = None
    if map_.conditions is not None:
        space = map_.conditions.record()
        conditions = {name: space[name] for name in ("variables", "classes", "low", "high")}
    try:
        ours = version("brenier")
    except PackageNotFoundError:
        ours = None
    return {
        "format": FORMAT,
        "program": program,
        "dtype": dtype,
        "dim": map_.dim,
        "columns": None if map_.columns is None else list(map_.columns),
        "conditions": conditions,
        "outputs": ["points", "residual", "converged", "steps"] if inverse else ["points"],
        "brenier": ours,
    }


def as_json(record: Mapping[str, Any]) -> str:
    """The JSON text of a description."""
    return json.dumps(record, indent=1, sort_keys=True)


def powers(numbers: int, degree: int) -> list[list[int]]:
    """Degree of each variable in each term of `brenier.conditions.basis.legendre`, in its order."""
    return [
        [chosen.count(variable) for variable in range(numbers)]
        for total in range(degree + 1)
        for chosen in combinations_with_replacement(range(numbers), total)
    ]
