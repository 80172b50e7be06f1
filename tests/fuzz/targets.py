"""Every reader of files as a function of bytes that raises only where the reader breaks its promise."""

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from brenier._errors import DataWarning, InputError, MapFileError

__all__ = ["TARGETS", "Finding", "Target", "attempt"]

FORBIDDEN = {"pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect"}
"""Audited events of the interpreter that no reader may cause: code that a file brought, programs, the network."""


class Finding(AssertionError):
    """A reader did what it must not do."""


class Target(NamedTuple):
    """A reader.

    Attributes:
        suffix: Of its files.
        read: From a path to whatever it finds, checked.
        refusal: The only error that it may raise.
    """

    suffix: str
    read: Callable[[Path], object]
    refusal: type[InputError] = InputError


def attempt(name: str, contents: bytes) -> bool:
    """Whether a reader takes these bytes; False where it refuses them.

    Raises:
        Finding: It raised another error, let a warning through, returned what is not checked, wrote a file, or ran
            something.
    """
    target = TARGETS[name]
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        path = Path(folder) / f"input{target.suffix}"
        path.write_bytes(contents)
        try:
            with _watched() as seen, warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", DataWarning)
                target.read(path)
                taken = True
        except InputError as error:
            if not isinstance(error, target.refusal):
                raise Finding(
                    f"{name}: {type(error).__name__} instead of {target.refusal.__name__}: {error}"
                ) from error
            if len(str(error)) > 20_000:
                raise Finding(f"{name}: a message of {len(str(error)):,} characters") from error
            taken = False
        except Finding:
            raise
        except Exception as error:
            raise Finding(f"{name}: {type(error).__name__}: {error}"[:2000]) from error
        if seen:
            raise Finding(f"{name}: caused {sorted(set(seen))}")
        left = os.listdir(folder)
        if left != [path.name] or path.read_bytes() != contents:
            raise Finding(f"{name}: the folder has {left} afterwards, or the file was changed")
    return taken


@cache
def _memory() -> str | None:
    """A folder in memory where there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


_SEEN: list[list[str]] = []


@cache
def _hooked() -> None:
    """Watch the interpreter's audited events; hooks cannot be taken off again."""

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event in FORBIDDEN:
            for own in _SEEN:
                own.append(event)

    sys.addaudithook(note)


@contextmanager
def _watched() -> Iterator[list[str]]:
    _hooked()
    seen: list[str] = []
    _SEEN.append(seen)
    try:
        yield seen
    finally:
        _SEEN.remove(seen)


def _require(good: bool, what: str) -> None:
    if not good:
        raise Finding(what)


def _points(path: Path, key: str | None = None) -> None:
    from brenier.files.points import read_points

    table = read_points(path, key)
    values = table.values
    _require(values.ndim == 2 and values.size > 0 and values.dtype == np.float64, f"{values.dtype} {values.shape}")
    _require(bool(np.isfinite(values).all()), "not finite")
    names = table.columns
    _require(names is None or [type(own) for own in names] == [str] * values.shape[1], f"columns {names!r}"[:500])


def _with_conditions(path: Path, columns: tuple[str, ...], key: str | None = None) -> None:
    from brenier.files.points import read_with_conditions, read_without

    read_without(path, key, columns)
    table, found = read_with_conditions(path, key, columns)
    _require(all(len(own.values) == len(table.values) for own in found), "conditions of other length")


def _in_parts(path: Path, columns: tuple[str, ...] = (), key: str | None = None) -> None:
    from brenier.data.stored import Stored
    from brenier.files import Asked, open_points, open_rows, read_without

    rows = open_rows(path, Asked(key, columns, required=False))
    blocks = list(rows.blocks(2))
    points = np.concatenate([block.points for block in blocks])
    _require(bool(np.isfinite(points).all()) and points.shape == (rows.count(), rows.dim), f"points {points.shape}")
    taken = {name: np.concatenate([block.taken[name] for block in blocks]) for name in rows.beside}
    _require(all(len(values) == len(points) for values in taken.values()), "columns of other length")
    _require(rows.columns is None or [type(own) for own in rows.columns] == [str] * rows.dim, f"{rows.columns!r}"[:500])
    whole, beside = read_without(path, key, columns)
    _require(np.array_equal(whole.values, points), "other points in parts than as a whole")
    _require(all(repr(list(beside[name])) == repr(list(taken[name])) for name in taken), "other columns in parts")
    if isinstance(rows, Stored) and not columns:
        stored = open_points(path, key)
        _require(np.array_equal(stored.read(len(points) - 1, len(points)), points[-1:]), "another last row")


