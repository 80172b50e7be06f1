"""Bures coordinates and the moments behind them, against closed forms, NumPy and POT."""

import itertools

import numpy as np
import ot
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asserts import assert_at_most, assert_close, assert_same
from brenier.datasets.gaussian import bures_map
from brenier.geometry import Moments, QuadraticGeometry, accumulate_moments, moments
from problems import covariance, exact_sample, gaussians

SINGLE = np.finfo(np.float32).eps


def coordinates(dim: int = 4, condition: float = 10.0, seed: int = 0, scale=None):
    pair = gaussians(dim, condition, seed)
    sides = Moments(pair.mean_x, pair.covariance_x, 100), Moments(pair.mean_y, pair.covariance_y, 100)
    return pair, QuadraticGeometry.between(*sides, scale)


@given(dim=st.integers(1, 8), exponents=st.tuples(st.floats(0, 5), st.floats(0, 5)), seed=st.integers(0, 2**32 - 1))
def test_bures_map_solves_its_equation(dim, exponents, seed):
    source, target = covariance(dim, 10 ** exponents[0], seed), covariance(dim, 10 ** exponents[1], seed + 1)
    matrix = bures_map(source, target)
    assert_same(matrix, matrix.T)
    assert_at_most(0.0, np.linalg.eigvalsh(matrix)[0], "smallest eigenvalue")
    # Square roots and inverses of condition 1e5 lose ten of sixteen digits at worst.
    assert_close(matrix @ source @ matrix, target, atol=1e-6 * np.abs(target).max())


@pytest.mark.parametrize("dim", [1, 2, 7])
def test_bures_map_against_pot_and_scipy(dim):
    pair = gaussians(dim)
    matrix = bures_map(pair.covariance_x, pair.covariance_y)
    theirs, shift = ot.gaussian.bures_wasserstein_mapping(
        pair.mean_x, pair.mean_y, pair.covariance_x, pair.covariance_y
    )
    # Condition 10, some eight matrix products in float64.
    assert_close(matrix, theirs, atol=1e-10)
    assert_close(matrix, pair.matrix, atol=1e-10)
    _, found = coordinates(dim)
    assert_close(found.linear_map, theirs, atol=1e-10)
    assert_close(pair.mean_y - found.linear_map @ pair.mean_x, shift, atol=1e-9)


@pytest.mark.parametrize("scale", [None, np.array([0.1, 1.0, 5.0, 100.0])], ids=["plain", "scaled"])
class TestInvariants:
    def test_inner_products_are_kept(self, scale, rng):
        pair, c = coordinates(scale=scale)
        units = np.ones(4) if scale is None else scale
        x, y = rng.standard_normal((2, 20, 4)) * units
        found = c.unit**2 * c.enter_x(x).astype(float) @ c.enter_y(y).astype(float).T
        expected = ((x - pair.mean_x) / units) @ ((y - pair.mean_y) / units).T
        # The new coordinates are single precision; sums of four products, with condition 10.
        assert_close(found, expected, atol=100 * SINGLE * np.abs(expected).max())
        assert_close(c.to_x.T @ c.to_y, np.diag(1 / (c.unit * units) ** 2), rtol=1e-9, atol=1e-10)

    def test_both_sides_get_one_diagonal_covariance(self, scale, rng):
        pair, c = coordinates(scale=scale)
        common = np.diag(c.spread**2)
        assert_close(c.to_x @ pair.covariance_x @ c.to_x.T, common, atol=1e-10)
        assert_close(c.to_y @ pair.covariance_y @ c.to_y.T, common, atol=1e-10)
        assert_close(np.mean(c.spread**2), 1.0, rtol=1e-12)
        x = exact_sample(pair.mean_x, pair.covariance_x, 50, rng)
        assert_close(np.cov(c.enter_x(x).T, bias=True), common, atol=1e-5)
        assert_close(c.enter_x(x).mean(axis=0), np.zeros(4), atol=1e-6)

    def test_entering_and_leaving_undo_each_other(self, scale, rng):
        _, c = coordinates(scale=scale)
        units = np.ones(4) if scale is None else scale
        x = rng.standard_normal((20, 4)) * units
        for enter, leave, to, back in [
            (c.enter_x, c.leave_x, c.to_x, c.from_x),
            (c.enter_y, c.leave_y, c.to_y, c.from_y),
        ]:
            assert enter(x).dtype == np.float32
            assert leave(enter(x)).dtype == np.float64
            # Single precision in the middle, condition 10.
            assert_close(leave(enter(x)) / units, x / units, atol=200 * SINGLE)
            assert_close(to @ back, np.eye(4), atol=1e-10)

    def test_the_identity_is_the_gaussian_map_in_them(self, scale, rng):
        pair, c = coordinates(scale=scale)
        units = np.ones(4) if scale is None else scale
        # Optimal for the cost in these units: the map between the Gaussians measured in them.
        inner = bures_map(pair.covariance_x / np.outer(units, units), pair.covariance_y / np.outer(units, units))
        matrix = units[:, None] * inner / units
        assert_close(c.linear_map, matrix, rtol=1e-8, atol=1e-8)
        x = pair.mean_x + rng.standard_normal((20, 4)) * units
        mapped = pair.mean_y + (x - pair.mean_x) @ matrix.T
        assert_close(c.leave_y(c.enter_x(x)) / units, mapped / units, atol=200 * SINGLE)

    def test_the_offset_completes_the_cost(self, scale, rng):
        _, c = coordinates(scale=scale)
        units = np.ones(4) if scale is None else scale
        x, y = 3 + rng.standard_normal((7, 4)) * units, rng.standard_normal((5, 4)) * units - 1
        cost = np.mean([0.5 * np.sum(((a - b) / units) ** 2) for a, b in itertools.product(x, y)])
        products = (x - c.mean_x) @ c.to_x.T @ c.to_y @ (y - c.mean_y).T
        assert_close(c.dual_offset(x, y) - c.unit**2 * products.mean(), cost, rtol=1e-9)


