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
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from brenier._errors import InputError, MapFileError
from brenier.conditions import ConditionSpace
from brenier.files.atomic import atomic_write
from brenier.geometry import AbstractGeometry, read_geometry
from brenier.maps.mapcheck import check_base, check_names, check_potential, check_tensors, unique_keys
from brenier.potentials import POTENTIALS, AbstractFamily, AbstractPotential

__all__ = ["FORMAT", "Contents", "checksum", "load", "save"]

FORMAT = 3
"""Newest version of the format; every version up to it is read, and each map is written in the oldest that has it."""

_PREFIX = "coordinates."
"""Prefix of the names of a geometry's tensors."""

_SHOWN = 500
"""Characters of a complaint that may hold what a file says."""

_ALIGNED = 8
"""Bytes of which the length of the header is a multiple."""


class Contents(NamedTuple):
    """What a file holds: the attributes of a `TransportMap`.

    Attributes:
        geometry: The cost and the coordinates.
        potential: A potential, or a family of them where there are conditions.
        conditions: The conditions; None for maps without.
        columns: Names of the columns, if there are any.
        info: How the map was made.
    """

    geometry: AbstractGeometry
    potential: AbstractFamily
    conditions: ConditionSpace | None
    columns: tuple[str, ...] | None
    info: Mapping[str, Any]


Tensors = dict[str, NDArray[Any]]


def save(path: str | PathLike[str], contents: Contents) -> None:
    """Write a map, whole or not at all. Equal maps give equal files, whatever the order of their entries.

    Raises:
        InputError: The path cannot be written, `POTENTIALS` lacks the class of the potential, or `COSTS` that of the
            cost.
    """
    geometry, potential, conditions, columns, info = contents
    kinds = {cls: kind for kind, cls in POTENTIALS.items()}
    name = type(potential).__name__
    if type(potential) not in kinds:
        raise InputError(
            f"the map cannot be saved: `brenier.potentials.POTENTIALS` does not have `{name}`, so that no file with it "
            f"could be read. Add it, `POTENTIALS['{name.lower()}'] = {name}`, here and before `load`."
        )
    version, entries, arrays = geometry.record()
    description = {
        "format": version,
        "kind": kinds[type(potential)],
        "hyperparameters": dict(potential.hyperparameters()),
        "columns": columns,
        "info": dict(info),
        **entries,
    }
    if conditions is not None:
        description["conditions"] = conditions.record()
    named: dict[str, Any] = {f"{_PREFIX}{name}": np.float64(value) for name, value in arrays.items()}
    leaves = jax.tree.leaves(eqx.filter(potential, eqx.is_array))
    named |= {f"potential.{number}": array for number, array in enumerate(leaves)}
    # safetensors writes memory as it lies, whatever the strides say.
    tensors = {name: np.array(value, order="C") for name, value in named.items()}
    text = json.dumps(description, sort_keys=True)
    written = to_bytes(tensors, metadata={"brenier": text, "sha256": _digest(text, tensors)})
    with atomic_write(path) as file:
        file.write(_order_header(written))


def load(path: str | PathLike[str]) -> Contents:
    """Read what `save` wrote. Runs no code from the file.

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
        arrays = {name.removeprefix(_PREFIX): array for name, array in tensors.items() if name.startswith(_PREFIX)}
        geometry = read_geometry(description, arrays)
        dim, record = geometry.dim, description.get("conditions")
        conditions = None if "conditions" not in description else ConditionSpace.from_record(record)
        kind = description["kind"]
        family = POTENTIALS[kind]
        if conditions is None and not issubclass(family, AbstractPotential):
            raise ValueError("its potential needs conditions, but there are none")
        check_potential(kind, description["hyperparameters"], dim, tensors)
        potential = _fill(family.skeleton(**description["hyperparameters"]), tensors)
        if conditions is not None:
            _check_conditions(geometry, potential, conditions)
        names, info = check_names(description.get("columns"), dim), check_base(description.get("info", {}), dim)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        reason = repr(error)[:_SHOWN]
        raise MapFileError(f"'{path}' does not describe a map that this version knows ({reason}).") from error
    return Contents(geometry, potential, conditions, names, info)


def checksum(path: str | PathLike[str]) -> str:
    """SHA-256 of what a map file holds, as stored in it: copies of a map have one and the same.

    Raises:
        MapFileError: The file is missing, truncated, or not a map. Only `load` checks that the contents match.
    """
    return _read(Path(fspath(path)))[1]


def _check_conditions(geometry: AbstractGeometry, potential: AbstractFamily, conditions: ConditionSpace) -> None:
    """Refuse coordinates or a potential for another number of classes or numbers than the conditions have."""
    expected = conditions.low.shape
    if geometry.conditions != expected:
        raise ValueError(f"the coordinates have {geometry.conditions} classes and numbers, the conditions {expected}")
    sizes = tuple(getattr(potential, name, None) for name in ("classes", "numbers"))
    if sizes not in ((None, None), expected):
        raise ValueError(f"the potential has {sizes} classes and numbers, the conditions have {expected}")


def _order_header(written: bytes) -> bytes:
    """A safetensors file with the entries of its header in order; the library writes those of the metadata in any."""
    end = 8 + int.from_bytes(written[:8], "little")
    header = json.dumps(json.loads(written[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % _ALIGNED)
    return len(header).to_bytes(8, "little") + header + written[end:]


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
