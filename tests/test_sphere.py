"""The sphere: its geometry against closed forms, and learned maps against exact ones and POT's network simplex."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import ot
import pytest

from asserts import assert_at_most, assert_close, assert_gradient, assert_same
from brenier import BrenierMap, InputError, Training
from brenier.costs import GreatCircle
from brenier.costs.sphere import exponential, logarithm, project, squared_angle, to_degrees, to_vectors, unit_vectors
from brenier.geometry.sphere import SphereGeometry
from brenier.geometry.surplus import SphereSurplus
from brenier.maps import TransportMap
from brenier.potentials import ICNN, MLP, AbstractPotential, OnSphere
from networks import double, perturb

DIMS = pytest.mark.parametrize("dim", [2, 3, 5])


def unit(points: np.ndarray) -> np.ndarray:
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def uniform(rng: np.random.Generator, count: int, dim: int = 3) -> np.ndarray:
    return unit(rng.standard_normal((count, dim)))


def angles(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By the arctangent of the area over the inner product, which the library does not use."""
    inner = np.sum(x * y, axis=-1)
    return np.arctan2(np.sqrt(np.maximum(np.linalg.norm(y - inner[..., None] * x, axis=-1) ** 2, 0.0)), inner)


def pairwise(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Matrix of costs, by the arccosine."""
    return 0.5 * np.arccos(np.clip(x @ y.T, -1.0, 1.0)) ** 2


def walk(x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The great circle from `x` along tangent vectors `v`, none of them zero."""
    length = np.linalg.norm(v, axis=1, keepdims=True)
    return np.cos(length) * x + np.sin(length) * v / length


def turned(angle: np.ndarray) -> np.ndarray:
    return np.column_stack([np.cos(angle), np.sin(angle)])


def truth(x: np.ndarray) -> np.ndarray:
    """The map of a smooth maximum of six linear functions; `test_the_truth_is_optimal` says that it is optimal."""
    rng = np.random.default_rng(0)
    directions, weights = unit(rng.normal(size=(6, x.shape[1]))), rng.uniform(0.5, 1.5, 6)
    shares = np.exp(2.0 * x @ directions.T) * weights
    slope = 0.6 * (shares / shares.sum(axis=1, keepdims=True)) @ directions
    return walk(x, slope - np.sum(slope * x, axis=1, keepdims=True) * x)


def source(key: Any, count: int, dim: int = 3) -> np.ndarray:
    return uniform(np.random.default_rng(np.asarray(key)), count, dim)


def target(key: Any, count: int, dim: int = 3) -> np.ndarray:
    return truth(source(key, count, dim))


def error(found: np.ndarray, exact: np.ndarray, start: np.ndarray) -> float:
    """Mean squared distance to the exact images in percent of that of the points that do not move."""
    return 100.0 * float(np.mean(angles(found, exact) ** 2) / np.mean(angles(start, exact) ** 2))


class TestGeometry:
    @DIMS
    def test_angles_are_arccosines(self, dim, rng, x64):
        x, y = uniform(rng, 500, dim), uniform(rng, 500, dim)
        found = np.asarray(squared_angle(jnp.asarray(x), jnp.asarray(y)))
        # The arccosine loses half of the digits at either end.
        assert_close(np.sqrt(found), np.arccos(np.clip(np.sum(x * y, axis=1), -1, 1)), atol=3e-8)
        lengths = rng.uniform(0.1, 9.0, (2, 500, 1))
        assert_close(np.asarray(GreatCircle()(lengths[0] * x, lengths[1] * y)), 0.5 * found, rtol=1e-12)

    @pytest.mark.parametrize("angle", [1e-9, 1e-4, 0.03, 0.0317, 1.0, np.pi / 2, 3.0, np.pi - 1e-4])
    def test_known_angles(self, angle, x64):
        x, y = jnp.asarray([[1.0, 0.0]]), jnp.asarray(turned(np.array([angle])))
        assert_close(np.sqrt(np.asarray(squared_angle(x, y))), [angle], rtol=1e-12)
        assert_close(np.asarray(logarithm(x, y)), [[0.0, angle]], rtol=1e-12, atol=1e-15)
        assert_close(np.asarray(exponential(x, jnp.asarray([[0.0, angle]]))), np.asarray(y), rtol=1e-14, atol=1e-15)

    @DIMS
    def test_exponential_and_logarithm_undo_each_other(self, dim, rng, x64):
        x, v = uniform(rng, 300, dim), rng.standard_normal((300, dim))
        v -= np.sum(v * x, axis=1, keepdims=True) * x
        v *= rng.uniform(1e-6, 3.0, (300, 1)) / np.linalg.norm(v, axis=1, keepdims=True)
        y = exponential(jnp.asarray(x), jnp.asarray(v))
        assert_close(np.asarray(y), walk(x, v), atol=1e-14)
        assert_close(np.asarray(logarithm(jnp.asarray(x), y)), v, atol=1e-12)

    def test_the_logarithm_is_the_gradient(self, rng, x64):
        x, y = uniform(rng, 20), uniform(rng, 20)
        slope = -np.asarray(logarithm(jnp.asarray(x), jnp.asarray(y)))
        assert_gradient(lambda at: 0.5 * np.sum(angles(unit(at), y) ** 2), slope, x, rtol=1e-6)
        automatic = jax.grad(lambda at: 0.5 * jnp.sum(squared_angle(unit_vectors(at), jnp.asarray(y))))(jnp.asarray(x))
        assert_close(np.asarray(automatic), slope, atol=1e-11)

    @pytest.mark.parametrize("kind", [np.float32, np.float64])
    def test_nothing_breaks_where_points_meet_or_are_opposite(self, kind, rng, x64):
        x = jnp.asarray(uniform(rng, 20), kind)
        for y in (x, -x):

            def sums(at, other=y):
                move = logarithm(at, other)
                return jnp.sum(squared_angle(at, other)) + jnp.sum(move) + jnp.sum(exponential(at, move))

            assert np.isfinite(np.asarray(jax.grad(sums)(x))).all()
        assert_same(np.asarray(squared_angle(x, x)), np.zeros(20, kind))
        assert_close(np.asarray(squared_angle(x, -x)), np.full(20, np.pi**2), rtol=1e-6)
        assert_same(np.asarray(logarithm(x, x)), np.zeros((20, 3), kind))

    def test_single_precision_keeps_short_distances(self, rng):
        x = uniform(rng, 200)
        y = unit(x + 1e-3 * rng.standard_normal(x.shape)).astype(np.float32)
        x = x.astype(np.float32)
        found = np.sqrt(np.asarray(squared_angle(jnp.asarray(x), jnp.asarray(y)), np.float64))
        # Rounding moves points by 1e-7; the arccosine would be off by 3e-4.
        assert_close(found, angles(*(unit(own.astype(np.float64)) for own in (x, y))), atol=5e-7)

    def test_degrees(self):
        latitude, longitude = np.array([0.0, 90.0, -45.0, 30.0]), np.array([90.0, 0.0, 180.0, -60.0])
        half, root = np.sqrt(0.5), np.sqrt(3.0)
        expected = [[0, 1, 0], [0, 0, 1], [-half, 0, -half], [root / 4, -0.75, 0.5]]
        assert_close(to_vectors(latitude, longitude), expected, atol=1e-15)
        found = to_degrees(7.0 * to_vectors(latitude, longitude))
        assert_close(found[0], latitude, atol=1e-12)
        assert_close(np.abs(found[1]), np.abs(longitude), atol=1e-12)
        assert found[1][3] < 0

    @pytest.mark.parametrize(
        ("call", "words"),
        [
            (lambda: to_vectors([0.0, 1.0], [0.0]), r"shapes \(2,\) and \(1,\)"),
            (lambda: to_vectors([0.0, 120.0], [0.0, 40.0]), "row 1 is 120, 40. Is the order latitude, longitude"),
            (lambda: to_vectors([0.0], [np.nan]), "row 0 is 0, nan"),
            (lambda: to_degrees(np.ones((4, 2))), r"three columns.*\(4, 2\)"),
            (lambda: to_degrees(np.zeros((4, 3))), "rows of zeros"),
        ],
    )
    def test_what_is_no_place(self, call, words):
        with pytest.raises(InputError, match=words):
            call()


class TestSurplus:
    """What stands between potential and map, in double precision, with a linear start that is not zero."""

    RADIUS = 1.7

    def surplus(self, dim: int, size: float = 0.8) -> SphereSurplus:
        pull = size * uniform(np.random.default_rng(5), 1, dim)[0]
        return SphereSurplus(self.RADIUS, (0.2,) * dim, jnp.asarray(pull))

    def potential(self, dim: int) -> OnSphere:
        inner = MLP(dim, (8,), rng=np.random.default_rng(1), activation="softplus")
        return double(perturb(OnSphere(inner, self.RADIUS, (0.2,) * dim), 3, 0.1))

    @DIMS
    def test_the_image_has_the_slope(self, dim, rng, x64):
        surplus, u, x = self.surplus(dim), self.potential(dim), self.RADIUS * uniform(rng, 30, dim)
        slope = np.asarray(u.gradient(jnp.asarray(x)))
        assert_at_most(np.abs(np.sum(slope * x, axis=1)), 1e-12, "slope along the ray")
        y = np.asarray(surplus.image(jnp.asarray(x), jnp.asarray(slope)))
        assert_close(np.linalg.norm(y, axis=1), np.full(30, self.RADIUS), rtol=1e-12)
        pull = np.asarray(surplus.pull)

        def values(at: np.ndarray) -> float:
            """The definition, with other formulas."""
            moved = angles(unit(at), unit(y)) ** 2 / 2 + unit(at) @ pull
            return -(self.RADIUS**2) * float(moved.sum())

        assert_gradient(values, slope, x, rtol=1e-5)
        found = np.asarray(surplus(jnp.asarray(x), jnp.asarray(y)))
        assert_close(found.sum(), values(x) + 30 * dim / 2, rtol=1e-12)
        assert_at_most(np.abs(surplus.residual(jnp.asarray(x), jnp.asarray(slope), jnp.asarray(y))), 1e-11, "residual")

    @DIMS
    def test_other_points_have_a_residual(self, dim, rng, x64):
        surplus, u, x = self.surplus(dim), self.potential(dim), self.RADIUS * uniform(rng, 30, dim)
        slope = u.gradient(jnp.asarray(x))
        y = surplus.image(jnp.asarray(x), slope)
        longer = 1.1 * jnp.asarray(x)  # on the same ray, off the sphere
        off = np.asarray(surplus.residual(longer, u.gradient(longer), y))
        assert_close(np.linalg.norm(off, axis=1), np.full(30, 0.1 * self.RADIUS), rtol=1e-9)
        # Near the image, the residual is the way to it; across the great circle, longer by angle over sine.
        short = 1e-4 * np.asarray(project(unit_vectors(y), jnp.asarray(rng.standard_normal((30, dim)))))
        near = self.RADIUS * exponential(unit_vectors(y), jnp.asarray(short))
        found = np.linalg.norm(surplus.residual(jnp.asarray(x), slope, near), axis=1)
        way, angle = self.RADIUS * np.linalg.norm(short, axis=1), angles(unit(x), unit(np.asarray(y)))
        assert_at_most(found, 1.01 * way * angle / np.sin(angle), "residual")
        assert_at_most(0.99 * way, found, "way to the image")

    @pytest.mark.parametrize(("dim", "size"), [(2, 0.0), (2, 2.5), (3, 0.7), (3, 12.0), (5, 0.7)])
    def test_the_start_has_the_conjugate_that_a_search_finds(self, dim, size, rng, x64):
        surplus, y = self.surplus(dim, size), self.RADIUS * uniform(rng, 20, dim)
        u = double(surplus.baseline())
        potentials, conjugates = surplus.baseline_values(y, y)
        assert_at_most(np.abs(u(jnp.asarray(y))), 1e-12, "potential of the start")
        assert_same(potentials, np.zeros(20))
        tried = self.RADIUS * uniform(rng, 20_000, dim)
        best = [float(np.max(surplus(jnp.asarray(tried), jnp.asarray(np.broadcast_to(row, tried.shape))))) for row in y]
        assert_at_most(best, conjugates + 1e-9, "the conjugate is the largest value")
        # What 20,000 points leave: their distance squared, times half the curvature.
        assert_close(conjugates, best, atol=(1 + size) * self.RADIUS**2 * {2: 1e-6, 3: 2e-3, 5: 0.1}[dim])
        x = surplus.x0(jnp.asarray(y))
        back = np.asarray(surplus.image(x, u.gradient(x)))
        if size <= 2.5:  # beyond, the pole of the pull may be overshot
            assert_close(back, y, atol=1e-8)

    @pytest.mark.parametrize("distance", [1e-7, 1e-4])
    def test_the_start_is_exact_next_to_the_pole(self, distance, rng):
        """In single precision, where the direction from the pole is a difference of nearly equal numbers."""
        pull = np.array([1.97, -3.62])
        y = unit(pull / np.linalg.norm(pull) + distance * rng.standard_normal((2000, 2))).astype(np.float32)
        surplus = SphereSurplus(1.0, (0.0, 0.0), jnp.asarray(pull, jnp.float32))
        x = surplus.x0(jnp.asarray(y))
        assert_close(np.asarray(surplus.image(x, jnp.zeros_like(x))), y, atol=1e-5)

    def test_no_slope_leads_beyond_the_antipode(self, x64):
        surplus, x = SphereSurplus(1.0, (0.0, 0.0), jnp.zeros(2)), jnp.asarray([[1.0, 0.0], [1.0, 0.0]])
        slope = jnp.asarray([[0.0, 3.0], [0.0, 4.0]])
        assert np.asarray(surplus.too_steep(x, slope)).tolist() == [False, True]
        assert_close(np.asarray(surplus.image(x, slope)), [turned(np.array([3.0]))[0], [-1.0, 0.0]], atol=1e-12)


class TestCoordinates:
    def test_points_go_in_and_out(self, rng):
        x, y = 6371.0 * uniform(rng, 300), 6371.0 * uniform(rng, 200)
        c = SphereGeometry.between(x, y)
        assert_close(c.radius, 6371.0, rtol=1e-12)
        assert_close(np.linalg.norm(c.precise_x(x), axis=1), np.full(300, 1 / c.unit), rtol=1e-12)
        assert_close(c.leave_x(c.precise_x(x)), x, rtol=1e-12)
        assert_close(c.leave_y(c.precise_y(y)), y, rtol=1e-12)
        assert_close(c.costs(x[:200], y), np.diag(pairwise(unit(x[:200]), unit(y))), rtol=1e-7)
        way = np.stack([c.geodesic(x[:200], y, t) for t in (0.0, 0.25, 1.0)])
        assert_close(way[[0, 2]], [x[:200], y], rtol=1e-9, atol=1e-6)
        assert_close(angles(unit(x[:200]), unit(way[1])), 0.25 * angles(unit(x[:200]), unit(y)), atol=1e-7)
        assert_close(angles(unit(way[1]), unit(y)), 0.75 * angles(unit(x[:200]), unit(y)), atol=1e-7)

    def test_the_start_brings_the_means_together(self, rng):
        x = unit(np.array([1.0, 0.0, 0.0]) + 0.1 * rng.standard_normal((400, 3)))
        y = unit(np.array([-0.6, 0.8, 0.0]) + 0.1 * rng.standard_normal((400, 3)))
        c = SphereGeometry.between(x, y)
        home = c.leave_x(np.asarray(c.surplus.x0(jnp.asarray(c.enter_y(y)))))
        assert_at_most(np.abs(home.mean(axis=0) - x.mean(axis=0)), 1e-3, "difference of the means")
        # Its dual value is a lower bound, and here within a percent of the least cost.
        value = c.dual_offset(x, y) - c.unit**2 * sum(
            float(np.mean(own)) for own in c.surplus.baseline_values(c.precise_x(x), c.precise_y(y))
        )
        exact = ot.emd2([], [], pairwise(x, y))
        assert 0.99 * exact < value <= exact * (1 + 1e-6)

    def test_weights_are_repeats(self, rng):
        x, y = uniform(rng, 60), unit(uniform(rng, 40) + np.array([0.5, 0.0, 0.0]))
        counts = rng.integers(1, 4, 60)
        repeated = SphereGeometry.between(np.repeat(x, counts, axis=0), y)
        weighted = SphereGeometry.between(x, y, counts / counts.sum(), None)
        for name in ("radius", "unit", "mean"):
            assert_close(getattr(weighted, name), getattr(repeated, name), rtol=1e-12)
        assert_close(weighted.root @ weighted.root.T, repeated.root @ repeated.root.T, rtol=1e-9, atol=1e-14)

    def test_anchors_lie_where_the_source_is(self, rng):
        x = unit(np.array([0.0, 0.0, 1.0]) + 0.1 * rng.standard_normal((400, 3)))
        c = SphereGeometry.between(x, uniform(rng, 400))
        anchors = unit(c.starts(500))
        assert anchors[:, 2].min() > 0.8
        assert_close(np.var(anchors[:, :2], axis=0), np.var(x[:, :2], axis=0), rtol=0.3)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda x, y: (x, 2.0 * y), "row 0 has"),
            (lambda x, y: (np.where(np.arange(len(x))[:, None] == 7, 0.0, x), y), "`X`.*length 1, but row 7 has 0 "),
            (lambda x, y: (x, np.where(np.arange(len(y))[:, None] == 3, 1.01 * y, y)), "`Y`.*row 3 has 1.01 .1 of"),
            (lambda x, y: (x[:, :1], y[:, :1]), "at least 2 columns"),
        ],
    )
    def test_points_off_the_sphere_are_refused(self, change, words, rng):
        x, y = change(uniform(rng, 100), uniform(rng, 100))
        with pytest.raises(InputError, match=words):
            BrenierMap(cost=GreatCircle(), max_steps=128, random_state=0).fit(x, y)

    def test_scales_are_refused(self, rng):
        with pytest.raises(InputError, match="`scale` means nothing"):
            BrenierMap(cost=GreatCircle(), scale=[1.0, 1.0, 2.0]).fit(uniform(rng, 100), uniform(rng, 100))


