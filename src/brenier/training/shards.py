"""Where the parts of a distributed fit are, and how the processes that run them agree."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from brenier._errors import DistributedError, InputError
from brenier._types import Array

__all__ = ["AXIS", "Shards", "agreed", "any_of", "chosen_shards", "here", "together"]

AXIS = "shards"
"""Name of the axis over which devices share the work."""

_BROKEN = re.compile("(UNKNOWN|UNAVAILABLE|INTERNAL|ABORTED|CANCELLED|DEADLINE_EXCEEDED|FAILED_PRECONDITION): ")
"""Statuses of a transfer that did not come about."""

_Tree = TypeVar("_Tree")


@dataclass(frozen=True)
class Shards:
    """Equal parts of the pool and of every batch, divided over the devices of all processes.

    What a fit computes depends on the number of parts alone, up to rounding: one device can work on all of them.

    Attributes:
        count: How many.
        mesh: The devices, in the order of the parts.
    """

    count: int
    mesh: Mesh

    @classmethod
    def over(cls, count: int) -> "Shards":
        """So many parts over as many devices as divide them evenly; over all of them where there are several processes.

        Raises:
            InputError: The devices of several processes do not divide the parts evenly.
        """
        devices = jax.devices()
        used = max(number for number in range(1, len(devices) + 1) if count % number == 0)
        if jax.process_count() > 1 and used < len(devices):
            raise InputError(
                f"`shards` must be a multiple of the number of devices of all processes, {len(devices)}; got {count}."
            )
        return cls(count, Mesh(np.array(devices[:used]), (AXIS,)))

    @cached_property
    def own(self) -> list[int]:
        """Numbers of the parts of this process."""
        each = self.count // self.mesh.size
        own = jax.process_index()
        places = [place for place, device in enumerate(self.mesh.devices) if device.process_index == own]
        return [place * each + number for place in places for number in range(each)]

    def divided(self, local: NDArray[Any], axis: int = 0) -> Array:
        """One array of all parts, each where its device is, from those of this process along an axis."""
        spec = PartitionSpec(*[None] * axis, AXIS)
        return jax.make_array_from_process_local_data(NamedSharding(self.mesh, spec), local)

    def everywhere(self, tree: _Tree) -> _Tree:
        """The same arrays on every device, from arrays that all processes have."""
        return jax.tree.map(lambda array: self.same(np.asarray(array)), tree)

    def same(self, array: NDArray[Any]) -> Array:
        """The same array on every device, from one that all processes have."""
        return jax.make_array_from_process_local_data(NamedSharding(self.mesh, PartitionSpec()), array)

    def local(self, array: Array) -> NDArray[Any]:
        """The parts of this process of an array of all parts, along its first axis."""
        parts = sorted(array.addressable_shards, key=lambda part: part.index[0].start or 0)
        return np.concatenate([np.asarray(part.data) for part in parts])


def chosen_shards(shards: int | None) -> dict[str, int]:
    """The setting for a fit, if there is to be one: what was given, or one part a device of several processes.

    Raises:
        InputError: It is no positive integer.
    """
    if shards is None:
        return {"shards": jax.device_count()} if jax.process_count() > 1 else {}
    if not isinstance(shards, Integral) or shards < 1:
        raise InputError(f"`shards` must be a positive integer or None; got {shards!r}.")
    return {"shards": int(shards)}


@contextmanager
def together() -> Iterator[None]:
    """Work that needs all processes.

    Raises:
        DistributedError: One of them is gone.
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


def here(tree: _Tree) -> _Tree:
    """Arrays that are the same on every device, on the first device of this process."""
    return jax.tree.map(lambda array: jnp.asarray(np.asarray(array)), tree)


def agreed(tree: _Tree) -> _Tree:
    """What the first process has, for all of them: numbers and arrays of NumPy; as it is where there is one process.

    Clocks, and what depends on them, differ from process to process, while all of them must take the same steps.
    """
    if jax.process_count() == 1:
        return tree
    # As bytes: the transfer would halve the digits of double precision.
    leaves, structure = jax.tree.flatten(tree)
    arrays = [np.asarray(leaf) for leaf in leaves]
    sent = [np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8) for array in arrays]
    with together():
        got = multihost_utils.broadcast_one_to_all(sent)
    back = [
        np.frombuffer(np.asarray(own, np.uint8).tobytes(), array.dtype).reshape(array.shape).copy()
        for own, array in zip(got, arrays, strict=True)
    ]
    values = [type(a)(b) if isinstance(a, bool | int | float) else b for a, b in zip(leaves, back, strict=True)]
    return jax.tree.unflatten(structure, values)


def any_of(flag: bool) -> bool:
    """Whether any process says so."""
    if jax.process_count() == 1:
        return flag
    with together():
        return bool(np.asarray(multihost_utils.process_allgather(np.array([flag]))).any())
