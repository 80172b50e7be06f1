"""Where a fit keeps its points and takes its steps: here, or in parts on several devices, of one process or of many.

A fit and its objective are written once, for any number of parts. A placement cuts into parts, puts together, runs the
compiled steps, and lets all processes agree: the first one's clock decides about rates and the end, its held-out value
about the best state, and what any of them is told to do ends them all together.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from types import FrameType
from typing import Any, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.typing import ArrayLike, NDArray

from brenier._errors import InputError
from brenier._processes import agree, any_of, need_all
from brenier._types import Array
from brenier.data.streams import PointStream
from brenier.training.config import TrainingConfig
from brenier.training.schedule import Schedule
from brenier.training.sharded import AXIS

__all__ = ["LOCAL", "Local", "Placement", "Sharded", "choose_shards", "placement_for"]

_Tree = TypeVar("_Tree")


class Local:
    """One part, in this process, whatever other processes do.

    Attributes:
        count: Parts of all processes.
        numbers: Numbers of the parts of this process.
        mesh: The devices, in the order of the parts; None without a division.
    """

    count, numbers, mesh = 1, (0,), None

    def part(self, source: PointStream, number: int) -> PointStream:
        """The points of one part."""
        return source

    def rng(self, seed: int, number: int) -> np.random.Generator:
        """The randomness of one part."""
        return np.random.default_rng(seed)

    def join(self, parts: Sequence[ArrayLike], axis: int = 0) -> Array:
        """One array of all parts, along a new axis where there may be several, from the parts of this process."""
        return jnp.asarray(parts[0])

    def split(self, array: Array) -> Any:  # noqa: ANN401 - a sequence of arrays
        """The parts of this process of an array of all parts."""
        return (array,)

    def replicate(self, tree: Any) -> Any:  # noqa: ANN401 - a pytree
        """Put arrays that all processes have on every device."""
        return _arrays(jnp.asarray, tree)

    def localise(self, tree: _Tree) -> _Tree:
        """Put arrays that are the same on every device on one device of this process."""
        return tree

    def schedule(self, config: TrainingConfig, started: float | None) -> Schedule:
        """The schedule that all processes follow."""
        return Schedule(config, started)

    def on_first(self, work: Callable[[], _Tree], otherwise: _Tree) -> _Tree:
        """Let the first process compute something, and all processes have the result.

        Args:
            work: The computation; the other processes wait instead.
            otherwise: Any result with arrays of the same shapes, for the others to receive into.
        """
        return work()

    def any_of(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return flag

    @contextmanager
    def interruptible(self) -> Iterator[Callable[[], bool]]:
        """Let Ctrl-C end a block, at once or where it asks the function whether the key was pressed."""
        with suppress(KeyboardInterrupt):
            yield lambda: False


LOCAL = Local()
"""The placement of a fit in one part."""


@dataclass(frozen=True)
class Sharded:
    """Equal parts of the pool and of every batch, divided over the devices of all processes.

    What a fit computes depends on the number of parts alone, up to rounding: one device can work on all of them.

    Attributes:
        count: How many.
        mesh: The devices, in the order of the parts.
    """

    count: int
    mesh: Mesh

    @classmethod
    def over(cls, count: int) -> "Sharded":
        """Put `count` parts on as many devices as divide them evenly, or on all devices of several processes.

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
    def numbers(self) -> list[int]:
        each, process = self.count // self.mesh.size, jax.process_index()
        places = [place for place, device in enumerate(self.mesh.devices) if device.process_index == process]
        return [place * each + number for place in places for number in range(each)]

    def part(self, source: PointStream, number: int) -> PointStream:
        return source.part(number, self.count)

    def rng(self, seed: int, number: int) -> np.random.Generator:
        return np.random.default_rng((seed, number))

    def join(self, parts: Sequence[ArrayLike], axis: int = 0) -> Array:
        spec = PartitionSpec(*[None] * axis, AXIS)
        return jax.make_array_from_process_local_data(NamedSharding(self.mesh, spec), np.stack(parts, axis))

    def split(self, array: Array) -> Any:  # noqa: ANN401
        parts = sorted(array.addressable_shards, key=lambda part: part.index[0].start or 0)
        return np.concatenate([np.asarray(part.data) for part in parts])

    def replicate(self, tree: Any) -> Any:  # noqa: ANN401 - a pytree
        place = NamedSharding(self.mesh, PartitionSpec())
        return _arrays(lambda array: jax.make_array_from_process_local_data(place, np.asarray(array)), tree)

    def localise(self, tree: _Tree) -> _Tree:
        return _arrays(lambda array: jnp.asarray(np.asarray(array)), tree)

    def schedule(self, config: TrainingConfig, started: float | None) -> Schedule:
        return _AgreedSchedule(config, started)

    def on_first(self, work: Callable[[], _Tree], otherwise: _Tree) -> _Tree:
        return agree(work() if jax.process_index() == 0 else otherwise)

    def any_of(self, flag: bool) -> bool:
        return any_of(flag)

    @contextmanager
    def interruptible(self) -> Iterator[Callable[[], bool]]:
        if jax.process_count() == 1:
            with LOCAL.interruptible() as pressed:
                yield pressed
            return
        presses: list[int] = []

        def press(number: int, _: FrameType | None) -> None:
            # No exception the first time: it would leave the others alone in a step.
            presses.append(number)
            if len(presses) > 1:
                raise KeyboardInterrupt

        main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, press) if main else None
        try:
            with need_all():
                yield lambda: any_of(bool(presses))
        finally:
            if main:
                signal.signal(signal.SIGINT, before)


Placement: TypeAlias = Local | Sharded
"""Where the parts of a fit are. Arrays of all parts have a leading axis of parts, except where there is only one."""


def placement_for(config: TrainingConfig) -> Placement:
    """The placement that settings ask for.

    Raises:
        InputError: Batches or pool do not fall into so many equal parts.
    """
    if config.shards == 1:
        return LOCAL
    for name, size in (("batch_size", config.batch), ("pool_size", config.pool)):
        if size % config.shards or size < config.shards:
            raise InputError(f"`{name}` must be a multiple of `shards`; got {size} and {config.shards}.")
    if config.pool // config.shards & (config.pool // config.shards - 1):
        raise InputError(f"`pool_size` over `shards` must be a power of two; got {config.pool} and {config.shards}.")
    return Sharded.over(config.shards)


def choose_shards(shards: int | None) -> dict[str, int]:
    """The setting `shards` of a fit: what was given, or one part a device of several processes; else empty.

    Raises:
        InputError: `shards` is not a positive integer.
    """
    if shards is None:
        return {"shards": jax.device_count()} if jax.process_count() > 1 else {}
    if not isinstance(shards, Integral) or shards < 1:
        raise InputError(f"`shards` must be a positive integer or None; got {shards!r}.")
    return {"shards": int(shards)}


class _AgreedSchedule(Schedule):
    """The schedule of the first process, in all of them."""

    def progress(self, steps: int) -> float:
        return agree(super().progress(steps))

    def next_cycle(self, steps: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rates, tolerances = super().next_cycle(steps)
        both = np.zeros((2, self._config.cycle), np.float32)
        both[:, : len(rates)] = rates, tolerances
        count, both, self._position = agree((len(rates), both, self._position))
        return both[0, :count], both[1, :count]


def _arrays(function: Callable[[Any], Any], tree: _Tree) -> _Tree:
    """Apply a function to every array of a pytree, and leave its other leaves as they are."""
    return jax.tree.map(lambda leaf: function(leaf) if isinstance(leaf, jax.Array | np.ndarray) else leaf, tree)
