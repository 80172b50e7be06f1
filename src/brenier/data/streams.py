"""Where training draws its points from: an array, a sampling function, or batches."""

import abc
import copy
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from brenier._errors import InputError
from brenier.data.checks import as_points
from brenier.data.kinds import kind_of
from brenier.data.kinds.dask import Blocks, is_lazy
from brenier.data.stored import Stored
from brenier.data.table import Matrix, Table, Unchecked

__all__ = [
    "ArrayStream",
    "IteratorStream",
    "PointStream",
    "Sampler",
    "SamplerStream",
    "as_stream",
    "is_array_like",
    "part_generator",
]

Sampler: TypeAlias = Callable[[jax.Array, int], Unchecked]
"""`sampler(key, n)` returns n points; `key` is two 32-bit words, as `jax.random.PRNGKey` makes them."""

_PROBE_ROWS = 2
"""Points asked of a sampler to learn their dimension."""

_PARTS = 0xB4E21E4
"""Number of a draw that no supply reaches: the keys of its parts are derived from that of this draw."""

_END = object()


class PointStream(abc.ABC):
    """A supply of points of one side."""

    @property
    @abc.abstractmethod
    def dim(self) -> int:
        """Number of columns."""

    @property
    @abc.abstractmethod
    def size(self) -> int | None:
        """Number of different points; None where it is unknown or unlimited."""

    @abc.abstractmethod
    def draw(self, n: int) -> Matrix:
        """The next `n` points, `(n, dim)`."""

    def part(self, index: int, count: int) -> "PointStream":
        """The supply of one of `count` shards of a fit, the same whatever has been drawn from this one before.

        Raises:
            InputError: This supply cannot be divided, or has too few points.
        """
        raise InputError(
            f"`shards` needs points that can be divided into {count} parts, not a {type(self).__name__}. Give it the "
            "method `part`, or pass an array or a sampler `(key, n) -> points`."
        )

    def state(self) -> dict[str, Any]:
        """Where the supply stands: JSON values and NumPy arrays that `restore` can go on from.

        Raises:
            InputError: The supply cannot go on in another process.
        """
        raise InputError(
            f"`checkpoint` needs points that can be drawn on from where a fit stood, not a {type(self).__name__}. "
            "Give it the methods `state` and `restore`, or pass an array or a sampler `(key, n) -> points`."
        )

    def restore(self, state: dict[str, Any]) -> None:
        """Go on exactly from what `state` gave, in a supply made of the same data and seed.

        Raises:
            InputError: As for `state`.
        """
        self.state()


