"""Moments that move with a number, and the coordinates made of them, against closed forms."""

import numpy as np
import pytest

from asserts import assert_at_most, assert_close
from brenier.geometry import QuadraticGeometry, moments
from brenier.geometry.between import conditional_between
from brenier.geometry.dependence import Dependence, dependence
from brenier.metrics import unexplained_variance
from brenier_bench.datasets import FamilyPair, GaussianFamily

LOW, HIGH = np.array([[-1.0]]), np.array([[1.0]])


def rows(family: GaussianFamily, count: int, rng) -> np.ndarray:
    c = rng.uniform(-1, 1, count)
    return np.column_stack([family.sample(c, rng), np.zeros(count), c])


def covariances(found: Dependence, places: np.ndarray) -> np.ndarray:
    roots = found.roots(places)
    return roots @ roots.transpose(0, 2, 1)


def test_moments_that_do_not_move_are_the_sample_moments(rng):
    points = rng.standard_normal((3000, 3)) @ rng.standard_normal((3, 3)) + 5.0
    found = dependence(points, rng.uniform(-1, 1, (3000, 1)), np.ones(3))
    assert found.degree == 0
    places = np.array([[-0.7], [0.0], [0.9]])
    assert_close(found.means(places), np.tile(points.mean(axis=0), (3, 1)), rtol=1e-12)
    assert_close(covariances(found, places), np.tile(np.cov(points.T, bias=True), (3, 1, 1)), rtol=1e-9, atol=1e-9)


def test_moments_that_move(rng):
    """Relative errors shrink to sampling noise: a few hundredths with 40,000 points."""
    family = GaussianFamily.random(3, 1)
    c = rng.uniform(-1, 1, 40000)
    found = dependence(family.sample(c, rng), c[:, None], np.ones(3))
    assert found.degree >= 2
    for value in (-0.9, -0.3, 0.2, 0.85):
        exact = family.covariance(value)
        root = np.linalg.inv(family.factor(value))
        relative = root @ (covariances(found, np.array([[value]]))[0] - exact) @ root.T
        assert_at_most(np.linalg.norm(relative, 2), 0.12, "relative error of the covariance")
        shift = root @ (found.means(np.array([[value]]))[0] - family.mean(value))
        assert_at_most(np.linalg.norm(shift), 0.06, "error of the mean in standard deviations")


def test_few_distinct_numbers_limit_the_degree(rng):
    c = rng.choice([-1.0, 0.0, 1.0], 3000)
    found = dependence(rng.standard_normal((3000, 2)) * (2.0 + c[:, None]), c[:, None], np.ones(2))
    assert found.degree <= 2
    spread = np.sqrt(covariances(found, np.array([[-1.0], [0.0], [1.0]]))[:, 0, 0])
    assert_close(spread, [1.0, 2.0, 3.0], rtol=0.06)


@pytest.mark.parametrize("dim", [2, 5])
def test_coordinates_carry_the_gaussian_map_of_every_condition(dim, rng):
    source, target = GaussianFamily.random(dim, 1), GaussianFamily.random(dim, 2)
    c = conditional_between(rows(source, 40000, rng), rows(target, 40000, rng), LOW, HIGH, np.ones(dim), 0)
    for value in (-0.95, -0.4, 0.1, 0.77):
        x = source.sample(np.full(500, value), rng)
        code = np.column_stack([x, np.zeros(500), np.full(500, value)])
        images = c.leave_y(np.column_stack([c.enter_x(code)[:, :dim], code[:, dim:]]))[:, :dim]
        exact = FamilyPair(source, target).transport(value, x)
        assert_at_most(unexplained_variance(images, exact, np.trace(target.covariance(value))), 0.6, "UVP")