@DIMS
def test_the_truth_is_optimal(dim, rng):
    """POT matches every point with its own image, and says that nothing is cheaper."""
    x = uniform(rng, 400, dim)
    costs = pairwise(x, truth(x))
    assert_same(ot.emd([], [], costs).argmax(axis=1), np.arange(400))
    assert_close(ot.emd2([], [], costs), np.trace(costs) / 400, rtol=1e-9)


@pytest.fixture(scope="module")
def fitted() -> BrenierMap:
    return BrenierMap(cost=GreatCircle(), max_steps=384, random_state=0).fit(source, target)


class TestLearned:
    def test_the_exact_map_is_found(self, fitted, rng):
        x = uniform(rng, 4000)
        found = fitted.transform(x)
        assert not fitted.baseline_
        assert_close(np.linalg.norm(found, axis=1), np.ones(4000), rtol=1e-6)
        assert error(found, truth(x), x) < 1.0
        linear = fitted.map_.geometry
        start = linear.leave_y(np.asarray(linear.surplus.image(jnp.asarray(linear.enter_x(x)), jnp.zeros((4000, 3)))))
        assert error(start, truth(x), x) > 10.0

    def test_the_inverse_undoes_it(self, fitted, rng):
        x = uniform(rng, 1000)
        home = fitted.inverse_transform(truth(x), return_status=True)
        assert home.converged.all()
        assert not home.disagree.any()
        assert_close(np.linalg.norm(home.points, axis=1), np.ones(1000), rtol=1e-9)
        assert_at_most(np.abs(fitted.transform(home.points) - truth(x)), 3e-5, "T(S(y)) - y")
        assert error(home.points, x, truth(x)) < 1.5

    def test_points_on_the_way_have_constant_speed(self, fitted, rng):
        x = uniform(rng, 200)
        image = fitted.transform(x)
        for share in (0.0, 0.3, 1.0):
            way = fitted.interpolate(x, share)
            assert_close(angles(x, way), share * angles(x, image), atol=1e-7)
            assert_close(angles(way, image), (1 - share) * angles(x, image), atol=1e-7)

    def test_values_agree_with_the_network_simplex(self, fitted, rng):
        x, y = uniform(rng, 1000), truth(uniform(rng, 1000))
        exact = ot.emd2([], [], pairwise(x, y))
        expected = float(np.mean(angles(x, truth(x)) ** 2) / 2)
        distance = fitted.distance(x, y)
        assert distance.unconverged == 0.0
        assert distance.population is None  # the inner problem is not convex
        assert distance.lower is not None
        assert distance.upper is not None
        assert distance.lower * (1 - 1e-9) <= exact <= distance.upper * (1 + 1e-9)
        # The dual value of two samples is at most their least cost, and errs from the truth by their noise.
        assert distance.value <= exact
        assert_close(distance.value, expected, rtol=0.1)
        assert_close(distance.cost, expected, rtol=0.03)
        assert_close(fitted.score(x, y), distance.value, rtol=1e-3)

    def test_files_keep_it(self, fitted, rng, tmp_path):
        fitted.map_.save(tmp_path / "map.brenier")
        again, x = TransportMap.load(tmp_path / "map.brenier"), uniform(rng, 50)
        assert isinstance(again.potential, OnSphere)
        assert again.cost == GreatCircle()
        assert_same(again.forward(x), fitted.transform(x))
        assert_same(again.inverse(x), fitted.inverse_transform(x))
        assert again.potential.hyperparameters() == fitted.map_.potential.hyperparameters()

    def test_later_points_are_checked(self, fitted, rng):
        x = uniform(rng, 10)
        with pytest.raises(InputError, match=r"`X` must hold vectors of one length.*row 0 has 2 "):
            fitted.transform(2.0 * x)
        with pytest.raises(InputError, match="`Y` must hold vectors of one length"):
            fitted.inverse_transform(np.zeros((3, 3)))


