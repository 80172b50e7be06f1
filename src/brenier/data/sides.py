"""One side of a fit: what to train on, what to hold out, and what the moments are."""

import math
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from brenier.coordinates import Moments
from brenier.data.checks import as_points
from brenier.data.sources import ArraySource, Source, as_source
from brenier.data.table import Matrix, Table, Unchecked
from brenier.moments import accumulate_moments, moments

__all__ = ["FEWEST_HELD_OUT", "Side", "held_out_count", "split_side"]

FEWEST_HELD_OUT = 20
"""Held-out samples a side below which no network is trained: nothing could tell it from the Gaussian map."""

_LARGEST_SHARE = 0.3
"""Share of the rows that may be held out to reach the least number of points."""

_MOMENT_BATCH = 1 << 14
_MOMENT_SAMPLES = 1 << 17
_MOMENT_SAMPLES_A_COLUMN = 1 << 13


class Side(NamedTuple):
    """One side of a fit.

    Attributes:
        source: Supply of training points.
        holdout: `(n, d)` points that training never sees.
        sample: Points for the checks of the pair: all of an array, the first draw of a stream.
        training: The array to train on, if the side is one.
    """

    source: Source
    holdout: Matrix
    sample: Table
    training: Matrix | None = None

    @property
    def size(self) -> int | None:
        """Samples to train on; None for streams."""
        return None if self.training is None else len(self.training)

    def moments(self, seconds: float | None = None) -> Moments:
        """Mean and covariance, without the held-out points.

        A stream gives at least 131,072 points, 8,192 a column, batch by batch: most samplers are fast, while every
        error in the moments is an error of the starting map. One that is slow gives what it can in time.

        Args:
            seconds: Time to draw for; one batch is drawn whatever it takes. As long as it takes by default.
        """
        if self.training is not None:
            return moments(self.training)
        return accumulate_moments(self._draws(seconds))

    def _draws(self, seconds: float | None) -> Iterator[Matrix]:
        until = math.inf if seconds is None else time.perf_counter() + seconds
        batches = max(_MOMENT_SAMPLES, _MOMENT_SAMPLES_A_COLUMN * self.source.dim) // _MOMENT_BATCH
        yield self.source.draw(_MOMENT_BATCH)
        for _ in range(batches - 1):
            if time.perf_counter() > until:
                return
            yield self.source.draw(_MOMENT_BATCH)

    def whole(self, rng: np.random.Generator) -> "Side":
        """The same side with all rows of its array in training, the held-out ones among them."""
        values = self.sample.values
        return self._replace(source=ArraySource(values, rng), training=values)


def split_side(value: Unchecked, name: str, *, share: float, most: int, seed: int, least: int = 0) -> Side:
    """Check one argument of a fit and divide it.

    An array gives `share` of its rows, at most `most`, to the held-out points; a stream gives `most` points.

    Args:
        value: Array, frame, sampler `(key, n) -> points`, or iterable of arrays.
        name: The argument's name in messages.
        share: Share of an array to hold out.
        most: Most points to hold out.
        least: Points to hold out even if they are more than `share`, but at most 30 % of the rows.
        seed: Randomness of the split, and of the samplers' keys.
    """
    source = as_source(value, name, seed)
    if isinstance(source, ArraySource):
        return _split_array(as_points(value, name), share, most, least, seed)
    # Streams may repeat what they hold; only arrays are judged by their repeats.
    sample = Table(np.unique(source.draw(_MOMENT_BATCH), axis=0))
    return Side(source, source.draw(most), sample)


def held_out_count(size: int, share: float, most: int, least: int) -> int:
    """How many of so many rows to hold out; none where they would be too few to judge by."""
    count = min(max(int(share * size), min(least, int(_LARGEST_SHARE * size))), most)
    return count if count >= FEWEST_HELD_OUT else 0


def _split_array(table: Table, share: float, most: int, least: int, seed: int) -> Side:
    """Shuffle rows and hold a share out; too few rows for that all stay in training."""
    rng = np.random.default_rng(seed)
    size = len(table.values)
    count = held_out_count(size, share, most, least)
    order = rng.permutation(size)
    training = table.values[order[count:]]
    return Side(ArraySource(training, rng), table.values[order[:count]], table, training)