@pytest.mark.parametrize(("offset", "unit"), [(1e9, 1.0), (0.0, 1e-12), (-1e12, 1e6), (1e-3, 1e-9), (0.0, 1e30)])
def test_far_from_the_origin_and_in_any_unit(offset, unit, rng):
    x, y = offset + unit * rng.standard_normal((200, 3)), -offset + 2 * unit * rng.standard_normal((300, 3))
    c = QuadraticGeometry.between(moments(x), moments(y))
    # What float64 resolves at the offset, and single precision at the spread.
    digits = 10 * np.finfo(float).eps * abs(offset) + 50 * SINGLE * unit
    assert_close(c.leave_x(c.enter_x(x)) / unit, x / unit, atol=digits / unit)
    assert_close(c.enter_x(x).std(axis=0), c.spread, rtol=1e-3)
    assert_close(
        np.cov(c.leave_y(c.enter_x(x)).T, bias=True) / unit**2,
        np.cov(y.T, bias=True) / unit**2,
        atol=10 * digits / unit + 1e-5,
    )
    # Half the mean squared distance of the independent coupling.
    cost = 0.5 * (np.var(x, axis=0) + np.var(y, axis=0) + (x.mean(axis=0) - y.mean(axis=0)) ** 2).sum()
    products = (x - c.mean_x).mean(axis=0) @ (y - c.mean_y).mean(axis=0)
    assert_close((c.dual_offset(x, y) - products) / cost, 1.0, atol=1e-9)


def test_moments_are_those_of_numpy(rng):
    values = rng.standard_normal((500, 4)) @ np.diag([1.0, 2.0, 1e-3, 1e6]) + 7.0
    found = moments(values)
    assert_close(found.mean, values.mean(axis=0), rtol=1e-12)
    assert_close(found.covariance, np.cov(values.T, bias=True), rtol=1e-12)
    assert (found.count, found.shrinkage, found.lift) == (500, 0.0, None)
    single = moments(values[:, :1])
    assert_close(single.covariance, [[np.var(values[:, 0])]], rtol=1e-12)


@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=8), seed=st.integers(0, 2**32 - 1))
def test_streamed_moments_are_those_of_the_whole(sizes, seed):
    rng = np.random.default_rng(seed)
    batches = [1e6 + rng.standard_normal((size, 3)) for size in [80, *sizes]]
    streamed, whole = accumulate_moments(iter(batches)), moments(np.concatenate(batches))
    # Means of 1e6 keep ten digits of deviations of one.
    assert_close(streamed.mean, whole.mean, rtol=1e-13)
    assert_close(streamed.covariance, whole.covariance, atol=1e-8)
    assert streamed[2:] == whole[2:]


