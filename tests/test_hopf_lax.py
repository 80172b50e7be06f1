"""Hamilton-Jacobi equations against closed forms, grids, finite-difference schemes, and the equation itself."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier import InputError, hopf_lax
from brenier.costs import AbstractDisplacementCost, Convex, ElasticNet, LogCosh, Mahalanobis, PNorm, SquaredEuclidean
from brenier.potentials import ICNN, Quadratic


def norm(y):
    return jnp.linalg.norm(y, axis=1)


def total(y):
    return jnp.sum(jnp.abs(y), axis=1)


def waves(y):
    return jnp.sum(jnp.cos(y), axis=1)


def huber(r: np.ndarray, t: np.ndarray | float) -> np.ndarray:
    return np.where(r <= t, r**2 / (2 * t), r - t / 2)


RELATIVISTIC = Convex(
    lambda w: 1.0 - jnp.sqrt(1.0 - jnp.sum(w**2, axis=1)),
    lambda w: w / jnp.sqrt(1.0 - jnp.sum(w**2, axis=1, keepdims=True)),
    lambda p: p / jnp.sqrt(1.0 + jnp.sum(p**2, axis=1, keepdims=True)),
)
"""No velocity reaches one: H is the energy of a particle, less that at rest."""

PLAIN: dict[str, tuple[AbstractDisplacementCost, Callable, Callable, Callable]] = {
    "squared": (SquaredEuclidean(), lambda w: w**2 / 2, lambda p: p**2 / 2, lambda p: p),
    "power-1.5": (PNorm(1.5), lambda w: np.abs(w) ** 1.5 / 1.5, lambda p: np.abs(p) ** 3 / 3, lambda p: p * np.abs(p)),
    "power-3": (
        PNorm(3.0),
        lambda w: np.abs(w) ** 3 / 3,
        lambda p: np.abs(p) ** 1.5 / 1.5,
        lambda p: np.sign(p) * np.abs(p) ** 0.5,
    ),
    "log-cosh": (
        LogCosh(),
        lambda w: np.log(np.cosh(w)),
        lambda p: 0.5 * ((1 + p) * np.log1p(p) + (1 - p) * np.log1p(-p)),
        np.arctanh,
    ),
    "elastic-net": (
        ElasticNet(0.25),
        lambda w: w**2 / 2 + 0.25 * np.abs(w),
        lambda p: np.maximum(np.abs(p) - 0.25, 0) ** 2 / 2,
        lambda p: np.sign(p) * np.maximum(np.abs(p) - 0.25, 0),
    ),
}
"""Sums over coordinates: the cost, and of one coordinate L, H and the slope of H, written out once more."""


@pytest.mark.parametrize("dim", [1, 2, 10, 100])
@pytest.mark.parametrize("metric", [False, True])
def test_quadratic_data(dim, metric, rng) -> None:
    """Also data that are not convex, before their first shock."""
    A = rng.normal(size=(dim, dim)) / dim**0.5
    A, b = A + A.T, rng.normal(size=dim)
    M = rng.normal(size=(dim, dim)) / dim**0.5
    M = M @ M.T + 0.5 * np.eye(dim) if metric else np.eye(dim)
    t = 0.5 / max(1.0, -np.linalg.eigvals(np.linalg.solve(M, A)).real.min())
    x = rng.normal(size=(5, dim))
    y = np.linalg.solve(A + M / t, (x @ M / t - b).T).T
    exact = 0.5 * np.einsum("ni,ij,nj->n", y, A, y) + y @ b + np.einsum("ni,ij,nj->n", x - y, M, x - y) / (2 * t)

    found = hopf_lax(
        lambda z: 0.5 * jnp.sum(z * (z @ A), axis=1) + z @ b,
        x,
        t,
        lagrangian=Mahalanobis(M) if metric else SquaredEuclidean(),
        starts=3,
    )
    assert found.converged.all()
    assert not found.disagree.any()
    assert np.abs(found.value - exact).max() < 1e-9
    assert np.abs(found.gradient - (y @ A + b)).max() < 3e-5
    assert np.abs(found.minimizer - y).max() < 3e-5


@pytest.mark.parametrize("dim", [1, 2, 10, 100])
def test_the_norm_becomes_hubers_function(dim, rng) -> None:
    """Rarefaction: within distance t all minimisers are the kink, where no gradient of the data is small."""
    ray = rng.normal(size=(8, dim))
    x = ray / np.linalg.norm(ray, axis=1, keepdims=True) * np.array([0.1, 0.5, 0.9, 0.99, 1.01, 1.5, 2.0, 4.0])[:, None]
    r, t = np.linalg.norm(x, axis=1), 1.0
    found = hopf_lax(norm, x, t, starts=3)
    assert found.converged.all()
    assert np.abs(found.value - huber(r, t)).max() < 1e-11
    assert np.abs(found.gradient - x / np.maximum(r, t)[:, None]).max() < 2e-6
    assert np.linalg.norm(found.minimizer[r < t], axis=1).max() < 2e-6
    assert found.gap.max() < 1e-10


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("dim", [1, 10])
def test_sums_of_absolute_values(name, dim, rng) -> None:
    """Kinks in any of the coordinates at once, and Lagrangians that have kinks or infinite curvature of their own."""
    cost, L, H, velocity = PLAIN[name]
    x, t, c = rng.normal(size=(6, dim)), np.linspace(0.3, 1.5, 6), 0.8
    v, reach = np.abs(x) / t[:, None], velocity(c)
    exact = (t[:, None] * np.where(v <= reach, L(v), c * v - H(c))).sum(axis=1)
    found = hopf_lax(lambda y: c * total(y), x, t, lagrangian=cost, starts=2)
    assert found.converged.all()
    assert np.abs(found.value - exact).max() < 1e-8
    assert (found.value >= exact - 1e-12).all()
    assert (found.value - found.gap <= exact + 1e-12).all()
    # The slope is where H has the velocity: found by bisection, as L is only written out by its values.
    low, high = np.zeros_like(v), np.full_like(v, c)
    for _ in range(60):
        low, high = (
            np.where(velocity((low + high) / 2) < v, (low + high) / 2, low),
            np.where(velocity((low + high) / 2) < v, high, (low + high) / 2),
        )
    assert np.abs(found.gradient - np.where(v < reach, low, c) * np.sign(x)).max() < 1e-5


@pytest.mark.parametrize("name", PLAIN)
def test_minus_the_absolute_value(name, rng) -> None:
    """A shock that is there from the start: both sides move away from it."""
    cost, _, H, velocity = PLAIN[name]
    x, t, c = np.concatenate([[0.0], rng.normal(size=7)])[:, None], 0.7, 0.8
    found = hopf_lax(lambda y: -c * norm(y), x, t, lagrangian=cost)
    assert found.converged.all()
    assert np.abs(found.value - (-c * np.abs(x[:, 0]) - t * H(c))).max() < 1e-10
    assert np.abs(np.abs(found.gradient) - c).max() < 1e-5
    assert np.abs(np.abs(found.minimizer - x) - t * velocity(c)).max() < 1e-4


@pytest.mark.parametrize("dim", [2, 50])
def test_minus_the_norm(dim, rng) -> None:
    x = rng.normal(size=(6, dim))
    found = hopf_lax(lambda y: -norm(y), x, 0.7)
    r = np.linalg.norm(x, axis=1)
    assert found.converged.all()
    assert np.abs(found.value - (-r - 0.35)).max() < 1e-10
    assert np.abs(found.gradient + x / r[:, None]).max() < 1e-5


@pytest.mark.parametrize("dim", [2, 20])
def test_the_lower_of_two_cones(dim, rng) -> None:
    """Two kinks that are minima, and a shock between them."""
    apex, x, t = np.zeros(dim), rng.normal(size=(12, dim)) / dim**0.5, 0.8
    apex[0] = 1.0
    x[:2] = 0.9 * apex, -0.7 * apex
    found = hopf_lax(lambda y: jnp.minimum(norm(y - apex), norm(y + apex) + 0.1), x, t)
    right, left = (np.linalg.norm(x - own, axis=1) for own in (apex, -apex))
    both = np.stack([huber(right, t), huber(left, t) + 0.1])
    assert found.converged.all()
    assert np.abs(found.value - both.min(axis=0)).max() < 1e-9
    assert 0 < found.disagree.mean() <= 1


def test_an_easy_problem_has_one_value_and_a_hard_one_several() -> None:
    x = np.linspace(-9.0, 9.0, 40)[:, None]
    assert not hopf_lax(waves, x, 0.5).disagree.any()
    late = hopf_lax(waves, x, 6.0)
    assert late.disagree.mean() > 0.5


def test_more_starts_find_lower_minima() -> None:
    def rough(y):
        return waves(y) + waves(2.3 * y + 1.0)

    x, y = np.linspace(-6.0, 6.0, 30), np.linspace(-20.0, 20.0, 40_001)
    exact = np.array([(np.cos(y) + np.cos(2.3 * y + 1) + (own - y) ** 2 / 6).min() for own in x])
    one = hopf_lax(rough, x[:, None], 3.0, starts=x[:, None, None])
    many = hopf_lax(rough, x[:, None], 3.0, starts=np.linspace(-10.0, 10.0, 60)[:, None])
    assert one.converged.all()
    assert not one.disagree.any()
    assert many.disagree.any()
    assert np.abs(many.value - exact).max() < 1e-5
    assert (one.value > exact + 1e-2).any()


@pytest.mark.parametrize("name", PLAIN)
def test_a_shock_on_a_line_is_that_of_godunovs_scheme_and_of_a_grid(name) -> None:
    """Cosine data: shocks at multiples of 2 pi from some time on. The scheme's error is of the order of its step."""
    cost, L, H, _ = PLAIN[name]
    t, scale = 2.5, 0.9
    found_at = np.linspace(0.0, 2 * np.pi, 41)[:-1]

    def godunov(count: int) -> np.ndarray:
        points = np.arange(count) * (2 * np.pi / count)
        h, u, now = points[1], scale * np.cos(points), 0.0
        while now < t:
            step = min(0.4 * h, t - now)
            before, after = (u - np.roll(u, 1)) / h, (np.roll(u, -1) - u) / h
            u = u - step * np.maximum(H(np.maximum(before, 0.0)), H(np.minimum(after, 0.0)))
            now += step
        return u[:: count // 40]

    found = hopf_lax(lambda y: scale * waves(y), found_at[:, None], t, lagrangian=cost, starts=12)
    y = np.concatenate([found_at, np.linspace(-12.0, 19.0, 124_001)])  # the cost may have its kink at no displacement
    grid = np.array([(scale * np.cos(y) + t * L((x - y) / t)).min() for x in found_at])
    assert found.converged.all()
    assert (found.value <= grid + 1e-12).all()
    assert np.abs(found.value - grid).max() < 1e-6
    coarse, fine = (np.abs(godunov(count) - found.value).max() for count in (400, 1600))
    assert fine < 0.02
    assert fine < 0.5 * coarse


def test_shocks_in_the_plane_are_those_of_a_monotone_scheme() -> None:
    """Lax and Friedrichs, whose numerical viscosity vanishes with the grid, and a search over a grid."""
    t, few = 1.5, 8

    def g(y):
        return jnp.cos(y[:, 0]) + 0.5 * jnp.sin(y[:, 0] + 2 * y[:, 1])

    def scheme(count: int) -> np.ndarray:
        points = np.arange(count) * (2 * np.pi / count)
        x, y = np.meshgrid(points, points, indexing="ij")
        u, h, now = np.cos(x) + 0.5 * np.sin(x + 2 * y), points[1], 0.0
        while now < t:
            step = min(0.2 * h, t - now)
            sides = [((u - np.roll(u, 1, k)) / h, (np.roll(u, -1, k) - u) / h) for k in (0, 1)]
            flux = sum(((a + b) / 2) ** 2 / 2 - 0.8 * (b - a) for a, b in sides)
            u, now = u - step * flux, now + step
        return u[:: count // few, :: count // few]

    places = np.arange(few) * (2 * np.pi / few)
    x = np.stack(np.meshgrid(places, places, indexing="ij"), axis=-1).reshape(-1, 2)
    found = hopf_lax(g, x, t, starts=16)
    assert found.converged.all()
    assert found.disagree.any()
    fine = np.linspace(-4.0, 4.0, 801)
    offset = np.stack(np.meshgrid(fine, fine, indexing="ij"), axis=-1).reshape(-1, 2)
    grid = [
        np.min(np.cos(a + offset[:, 0]) + 0.5 * np.sin(a + offset[:, 0] + 2 * (b + offset[:, 1])) + far)
        for far in [np.sum(offset**2, axis=1) / (2 * t)]
        for a, b in x
    ]
    assert (found.value <= np.array(grid) + 1e-12).all()
    assert np.abs(found.value - grid).max() < 1e-4
    errors = [np.abs(scheme(count).ravel() - found.value).max() for count in (80, 320)]
    assert errors[1] < 0.06
    assert errors[1] < 0.45 * errors[0]


def test_no_signal_outruns_light() -> None:
    """A Lagrangian that is finite for velocities below one only."""
    x, t = np.linspace(-4.0, 4.0, 33)[:, None], 1.7
    found = hopf_lax(lambda y: 3.0 * waves(y), x, t, lagrangian=RELATIVISTIC)
    y = np.linspace(-1.0, 1.0, 400_001)[1:-1]
    grid = np.array([(3.0 * np.cos(own + t * y) + t * (1 - np.sqrt(1 - y**2))).min() for own in x[:, 0]])
    assert found.converged.all()
    assert np.abs(found.value - grid).max() < 1e-6
    assert np.abs(found.minimizer - x).max() < t


def smooth_data(y):
    return jnp.sum(jnp.cos(y + jnp.arange(y.shape[1])), axis=1) / 2 + jnp.log(1.0 + jnp.sum(y**2, axis=1))


@pytest.mark.parametrize("name", PLAIN)
def test_the_equation_holds_where_the_solution_is_smooth(name, rng) -> None:
    """Gradient and time derivative by central differences of the value; H written out once more."""
    cost, _, H, _ = PLAIN[name]
    scale, h, t, x = 0.5, 1e-3, 0.6, rng.normal(size=(4, 6))
    shifts = h * np.concatenate([np.eye(6), -np.eye(6)])
    rows = np.concatenate([(x[:, None] + shifts).reshape(-1, 6), x, x, x])
    times = np.concatenate([np.full(48, t), np.repeat([t, t + h, t - h], 4)])
    found = hopf_lax(lambda y: scale * smooth_data(y), rows, times, lagrangian=cost, starts=2)
    assert found.converged.all()
    around = found.value[:48].reshape(4, 2, 6)
    slope, time = (around[:, 0] - around[:, 1]) / (2 * h), (found.value[52:56] - found.value[56:]) / (2 * h)
    gradient = found.gradient[48:52]
    assert np.abs(gradient - slope).max() < 1e-4
    assert np.abs(time + H(gradient).sum(axis=1)).max() < 1e-4
    assert np.abs(time).max() > 1e-2


def test_solving_twice_is_solving_for_longer() -> None:
    """The semigroup property, with a search over a grid of its own for the second part."""
    s, t, x = 0.9, 1.4, np.linspace(-3.0, 3.0, 13)
    between = np.linspace(-9.0, 9.0, 6001)
    first = hopf_lax(waves, between[:, None], s, lagrangian=PNorm(3.0)).value
    twice = np.array([(first + t * np.abs((own - between) / t) ** 3 / 3).min() for own in x])
    once = hopf_lax(waves, x[:, None], s + t, lagrangian=PNorm(3.0), starts=12).value
    assert np.abs(once - twice).max() < 1e-5
    assert np.abs(once - first[::500]).max() > 0.1


@pytest.fixture(params=["network", "quadratic"])
def potential(request, rng) -> ICNN | Quadratic:
    """A Brenier potential whose map is far from the identity."""
    if request.param == "quadratic":
        root = rng.normal(size=(4, 4))
        return Quadratic(jnp.asarray(root @ root.T + 0.2 * np.eye(4)), jnp.asarray(rng.normal(size=4)))
    u = ICNN(4, (8, 8), rng=rng, floor=0.2)
    return jax.tree.map(lambda leaf: leaf + 0.3 * rng.normal(size=leaf.shape).astype(np.float32), u)


def test_potentials_along_displacement_interpolation(potential, rng) -> None:
    """They solve the equation with H = |p|^2 / 2, and points move along straight lines with their gradients."""
    x = rng.normal(size=(12, 4)).astype(np.float32).astype(np.float64)
    with jax.enable_x64(True):
        precise = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf, np.float64)), potential)
        height, image = (np.asarray(part) for part in precise.value_and_gradient(jnp.asarray(x)))
    assert np.abs(image - x).mean() > 0.1

    def phi(y):
        return precise(y) - 0.5 * jnp.sum(y**2, axis=1)

    for t in (0.3, 0.8, 1.0):
        found = hopf_lax(phi, (1 - t) * x + t * image, t, starts=2)
        assert found.converged.all()
        assert not found.disagree.any()
        assert np.abs(found.gradient - (image - x)).max() < 1e-4
        assert np.abs(found.minimizer - x).max() < 1e-4
        exact = height - 0.5 * np.sum(x**2, axis=1) + t / 2 * np.sum((image - x) ** 2, axis=1)
        assert np.abs(found.value - exact).max() < 1e-8


