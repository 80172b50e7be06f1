"""Supplies of points: every row as often as any other, one stream a seed, and no points lost between draws."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brenier._errors import InputError
from brenier.data.streams import ArrayStream, IteratorStream, PointStream, SamplerStream, as_stream
from brenier.estimators.intake import Sample
from brenier.estimators.sides import split_side

ROWS = np.arange(10.0).reshape(5, 2)


def normal(key: jax.Array, n: int) -> jax.Array:
    return jax.random.normal(key, (n, 2))


def returning(value: Any) -> Callable[[jax.Array, int], Any]:
    return lambda key, n: value


class TestArrayStream:
    @given(st.integers(1, 7), st.lists(st.integers(0, 20), min_size=1, max_size=8), st.integers(0, 3))
    def test_every_row_is_used_equally_often(self, size: int, draws: list[int], seed: int) -> None:
        source = ArrayStream(np.arange(float(size))[:, None], np.random.default_rng(seed))
        drawn = np.concatenate([source.draw(n) for n in draws])
        assert drawn.shape == (sum(draws), 1)
        for start in range(0, len(drawn), size):
            a_pass = drawn[start : start + size, 0]
            assert len(set(a_pass)) == len(a_pass)

    def test_passes_have_different_orders_and_a_seed_fixes_them(self) -> None:
        values = np.arange(100.0)[:, None]
        source, again = (ArrayStream(values, np.random.default_rng(4)) for _ in range(2))
        first, second = source.draw(100), source.draw(100)
        assert not np.array_equal(first, second)
        np.testing.assert_array_equal(again.draw(200), np.concatenate([first, second]))

    def test_shape_is_known(self) -> None:
        source = ArrayStream(ROWS, np.random.default_rng(0))
        assert (source.dim, source.size) == (2, 5)

    def test_draws_are_copies(self) -> None:
        values = ROWS.copy()
        ArrayStream(values, np.random.default_rng(0)).draw(5)[:] = 0
        np.testing.assert_array_equal(values, ROWS)


class TestSamplerStream:
    def test_one_seed_gives_one_stream(self) -> None:
        streams = [[SamplerStream(normal, seed, "X")] * 3 for seed in (1, 1, 2)]
        drawn = [np.stack([source.draw(4) for source in stream]) for stream in streams]
        np.testing.assert_array_equal(drawn[0], drawn[1])
        assert not np.isin(drawn[0], drawn[2]).any()
        assert np.unique(drawn[0]).size == drawn[0].size

    def test_keys_serve_numpy_too(self) -> None:
        def sampler(key: jax.Array, n: int) -> np.ndarray:
            assert (key.shape, key.dtype) == ((2,), np.uint32)
            return np.random.default_rng(np.asarray(key)).normal(size=(n, 3))

        source = SamplerStream(sampler, 0, "X")
        assert (source.dim, source.size) == (3, None)
        assert np.unique(np.concatenate([source.draw(5), source.draw(5)])).size == 30

    def test_float32_values_are_kept(self) -> None:
        drawn = SamplerStream(normal, 0, "X").draw(6)
        assert drawn.dtype == np.float64
        np.testing.assert_array_equal(drawn, drawn.astype(np.float32))

    def test_a_reused_buffer_does_no_harm(self) -> None:
        buffer = np.zeros((2, 1))

        def sampler(key: jax.Array, n: int) -> np.ndarray:
            buffer[:] += 1
            return buffer

        source = SamplerStream(sampler, 0, "X")
        first = source.draw(2)
        source.draw(2)
        np.testing.assert_array_equal(first, [[2.0], [2.0]])

    @pytest.mark.parametrize(
        ("sampler", "message"),
        [
            (returning(np.ones((3, 2))), r"sampler `Y` returned 3 points where 2 were asked .* return shape \(n, d\)"),
            (returning(np.ones(2)), "sampler `Y` returned points that cannot be used. `Y` must be 2-D"),
            (returning(np.full((2, 2), np.nan)), "sampler `Y` returned points that cannot be used. `Y` contains NaN"),
            (returning("two points"), "sampler `Y` returned points that cannot be used. .* got a str"),
            (lambda n: np.ones((n, 2)), r"sampler `Y` cannot be called as `sampler\(key, n\)`: .* signature is \(n\)"),
        ],
    )
    def test_refusals_at_once(self, sampler: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            SamplerStream(sampler, 0, "Y")

    @pytest.mark.parametrize(
        ("later", "message"),
        [
            (np.ones((4, 3)), "sampler `X` returned points of 3 columns after points of 2"),
            (np.ones((5, 2)), "returned 5 points where 4 were asked for"),
            (np.full((4, 2), np.inf), "`X` contains infinity"),
        ],
    )
    def test_every_draw_is_checked(self, later: np.ndarray, message: str) -> None:
        source = SamplerStream(lambda key, n: np.ones((2, 2)) if n == 2 else later, 0, "X")
        with pytest.raises(InputError, match=message):
            source.draw(4)

    def test_callables_without_a_signature_are_tried(self) -> None:
        class Opaque:
            __signature__ = property(lambda self: (_ for _ in ()).throw(ValueError("none")))

            def __call__(self, key: jax.Array, n: int) -> np.ndarray:
                return np.ones((n, 2))

        assert SamplerStream(Opaque(), 0, "X").dim == 2

    def test_errors_of_the_sampler_itself_pass_through(self) -> None:
        def sampler(key: jax.Array, n: int) -> np.ndarray:
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine"):
            SamplerStream(sampler, 0, "X")


def batches(*sizes: int) -> Iterator[np.ndarray]:
    start = 0
    for size in sizes:
        yield np.arange(float(start), start + size)[:, None]
        start += size


class Loader:
    """Can be iterated again, like a data loader; each batch is a list of one array."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = sizes

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        return ([batch] for batch in batches(*self.sizes))