def test_collinear_columns_are_lifted(rng):
    base = rng.standard_normal((400, 2))
    values = np.column_stack([base, 1e3 * base[:, 0] - 1e3 * base[:, 1]])
    found = moments(values)
    # The direction without variance, in standardized columns, was lifted to a millionth.
    units = np.sqrt(np.outer(*[np.diag(found.covariance)] * 2))
    added = np.linalg.eigvalsh(found.lift / units)
    assert_close(added, [0.0, 0.0, 1e-6], atol=1e-12)
    assert_close(found.covariance - found.lift, np.cov(values.T, bias=True), rtol=1e-9)
    spread = np.sqrt(np.diag(found.covariance))
    smallest = np.linalg.eigvalsh(found.covariance / np.outer(spread, spread))[0]
    assert_close(smallest, 1e-6, rtol=1e-3)
    # Nothing else changes by more than what was added.
    assert_close(found.covariance / np.outer(spread, spread), np.corrcoef(values.T), atol=2e-6)


@pytest.mark.parametrize("ratio", [1.0, 1e3, 1e5])
@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0]])
def test_collinear_columns_in_very_different_units(ratio, order, rng):
    base = rng.standard_normal((400, 2))
    values = np.column_stack([base, ratio * (base[:, 0] - base[:, 1])])
    source, target = moments(values), moments(values[:, order] * [1.0, 3.0, 2.0])
    c = QuadraticGeometry.between(source, target)
    assert_at_most(1e-12, c.spread, "spread")
    # Covariances of condition up to 1e16, whose factors leave about five of sixteen digits.
    assert_close(c.to_x @ c.from_x, np.eye(3), atol=2e-5)
    assert_close(c.to_y @ c.from_y, np.eye(3), atol=2e-5)
    # Conditions of 1e16 and more between directions; relative to each column's own variance.
    spread = np.sqrt(np.diag(target.covariance))
    reached = c.linear_map @ source.covariance @ c.linear_map.T
    assert_close(reached / np.outer(spread, spread), target.covariance / np.outer(spread, spread), atol=1e-4)


def test_few_samples_are_shrunk(rng):
    axes = np.linalg.qr(rng.standard_normal((30, 30)))[0]
    truth = (axes * np.geomspace(0.5, 2.0, 30)) @ axes.T
    values = rng.standard_normal((40, 30)) @ np.linalg.cholesky(truth).T
    found, raw = moments(values), np.cov(values.T, bias=True)
    assert 0 < found.shrinkage < 1
    assert_close(np.diag(found.covariance), np.diag(raw), rtol=1e-12)
    off = ~np.eye(30, dtype=bool)
    assert_close(found.covariance[off], (1 - found.shrinkage) * raw[off], rtol=1e-12)
    assert np.linalg.norm(found.covariance - truth) < np.linalg.norm(raw - truth)
    fewer = moments(values[:20])
    assert_at_most(0.0, np.linalg.eigvalsh(fewer.covariance)[0], "smallest eigenvalue of a singular sample's")
    enough = moments(rng.standard_normal((600, 30)))
    assert enough.shrinkage == 0.0


def test_coordinates_without_variance_are_inert(rng):
    base = rng.standard_normal((400, 2))
    flat = moments(np.column_stack([base, base.sum(axis=1)]))
    tilted = moments(np.column_stack([2 * base, base @ [1.0, -3.0]]))
    full = moments(rng.standard_normal((400, 3)))
    for source, target, count in (
        (full, full, 0),
        (flat, flat, 1),
        (flat, full, 1),
        (full, flat, 1),
        (flat, tilted, 2),
    ):
        c = QuadraticGeometry.between(source, target)
        inert = c.degenerate(source, target)
        assert len(inert) == count
        for axis in inert:
            # In the data itself, one of the two sides has none of the variance that the coordinate claims.
            shares = [
                to[axis] @ (side.covariance - (0 if side.lift is None else side.lift)) @ to[axis] / c.spread[axis] ** 2
                for side, to in ((source, c.to_x), (target, c.to_y))
            ]
            assert min(shares) < 0.5
