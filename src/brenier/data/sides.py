"""One side of a fit: what to train on, what to hold out, and what the moments are."""

import math
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from brenier._errors import InputError
from brenier.coordinates import Moments
from brenier.data.checks import as_points
from brenier.data.shuffled import ShuffledSource
from brenier.data.sources import ArraySource, Source, as_source, is_array_like
from brenier.data.stored import Stored
from brenier.data.table import Matrix, Table, Unchecked
from brenier.data.weights import WeightedSource, effective_size, weighted_table
from brenier.moments import accumulate_moments, moments

__all__ = ["FEWEST_HELD_OUT", "Side", "held_out_count", "split_side"]

FEWEST_HELD_OUT = 20
"""Held-out samples a side below which no network is trained: nothing could tell it from the Gaussian map."""

_LARGEST_SHARE = 0.3
"""Share of the rows that may be held out to reach the least number of points."""

_TINY = float(np.finfo(np.float64).tiny)
"""Instead of the sum of no weights."""

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
        weights: Of the rows of `training`, of `holdout` and of `sample`; None where all count alike.
    """

    source: Source
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
        """The same side with all rows of its array in training, the held-out ones among them."""
        values = self.sample.values
        if self.weights is None:
            return self._replace(source=_supply(values, None, rng), training=values)
        _, held_out, every = self.weights
        return self._replace(source=_supply(values, every, rng), training=values, weights=(every, held_out, every))


def split_side(
    value: Unchecked,
    name: str,
    *,
    share: float,
    most: int,
    seed: int,
    least: int = 0,
    weights: Unchecked = None,
    weight_name: str | None = None,
) -> Side:
    """Check one argument of a fit and divide it.

    An array gives `share` of its rows, at most `most`, to the held-out points; a stream gives `most` points.

    Args:
        value: Array, frame, sampler `(key, n) -> points`, iterable of arrays, or what `open_points` returns.
        name: The argument's name in messages.
        share: Share of an array to hold out.
        most: Most points to hold out.
        least: Points to hold out even if they are more than `share`, but at most 30 % of the rows.
        seed: Randomness of the split, and of the samplers' keys.
        weights: Of the rows of an array; see `as_weights`.
        weight_name: What messages call them; `x_weight` for `X` by default.
    """
    own = f"{name.lower()}_weight" if weight_name is None else weight_name
    if isinstance(value, Stored):
        if not value.fits:
            if weights is not None:
                raise InputError(
                    f"`{own}` was given, but `{value.path}` is read in parts, which have no weights. Pass an array, or "
                    f"raise `memory`, {value.memory:,} bytes, beyond twice its size in double precision."
                )
            return _split_stored(value, share, most, least, seed)
        value = value.table()
    if is_array_like(value):
        value = as_points(value, name)  # once, for it may have to be computed
    source = as_source(value, name, seed)
    if isinstance(source, ArraySource):
        return _split_array(*weighted_table(as_points(value, name), weights, own), share, most, least, seed)
    if weights is not None:
        raise InputError(
            f"`{own}` was given, but `{name}` is a {type(value).__name__} that supplies its own "
            "points. Let it draw them in proportion to the weights, or pass an array."
        )
    # Streams may repeat what they hold; only arrays are judged by their repeats.
    sample = Table(np.unique(source.draw(_MOMENT_BATCH), axis=0))
    return Side(source, source.draw(most), sample)


def held_out_count(size: int, share: float, most: int, least: int) -> int:
    """How many of so many rows to hold out; none where they would be too few to judge by."""
    count = min(max(int(share * size), min(least, int(_LARGEST_SHARE * size))), most)
    return count if count >= FEWEST_HELD_OUT else 0


def _split_stored(stored: Stored, share: float, most: int, least: int, seed: int) -> Side:
    """A stream with as many held-out points as the array would have; the first draws are its sample."""
    count = held_out_count(stored.rows, share, most, least)
    source = ShuffledSource(stored, seed, count)
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


def _supply(values: Matrix, weights: Matrix | None, rng: np.random.Generator) -> Source:
    return ArraySource(values, rng) if weights is None else WeightedSource(values, weights, rng)
