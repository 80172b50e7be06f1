"""A state as files hold it: the bytes of all arrays in one, and a record of JSON values that says what is where.

One array for Orbax instead of one for each: it writes them all at once, and where one fails, what becomes of the others
is reported on the screen after the failure was handled.
"""

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["digest", "flatten", "restored"]

_PLACE = "array at"
"""Key of the dictionary that stands for an array in the record."""

Bytes = NDArray[np.uint8]


def flatten(state: Any) -> tuple[Bytes, Any]:  # noqa: ANN401 - JSON values and arrays, nested
    """Divide a state of nested dictionaries and lists into the bytes of its arrays and a record of JSON values."""
    parts: list[Bytes] = []
    length = 0

    def walk(value: Any) -> Any:  # noqa: ANN401
        nonlocal length
        if isinstance(value, dict):
            return {key: walk(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [walk(entry) for entry in value]
        if isinstance(value, np.generic):
            return value.item()
        if not isinstance(value, np.ndarray):
            return value
        place = {_PLACE: length, "shape": list(value.shape), "dtype": value.dtype.str}
        parts.append(np.ascontiguousarray(value).reshape(-1).view(np.uint8))
        length += value.nbytes
        return place

    record = walk(state)
    # Orbax refuses arrays without entries.
    return np.concatenate([*parts, np.zeros(1, np.uint8)]), record


def restored(content: Bytes, record: Any) -> Any:  # noqa: ANN401
    """The state that `flatten` divided."""
    if isinstance(record, list):
        return [restored(content, entry) for entry in record]
    if not isinstance(record, dict):
        return record
    if _PLACE not in record:
        return {key: restored(content, entry) for key, entry in record.items()}
    shape, dtype = tuple(record["shape"]), np.dtype(record["dtype"])
    start, count = record[_PLACE], int(np.prod(shape, dtype=np.int64))
    return content[start : start + count * dtype.itemsize].copy().view(dtype).reshape(shape)


def digest(content: Bytes, record: Any) -> str:  # noqa: ANN401
    """SHA-256 of all bytes of the arrays and of the record: what Orbax's files do not check themselves."""
    found = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    found.update(np.ascontiguousarray(content).data)
    return found.hexdigest()