class TestIteratorStream:
    @given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.lists(st.integers(0, 7), max_size=6))
    def test_no_point_is_lost_or_reordered(self, sizes: list[int], draws: list[int]) -> None:
        source = IteratorStream(Loader(*sizes), "X")
        drawn = np.concatenate([np.empty((0, 1)), *(source.draw(n) for n in draws)])
        np.testing.assert_array_equal(drawn[:, 0], np.arange(sum(draws)) % sum(sizes))

    def test_shape_is_known(self) -> None:
        source = IteratorStream(batches(3), "X")
        assert (source.dim, source.size) == (1, None)

    def test_a_generator_that_ends_says_how_far_it_went(self) -> None:
        source = IteratorStream(batches(3, 4), "X")
        source.draw(5)
        with pytest.raises(InputError, match=r"`X` ran out: it gave 7 points, and at least 6 more were needed. Pass"):
            source.draw(8)

    def test_an_empty_iterable(self) -> None:
        with pytest.raises(InputError, match="`X` ran out: it gave 0 points, and at least 1 more were needed"):
            IteratorStream(iter([]), "X")

    def test_a_reused_buffer_does_no_harm(self) -> None:
        def reusing() -> Iterator[np.ndarray]:
            buffer = np.zeros((2, 1))
            while True:
                buffer += 1
                yield buffer

        np.testing.assert_array_equal(IteratorStream(reusing(), "X").draw(6)[:, 0], [1, 1, 2, 2, 3, 3])

    @pytest.mark.parametrize(
        ("later", "message"),
        [
            (np.ones((2, 3)), r"`X` gave a batch of shape \(2, 3\) after batches of 1 columns"),
            (np.ones(2), "`X` gave a batch: points that cannot be used. `X` must be 2-D"),
            (np.ones((0, 1)), r"`X` gave a batch: .* 0 sample\(s\)"),
            (np.full((2, 1), np.nan), "`X` gave a batch: .* contains NaN"),
            (None, "`X` gave a batch: .* got a NoneType"),
            ((np.ones((2, 1)), np.ones(2)), r"`X` gave a tuple of 2 arrays where one .* `\(batch\[0\] for batch in"),
        ],
    )
    def test_every_batch_is_checked(self, later: Any, message: str) -> None:
        source = IteratorStream(iter([np.ones((2, 1)), later]), "X")
        with pytest.raises(InputError, match=message):
            source.draw(4)


class TestAsStream:
    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            (ROWS, ArrayStream),
            (ROWS.tolist(), ArrayStream),
            (list(ROWS), ArrayStream),
            (pd.DataFrame(ROWS), ArrayStream),
            (normal, SamplerStream),
            (batches(5), IteratorStream),
            (Loader(5), IteratorStream),
            ([ROWS, ROWS], IteratorStream),
            (map(np.asarray, [ROWS]), IteratorStream),
        ],
    )
    def test_dispatch(self, value: Any, kind: type[PointStream]) -> None:
        source = as_stream(value, "X", seed=0)
        assert type(source) is kind
        assert source.draw(5).shape == (5, source.dim)

    def test_a_source_stays_itself(self) -> None:
        source = as_stream(ROWS, "X", seed=0)
        assert as_stream(source, "Y", seed=1) is source

    def test_the_seed_fixes_the_order(self) -> None:
        values = np.arange(50.0)[:, None]
        orders = [as_stream(values, "X", seed=seed).draw(50)[:, 0].tolist() for seed in (3, 3, 4)]
        assert orders[0] == orders[1] != orders[2]
        assert Counter(orders[0]) == Counter(orders[2])

    def test_arrays_are_checked(self) -> None:
        with pytest.raises(InputError, match="`Y` contains NaN"):
            as_stream([[np.nan]], "Y", seed=0)
        with pytest.raises(InputError, match="must be 2-D"):
            as_stream([], "Y", seed=0)

    @pytest.mark.parametrize("value", ["points.csv", b"points", {"a": [1]}, 3, None])
    def test_anything_else_is_refused(self, value: Any) -> None:
        message = f"`X` must be an array, a frame, a function .* got a {type(value).__name__}. Read files with"
        with pytest.raises(InputError, match=message):
            as_stream(value, "X", seed=0)


def test_a_slow_sampler_gives_what_it_can_in_time():
    drawn = []

    def sampler(key, n):
        drawn.append(n)
        return np.random.default_rng(np.asarray(key)).standard_normal((n, 2))

    side = split_side(Sample("X", sampler), share=0.1, most=64, seed=0)
    drawn.clear()
    assert side.moments(0.0).count == sum(drawn) == 1 << 14
    drawn.clear()
    assert side.moments().count == sum(drawn) == 1 << 17
