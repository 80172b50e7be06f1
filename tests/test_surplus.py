"""The surplus of a cost against finite differences, SciPy, and the quadratic cost."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from asserts import assert_close
from brenier.conjugates import conjugate_points
from brenier.conjugates.starts import best_starts
from brenier.costs import Convex, ElasticNet, LogCosh, Mahalanobis, PNorm, SquaredEuclidean
from brenier.geometry import Moments
from brenier.geometry.displacement import DisplacementGeometry, Pairs
from brenier.geometry.surplus import InnerProduct
from brenier.potentials import ICNN, MLP, Quadratic

WEIGHTS = np.array([1.0, 0.5, 2.0])
OWN = Convex(
    lambda z: 0.5 * (z**2) @ jnp.asarray(WEIGHTS, z.dtype) + jnp.sum(jnp.cosh(z - 0.3), axis=1),
    lambda z: z * jnp.asarray(WEIGHTS, z.dtype) + jnp.sinh(z - 0.3),
    lambda p: p * jnp.nan,  # not needed by what is smooth
)
COSTS = [
    SquaredEuclidean(),
    Mahalanobis([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 0.7]]),
    PNorm(1.5),
    PNorm(3.0),
    LogCosh(3.0),
    ElasticNet(0.4),
]
DIM = 3


def moments(seed: int, shift: float) -> Moments:
    rng = np.random.default_rng(seed)
    root = np.eye(DIM) + 0.3 * rng.standard_normal((DIM, DIM))
    return Moments(shift + rng.standard_normal(DIM), root @ root.T, 1000)


def coordinates(cost, certify: bool = False) -> DisplacementGeometry:
    source, target, rng = moments(1, 0.0), moments(2, 0.7), np.random.default_rng(3)
    x, y = (rng.multivariate_normal(m.mean, m.covariance, 500) for m in (source, target))
    scale = np.array([1.0, 0.8, 1.3])
    return DisplacementGeometry.between(source, target, cost, scale, Pairs.match(x, y, rng), certify)


def points(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, DIM)), rng.standard_normal((count, DIM))


def slopes(k, x, y):
    """Gradient of the surplus in x, by central differences."""
    step, columns = 1e-6, []
    for axis in np.eye(DIM):
        columns.append((np.asarray(k(x + step * axis, y)) - np.asarray(k(x - step * axis, y))) / (2 * step))
    return np.stack(columns, axis=1)


@eqx.filter_jit
def _deficit(k, u, x, y):
    return u(x)[0] - k(x, y)[0]


def largest(k, u, y: np.ndarray, start: np.ndarray) -> float:
    """The conjugate at one point, by SciPy, without gradients."""
    found = scipy.optimize.minimize(
        lambda at: float(_deficit(k, u, jnp.asarray(at[None]), jnp.asarray(y[None]))),
        start,
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-12, "maxiter": 4000, "maxfev": 4000},
    )
    assert found.success, found.message
    return -float(found.fun)


@pytest.mark.parametrize("cost", COSTS, ids=str)
def test_the_image_is_where_the_surplus_has_that_slope(cost) -> None:
    with jax.enable_x64(True):
        k = coordinates(cost).surplus_in(np.float64)
        x, y = points(40, 4)
        slope = slopes(k, x, y)
        images = np.asarray(k.image(jnp.asarray(x), jnp.asarray(slope)))
        assert_close(images, y, atol=2e-3 if cost == PNorm(3.0) else 1e-5)
        away = np.asarray(k.residual(jnp.asarray(x), jnp.asarray(slope + 0.3), jnp.asarray(y)))
        assert np.abs(k.residual(jnp.asarray(x), jnp.asarray(slope), jnp.asarray(y))).max() < 1e-4
        assert np.linalg.norm(away, axis=1).min() > 1e-3


@pytest.mark.parametrize("cost", [*COSTS, OWN], ids=str)
def test_the_surplus_is_minus_the_cost_up_to_functions_of_one_side(cost) -> None:
    c = replace(coordinates(COSTS[0] if cost is OWN else cost), cost=cost)
    (x, other_x), (y, other_y) = points(20, 5), points(20, 6)
    with jax.enable_x64(True):
        k = c.surplus_in(np.float64)

        def mixed(value) -> np.ndarray:
            return value(x, y) - value(other_x, y) - value(x, other_y) + value(other_x, other_y)

        data = lambda a, b: np.asarray(c.costs(c.leave_x(a), c.leave_y(b)))  # noqa: E731
        assert_close(c.unit**2 * mixed(lambda a, b: np.asarray(k(a, b))), -mixed(data), atol=1e-9)


def test_the_quadratic_cost_gives_the_inner_product() -> None:
    with jax.enable_x64(True):
        k = coordinates(SquaredEuclidean(), certify=True).surplus_in(np.float64)
        x, y = points(20, 7)
        assert_close(k.image(x, y), y, atol=1e-9)
        assert_close(k.residual(x, 1.7 * y, y), 0.7 * y, atol=1e-9)
        own, plain = (np.asarray(f(x, y) - f(0 * x, y)) for f in (k, InnerProduct(DIM)))
        assert_close(own, plain, atol=1e-9)


@pytest.mark.parametrize("cost", COSTS, ids=str)
def test_the_baseline_is_the_translation_between_the_centres(cost) -> None:
    c = coordinates(cost)
    x, _ = points(30, 8)
    data = c.leave_x(x)
    k, u = c.surplus, c.surplus.baseline()
    images = c.leave_y(k.image(jnp.asarray(x, jnp.float32), u.gradient(jnp.asarray(x, jnp.float32))))
    moved = data - c.mean_x + c.mean_y
    # Single precision: the root of a rounding error, where the gradient of the conjugate is a root.
    assert_close(images, moved, atol=5e-3 if cost == PNorm(3.0) else 2e-5)
    with jax.enable_x64(True):
        precise, y = c.surplus_in(np.float64), points(2, 9)[0]
        values, conjugates = precise.baseline_values(x, y)
        assert_close(values, u(jnp.asarray(x)), rtol=1e-5)
        for row, conjugate in zip(y, conjugates, strict=True):
            start = np.asarray(precise.x0(row[None]))[0] + 0.3
            assert_close(largest(precise, precise.baseline(), row, start), conjugate, atol=1e-6)
        assert_close(precise.x0(c.precise_y(moved)), x, atol=1e-9)


@pytest.mark.parametrize("cost", [ElasticNet(0.4), ElasticNet(0.0), Mahalanobis(np.diag([1.0, 2.0, 3.0]))], ids=str)
def test_errors_of_conjugates_are_bounded_where_inner_problems_are_concave(cost) -> None:
    c = coordinates(cost, certify=True)
    network = ICNN(DIM, (8,), rng=np.random.default_rng(0), floor=0.1)
    with jax.enable_x64(True):
        k = c.surplus_in(np.float64)
        u = jax.tree.map(lambda a: jnp.asarray(np.asarray(a, np.float64)) if eqx.is_inexact_array(a) else a, network)
        floor = float(k.floor(u.convexity_floor()))
        assert 0.09 < floor < 0.2
        x, y = points(3, 10)
        values, residuals = (np.asarray(part) for part in k.dual_values(u, jnp.asarray(y), jnp.asarray(x)))
        for row, value, residual in zip(y, values, residuals, strict=True):
            best = largest(k, u, row, row)
            assert value <= best + 1e-9
            assert best <= value + residual**2 / (2 * floor) + 1e-9
        # On segments, the problem is as convex as the floor says.
        other = points(3, 11)[0]
        excess = [np.asarray(u(at) - k(at, y)) for at in (x, 0.5 * (x + other), other)]
        chord = 0.5 * (excess[0] + excess[2]) - excess[1]
        assert np.all(chord >= floor / 8 * np.sum((x - other) ** 2, axis=1) - 1e-9)


def test_nothing_is_certified_without_strong_convexity() -> None:
    for cost in (PNorm(1.5), PNorm(3.0), LogCosh()):
        assert coordinates(cost, certify=True).surplus.floor(jnp.asarray(0.1)) is None
    assert coordinates(ElasticNet(0.4), certify=True).surplus.floor(None) is None


def test_slopes_beyond_any_displacement_are_told() -> None:
    k = coordinates(LogCosh()).surplus
    x = jnp.zeros((2, DIM))
    slope = jnp.asarray([[0.0, 0.0, 0.0], [1e3, 0.0, 0.0]])
    assert np.asarray(k.too_steep(x, slope)).tolist() == [False, True]
    assert np.isfinite(k.image(x, slope)).all()
    assert not np.asarray(coordinates(PNorm(1.5)).surplus.too_steep(x, slope)).any()


def test_inner_problems_have_solutions_under_slopes_that_no_cost_holds() -> None:
    c = replace(coordinates(LogCosh()), bend=np.eye(DIM))
    # Everywhere steeper than the cost: without an end of the source, the conjugate would be infinite.
    u = Quadratic(jnp.eye(DIM), jnp.full(DIM, 20.0))
    y = np.asarray(points(50, 13)[1], np.float32)
    found = conjugate_points(u, y, scale=c.spread, surplus=c.surplus)
    assert found.converged.all()
    assert np.all(np.abs(found.points).max(axis=1) > c.reach.min())
    endless = replace(c, reach=np.full(DIM, np.inf))
    assert not conjugate_points(u, y, scale=c.spread, surplus=endless.surplus).converged.any()


def test_the_best_anchor_is_that_of_a_search_through_all() -> None:
    k = coordinates(PNorm(1.5)).surplus
    u = MLP(DIM, (8,), rng=np.random.default_rng(0))
    u = eqx.tree_at(lambda m: m.output, u, jnp.linspace(-1.0, 1.0, 8))
    anchors, y = (jnp.asarray(part, jnp.float32) for part in points(300, 12))
    places, largest = best_starts(u, k, y[:77], anchors)
    table = np.stack([np.asarray(k(anchors, jnp.tile(row, (300, 1))) - u(anchors)) for row in y[:77]])
    assert np.asarray(places).tolist() == table.argmax(axis=1).tolist()
    assert_close(largest, table.max(axis=1), atol=1e-5)


def test_a_start_that_fits_better_is_taken() -> None:
    # Gaussians of one centre: for a cost that is nearly quadratic the Gaussian potential beats the translation.
    rng = np.random.default_rng(0)
    source, target = (Moments(np.zeros(2), np.diag(own), 1000) for own in ([1.0, 4.0], [4.0, 1.0]))
    x, y = (rng.multivariate_normal(m.mean, m.covariance, 1000) for m in (source, target))
    pairs = Pairs.match(x, y, rng)
    bent = DisplacementGeometry.between(source, target, LogCosh(50.0), np.ones(2), pairs)
    assert not np.allclose(bent.bend, np.eye(2))
    # No target point holds a quadratic potential under a cost that grows more slowly, whatever its value on points.
    for cost in (LogCosh(), PNorm(1.5)):
        straight = DisplacementGeometry.between(source, target, cost, np.ones(2), pairs)
        assert np.array_equal(straight.bend, np.eye(2))
