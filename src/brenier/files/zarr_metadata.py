"""What the metadata of a Zarr array may say, looked at before zarr sees it.

A codec is code that metadata choose by its name, and some of them unpickle. So only plain numbers and text of a fixed
length are read, by the codecs of a list.
"""

import json
import math
import os
import re
import stat
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from brenier.data.memory import MOST_BYTES, size_text
from brenier.data.table import shorten

__all__ = ["Described", "describe", "is_array", "is_group", "subfolders"]

Json: TypeAlias = Any
"""What a file of JSON holds, unchecked."""

_MOST_METADATA = 1 << 24
"""Bytes of a file of metadata."""

_MOST_DIMENSIONS = 32
_MOST_ENTRIES = 1 << 60

_COMPRESSORS = {"blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd"}
_FILTERS = {"delta", "shuffle"}
_CODECS = {"blosc", "bytes", "crc32c", "gzip", "sharding_indexed", "transpose", "zstd"}
"""Codecs of both versions of the format: they turn numbers into bytes and back, and do nothing else."""

_NUMBERS = {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
_NUMBERS |= {"bool", "float16", "float32", "float64"}
_TEXTS = {"fixed_length_utf32": ("U", 4), "null_terminated_bytes": ("S", 1)}
"""Types of text of version 3: the kind that NumPy calls it, and the bytes of a character."""

_PLAIN_TYPE = re.compile(r"[<>|]?([biuf][1248]|f16|[US][0-9]{1,6})")


class Described(NamedTuple):
    """A checked array.

    Attributes:
        version: Version of the format, 2 or 3.
        files: What zarr is to see of its metadata, by the names of the files.
        shape: Its shape.
        dtype: Its type.
        attributes: What its writer noted.
    """

    version: int
    files: dict[str, bytes]
    shape: tuple[int, ...]
    dtype: np.dtype
    attributes: Json


def describe(folder: Path) -> Described | None:
    """Read and check the metadata of an array; None where a folder holds a group, or neither.

    Raises:
        ValueError: Something in the metadata is not on the lists, or too large; the text says what.
        OSError: A file cannot be read.
    """
    raw = _read_plain(folder / "zarr.json")
    if raw is not None:
        said = _parse(raw)
        return _parse_third(said, raw) if said.get("node_type") == "array" else None
    raw = _read_plain(folder / ".zarray")
    if raw is None:
        return None
    notes = _read_plain(folder / ".zattrs")
    return _parse_second(_parse(raw), raw, notes)


def is_array(folder: Path) -> bool:
    """Whether a folder says that it is an array, which only `describe` checks."""
    raw = _read_plain(folder / "zarr.json")
    return (_parse(raw).get("node_type") == "array") if raw is not None else (folder / ".zarray").exists()


def is_group(folder: Path) -> bool:
    """Whether a folder says that it is a group."""
    raw = _read_plain(folder / "zarr.json")
    return (_parse(raw).get("node_type") == "group") if raw is not None else (folder / ".zgroup").exists()


def _read_plain(path: Path) -> bytes | None:
    """The bytes of an ordinary, small file; None where there is none.

    Raises:
        ValueError: It is a link, a pipe or a device, or too large for metadata.
    """
    try:
        state = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(state.st_mode):
        raise ValueError(f"`{path.name}` is no ordinary file, and is not followed")
    if state.st_size > _MOST_METADATA:
        raise ValueError(f"`{path.name}` has {state.st_size:,} bytes, which is no file of metadata")
    return path.read_bytes()


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, without links to folders."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def _parse(raw: bytes) -> dict[str, Json]:
    try:
        said = json.loads(raw)
    except RecursionError as error:
        raise ValueError("its metadata are nested too deeply") from error
    if not isinstance(said, dict):
        raise ValueError("its metadata are no object of JSON")
    return said


def _parse_third(said: dict[str, Json], raw: bytes) -> Described:
    if said.get("zarr_format") != 3:
        raise ValueError(f"its format is {_show(said.get('zarr_format'))}, not 3")
    if said.get("storage_transformers"):
        raise ValueError("it has `storage_transformers`, which are not read")
    grid = said.get("chunk_grid")
    if not isinstance(grid, dict) or grid.get("name") != "regular" or not isinstance(grid.get("configuration"), dict):
        raise ValueError(f"its `chunk_grid` is {_show(grid)}, not a regular one")
    dtype, shape = _type(said.get("data_type")), _lengths(said.get("shape"), "shape", 0)
    chunks = _chunks(grid["configuration"].get("chunk_shape"), shape, dtype)
    _check_codecs(said.get("codecs"), chunks, dtype)
    return Described(3, {"zarr.json": raw}, shape, dtype, said.get("attributes"))


def _parse_second(said: dict[str, Json], raw: bytes, notes: bytes | None) -> Described:
    if said.get("zarr_format") != 2:
        raise ValueError(f"its format is {_show(said.get('zarr_format'))}, not 2")
    kind = said.get("dtype")
    if not isinstance(kind, str) or not _PLAIN_TYPE.fullmatch(kind):
        raise ValueError(f"its type is {_show(kind)}; numbers are read, and text of a fixed length")
    dtype, shape = np.dtype(kind), _lengths(said.get("shape"), "shape", 0)
    _chunks(said.get("chunks"), shape, dtype)
    filters = said.get("filters")
    for codec in filters if isinstance(filters, list) else [] if filters is None else [filters]:
        _check_codec(codec, "id", _FILTERS)
        for name in ("dtype", "astype"):
            if not isinstance(codec.get(name, ""), str) or not _PLAIN_TYPE.fullmatch(codec.get(name) or kind):
                raise ValueError(f"a filter makes {_show(codec.get(name))} of its numbers, which is not read")
    if said.get("compressor") is not None:
        _check_codec(said["compressor"], "id", _COMPRESSORS)
    files = {".zarray": raw} | ({} if notes is None else {".zattrs": notes})
    return Described(2, files, shape, dtype, {} if notes is None else _parse(notes))


def _type(kind: Json) -> np.dtype:
    """The type of an array of version 3."""
    if isinstance(kind, str) and kind in _NUMBERS:
        return np.dtype(kind)
    if isinstance(kind, dict) and isinstance(kind.get("name"), str) and kind["name"] in _TEXTS:
        letter, width = _TEXTS[kind["name"]]
        configuration = kind.get("configuration")
        (size,) = _lengths([configuration.get("length_bytes") if isinstance(configuration, dict) else None], "length")
        if size % width == 0 and size < 10**6:
            return np.dtype(f"{letter}{size // width}")
    raise ValueError(f"its type is {_show(kind)}; numbers are read, and text of a fixed length")


def _lengths(value: Json, name: str, least: int = 1) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > _MOST_DIMENSIONS:
        raise ValueError(f"its {name} is {_show(value)}, not a list of lengths")
    for length in value:
        if type(length) is not int or length < least:
            raise ValueError(f"its {name} is {_show(value)}, not a list of lengths of at least {least}")
    if math.prod(max(length, 1) for length in value) > _MOST_ENTRIES:
        raise ValueError(f"its {name} {_show(value)} is larger than any memory")
    return tuple(value)


def _chunks(value: Json, shape: tuple[int, ...], dtype: np.dtype) -> tuple[int, ...]:
    chunks = _lengths(value, "shape of chunks")
    if len(chunks) != len(shape):
        raise ValueError(f"its shape of chunks is {_show(value)} for an array of the shape {shape}")
    size = math.prod(chunks) * dtype.itemsize
    if size > MOST_BYTES:
        raise ValueError(f"its chunks of {_show(value)} take {size_text(size / 8)}, which is too much to read at once")
    return chunks


def _check_codecs(codecs: Json, chunks: tuple[int, ...], dtype: np.dtype, inside: bool = False) -> None:
    if not isinstance(codecs, list) or not codecs:
        raise ValueError(f"its `codecs` are {_show(codecs)}, not a list of them")
    for codec in codecs:
        _check_codec(codec, "name", _CODECS - {"sharding_indexed"} if inside else _CODECS)
        configuration = codec.get("configuration", {})
        if not isinstance(configuration, dict):
            raise ValueError(f"the `configuration` of a codec is {_show(configuration)}")
        if codec["name"] == "sharding_indexed":
            _chunks(configuration.get("chunk_shape"), chunks, dtype)
            _check_codecs(configuration.get("codecs"), chunks, dtype, inside=True)
            _check_codecs(configuration.get("index_codecs"), chunks, dtype, inside=True)


def _check_codec(codec: Json, key: str, allowed: set[str]) -> None:
    name = codec.get(key) if isinstance(codec, dict) else codec
    if not isinstance(codec, dict) or not isinstance(name, str) or name not in allowed:
        raise ValueError(f"it is packed by {_show(name)}; what can be read is {', '.join(sorted(allowed))}")


def _show(value: Json) -> str:
    return shorten(json.dumps(value))
