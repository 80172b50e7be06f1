"""Formulas on the page of the mathematics that no other test has, against the code; the page has their proofs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from brenier import TransportMap
from brenier.geometry import Moments, QuadraticGeometry
from brenier.potentials import ICNN


def moments(points: np.ndarray) -> Moments:
    return Moments(points.mean(axis=0), np.cov(points.T, bias=True), len(points))


@pytest.fixture
def network(rng: np.random.Generator) -> ICNN:
    """A network whose parameters are far from the start, with a high floor."""
    u = ICNN(3, (8, 8), rng=rng, floor=0.1)
    return jax.tree.map(lambda leaf: leaf + 0.2 * rng.normal(size=leaf.shape).astype(np.float32), u)


@pytest.fixture
def clouds(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3)) + 2.0, rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3))


@pytest.fixture
def map_(network: ICNN, clouds: tuple[np.ndarray, np.ndarray]) -> TransportMap:
    return TransportMap(QuadraticGeometry.between(*map(moments, clouds)), network)


def slopes(function, x: np.ndarray, h: float = 1e-3) -> np.ndarray:
    """Central differences of a function of one point, in double precision."""
    steps = h * np.eye(len(x))
    return np.array([(function(x + own) - function(x - own)) / (2 * h) for own in steps])


def test_the_map_is_the_gradient_of_the_function_in_the_units_of_the_data(map_, clouds, x64) -> None:
    c = map_.geometry
    u = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), map_.potential)

    def whole(x: np.ndarray) -> float:
        return float(c.unit**2 * u(jnp.asarray((x - c.mean_x) @ c.to_x.T)[None])[0] + c.mean_y @ x)

    found = np.array([slopes(whole, x) for x in clouds[0][:5]])
    assert np.abs(found - map_.forward(clouds[0][:5])).max() < 1e-3


def test_the_dual_value_is_the_formula_with_a_conjugate_from_scipy(map_, clouds) -> None:
    x, y = clouds[0][:8] + 0.1, clouds[1][:6] - 0.2  # not those that the coordinates were made from
    c, u = map_.geometry, map_.potential
    inner_x, inner_y = c.enter_x(x), c.enter_y(y)

    def conjugate(point: np.ndarray) -> float:
        def away(z: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = u.value_and_gradient(jnp.asarray(z, jnp.float32)[None])
            return float(value[0]) - z @ point, np.asarray(gradient[0], np.float64) - point

        return -minimize(away, point, jac=True, method="BFGS").fun

    x_c, y_c, s = x - c.mean_x, y - c.mean_y, c.mean_x - c.mean_y
    offset = 0.5 * (x_c**2).sum(axis=1).mean() + 0.5 * (y_c**2).sum(axis=1).mean()
    offset += s @ (x_c.mean(axis=0) - y_c.mean(axis=0)) + 0.5 * s @ s
    product = float(u(inner_x).mean()) + np.mean([conjugate(point.astype(np.float64)) for point in inner_y])
    assert map_.dual(x, y).value == pytest.approx(offset - c.unit**2 * product, rel=1e-4)


def test_the_envelope_is_the_conjugate(network, rng) -> None:
    y = rng.normal(size=3)

    def cost(x: np.ndarray) -> float:  # |x - y|^2 / 2 + g(x) with g = u - |x|^2 / 2
        return 0.5 * np.sum((x - y) ** 2) + float(network(jnp.asarray(x, jnp.float32)[None])[0]) - 0.5 * x @ x

    found = minimize(cost, y, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-9, "maxiter": 4000})
    assert np.abs(network.gradient(jnp.asarray(found.x, jnp.float32)[None])[0] - y).max() < 1e-2
    conjugate = found.x @ y - float(network(jnp.asarray(found.x, jnp.float32)[None])[0])
    assert found.fun == pytest.approx(0.5 * y @ y - conjugate, abs=1e-5)


def test_a_gap_in_the_dual_bounds_the_error_of_the_map(rng) -> None:
    """Between a sample and its image under a quadratic, whose optimal map is known; Hessians of another one."""
    x = rng.normal(size=(200, 3))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    exact = turn @ np.diag([0.5, 1.0, 2.0]) @ turn.T
    other = np.diag([0.4, 0.9, 1.7])
    y = x @ exact
    half_square = 0.5 * np.mean(np.sum((x - y) ** 2, axis=1))
    source = 0.5 * np.sum(x**2, axis=1) - 0.5 * np.sum((x @ other) * x, axis=1)
    target = 0.5 * np.sum(y**2, axis=1) - 0.5 * np.sum((y @ np.linalg.inv(other)) * y, axis=1)
    gap = half_square - source.mean() - target.mean()
    error = np.mean(np.sum((x @ other - y) ** 2, axis=1))
    assert 2 * 0.4 * gap <= error <= 2 * 1.7 * gap
    assert not error <= 2 * 0.4 * gap


def test_the_inverse_is_lipschitz_with_the_floor(network, rng) -> None:
    x, z = (jnp.asarray(3.0 * rng.normal(size=(500, 3)), jnp.float32) for _ in range(2))
    moved = np.linalg.norm(network.gradient(x) - network.gradient(z), axis=1)
    ratio = moved / np.linalg.norm(x - z, axis=1)
    assert ratio.min() >= 0.1
    hessians = network.hessian(x)
    assert np.linalg.eigvalsh(np.asarray(hessians, np.float64)).min() >= 0.1 - 1e-5


def test_the_way_there_is_optimal_at_every_time(map_, clouds) -> None:
    import ot

    x = clouds[0][:40]
    share = np.full(40, 1 / 40)
    whole = np.mean(np.sum((x - map_.forward(x)) ** 2, axis=1))
    for t in (0.25, 0.5, 1.0):
        costs = ot.dist(x, map_.interpolate(x, t))
        assert ot.emd2(share, share, costs) == pytest.approx(t**2 * whole, rel=1e-5)
