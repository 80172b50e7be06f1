"""The file of a map: one safetensors file whose header carries a JSON description. No pickle, no code.

Tensors: `coordinates.<field>` in float64, `potential.<number>` in the order of the potential's arrays. The metadata
have two entries: `brenier`, a JSON object with `format` (an integer), `kind` and `hyperparameters` of the potential,
`columns` and `info`; and `sha256`, of that text followed by name, type, shape and bytes of every tensor by name.

Format 1 has maps without conditions; they are still written so. Format 2 has two entries more: `degree` of the
polynomials of the coordinates, and `conditions`, the record of a `ConditionSpace`. Format 3 has maps for other costs:
those of Mahalanobis distances have a tensor more, `coordinates.root`, all others an entry `cost`.
"""

import hashlib
import json
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from brenier._errors import InputError, MapFileError
from brenier.conditional.basis import terms
from brenier.conditional.coordinates import ConditionalCoordinates
from brenier.conditional.space import ConditionSpace
from brenier.coordinates import BuresCoordinates
from brenier.costs import AbstractDisplacementCost, GreatCircle, from_record, to_record
from brenier.files.atomic import atomic_write
from brenier.general.coordinates import DisplacementCoordinates
from brenier.general.sphere import CostCoordinates, SphereCoordinates
from brenier.mapcheck import check_base, check_names, check_potential, check_shapes, check_tensors, unique_keys
from brenier.potentials import POTENTIALS, AbstractFamily, AbstractPotential

__all__ = ["FORMAT", "Contents", "checksum", "load", "save"]

FORMAT = 3
"""Newest version of the format, for maps with another cost; every version up to it is read."""

_CONDITIONAL = 2
"""Version of the format for maps with conditions."""

_PLAIN = 1
"""Version of the format for maps with neither."""

_SHOWN = 500
"""Characters of a complaint that may hold what a file says."""

_Coordinates: TypeAlias = BuresCoordinates | ConditionalCoordinates | CostCoordinates


class Contents(NamedTuple):
    """What a file holds.

    Attributes:
        coordinates: Of the kind that belongs to the map.
        potential: A potential, or a family of them where there are conditions.
        columns: Names of the columns, if there are any.
        info: How the map was made.
        space: The conditions; None for maps without.
    """

    coordinates: _Coordinates
    potential: AbstractFamily
    columns: tuple[str, ...] | None
    info: Mapping[str, Any]
    space: ConditionSpace | None = None


Tensors = dict[str, NDArray[Any]]


def save(
    path: str | PathLike[str],
    coordinates: _Coordinates,
    potential: AbstractFamily,
    columns: tuple[str, ...] | None,
    info: Mapping[str, Any],
    space: ConditionSpace | None = None,
) -> None:
    """Write a map, whole or not at all.

    Raises:
        InputError: The path cannot be written, `POTENTIALS` does not have the kind of the potential, or `COSTS` that of
            the cost.
    """
    kinds = {cls: kind for kind, cls in POTENTIALS.items()}
    name = type(potential).__name__
    if type(potential) not in kinds:
        raise InputError(
            f"the map cannot be saved: `brenier.potentials.POTENTIALS` does not have `{name}`, so that no file with it "
            f"could be read. Add it, `POTENTIALS['{name.lower()}'] = {name}`, here and before `load`."
        )
    description = {
        "format": _PLAIN if space is None else _CONDITIONAL,
        "kind": kinds[type(potential)],
        "hyperparameters": dict(potential.hyperparameters()),
        "columns": columns,
        "info": dict(info),
    }
    fields = dict(vars(coordinates))
    if isinstance(coordinates, DisplacementCoordinates):
        description |= {"format": FORMAT, "cost": to_record(coordinates.cost)}
        fields = vars(coordinates.inner) | {
            "columns": coordinates.scale,
            "bend": coordinates.bend,
            "reach": coordinates.reach,
        }
    elif isinstance(coordinates, SphereCoordinates):
        description |= {"format": FORMAT, "cost": to_record(coordinates.cost)}
    elif getattr(coordinates, "root", None) is not None:
        description["format"] = FORMAT
    fields = {name: value for name, value in fields.items() if value is not None}
    if space is not None:
        description |= {"degree": fields.pop("degree"), "conditions": space.record()}
    named: dict[str, Any] = {f"coordinates.{name}": np.float64(value) for name, value in fields.items()}
    arrays = jax.tree.leaves(eqx.filter(potential, eqx.is_array))
    named |= {f"potential.{number}": array for number, array in enumerate(arrays)}
    # safetensors writes memory as it lies, whatever the strides say.
    tensors = {name: np.array(value, order="C") for name, value in named.items()}
    text = json.dumps(description, sort_keys=True)
    contents = to_bytes(tensors, metadata={"brenier": text, "sha256": _digest(text, tensors)})
    with atomic_write(path) as file:
        file.write(contents)


