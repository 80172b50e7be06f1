"""Coupled orders: permutations whose positions match, cell by cell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asserts import assert_at_most, assert_close, assert_permutation, assert_same
from brenier.geometry.coupling import coupled_orders, partitioned_orders, sorted_orders

WAYS = pytest.mark.parametrize("orders", [partitioned_orders, sorted_orders])


@WAYS
@given(
    power=st.integers(0, 9), dim=st.integers(1, 5), digits=st.sampled_from([0, 1, 12]), seed=st.integers(0, 2**32 - 1)
)
def test_orders_are_permutations_of_matching_cells(orders, power, dim, digits, seed):
    count, rng = 2**power, np.random.default_rng(seed)
    # Few digits give ties, which may fall on either side of a cut but never make the halves unequal.
    x = rng.standard_normal((count, dim)).round(digits).astype(np.float32)
    z = (rng.standard_normal((count, dim)) * rng.uniform(0.1, 3, dim)).round(digits).astype(np.float32)
    a, b = orders(x, z)
    assert_permutation(a, count)
    assert_permutation(b, count)
    for level in range(power):
        cells_x, cells_z = (points[order].reshape(2**level, 2, -1, dim) for points, order in ((x, a), (z, b)))
        for halves_x, halves_z in zip(cells_x, cells_z, strict=True):
            cut_x, cut_z = (halves[0].max(axis=0) <= halves[1].min(axis=0) for halves in (halves_x, halves_z))
            assert (cut_x & cut_z).any(), f"no axis separates the halves of both clouds on level {level}"


@WAYS
def test_cells_are_cut_along_their_widest_axis(orders):
    # A grid of 8 x 2 points, far wider than high: three cuts across, then one along.
    x = np.array([[100.0 * i, j] for i in range(8) for j in range(2)])[np.random.default_rng(0).permutation(16)]
    order, _ = orders(x, x)
    assert_same(x[order][:, 0], np.repeat(100.0 * np.arange(8), 2))
    assert_same(x[order][:, 1], np.tile([0.0, 1.0], 8))


@WAYS
@pytest.mark.parametrize("dim", [1, 3])
def test_one_cloud_in_two_orders_is_matched_with_itself(orders, dim, rng):
    x, shuffle = rng.standard_normal((256, dim)), rng.permutation(256)
    a, b = orders(x, x)
    assert_same(a, b)
    a, b = orders(x, x[shuffle])
    assert_same(x[a], x[shuffle][b])


@WAYS
def test_one_dimension_is_sorting(orders, rng):
    x, z = (points.astype(np.float32) for points in (rng.standard_normal((512, 1)), rng.exponential(size=(512, 1))))
    a, b = map(np.asarray, orders(x, z))
    assert_same(x[a, 0], np.sort(x[:, 0]))
    assert_same(z[b, 0], np.sort(z[:, 0]))


@WAYS
def test_the_cuts_are_those_of_the_first_cloud(orders, rng):
    # Along the second axis, in which z is flat: matching positions then say nothing about z's first column.
    x, z = rng.standard_normal((64, 2)) * [0.01, 1.0], rng.standard_normal((64, 2)) * [1.0, 0.01]
    _, b = orders(x, z)
    assert_at_most(z[b[:32], 1].max(), z[b[32:], 1].min(), "first half of z along the axis cut first")


@WAYS
@pytest.mark.parametrize(("dim", "factor"), [(1, 300.0), (2, 15.0), (4, 2.0)])
def test_differences_of_batch_means_vary_less(orders, dim, factor, rng):
    # Two samples of one distribution, in batches of 64 of 1024: independent draws differ by 2 variance / 64.
    function = np.tanh(np.arange(1.0, dim + 1))
    independent, coupled = [], []
    for _ in range(20):
        x, z = rng.standard_normal((2, 1024, dim))
        a, b = orders(x, z)
        at_x, at_z = np.sin(x @ function), np.sin(z @ function)
        offset = at_x.mean() - at_z.mean()  # of the whole samples, which no order of theirs can change
        pairs = rng.permutation(1024).reshape(16, 64)
        coupled.append((at_x[a][pairs] - at_z[b][pairs]).mean(axis=1) - offset)
        independent.append((at_x[rng.permutation(1024)][pairs] - at_z[pairs]).mean(axis=1) - offset)
    # 320 batches know each variance to within 8 %; the factors are about half of what was found.
    assert_at_most(factor * np.var(coupled), np.var(independent), "variance under the coupling, times the factor")
    assert_close(np.mean(coupled), 0.0, atol=5 * np.sqrt(np.var(independent) / 320))


def test_accelerators_sort(rng, monkeypatch):
    x, z = (rng.standard_normal((64, 2)).astype(np.float32) for _ in range(2))
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    monkeypatch.setattr("brenier.geometry.coupling.partitioned_orders", None)
    found = coupled_orders(x, z)
    assert all(isinstance(own, np.ndarray) and own.dtype == np.intp for own in found)
    for own, expected in zip(found, sorted_orders(x, z), strict=True):
        assert_same(own, np.asarray(expected, np.intp))


@pytest.mark.parametrize(("n", "m"), [(3, 3), (8, 4), (4, 8), (12, 16)])
def test_sizes_that_cannot_be_halved_together_are_refused(n, m):
    with pytest.raises(ValueError, match=f"one size, a power of two; got {n} and {m} points"):
        coupled_orders(np.zeros((n, 2)), np.zeros((m, 2)))