def test_a_convex_potential_needs_one_start(rng) -> None:
    u, x = ICNN(3, (8, 4), rng=rng), rng.normal(size=(4, 3))
    one, many = hopf_lax(u, x, 0.5), hopf_lax(u, x, 0.5, starts=8)
    assert np.abs(one.value - many.value).max() < 1e-9
    assert (one.evaluations < many.evaluations / 4).all()


def test_the_gap_holds_for_convex_data_however_early_the_search_ends(rng) -> None:
    x, t = rng.normal(size=(10, 12)), 0.6
    exact = huber(np.abs(x), t).sum(axis=1)
    found = hopf_lax(total, x, t, starts=1, max_steps=6)
    assert not found.converged.any()
    assert (found.value >= exact - 1e-12).all()
    assert (found.value - found.gap <= exact + 1e-12).all()
    assert 0.01 < (found.value - exact).mean() < found.gap.mean() < 1.0


def test_time_zero_is_the_data_themselves(rng) -> None:
    x = rng.normal(size=(5, 3))
    found = hopf_lax(waves, x, [0.0, 0.4, 0.0, 0.0, 0.7])
    rest = [0, 2, 3]
    assert np.abs(found.value - np.cos(x).sum(axis=1))[rest].max() < 1e-14
    assert np.abs(found.gradient + np.sin(x))[rest].max() < 1e-14
    assert np.array_equal(found.minimizer[rest], x[rest])
    for row, t in ((1, 0.4), (4, 0.7)):
        alone = hopf_lax(waves, x[[row]], t)
        assert np.abs(alone.value - found.value[row]).max() < 1e-13
    kink = hopf_lax(norm, np.zeros((1, 3)), 0.0)
    assert not kink.converged[0]
    assert kink.value[0] == 0.0