class TestAlgebra:
    """What holds for all coordinates, whatever the moments."""

    @pytest.fixture
    def case(self, rng):
        x = rng.standard_normal((600, 3)) @ rng.standard_normal((3, 3))
        y = np.exp(0.4 * rng.standard_normal((500, 3))) @ rng.standard_normal((3, 3)) + 4.0
        kind_x, kind_y = np.arange(600) % 2, np.arange(500) % 2
        x = np.column_stack([x * (1 + kind_x[:, None]), kind_x, rng.uniform(-1, 1, 600)])
        y = np.column_stack([y, kind_y, rng.uniform(-1, 1, 500)])
        scale = np.array([1.0, 2.0, 0.5])
        return conditional_between(x, y, np.repeat(LOW, 2, 0), np.repeat(HIGH, 2, 0), scale, 0), x, y

    def test_ways_there_and_back(self, case):
        c, x, y = case
        for side, enter, leave in ((x, c.enter_x, c.leave_x), (y, c.enter_y, c.leave_y)):
            inner = enter(side)
            np.testing.assert_array_equal(inner[:, 3:], side[:, 3:].astype(np.float32))
            assert_close(leave(inner)[:, :3], side[:, :3], atol=3e-5)

    def test_a_single_condition_has_the_same_coordinates(self, case):
        c, x, y = case
        for row_x, row_y in zip(x[:6], y[:6], strict=True):
            one = c.at(row_x[3:])
            assert isinstance(one, QuadraticGeometry)
            assert_close(one.enter_x(row_x[None, :3]), c.enter_x(row_x[None])[:, :3], atol=1e-6)
            mixed = np.concatenate([row_y[:3], row_x[3:]])[None]
            assert_close(one.enter_y(mixed[:, :3]), c.enter_y(mixed)[:, :3], atol=1e-6)
            assert_close(one.to_x @ one.from_x, np.eye(3), atol=1e-10)
            assert_close(one.to_y @ one.from_y, np.eye(3), atol=1e-10)

    def test_the_inner_product_is_kept(self, case):
        """`unit^2 <x', y'>` is the inner product of centred points in units of the cost, under any one condition."""
        c, x, y = case
        y = np.column_stack([y[:500, :3], x[:500, 3:]])
        mean_x, mean_y, to_x, to_y = c.matrices(x[:500, 3:])
        product = c.unit**2 * np.einsum("nd,nd->n", c.enter_x(x[:500])[:, :3], c.enter_y(y)[:, :3])
        exact = np.einsum("nd,nd->n", (x[:500, :3] - mean_x) / c.scale, (y[:, :3] - mean_y) / c.scale)
        assert_close(product, exact, rtol=1e-4, atol=1e-4)
        assert_close(c.unit**2 * np.einsum("nki,nkj->nij", to_x, to_y), np.tile(np.eye(3), (500, 1, 1)), atol=1e-9)

    def test_offsets_are_those_of_each_condition(self, case):
        c, x, _ = case
        for row in x[:5]:
            one = c.at(row[3:])
            offset = one.dual_offset(row[None, :3], np.zeros((1, 3)))
            pair = np.concatenate([np.zeros(3), row[3:]])[None]
            assert_close(c.source_offsets(row[None])[0] + c.target_offsets(pair)[0], offset, rtol=1e-10)

    def test_beyond_the_range_is_its_end(self, case):
        c, x, _ = case
        far, end = x[:4].copy(), x[:4].copy()
        far[:, 4], end[:, 4] = 1.7, 1.0
        np.testing.assert_array_equal(c.enter_x(far)[:, :3], c.enter_x(end)[:, :3])


def test_classes_have_the_coordinates_of_their_own_moments(rng):
    """Without numbers each class has the linear map that a fit of its own would start from."""
    sides, maps = [], []
    for number in range(2):
        x, y = rng.standard_normal((400, 2)) * [1, 3], rng.standard_normal((300, 2)) @ rng.standard_normal((2, 2)) + 1
        maps.append(QuadraticGeometry.between(moments(x), moments(y)))
        sides.append((np.column_stack([x, np.full(400, number)]), np.column_stack([y, np.full(300, number)])))
    x, y = (np.concatenate(side) for side in zip(*sides, strict=True))
    c = conditional_between(x, y, np.zeros((2, 0)), np.zeros((2, 0)), np.ones(2), 0)
    for number, own in enumerate(maps):
        assert_close(c.at(np.array([float(number)])).linear_map, own.linear_map, rtol=1e-6, atol=1e-8)


def test_a_class_without_variance_in_a_column_has_a_map(rng):
    x, y = rng.standard_normal((200, 3)), rng.standard_normal((200, 3))
    kind = np.repeat([0.0, 1.0], 100)
    x[kind == 1, 2], y[kind == 1, 2] = 1.0, 2.0
    rows_x, rows_y = np.column_stack([x, kind]), np.column_stack([y, kind])
    c = conditional_between(rows_x, rows_y, np.zeros((2, 0)), np.zeros((2, 0)), np.ones(3), 0)
    images = c.at(np.array([1.0])).leave_y(c.at(np.array([1.0])).enter_x(x[kind == 1]))
    assert_close(images[:, 2], np.full(100, 2.0), atol=1e-3)


def farthest_move(seed: int) -> float:
    """How far the start of a fit moves a point between samples of one distribution, in deviations of its column.

    The condition has a heavy tail, and the points follow it with correlations that leave little of their own.
    """
    rng = np.random.default_rng(seed)
    clouds = []
    for _ in range(2):
        c = rng.lognormal(sigma=1.2, size=1500)
        common = np.log(c)[:, None] + 0.3 * rng.standard_t(3, size=(1500, 1))
        points = common * np.linspace(0.5, 2.0, 6) + 0.02 * rng.standard_t(3, size=(1500, 6))
        clouds.append(np.column_stack([points, np.zeros(1500), c]))
    low, high = (np.array([[end(*(cloud[:, -1].astype(float) for cloud in clouds))]]) for end in (lowest, highest))
    coordinates = conditional_between(*clouds, low, high, np.ones(6), seed)
    codes = clouds[0][:, 6:]
    moved = coordinates.leave_y(coordinates.enter_x(clouds[0])[:, :6], codes)
    return float(np.abs((moved - clouds[0][:, :6]) / clouds[0][:, :6].std(axis=0)).max())


def lowest(*numbers: np.ndarray) -> float:
    return min(float(side.min()) for side in numbers)


def highest(*numbers: np.ndarray) -> float:
    return max(float(side.max()) for side in numbers)


@pytest.mark.parametrize("seed", range(5))
def test_ends_of_a_condition_are_not_extrapolated(seed: int) -> None:
    assert farthest_move(seed) < 4.0


def test_ends_that_are_thin_get_the_moments_of_where_rows_are(monkeypatch) -> None:
    kept = max(map(farthest_move, range(5)))
    monkeypatch.setattr("brenier.geometry.between._THIN", np.inf)
    assert max(map(farthest_move, range(5))) > 1.5 * kept
