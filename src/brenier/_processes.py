"""How the processes of a distributed fit agree: on numbers, on states of any size, and on who has failed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from brenier._errors import DistributedError
from brenier._states import pack, unpack

__all__ = ["agree", "any_of", "from_all", "from_first", "need_all"]

_BROKEN = re.compile("(UNKNOWN|UNAVAILABLE|INTERNAL|ABORTED|CANCELLED|DEADLINE_EXCEEDED|FAILED_PRECONDITION): ")
"""Statuses of a transfer that did not come about."""

_Tree = TypeVar("_Tree")


@contextmanager
def need_all() -> Iterator[None]:
    """Run work that needs all processes, and say so where another process has failed.

    Raises:
        DistributedError: Another process has ended or cannot be reached.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:  # JAX raises either, with the status of the transfer
        if jax.process_count() == 1 or not _BROKEN.match(str(error)):
            raise
        first = str(error).splitlines()[0]
        raise DistributedError(
            f"another of the {jax.process_count()} processes of this fit has ended or cannot be reached ({first}). Its "
            "own output says why; then start all of them again."
        ) from error


def agree(tree: _Tree) -> _Tree:
    """Give all processes what the first one has: numbers and NumPy arrays. A single process keeps its own.

    Clocks, and what depends on them, differ from process to process, while all of them must take the same steps.
    """
    if jax.process_count() == 1:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    return jax.tree.unflatten(structure, from_first(leaves))


def any_of(flag: bool) -> bool:
    """Whether `flag` is true in any process."""
    if jax.process_count() == 1:
        return flag
    with need_all():
        return bool(np.asarray(multihost_utils.process_allgather(np.array([flag]))).any())


def from_first(state: Any) -> Any:  # noqa: ANN401 - JSON values and arrays, nested
    """Give all processes the state that the first one has, whatever its size."""
    if jax.process_count() == 1:
        return state
    message = np.frombuffer(pack(state if jax.process_index() == 0 else None), np.uint8)
    with need_all():
        length = int(np.asarray(multihost_utils.broadcast_one_to_all(np.int32(len(message)))))
        sent = np.zeros(length, np.uint8)
        if jax.process_index() == 0:
            sent[:] = message
        return unpack(np.asarray(multihost_utils.broadcast_one_to_all(sent)).astype(np.uint8).tobytes())


def from_all(state: Any) -> list[Any]:  # noqa: ANN401
    """Give all processes the states of all of them, in the order of their numbers."""
    if jax.process_count() == 1:
        return [state]
    message = np.frombuffer(pack(state), np.uint8)
    with need_all():
        lengths = np.asarray(multihost_utils.process_allgather(np.array([len(message)], np.int32))).reshape(-1)
        sent = np.zeros(int(lengths.max()), np.uint8)
        sent[: len(message)] = message
        got = np.asarray(multihost_utils.process_allgather(sent[None], tiled=True))
    return [unpack(part[:length].tobytes()) for part, length in zip(got, lengths.tolist(), strict=True)]
