"""A pair whose map is known, how much of it a method may see, and the clock that it runs against."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier.data.streams import ArrayStream, PointStream, SamplerStream
from brenier_bench.datasets import GaussianPair, Wasserstein2Pair

__all__ = ["PAIRS", "Clock", "Pair", "Problem", "batches"]

Points = NDArray[np.floating]

Pair: TypeAlias = Wasserstein2Pair | GaussianPair

PAIRS: dict[str, Callable[[str], Pair]] = {
    "w2": Wasserstein2Pair.load,
    "gaussian": GaussianPair.load,
    "random": lambda dim: Wasserstein2Pair.random(int(dim), seed=0),
}
"""Each kind of pair, and how to get one from a file, or from a dimension."""

_TEST_POINTS = 4096
_TEST, _FINITE = 2**32 - 1, 2**32 - 3
"""Second words of the keys from which test points and finite samples are drawn."""

_PREFETCHED = 16384
"""Points drawn at a time for a stream of batches, so that the sampler's own overhead does not count."""


@dataclass(frozen=True)
class Problem:
    """The pair, samples and test points that every method of a comparison gets.

    Attributes:
        pair: The pair.
        seed: Seed of the samples and of the method.
        size: Samples a side; `None` where methods may draw as many as they like.
        test_x, test_y: Points on which errors are measured, `test_y` the exact images.
        var_x, var_y: Total variances of the two sides, the units of L2-UVP.
    """

    pair: Pair
    seed: int
    size: int | None
    test_x: Points
    test_y: Points
    var_x: float
    var_y: float

    @classmethod
    def of(cls, pair: Pair, seed: int, size: int | None = None) -> "Problem":
        """The problem of a pair: its own test points, or fresh ones where it has none."""
        if isinstance(pair, Wasserstein2Pair):
            return cls(pair, seed, size, pair.test_x, pair.test_y, pair.var_x, pair.var_y)
        test_x = pair.sample_source(_key(seed, _TEST), _TEST_POINTS).astype(np.float64)
        variances = float(np.trace(pair.source)), float(np.trace(pair.target))
        return cls(pair, seed, size, test_x, pair.transport(test_x), *variances)

    @property
    def dim(self) -> int:
        """Number of columns."""
        return self.pair.dim

    def samples(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The `size` points a side of a finite problem, drawn independently of each other."""
        if self.size is None:
            raise ValueError("a problem with samplers has no finite samples; give it a `size`.")
        x = self.pair.sample_source(_key(self.seed, _FINITE), self.size)
        y = self.pair.sample_target(_key(self.seed, _FINITE - 1), self.size)
        return x.astype(np.float64), y.astype(np.float64)

    def sources(self) -> tuple[PointStream, PointStream]:
        """Streams of source and target points: fresh ones, or the finite samples over and over."""
        if self.size is None:
            return (
                SamplerStream(self.pair.sample_source, (self.seed * 2 + 1) ^ 0x5EED, "X"),
                SamplerStream(self.pair.sample_target, (self.seed * 2 + 2) ^ 0x5EED, "Y"),
            )
        rngs = (np.random.default_rng([self.seed, side]) for side in (0, 1))
        x, y = (ArrayStream(points, rng) for points, rng in zip(self.samples(), rngs, strict=True))
        return x, y


def batches(source: PointStream, size: int) -> Iterator[NDArray[np.float32]]:
    """Batches of one size without end."""
    count = max(_PREFETCHED // size, 1)
    while True:
        yield from np.asarray(source.draw(count * size), np.float32).reshape(count, size, -1)


class Clock:
    """The budget of one process.

    Args:
        seconds: Wall-clock budget.
        started: `time.perf_counter()` at which it began.
        reserve: Seconds of the budget kept for what follows training.
    """

    def __init__(self, seconds: float, started: float, reserve: float = 0.0) -> None:
        self.seconds, self.started, self.reserve = seconds, started, reserve
        self._training = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds since the start of the process."""
        return time.perf_counter() - self.started

    @property
    def left(self) -> float:
        """Seconds left for training."""
        return self.seconds - self.reserve - self.elapsed

    def train(self) -> None:
        """Start counting the time of the training."""
        self._training = time.perf_counter()

    @property
    def progress(self) -> float:
        """Share of the training time that has passed, at most 1."""
        now = time.perf_counter()
        end = self.started + self.seconds - self.reserve
        return min((now - self._training) / max(end - self._training, 1e-9), 1.0)

    def cosine(self) -> float:
        """Half a cosine from one to zero over the training time."""
        return 0.5 * (1.0 + math.cos(math.pi * self.progress))


def _key(seed: int, stream: int) -> jnp.ndarray:
    return jnp.asarray([seed, stream], jnp.uint32)