def test_no_solution_is_no_answer() -> None:
    """Data that fall faster than any velocity costs: the infimum is minus infinity."""
    found = hopf_lax(lambda y: -(norm(y) ** 4), [[1.0, 2.0]], 1.0, max_steps=50)
    assert not found.converged.any()


def test_rows_are_independent_and_runs_repeat(rng) -> None:
    x = rng.normal(size=(40, 2)) * 3
    whole, again = hopf_lax(waves, x, 4.0, seed=5), hopf_lax(waves, x, 4.0, seed=5)
    part = hopf_lax(waves, x[7:19], 4.0, seed=5)
    assert all(np.array_equal(one, other) for one, other in zip(whole, again, strict=True))
    assert np.abs(whole.value[7:19] - part.value).max() < 1e-12
    assert np.array_equal(whole.disagree[7:19], part.disagree)
    assert not np.array_equal(whole.evaluations, hopf_lax(waves, x, 4.0, seed=6).evaluations)


def test_what_cannot_be_used_is_refused() -> None:
    x = np.ones((3, 2))
    for t in (-1.0, np.nan, np.inf, [1.0, 2.0], [[1.0]], "soon"):
        with pytest.raises(InputError, match="`t` must be"):
            hopf_lax(norm, x, t)
    with pytest.raises(InputError, match="`x`"):
        hopf_lax(norm, np.array([[1.0, np.nan]]), 1.0)
    with pytest.raises(InputError, match="`x`"):
        hopf_lax(norm, np.ones(3), 1.0)
    for g in (
        lambda y: jnp.sum(y),
        lambda y: y,
        lambda y: y[:, :1],
        lambda y: (norm(y), norm(y)),
        lambda y: y[:, 0] > 0,
    ):
        with pytest.raises(InputError, match="`g` must return one real number a row"):
            hopf_lax(g, x, 1.0)
    with pytest.raises(InputError, match="`g` must be a function"):
        hopf_lax(3.0, x, 1.0)
    with pytest.raises(InputError, match="`g` is a function of 3 columns, `x` has 2"):
        hopf_lax(Quadratic.identity(3), x, 1.0)
    with pytest.raises(InputError, match="`lagrangian` must be a cost"):
        hopf_lax(norm, x, 1.0, lagrangian=lambda z: z)
    with pytest.raises(InputError, match="`lagrangian` has a matrix for 3 columns"):
        hopf_lax(norm, x, 1.0, lagrangian=Mahalanobis(np.eye(3)))
    for starts in (0, -2, True, np.ones(2), np.ones((4, 3)), np.ones((2, 4, 2)), np.full((1, 2), np.nan), "many"):
        with pytest.raises(InputError, match="`starts`"):
            hopf_lax(norm, x, 1.0, starts=starts)
    for tolerance in (0.0, 1.0, -1.0, np.nan, "1e-6"):
        with pytest.raises(InputError, match="`tolerance` must be"):
            hopf_lax(norm, x, 1.0, tolerance=tolerance)
    for name, value in (("max_steps", 0), ("max_steps", 2.5), ("seed", -1), ("seed", None)):
        with pytest.raises(InputError, match=f"`{name}` must be an integer"):
            hopf_lax(norm, x, 1.0, **{name: value})