def load(path: str | PathLike[str]) -> Contents:
    """Read a map.

    Raises:
        MapFileError: The file is missing, truncated, altered, of a newer format, or not a map: its tensors are not
            finite, do not fit one number of columns, or are not those that it describes.
    """
    text, digest, tensors = _read(Path(fspath(path)))
    try:
        description = json.loads(text, object_pairs_hook=unique_keys)
        version = description["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MapFileError(f"'{path}' has a description that cannot be read ({error}). Save the map again.") from error
    if type(version) is not int or version > FORMAT:
        raise MapFileError(
            f"'{path}' has format version {repr(version)[:_SHOWN]}; this version of brenier reads up to {FORMAT}. "
            "Upgrade brenier, or save the map again with this version."
        )
    if _digest(text, tensors) != digest:
        raise MapFileError(f"'{path}' was altered after it was written: its checksum does not match. Get a new copy.")
    try:
        check_tensors(tensors)
        coordinates, space = _coordinates(description, tensors)
        kind, dim = description["kind"], coordinates.dim
        own = POTENTIALS[kind]
        if space is None and not issubclass(own, AbstractPotential):
            raise ValueError("its potential needs conditions, but there are none")
        check_potential(kind, description["hyperparameters"], dim, tensors)
        potential = _fill(own.skeleton(**description["hyperparameters"]), tensors)
        if space is not None:
            _check_conditions(potential, space)
        names, info = check_names(description.get("columns"), dim), check_base(description.get("info", {}), dim)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        reason = repr(error)[:_SHOWN]
        raise MapFileError(f"'{path}' does not describe a map that this version knows ({reason}).") from error
    return Contents(coordinates, potential, names, info, space)


def checksum(path: str | PathLike[str]) -> str:
    """SHA-256 of what a file holds, as it is stored there: one map has one, wherever its file lies.

    Raises:
        MapFileError: As for `load`, which checks it.
    """
    return _read(Path(fspath(path)))[1]


def _coordinates(description: Mapping[str, Any], tensors: Tensors) -> tuple[_Coordinates, ConditionSpace | None]:
    """The coordinates, and the conditions if there are any."""
    cost = from_record(description["cost"]) if "cost" in description else None
    if isinstance(cost, GreatCircle):
        radius, unit = (float(tensors[f"coordinates.{name}"]) for name in ("radius", "unit"))
        d = len(tensors["coordinates.mean"])
        if d < 2 or not 0 < radius < np.inf or not 0 < unit < np.inf:
            raise ValueError(f"a sphere of {d} columns, radius {radius} and unit {unit} is none")
        own = (_shaped(tensors, "mean", (d,)), _shaped(tensors, "root", (d, d)), _shaped(tensors, "pull", (d,)))
        return SphereCoordinates(radius, unit, *own), None
    conditional = "conditions" in description
    if conditional and "cost" in description:
        raise ValueError("conditions need the quadratic cost")
    kind = ConditionalCoordinates if conditional else BuresCoordinates
    fields = [name for name in kind.__dataclass_fields__ if name not in ("degree", "root")]
    arrays: dict[str, Any] = {name: tensors[f"coordinates.{name}"] for name in fields}
    if conditional:
        space, degree = ConditionSpace.from_record(description["conditions"]), description["degree"]
        _check_conditional(tensors, space, degree)
        return ConditionalCoordinates(**{**arrays, "unit": float(arrays["unit"])}, degree=degree), space
    d = arrays["mean_x"].size
    vectors, matrices = ("mean_x", "mean_y", "spread", "scale"), ("to_x", "to_y", "from_x", "from_y")
    shapes = dict.fromkeys(vectors, (d,)) | dict.fromkeys(matrices, (d, d)) | {"unit": ()}
    check_shapes(tensors, shapes, ("unit", "spread", "scale"))
    arrays["unit"] = float(arrays["unit"])
    root = _shaped(tensors, "root", (d, d)) if "coordinates.root" in tensors else None
    plain = BuresCoordinates(**arrays, root=root)
    if cost is None:
        return plain, None
    if not isinstance(cost, AbstractDisplacementCost):
        raise ValueError(f"no coordinates for the cost {cost}")
    check_shapes(tensors, {"columns": (d,), "reach": (d,)}, ("columns", "reach"))
    rest = (_shaped(tensors, "columns", (d,)), _shaped(tensors, "bend", (d, d)), _shaped(tensors, "reach", (d,)))
    return DisplacementCoordinates(plain, cost, *rest), None


def _check_conditional(tensors: Tensors, space: ConditionSpace, degree: Any) -> None:  # noqa: ANN401
    """Refuse coordinates that do not fit the conditions, or each other."""
    count, numbers = space.low.shape
    mean, d = tensors["coordinates.mean_x"], tensors["coordinates.scale"].size
    p = mean.shape[1] if mean.ndim == 3 else 0
    if type(degree) is not int or not 0 <= degree <= p or terms(numbers, degree) != p:
        raise ValueError(f"`degree` {repr(degree)[:20]} does not belong to {p} polynomials of {numbers} numbers")
    shapes = {
        "mean_x": (count, p, d),
        "mean_y": (count, p, d),
        "factor": (count, p, d * (d + 1) // 2),
        "low": (count, numbers),
        "high": (count, numbers),
        "rotation": (d, d),
        "unit": (),
        "spread": (d,),
        "scale": (d,),
    }
    check_shapes(tensors, shapes, ("unit", "spread", "scale"))


def _check_conditions(potential: AbstractFamily, space: ConditionSpace) -> None:
    expected, found = space.low.shape, tuple(getattr(potential, name, None) for name in ("classes", "numbers"))
    if found not in ((None, None), expected):
        raise ValueError(f"the potential has {found} classes and numbers, the conditions have {expected}")


def _shaped(tensors: Tensors, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """A tensor of the coordinates, if it has this shape."""
    found = tensors[f"coordinates.{name}"]
    if found.shape != shape:
        raise ValueError(f"coordinates.{name} has shape {found.shape}, expected {shape}")
    return found


def _read(path: Path) -> tuple[str, str, Tensors]:
    """Description, checksum and tensors of a file."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except FileNotFoundError as error:
        raise MapFileError(f"there is no file '{path}'.") from error
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
        raise MapFileError(f"'{path}' is truncated, or not a map that brenier saved ({error}).") from error
    if "brenier" not in metadata or "sha256" not in metadata:
        raise MapFileError(f"'{path}' is a safetensors file, but not a map that brenier saved.")
    return metadata["brenier"], metadata["sha256"], tensors


def _fill(skeleton: AbstractFamily, tensors: Tensors) -> AbstractFamily:
    """Put the arrays of a file into a potential of the right shape."""
    arrays, static = eqx.partition(skeleton, eqx.is_array)
    leaves, structure = jax.tree.flatten(arrays)
    stored = [tensors[f"potential.{number}"] for number in range(len(leaves))]
    for number, (leaf, array) in enumerate(zip(leaves, stored, strict=True)):
        if leaf.shape != array.shape:
            raise ValueError(f"array {number} has shape {array.shape}, expected {leaf.shape}")
    return eqx.combine(jax.tree.unflatten(structure, [jnp.asarray(array) for array in stored]), static)


def _digest(text: str, tensors: Tensors) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