class Convex(ICNN):
    """An own potential, which files do not know."""

    def __init__(self, dim: int, rng: np.random.Generator) -> None:
        super().__init__(dim, (16, 8), rng=rng)


class TestOwnPotentials:
    def test_they_are_restricted_to_the_sphere(self, rng, tmp_path):
        x, y = 2.0 * uniform(rng, 400, 2), 2.0 * turned(0.7 * rng.standard_normal(400))
        ot_ = BrenierMap(
            cost=GreatCircle(), training=Training(potential=Convex), max_steps=128, refit=False, random_state=0
        ).fit(x, y)
        assert ot_.map_.info["settings"]["potential"] == "Convex"
        assert_close(np.linalg.norm(ot_.transform(x), axis=1), np.full(400, 2.0), rtol=1e-6)
        if not ot_.baseline_:
            with pytest.raises(InputError, match="does not have `Convex`"):
                ot_.map_.save(tmp_path / "map.brenier")

    def test_misfits_are_refused(self, rng):
        def wrong(dim: int, rng: np.random.Generator) -> AbstractPotential:
            return ICNN(dim + 1, (4, 2), rng=rng)

        with pytest.raises(InputError, match="`dim` is 3"):
            BrenierMap(cost=GreatCircle(), training=Training(potential=wrong), max_steps=128).fit(
                uniform(rng, 100), uniform(rng, 100)
            )
        with pytest.raises(ValueError, match="`centre` must have 3 numbers"):
            OnSphere(MLP(3, (4,), rng=rng), 1.0, (0.0, 0.0))


