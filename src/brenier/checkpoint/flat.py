"""A state as files hold it: arrays by name, and one record of JSON values that says where each belongs."""

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["digest", "flatten", "restored"]

_ARRAY = "array at"
"""Key of the dictionary that stands for an array in the record."""

Arrays = dict[str, NDArray[Any]]


def flatten(state: Any) -> tuple[Arrays, Any]:  # noqa: ANN401 - JSON values and arrays, nested
    """Divide a state of nested dictionaries and lists into arrays and a record of JSON values.

    Arrays without entries, which Orbax does not store, stay in the record as their shape; those without dimensions,
    which come back as numbers, get one.
    """
    arrays: Arrays = {}

    def walk(value: Any, path: str) -> Any:  # noqa: ANN401
        if isinstance(value, dict):
            return {key: walk(entry, f"{path}.{key}") for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [walk(entry, f"{path}.{place}") for place, entry in enumerate(value)]
        if isinstance(value, np.generic):
            return value.item()
        if not isinstance(value, np.ndarray):
            return value
        if value.size:
            arrays[path[1:]] = np.ascontiguousarray(value).reshape(value.shape or 1)
        return {_ARRAY: path[1:], "shape": list(value.shape), "dtype": value.dtype.str}

    record = walk(state, "")
    return arrays, record


def restored(arrays: Arrays, record: Any) -> Any:  # noqa: ANN401
    """The state that `flatten` divided.

    Raises:
        ValueError: An array is missing, or has another shape or type than the record says.
    """
    if isinstance(record, list):
        return [restored(arrays, entry) for entry in record]
    if not isinstance(record, dict):
        return record
    if _ARRAY not in record:
        return {key: restored(arrays, entry) for key, entry in record.items()}
    shape, dtype = tuple(record["shape"]), np.dtype(record["dtype"])
    if 0 in shape:
        return np.empty(shape, dtype)
    found = arrays.get(record[_ARRAY])
    if found is None or found.dtype != dtype or found.shape != (shape or (1,)):
        raise ValueError(f"the array {record[_ARRAY]} is missing or of another kind")
    return np.array(found).reshape(shape)


def digest(arrays: Arrays, record: Any) -> str:  # noqa: ANN401
    """SHA-256 of all bytes of the arrays and of the record: what Orbax's files do not check themselves."""
    found = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(arrays):
        found.update(name.encode())
        found.update(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data)
    return found.hexdigest()
