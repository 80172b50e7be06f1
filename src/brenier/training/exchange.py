"""States sent between the processes of a distributed fit: JSON values and arrays, nested, whatever their sizes."""

import json
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from numpy.typing import NDArray

from brenier.training.flat import flatten, restored
from brenier.training.shards import together

__all__ = ["from_all", "from_first"]

_HEAD = np.dtype("<u8")
"""Type of the number before a message: the length of its record."""


def from_first(state: Any) -> Any:  # noqa: ANN401 - JSON values and arrays, nested
    """What the first process has, in all of them."""
    if jax.process_count() == 1:
        return state
    message = _packed(state if jax.process_index() == 0 else None)
    with together():
        length = int(np.asarray(multihost_utils.broadcast_one_to_all(np.int32(len(message)))))
        sent = np.zeros(length, np.uint8)
        if jax.process_index() == 0:
            sent[:] = message
        return _unpacked(np.asarray(multihost_utils.broadcast_one_to_all(sent)).astype(np.uint8))


def from_all(state: Any) -> list[Any]:  # noqa: ANN401
    """What each process has, in the order of their numbers, in all of them."""
    if jax.process_count() == 1:
        return [state]
    message = _packed(state)
    with together():
        lengths = np.asarray(multihost_utils.process_allgather(np.array([len(message)], np.int32))).reshape(-1)
        sent = np.zeros(int(lengths.max()), np.uint8)
        sent[: len(message)] = message
        got = np.asarray(multihost_utils.process_allgather(sent[None], tiled=True))
    return [_unpacked(own[:length]) for own, length in zip(got, lengths.tolist(), strict=True)]


def _packed(state: Any) -> NDArray[np.uint8]:  # noqa: ANN401
    content, record = flatten(state)
    text = np.frombuffer(json.dumps(record).encode(), np.uint8)
    return np.concatenate([np.array([len(text)], _HEAD).view(np.uint8), text, content])


def _unpacked(message: NDArray[np.uint8]) -> Any:  # noqa: ANN401
    start = _HEAD.itemsize
    stop = start + int(message[:start].copy().view(_HEAD)[0])
    return restored(message[stop:], json.loads(message[start:stop].tobytes()))
