"""One side of a fit: what to train on, what to hold out, and what the moments are."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from brenier.checkpoint.identity import data_digest
from brenier.data.remembered import remember
from brenier.data.shuffled import ShuffledStream
from brenier.data.stored import Stored
from brenier.data.streams import ArrayStream, PointStream, as_stream
from brenier.data.table import CheckedTable, Matrix, Table
from brenier.data.weights import WeightedStream, effective_size
from brenier.estimators.intake import Sample
from brenier.geometry import Moments, accumulate_moments, moments
from brenier.training import MOST_REFITTED

__all__ = ["FEWEST_HELD_OUT", "Side", "Sides", "held_out_count", "pooled_deviations", "split_side"]

FEWEST_HELD_OUT = 20
"""Held-out samples a side below which no network is trained: nothing could tell it from the Gaussian map."""

_LARGEST_SHARE = 0.3
"""Share of the rows that may be held out to reach the least number of points."""

_TINY = float(np.finfo(np.float64).tiny)
"""Divisor in place of a sum of weights that is 0."""

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
        weights: Weights of the rows of `training`, `holdout` and `sample`; None where all count alike.
    """

    source: PointStream
    holdout: Matrix
    sample: Table
    training: Matrix | None = None
    weights: tuple[Matrix, Matrix, Matrix] | None = None

    @property
    def size(self) -> int | None:
        """Samples to train on, the effective number where they have weights; None for streams without end."""
        if self.training is None or self.weights is None:
            return self.source.size if self.training is None else len(self.training)
        return max(round(effective_size(self.weights[0])), 1)

    @property
    def held_out_weights(self) -> Matrix | None:
        """Weights of `holdout`."""
        return None if self.weights is None else self.weights[1]

    def moments(self, seconds: float | None = None) -> Moments:
        """Mean and covariance, without the held-out points.

        A stream gives at least 131,072 points, 8,192 a column, batch by batch: most samplers are fast, while every
        error in the moments is an error of the starting map. One that is slow gives what it can in time.

        Args:
            seconds: Time to draw for; one batch is drawn whatever it takes. As long as it takes by default.
        """
        if self.training is not None:
            return moments(self.training, weights=None if self.weights is None else self.weights[0])
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
        """This side with all rows of its array in training, held-out ones included."""
        values = self.sample.values
        if self.weights is None:
            return self._replace(source=_supply(values, None, rng), training=values)
        _, held_out, every = self.weights
        return self._replace(source=_supply(values, every, rng), training=values, weights=(every, held_out, every))


@dataclass(frozen=True)
class Sides:
    """The sides of a fit without conditions: source and target, or the sample of a density alone.

    Attributes:
        each: The sides, the source first.
    """

    each: list[Side]

    @property
    def dim(self) -> int:
        """Number of columns."""
        return self.each[0].source.dim

    @property
    def columns(self) -> list[str] | None:
        """Names of the columns, if the source has any."""
        return self.each[0].sample.columns

    @property
    def rows(self) -> tuple[int | None, ...]:
        """Rows of each side that is an array; None for a supply of points."""
        return tuple(None if side.training is None else len(side.sample.values) for side in self.each)

    @property
    def enough(self) -> bool:
        """Whether enough points are held out to judge a network."""
        return min(len(side.holdout) for side in self.each) >= FEWEST_HELD_OUT

    @property
    def small(self) -> bool:
        """Whether every side is an array with few enough rows to be trained on twice."""
        return all(rows is not None and rows <= MOST_REFITTED for rows in self.rows)

    def remembered(self) -> dict[str, Any]:
        """What the map remembers of the rows of its fit, by side; nothing of supplies."""
        named = zip(("source", "target"), self.each, strict=False)
        return {name: remember(side.sample.values) for name, side in named if side.training is not None}

    def digests(self) -> dict[str, str]:
        """Digests by name: of all rows and weights of an array, and of the first points of a supply.

        Raises:
            InputError: A supply cannot be resumed in another process.
        """
        digests = {}
        for name, side in zip("XY", self.each, strict=False):
            if side.training is None:
                side.source.state()
            weights = None if side.weights is None else side.weights[2]
            digests[f"points of `{name}`"] = data_digest(side.sample.values, weights, side.holdout)
        return digests


def split_side(sample: Sample, *, share: float, most: int, seed: int, least: int = 0) -> Side:
    """Divide one side of a fit into what is trained on and what is held out.

    An array gives `share` of its rows, at most `most`, to the held-out points; a supply gives `most` points.

    Args:
        sample: The side, checked.
        share: Share of an array to hold out.
        most: Most points to hold out.
        least: Points to hold out even if they are more than `share`, but at most 30 % of the rows.
        seed: Randomness of the split, and of the samplers' keys.
    """
    if isinstance(sample.points, Stored):
        return _split_stored(sample.points, share, most, least, seed)
    if isinstance(sample.points, CheckedTable):
        return _split_array(sample.points, sample.weights, share, most, least, seed)
    source = as_stream(sample.points, sample.name, seed)
    # Streams may repeat what they hold; only arrays are judged by their repeats.
    seen = Table(np.unique(source.draw(_MOMENT_BATCH), axis=0))
    return Side(source, source.draw(most), seen)


def pooled_deviations(source: Moments, target: Moments) -> Matrix:
    """`(d,)` standard deviation of each column, root mean square of the two sides."""
    return np.sqrt((np.diag(source.covariance) + np.diag(target.covariance)) / 2)


def held_out_count(size: int, share: float, most: int, least: int) -> int:
    """How many of `size` rows to hold out; 0 where they would be too few to judge by."""
    count = min(max(int(share * size), min(least, int(_LARGEST_SHARE * size))), most)
    return count if count >= FEWEST_HELD_OUT else 0


def _split_stored(stored: Stored, share: float, most: int, least: int, seed: int) -> Side:
    """Hold out as many rows of a file as of an array; the first draws from the other rows are the sample."""
    count = held_out_count(stored.rows, share, most, least)
    source = ShuffledStream(stored, seed, count)
    sample = Table(source.draw(min(_MOMENT_BATCH, source.size)), stored.columns)
    return Side(source, source.holdout, sample)


def _split_array(table: Table, weights: Matrix | None, share: float, most: int, least: int, seed: int) -> Side:
    """Shuffle rows and hold a share out; too few rows for that all stay in training."""
    rng = np.random.default_rng(seed)
    size = len(table.values)
    count = held_out_count(size, share, most, least)
    order = rng.permutation(size)
    training, parts = table.values[order[count:]], None
    if weights is not None:
        first, second = (weights[rows] / max(weights[rows].sum(), _TINY) for rows in (order[count:], order[:count]))
        parts = first, second, weights
    source = _supply(training, None if parts is None else parts[0], rng)
    return Side(source, table.values[order[:count]], table, training, parts)


def _supply(values: Matrix, weights: Matrix | None, rng: np.random.Generator) -> PointStream:
    return ArrayStream(values, rng) if weights is None else WeightedStream(values, weights, rng)
