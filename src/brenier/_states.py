"""Nested states as bytes, for files and between processes: JSON values and arrays, in the format of safetensors."""

import hashlib
import json
from typing import Any, TypeAlias

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

__all__ = ["State", "pack", "unpack"]

State: TypeAlias = dict[str, Any]
"""Dictionaries and lists of JSON values and NumPy arrays, nested."""

_ARRAY = "array named"
"""Key of the dictionary that stands for an array in the record; its value is the name of a tensor."""


def pack(state: Any) -> bytes:  # noqa: ANN401 - JSON values and arrays, nested
    """Turn a state into bytes: its arrays as tensors, all else as one record, and a digest of them.

    Tuples become lists, and scalars of NumPy those of Python.
    """
    tensors: dict[str, NDArray[Any]] = {}

    def walk(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, dict):
            return {key: walk(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [walk(entry) for entry in value]
        if isinstance(value, np.generic):
            return value.item()
        if not isinstance(value, np.ndarray):
            return value
        name = str(len(tensors))
        tensors[name] = np.asarray(value, order="C")
        return {_ARRAY: name}

    tensors["record"] = np.frombuffer(json.dumps(walk(state)).encode(), np.uint8)
    return safetensors.numpy.save(tensors | {"digest": _digest(tensors)})


def unpack(content: bytes) -> Any:  # noqa: ANN401
    """Read a state that `pack` wrote, and check every byte of it.

    Raises:
        ValueError: The bytes are not those that were written.
    """
    try:
        tensors = safetensors.numpy.load(content)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    digest = tensors.pop("digest", None)
    if digest is None or not np.array_equal(digest, _digest(tensors)):
        raise ValueError("its content is not what was written")

    def walk(entry: Any) -> Any:  # noqa: ANN401
        if isinstance(entry, list):
            return [walk(part) for part in entry]
        if not isinstance(entry, dict):
            return entry
        if _ARRAY in entry:
            return np.array(tensors[entry[_ARRAY]])  # a copy, for who goes on may write into it
        return {key: walk(part) for key, part in entry.items()}

    return walk(json.loads(tensors["record"].tobytes()))


def _digest(tensors: dict[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """SHA-256 of names, types, shapes and entries of tensors: safetensors checks none of them."""
    digest = hashlib.sha256()
    for name, array in sorted(tensors.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return np.frombuffer(digest.digest(), np.uint8)