def stretched(angle: np.ndarray) -> np.ndarray:
    """The exact map of the circle: increasing, and its displacements are the slope of a periodic function."""
    return angle + 0.3 * np.sin(2 * angle) + 0.25 * np.cos(angle)


@pytest.mark.slow
class TestAccuracy:
    """Errors in percent of the mean squared distance that the exact map moves points; see `error`."""

    def test_the_circle(self, rng):
        def around(key: Any, count: int) -> np.ndarray:
            return np.random.default_rng(np.asarray(key)).uniform(0, 2 * np.pi, count)

        learned = BrenierMap(cost=GreatCircle(), max_steps=1024, random_state=0).fit(
            lambda key, count: turned(around(key, count)), lambda key, count: turned(stretched(around(key, count)))
        )
        angle = rng.uniform(0, 2 * np.pi, 4000)
        assert error(learned.transform(turned(angle)), turned(stretched(angle)), turned(angle)) < 0.5
        # POT has the circle in closed form, W2 squared in units of a turn.
        turns = angle / (2 * np.pi), stretched(rng.uniform(0, 2 * np.pi, 4000)) / (2 * np.pi) % 1.0
        exact = float(ot.wasserstein_circle(*turns, p=2)[0]) * (2 * np.pi) ** 2 / 2
        found = learned.score(*(turned(2 * np.pi * own) for own in turns))
        assert_close(found, exact, rtol=0.02)

    @pytest.mark.parametrize(("dim", "percent"), [(3, 0.3), (5, 1.5)])
    def test_smooth_maps(self, dim, percent, rng):
        learned = BrenierMap(cost=GreatCircle(), max_steps=2048, random_state=0).fit(
            lambda key, count: source(key, count, dim), lambda key, count: target(key, count, dim)
        )
        x = uniform(rng, 4000, dim)
        assert error(learned.transform(x), truth(x), x) < percent
        home = learned.inverse_transform(truth(x), return_status=True)
        assert home.converged.all()
        assert error(home.points, x, truth(x)) < 1.5 * percent

    def test_turned_clouds_have_the_turned_map(self, fitted, rng):
        turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        other = BrenierMap(cost=GreatCircle(), max_steps=384, random_state=0).fit(
            lambda key, count: source(key, count) @ turn.T, lambda key, count: target(key, count) @ turn.T
        )
        x = uniform(rng, 2000)
        assert error(other.transform(x @ turn.T), truth(x) @ turn.T, x @ turn.T) < 1.0
        assert error(other.transform(x @ turn.T) @ turn, fitted.transform(x), x) < 1.0

    def test_clouds_far_from_each_other(self, rng):
        """Two radians apart, and much of the target on the far side."""
        x, y = np.array([1.0, 0.0, 0.0]), np.array([np.cos(2.0), np.sin(2.0), 0.0])
        sides = ((x, 0.1), (x, 0.1), (y, 0.2), (y, 0.2))
        clouds = [unit(centre + width * rng.standard_normal((1500, 3))) for centre, width in sides]
        learned = BrenierMap(cost=GreatCircle(), max_steps=512, refit=False, random_state=0).fit(clouds[0], clouds[2])
        exact = ot.emd2([], [], pairwise(clouds[1], clouds[3]))
        image = learned.transform(clouds[1])
        assert_close(learned.score(clouds[1], clouds[3]), exact, rtol=0.01)
        noise = ot.emd2([], [], pairwise(clouds[2], clouds[3]))
        assert ot.emd2([], [], pairwise(image, clouds[3])) < 2.0 * noise