def _zarr(path: Path) -> None:
    """Metadata of an array, with chunks that belong to those that were not changed."""
    said = path.read_bytes()
    with tempfile.TemporaryDirectory(dir=_memory()) as place:
        folder = Path(place) / "a.zarr"
        for chunk in ("0.0", "1.0", "c/0/0", "c/1/0"):
            (folder / chunk).parent.mkdir(parents=True, exist_ok=True)
            (folder / chunk).write_bytes(np.arange(4.0).tobytes())
        (folder / (".zarray" if b'"zarr_format": 2' in said else "zarr.json")).write_bytes(said)
        _points(folder)
        _in_parts(folder)


def _image(path: Path) -> None:
    from brenier.files.images import read_image

    image = read_image(path)
    _require(image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3, f"{image.dtype} {image.shape}")


def _map(path: Path) -> None:
    import equinox as eqx
    import jax

    from brenier import TransportMap
    from brenier.maps import checksum

    loaded = TransportMap.load(path)
    checksum(path)
    for leaf in jax.tree.leaves(eqx.filter(loaded, eqx.is_array)):
        _require(bool(np.isfinite(np.asarray(leaf, np.float64)).all()), "a tensor that is not finite")
    dim = loaded.dim
    columns = loaded.columns
    _require(columns is None or [type(own) for own in columns] == [str] * dim, f"columns {columns!r}")
    _require(isinstance(loaded.info, dict), f"info is {type(loaded.info).__name__}")
    json.dumps(dict(loaded.info))
    extra = 0
    if loaded.conditions is not None:
        extra = 1 + loaded.conditions.numbers
    with np.errstate(all="ignore"):
        for enter in (loaded.geometry.enter_x, loaded.geometry.enter_y):
            row = np.zeros((1, dim + extra))
            row[0, 0] = getattr(loaded.geometry, "radius", 0.0)  # on a sphere, points have its length
            _require(enter(row).shape == (1, dim + extra), "coordinates of another width")


def _idx(path: Path) -> None:
    from brenier_bench.datasets._compressed import read_decompressed
    from brenier_bench.datasets._idx import parse_idx

    parse_idx(read_decompressed(path), 3, path)


def _usps(path: Path) -> None:
    from brenier_bench.datasets._compressed import read_decompressed
    from brenier_bench.datasets._usps import parse_usps

    parse_usps(read_decompressed(path), path)


def _tabular(path: Path) -> None:
    from brenier_bench.datasets.tabular import load_magic

    load_magic(path)


def _miniboone(path: Path) -> None:
    from brenier_bench.datasets.tabular import load_miniboone

    load_miniboone(path)


def _bsds(path: Path) -> None:
    from brenier_bench.datasets.tabular import load_bsds300

    load_bsds300(path)


def _arrays(path: Path) -> None:
    from brenier_bench.datasets._arrays import read_arrays

    read_arrays(path, ("Sigma0", "Sigma1"))


TARGETS: dict[str, Target] = {
    "npy": Target(".npy", _points),
    "npz": Target(".npz", _points),
    "npz-conditions": Target(".npz", partial(_with_conditions, columns=("c",), key="points")),
    "csv": Target(".csv", _points),
    "csv-conditions": Target(".csv", partial(_with_conditions, columns=("c",))),
    "tsv": Target(".tsv", _points),
    "parquet": Target(".parquet", _points),
    "parquet-conditions": Target(".parquet", partial(_with_conditions, columns=("c",))),
    "h5ad": Target(".h5ad", _points),
    "h5ad-conditions": Target(".h5ad", partial(_with_conditions, columns=("c",), key="obsm/X_pca")),
    "npy-parts": Target(".npy", _in_parts),
    "npz-parts": Target(".npz", partial(_in_parts, columns=("c",), key="points")),
    "csv-parts": Target(".csv", partial(_in_parts, columns=("c",))),
    "parquet-parts": Target(".parquet", _in_parts),
    "parquet-parts-conditions": Target(".parquet", partial(_in_parts, columns=("c",))),
    "h5ad-parts": Target(".h5ad", _in_parts),
    "h5ad-parts-conditions": Target(".h5ad", partial(_in_parts, columns=("c",), key="obsm/X_pca")),
    "zarr": Target(".json", _zarr),
    "png": Target(".png", _image),
    "tiff": Target(".tif", _image),
    "jpeg": Target(".jpg", _image),
    "webp": Target(".webp", _image),
    "bmp": Target(".bmp", _image),
    "map": Target(".brenier", _map, MapFileError),
    "idx": Target(".gz", _idx),
    "usps": Target(".bz2", _usps),
    "tabular-text": Target(".zip", _tabular),
    "tabular-npy": Target(".tar", _miniboone),
    "tabular-hdf5": Target(".hdf5", _bsds),
    "pair": Target(".npz", _arrays),
}
