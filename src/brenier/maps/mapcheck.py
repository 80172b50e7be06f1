"""What a map file must say for its map to be built: sizes that its tensors have, finite numbers, names that are text.

A checksum shows damage, and no intent: whoever writes a file writes its checksum. So everything is checked by itself,
and before memory is taken for it.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_base", "check_names", "check_potential", "check_tensors", "unique_keys"]

Tensors = Mapping[str, NDArray[Any]]


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a JSON object, without repeated names: programs differ in which of two entries they take.

    Raises:
        ValueError: Two entries have one name.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("an object has two entries with one name")
    return made


def check_tensors(tensors: Tensors) -> None:
    """Refuse tensors that are not finite real numbers.

    Raises:
        ValueError: Names the first that is not, and what it holds.
    """
    for name, array in tensors.items():
        if array.dtype.kind != "f":
            raise ValueError(f"the tensor {name[:60]} must hold real numbers; it has the type {array.dtype}")
        if not np.isfinite(array).all():
            raise ValueError(f"the tensor {name[:60]} is not finite: {int((~np.isfinite(array)).sum())} entries")


def check_potential(kind: str, hyperparameters: Mapping[str, Any], dim: int, tensors: Tensors) -> None:
    """Refuse a description of a potential that would take more memory than the tensors of the file.

    Kinds that users added to `POTENTIALS` are checked as far as they use the same names.

    Args:
        kind: Name of the potential's class in `POTENTIALS`.
        hyperparameters: What the file says of its shape.
        dim: Number of columns of the coordinates.
        tensors: All tensors of the file.

    Raises:
        ValueError: Numbers of other types or out of range, or more parameters than are stored.
    """
    if not isinstance(hyperparameters, Mapping):
        raise ValueError(f"the hyperparameters must be an object; got {type(hyperparameters).__name__}")
    if kind == "sphere":
        inner = hyperparameters["kind"]
        if inner == "sphere":
            raise ValueError("a potential on a sphere cannot hold another one")
        numbers = [hyperparameters["radius"], *hyperparameters["centre"]]
        if not all(_is_finite(value) for value in numbers) or not numbers[0] > 0 or len(numbers) != dim + 1:
            raise ValueError(f"the sphere needs a radius above zero and a centre of {dim} finite numbers")
        check_potential(inner, hyperparameters["inner"], dim, tensors)
        return
    counts = {
        name: _whole(name, hyperparameters[name]) for name in ("dim", "classes", "numbers") if name in hyperparameters
    }
    if counts.get("dim", dim) != dim:
        raise ValueError(f"the potential has {counts['dim']} columns, the coordinates have {dim}")
    if "start" in hyperparameters and not _is_finite(hyperparameters["start"]):
        raise ValueError("`start` must be a finite number")
    degenerate = hyperparameters.get("inert", ())
    if not isinstance(degenerate, list | tuple) or len({_whole("inert", k) for k in degenerate}) != len(degenerate):
        raise ValueError("`inert` must list columns, each once")
    stored = {name: array for name, array in tensors.items() if name.startswith("potential.")}
    held = sum(array.size for array in stored.values())
    widths = hyperparameters.get("widths", ())
    if not isinstance(widths, list | tuple) or ("widths" in hyperparameters and not 0 < len(widths) <= len(stored)):
        raise ValueError(f"`widths` must list the layers of {len(stored)} tensors")
    sizes = [_whole("widths", width) for width in widths]
    if 0 in sizes:
        raise ValueError("`widths` must be at least 1")
    # What every network has at least: a weight between units of layers that follow each other.
    implied = sum(a * b for a, b in pairwise([dim, *sizes])) + counts.get("classes", 0) + counts.get("numbers", 0)
    if kind in ("icnn", "modulated"):
        implied += dim * sum(sizes[1:])
    if kind == "modulated":
        implied += counts.get("classes", 0) * sum(sizes)
    if kind == "quadratic":
        implied = dim * dim
    if implied > held:
        raise ValueError(f"the potential has at least {implied:,} parameters, the file {held:,}")


def check_names(columns: Any, dim: int) -> tuple[str, ...] | None:  # noqa: ANN401 - whatever the file says
    """Check the names of the columns, and return them.

    Raises:
        ValueError: They are not `dim` texts.
    """
    if columns is None:
        return None
    if not isinstance(columns, list) or len(columns) != dim or not all(_is_text(name) for name in columns):
        raise ValueError(f"`columns` must be null or the names of {dim} columns")
    return tuple(columns)


def check_base(info: Any, dim: int) -> Mapping[str, Any]:  # noqa: ANN401 - whatever the file says
    """Check the record of how a map was made, and in it the base distribution of a density; return the record.

    Raises:
        ValueError: It is not an object, or the base is not a normal distribution of `dim` columns.
    """
    if not isinstance(info, dict):
        raise ValueError(f"`info` must be an object; got {type(info).__name__}")
    base = info.get("base")
    if base is None:
        return info
    if not isinstance(base, dict) or base.get("side") not in ("source", "target"):
        raise ValueError("`base` must be an object with a side")
    for name in ("mean", "deviation"):
        values = base.get(name)
        if not isinstance(values, list) or len(values) != dim or not all(map(_is_finite, values)):
            raise ValueError(f"`base` must have {dim} finite numbers as its {name}")
    if min(base["deviation"]) <= 0:
        raise ValueError("`base` must have deviations above zero")
    return info


def _whole(name: str, value: Any) -> int:  # noqa: ANN401
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"`{name}` must be a whole number of at least 0")
    return value


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= np.finfo(np.float64).max


def _is_text(value: object) -> bool:
    """Whether a value is text that can be written: halves of pairs of UTF-16, which JSON can hold, cannot."""
    return isinstance(value, str) and value.encode("utf-8", "ignore").decode() == value
