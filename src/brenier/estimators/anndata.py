"""Single cells: AnnData in and out, with a record of what was done.

`BrenierMap` and `BrenierDensity` take AnnData themselves; `transport` writes images into one in place, by a map of any
kind. anndata itself is never imported: the objects that users pass have all methods that are needed.
"""

import hashlib
import json
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from sklearn.utils.validation import check_is_fitted

from brenier._errors import InputError
from brenier.data.cells import Place, columns_of, is_cells, read_cells
from brenier.data.table import Unchecked
from brenier.maps import TransportMap

__all__ = ["provenance", "transport"]

SUFFIXES = {"forward": "transported", "inverse": "transported_back", "interpolate": "interpolated"}
"""What follows the key of an `obsm`, or is the key of a layer, by direction."""


class Unpacked(NamedTuple):
    """One side of a fit or a measurement, without AnnData.

    Attributes:
        points: What `as_points` takes.
        condition: Conditions of the points, if there are some.
        weight: Weights of the points, if there are some.
    """

    points: Unchecked
    condition: Unchecked
    weight: Unchecked


def transport(
    ot: Any,  # noqa: ANN401 - an estimator or a map
    adata: Unchecked,
    *,
    condition: Unchecked = None,
    inverse: bool = False,
    t: float | None = None,
    layer: str | None = None,
    obsm: str | None = None,
    key_added: str | None = None,
) -> None:
    """Move the cells of an AnnData by a map, and write the result and its provenance into it, in place.

    Points of `obsm[key]` go to `obsm[key + "_transported"]`, those of `.X` and of layers to `layers["transported"]`;
    `"transported_back"` with `inverse`, and `"interpolated"` with `t`. An entry that has that key is replaced.
    `uns["brenier"]` gets an entry of that key, see `provenance`. All else stays as it is.

    Args:
        ot: A fitted `BrenierMap`, or a `TransportMap`.
        adata: AnnData, not a view; one that is backed by a file is changed in memory, the file is not.
        condition: For maps with conditions: name of a column of `obs`, several names, or whatever `transform` takes.
            By default, the columns of `obs` with the names that the fit had.
        inverse: Whether to move points of the target back to the source; warns where that failed.
        t: Share of the way from the source to go, all of it by default.
        layer: Layer that holds the points; that of the fit by default.
        obsm: Key of `obsm` that holds the points; that of the fit by default. Without either, `.X`.
        key_added: Key of the result instead.

    Raises:
        InputError: `adata` is no AnnData, or a view; a key or column is missing; or the points do not fit the map.
    """
    if not is_cells(adata):
        raise InputError(f"`adata` must be an AnnData; got a {type(adata).__name__}. Tables go to `transform`.")
    if adata.is_view:
        raise InputError("`adata` is a view of another AnnData, which would be copied on writing. Pass `adata.copy()`.")
    if inverse and t is not None:
        raise InputError(f"`t` ({t!r}) is a share of the way from the source. Leave it out with `inverse`.")
    if hasattr(ot, "fit"):
        check_is_fitted(ot, "map_")
    map_ = getattr(ot, "map_", ot)
    place = place_of(ot) if layer is None and obsm is None else Place.of(layer, obsm)
    direction = "inverse" if inverse else "forward" if t is None else "interpolate"
    given = read_cells(adata, "adata", place)
    condition = _condition(map_, adata, condition, "adata")
    if inverse:
        moved = map_.inverse(given, condition=condition)
    elif t is None:
        moved = map_.forward(given, condition=condition)
    else:
        moved = map_.interpolate(given, t, condition=condition)
    target = place.beside(SUFFIXES[direction], key_added)
    getattr(adata, target.group)[target.key] = moved
    record = provenance(map_, place, direction, 1.0 if t is None else t, getattr(ot, "random_state", None))
    adata.uns["brenier"] = {**adata.uns.get("brenier", {}), str(target.key): record}


def transport_copy(ot: Any, adata: Unchecked, **options: Any) -> Unchecked:  # noqa: ANN401
    """Copy an AnnData into memory, and `transport` the copy, with the same options."""
    copy = adata.to_memory() if adata.isbacked else adata.copy()
    transport(ot, copy, **options)
    return copy


def place_of(ot: Any) -> Place:  # noqa: ANN401
    """Where an AnnData has the points of an estimator, by its settings, or of a map, by its fit; `.X` by default."""
    if hasattr(ot, "obsm") and hasattr(ot, "layer"):
        return Place.of(ot.layer, ot.obsm)
    return Place.read(ot.info.get("anndata", "X"))


