"""Files of NumPy: .npy with one array, .npz with several under names. Nothing in them is ever unpickled."""

import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from itertools import count, takewhile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.conditions import Column, label_text
from brenier.data.content import Asked, Content
from brenier.data.table import Table

__all__ = ["joined", "plain", "read_npy", "read_npz", "write_npy", "write_npz"]

_POINTS, _NAMES = "points", "columns"
"""Arrays of a written archive: the points, and the names of their columns where they have some."""

_PART = re.compile(r"(.+)\[([0-9]+)\]")
"""How one column of an array is called: `c[0]` is the first of `c`."""


def read_npy(handle: BinaryIO, path: Path, asked: Asked) -> Content:
    """Map an array from its file, which has no names to find columns by: rows are read when they are used."""
    asked.check((), None, path)
    try:
        return Content(_mapped(handle, path), {})
    except (ValueError, EOFError) as error:
        raise InputError(f"`{path}` is not a whole .npy file of numbers: {error}. Write it again.") from error


def _mapped(handle: BinaryIO, path: Path) -> NDArray[Any]:
    try:
        return np.asarray(np.lib.format.open_memmap(path, mode="r"))
    except (
        ValueError,
        OSError,
    ):  # pipes and some file systems cannot be mapped; of damage, reading says best what it is
        return np.lib.format.read_array(handle, allow_pickle=False)


def write_npy(
    handle: BinaryIO,
    path: Path,
    values: NDArray[np.generic],
    columns: list[str] | None,
    conditions: Sequence[Column],
) -> None:
    """Write the points alone; there is no place for names and conditions."""
    np.lib.format.write_array(handle, values, allow_pickle=False)


def read_npz(handle: BinaryIO, path: Path, asked: Asked) -> Content:
    """Read one array of points, and arrays or columns of arrays beside it."""
    try:
        with np.lib.npyio.NpzFile(handle, allow_pickle=False) as archive:
            present = [name for name in archive.files if name != _NAMES]
            owners = {name: owner for name in asked.columns if (owner := _owner(name, present)) is not None}
            others = [name for name in present if name not in owners.values()]
            wanted = {*owners.values(), *(others if asked.key is None else [asked.key]), _NAMES}
            arrays = {name: archive[name] for name in archive.files if name in wanted}
    except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"`{path}` is not a whole .npz archive of numbers: {error}. Write it again.") from error
    asked.check(owners, present, path)
    chosen = _chosen(asked.key, present, others, path)
    points, names = arrays[chosen], arrays.get(_NAMES)
    taken = {
        name: arrays[owner] if name == owner else _part(arrays[owner], name, path) for name, owner in owners.items()
    }
    if names is None:
        return Content(points, taken)
    if names.shape != points.shape[1:]:
        raise InputError(
            f"`{path}`: the array `{_NAMES}` of shape {names.shape} does not name the columns of `{chosen}`, which "
            f"has shape {points.shape}. Remove or rename it."
        )
    return Content(Table(points, [str(name) for name in names]), taken)


def _chosen(key: str | None, present: Sequence[str], others: Sequence[str], path: Path) -> str:
    """The array of points: among those that do not hold conditions."""
    if key is None and len(others) != 1:
        besides = " besides the conditions" if len(others) < len(present) else ""
        raise InputError(f"`{path}` holds {len(others)} arrays{besides} ({', '.join(others)}). Choose one with `key`.")
    chosen = others[0] if key is None else key
    if chosen in others:
        return chosen
    if chosen in present:
        raise InputError(f"`{path}`: the array {key!r} cannot be both the points (`key`) and a condition.")
    raise InputError(f"`{path}` has no array of points named {key!r} (`key`); it has {', '.join(present)}.")


def _owner(name: str, present: Sequence[str]) -> str | None:
    """The array that a name stands for, or stands for a column of."""
    match = _PART.fullmatch(name)
    return name if name in present else match[1] if match and match[1] in present else None


def _part(array: NDArray[Any], name: str, path: Path) -> NDArray[Any]:
    place = int(name[name.rindex("[") + 1 : -1])
    if array.ndim != 2 or place >= array.shape[1]:
        raise InputError(f"`{path}` has no `{name}`: that array has shape {array.shape}.")
    return array[:, place]


def write_npz(
    handle: BinaryIO,
    path: Path,
    values: NDArray[np.generic],
    columns: list[str] | None,
    conditions: Sequence[Column],
) -> None:
    """Write the points as `points`, the names of their columns as `columns`, and each condition under its name.

    Conditions that were the columns of one array become one again.
    """
    arrays: dict[str, NDArray[Any]] = {_POINTS: values}
    if columns is not None:
        arrays[_NAMES] = np.array(columns)
    beside = joined({str(column.name): plain(column.values) for column in conditions})
    clash = sorted({_POINTS, _NAMES} & beside.keys())
    if clash:
        raise InputError(f"`{path}` cannot hold a condition named `{clash[0]}`, as its own array has that name.")
    # Not `numpy.savez`, for which some names are arguments.
    with zipfile.ZipFile(handle, "w") as archive:
        for name, array in (arrays | beside).items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def plain(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers as they are, all else as text."""
    return values if values.dtype.kind in "biuf" else np.array([label_text(entry) for entry in values])


def joined(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The same arrays, with `c[0]`, `c[1]` and so on as the columns of `c` where they are of one type."""
    merged = dict(arrays)
    for owner in {match[1] for name in arrays if (match := _PART.fullmatch(name)) and match[1] not in arrays}:
        names = list(takewhile(arrays.__contains__, (f"{owner}[{place}]" for place in count())))
        if len({arrays[name].dtype.kind for name in names}) == 1:
            merged[owner] = np.column_stack([merged.pop(name) for name in names])
    return merged