class ArrayStream(PointStream):
    """Rows of an array in random order: every row once, then every row once again in a new order.

    Args:
        values: `(size, dim)`, checked.
        rng: Generator of the orders.
    """

    def __init__(self, values: Matrix, rng: np.random.Generator) -> None:
        self._values = values
        self._rng = rng
        self._left = np.empty(0, np.intp)

    @property
    def dim(self) -> int:
        return self._values.shape[1]

    @property
    def size(self) -> int:
        return self._values.shape[0]

    def draw(self, n: int) -> Matrix:
        chosen = self._left[:n]
        self._left = self._left[n:]
        while chosen.size < n:
            order = self._rng.permutation(self.size)
            missing = n - chosen.size
            chosen = np.concatenate([chosen, order[:missing]])
            self._left = order[missing:]
        return self._values[chosen]

    def part(self, index: int, count: int) -> "ArrayStream":
        """Every `count`-th row."""
        if self.size < count:
            raise InputError(f"`shards` must be at most the number of training rows, {self.size}; got {count}.")
        return ArrayStream(self._values[index::count], part_generator(self._rng, index))

    def state(self) -> dict[str, Any]:
        return {"left": self._left.copy(), "rng": self._rng.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        self._left, self._rng.bit_generator.state = state["left"], state["rng"]


class SamplerStream(PointStream):
    """Points from a function of a random key and a count.

    Every draw has its own key, made from `seed` and the number of the draw, so that a pure function of the key
    gives one stream for one seed. Two points are drawn at once to learn the dimension, and thrown away.

    Args:
        sampler: Called as `sampler(key, n)`. The key serves `jax.random.normal(key, (n, d))` as well as
            `numpy.random.default_rng(numpy.asarray(key)).normal(size=(n, d))`.
        seed: Fixes the stream.
        name: The argument's name in messages.

    Raises:
        InputError: Here or in `draw`, if what the sampler returns is not `n` points of finite numbers.
    """

    def __init__(self, sampler: Sampler, seed: int, name: str) -> None:
        self._sampler = sampler
        self._key = jax.random.PRNGKey(seed)
        self._name = name
        self._draws = 0
        _check_signature(sampler, name)
        self._dim = self._next(_PROBE_ROWS).shape[1]

    @property
    def dim(self) -> int:
        return self._dim

    @property
    def size(self) -> None:
        return None

    def draw(self, n: int) -> Matrix:
        points = self._next(n)
        if points.shape[1] != self._dim:
            raise InputError(
                f"The sampler `{self._name}` returned points of {points.shape[1]} columns after points of {self._dim}. "
                "It must always return the same number of columns."
            )
        return points

    def part(self, index: int, count: int) -> "SamplerStream":
        """The same sampler with another stream of keys."""
        stream = copy.copy(self)
        stream._key, stream._draws = jax.random.fold_in(jax.random.fold_in(self._key, _PARTS), index), 0
        return stream

    def state(self) -> dict[str, Any]:
        return {"key": np.array(self._key), "draws": self._draws}

    def restore(self, state: dict[str, Any]) -> None:
        self._key, self._draws = jnp.array(state["key"]), state["draws"]

    def _next(self, n: int) -> Matrix:
        key = jax.random.fold_in(self._key, self._draws)
        self._draws += 1
        points = _batch(self._sampler(key, n), self._name, f"The sampler `{self._name}` returned")
        if len(points) != n:
            raise InputError(
                f"The sampler `{self._name}` returned {len(points)} points where {n} were asked for. "
                "Called as `sampler(key, n)`, it must return shape (n, d)."
            )
        return points


class IteratorStream(PointStream):
    """Points from batches of any size, in the order in which they come.

    What a draw leaves of a batch is kept for the next one. An iterable that can be iterated again (a list, a data
    loader) starts over at its end; an iterator or generator cannot. The first batch is taken at once, to learn the
    dimension.

    Args:
        iterable: Gives arrays of shape `(any, d)`, or one-element lists of such arrays.
        name: The argument's name in messages.

    Raises:
        InputError: Here or in `draw`, if a batch is not usable, or if the batches run out.
    """

    def __init__(self, iterable: Iterable[Unchecked], name: str) -> None:
        self._iterable = iterable
        self._iterator: Iterator[Unchecked] = iter(iterable)
        self._name = name
        self._given = 0
        self._left = self._next(missing=1, dim=None)

    @property
    def dim(self) -> int:
        return self._left.shape[1]

    @property
    def size(self) -> None:
        return None

    def draw(self, n: int) -> Matrix:
        parts, missing = [self._left], n - len(self._left)
        while missing > 0:
            parts.append(self._next(missing, self.dim))
            missing -= len(parts[-1])
        points = np.concatenate(parts)
        self._left = points[n:]
        return points[:n]

    def part(self, index: int, count: int) -> "IteratorStream":
        raise InputError(
            f"`{self._name}` is an iterator, which cannot be divided into {count} `shards`. Pass an array, a sampler "
            "`(key, n) -> points`, or points in a file (`brenier.files.open_points`)."
        )

    def state(self) -> dict[str, Any]:
        raise InputError(
            f"`{self._name}` is an iterable, which cannot be taken up in another process where a fit stood, so that "
            "`checkpoint` cannot be used. Pass an array, or a sampler `(key, n) -> points`."
        )

    def _next(self, missing: int, dim: int | None) -> Matrix:
        """The next batch; starts over where that is possible."""
        batch = next(self._iterator, _END)
        if batch is _END:
            self._iterator = iter(self._iterable)
            batch = next(self._iterator, _END)
        if batch is _END:
            raise InputError(
                f"`{self._name}` ran out: it gave {self._given} points, and at least {missing} more were needed. "
                "Pass an array of all points, an iterator without end, or an object that can be iterated again."
            )
        if isinstance(batch, list | tuple) and len(batch) > 0 and getattr(batch[0], "ndim", 0) > 1:
            if len(batch) > 1:
                raise InputError(
                    f"`{self._name}` gave a {type(batch).__name__} of {len(batch)} arrays where one array of points "
                    "was expected. Select it, for instance `(batch[0] for batch in batches)`."
                )
            batch = batch[0]
        points = _batch(batch, self._name, f"`{self._name}` gave a batch:")
        if dim not in (None, points.shape[1]):
            raise InputError(
                f"`{self._name}` gave a batch of shape {points.shape} after batches of {dim} columns. "
                "All batches must have the same number of columns."
            )
        self._given += len(points)
        return points


def as_stream(value: Unchecked, name: str, seed: int) -> PointStream:
    """The stream that fits what the user passed.

    Args:
        value: A stream, a sampling function `(key, n) -> points`, an iterable of batches, or whatever `as_points`
            takes. A list of numbers is an array; a list of two-dimensional arrays is an iterable of batches;
            an array of dask is one, too, where it is too large to be computed at once.
        name: The argument's name in messages.
        seed: Fixes the order of an array's rows and a sampler's stream.

    Raises:
        InputError: The value is none of these, or the points are not usable.
    """
    if isinstance(value, PointStream):
        return value
    if is_array_like(value):
        return ArrayStream(as_points(value, name).values, np.random.default_rng(seed))
    if is_lazy(value):
        return IteratorStream(Blocks(value, seed), name)
    if callable(value):
        return SamplerStream(value, seed, name)
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return IteratorStream(value, name)
    raise InputError(
        f"`{name}` must be an array, a frame, a function `(key, n) -> points` or an iterable of batches; got a "
        f"{type(value).__name__}. Read files with `brenier.files.read_points`."
    )


def is_array_like(value: Unchecked) -> bool:
    """Whether a side of a fit is all of its points at once, rather than a supply of them."""
    return not isinstance(value, Stored) and (isinstance(value, Table) or kind_of(value).is_whole(value))


def part_generator(rng: np.random.Generator, index: int) -> np.random.Generator:
    """The generator of one part of a supply, whatever has been drawn from that of the whole."""
    seed: Any = rng.bit_generator.seed_seq
    return np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, index)))


def _batch(value: Unchecked, name: str, what: str) -> Matrix:
    """`as_points` of what user code returned, with a message that says so.

    A copy, since the user's code may fill the same buffer again.
    """
    try:
        return as_points(value, name).values.copy()
    except InputError as error:
        raise InputError(f"{what} points that cannot be used. {error}") from error


def _check_signature(sampler: Sampler, name: str) -> None:
    try:
        signature = inspect.signature(sampler)
    except ValueError:  # some compiled functions have none; the first draw tells
        return
    try:
        signature.bind(None, _PROBE_ROWS)
    except TypeError as error:
        raise InputError(
            f"The sampler `{name}` cannot be called as `sampler(key, n)`: {error}. Its signature is {signature}."
        ) from error