def unpack(
    estimator: Any,  # noqa: ANN401
    value: Unchecked,
    name: str,
    condition: Unchecked = None,
    weight: Unchecked = None,
    *,
    map_: Any = None,  # noqa: ANN401
    names: tuple[str, str] | None = None,
) -> Unpacked:
    """Split an AnnData into points, conditions and weights; anything else is returned as it is.

    Args:
        estimator: Has `layer` and `obsm`.
        value: What the user passed.
        name: The argument's name in messages.
        condition: Its conditions: names of columns of `obs`, or whatever goes with arrays. By default, where `map_` has
            conditions, the columns with their names.
        weight: Its weights: the name of a column of `obs`, or whatever goes with arrays.
        map_: The fitted map; None during a fit.
        names: What messages call condition and weight; `x_condition` and `x_weight` for `X` by default.
    """
    if not is_cells(value):
        return Unpacked(value, condition, weight)
    names = names or (f"{name.lower()}_condition", f"{name.lower()}_weight")
    if map_ is not None and map_.conditions is not None:
        condition = _condition(map_, value, condition, name)
    elif _are_names(condition, value.obs):
        condition = columns_of(value.obs, condition, names[0], name)
    if isinstance(weight, str):
        weight = columns_of(value.obs, weight, names[1], name)[weight].to_numpy()
    return Unpacked(read_cells(value, name, place_of(estimator)), condition, weight)


def record_place(estimator: Any, *values: Unchecked) -> dict[str, str]:  # noqa: ANN401
    """What a map records about the AnnData of its fit: where the points were. Empty for other data.

    Raises:
        InputError: The estimator has a `layer` or `obsm`, but no value is an AnnData.
    """
    place = place_of(estimator)
    if any(is_cells(value) for value in values):
        return {"anndata": str(place)}
    if place.key is not None:
        option, kinds = ("obsm" if place.group == "obsm" else "layer"), [type(value).__name__ for value in values]
        raise InputError(
            f"`{option}` ({place.key!r}) is a part of AnnData, but this is a fit of {' and '.join(kinds)}. Leave it "
            "out."
        )
    return {}


def provenance(map_: TransportMap, place: Place, direction: str, t: float, seed: object = None) -> dict[str, Any]:
    """How points were made, in text and numbers only, so that an .h5ad file can hold it.

    Args:
        map_: The map that moved them.
        place: Where the points were.
        direction: `"forward"`, `"inverse"` or `"interpolate"`.
        t: Share of the way.
        seed: `random_state` of the fit, kept where it is a number.

    Returns:
        `version` of this library, `source` of the points (`obsm/X_pca`, for instance), `direction`, `t`, `date` and
        time (UTC), `map`, a SHA-256 of its numbers, and `fit`, a JSON text of how it was made; `random_state`.
    """
    record: dict[str, Any] = {
        "version": version("brenier"),
        "source": str(place),
        "direction": direction,
        "t": float(t),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "map": _digest(map_),
        "fit": json.dumps(dict(map_.info), sort_keys=True),
    }
    return record | ({"random_state": int(seed)} if isinstance(seed, int | np.integer) else {})


def _condition(map_: TransportMap, adata: Unchecked, condition: Unchecked, name: str) -> Unchecked:
    """Conditions as maps take them; one label or number for all is left as it is.

    A text is the name of a column where there is one of that name, and a label otherwise.
    """
    if map_.conditions is None:
        return condition
    if condition is None:
        names = [variable.name for variable in map_.conditions.variables]
        if None in names:
            raise InputError(
                "`condition` is missing: the conditions of the fit have no names by which to find them in `obs`. Name "
                "the column, or pass one label or number for all cells."
            )
        return columns_of(adata.obs, [str(column) for column in names], "condition", name)
    if isinstance(condition, str) and condition not in adata.obs.columns:
        return condition
    return columns_of(adata.obs, condition, "condition", name) if _are_names(condition, adata.obs) else condition


def _are_names(condition: Unchecked, obs: Unchecked) -> bool:
    """Whether conditions are names of columns: a text; or a list of texts that is not one label for each cell."""
    if not isinstance(condition, list):
        return isinstance(condition, str)
    texts = bool(condition) and all(isinstance(entry, str) for entry in condition)
    return texts and (len(condition) != len(obs) or all(entry in obs.columns for entry in condition))


def _digest(map_: TransportMap) -> str:
    """SHA-256 of all numbers of a map, and of its conditions or its cost."""
    digest = hashlib.sha256()
    record = map_.geometry.record()
    if map_.conditions is not None:
        digest.update(json.dumps(map_.conditions.record(), sort_keys=True).encode())
    digest.update(json.dumps(record.entries, sort_keys=True).encode())
    for name, value in sorted(record.tensors.items()):
        digest.update(name.encode() + np.asarray(value, np.float64).tobytes())
    for array in jax.tree.leaves(eqx.filter(map_.potential, eqx.is_array)):
        digest.update(np.asarray(array).tobytes())
    return digest.hexdigest()
