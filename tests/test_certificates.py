"""Bounds hold: for every potential, every solve, every pair of points, against POT and against extended precision."""

import jax
import numpy as np
import ot
import pytest
from hypothesis import given
from hypothesis import strategies as st

import brenier.certificates.couplings as couplings
from asserts import assert_at_most, assert_close
from brenier.certificates import dual_terms, empirical_interval, inverse_errors
from brenier.certificates.couplings import exact_plan, guided_plan, plan_cost
from brenier.certificates.transforms import discrete_dual
from brenier.geometry import QuadraticGeometry, moments
from brenier.maps import TransportMap
from brenier.potentials._rounding import network_rounding
from networks import ICNNS, double, fresh, perturb

CONVEX = ["quadratic", *ICNNS]
seeds = st.integers(0, 2**32 - 1)


def costs(x, y) -> np.ndarray:
    """`|x - y|^2 / 2` of every pair, in extended precision."""
    x, y = np.asarray(x, np.longdouble), np.asarray(y, np.longdouble)
    return 0.5 * np.sum(np.square(x[:, None] - y[None]), axis=2)


def clouds(seed: int, dim: int, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Two clouds that are neither centred nor Gaussian, of different sizes and scales."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, dim)) * rng.uniform(0.1, 3.0, dim) + rng.uniform(-5, 5, dim)
    y = np.exp(0.5 * rng.standard_normal((m, dim))) @ rng.standard_normal((dim, dim)) + rng.uniform(-5, 5, dim)
    return x, y


def setting(seed: int, dim: int, n: int, m: int, kind: str = "icnn-ramp", size: float = 0.3) -> tuple:
    """Two clouds with the coordinates between them and a potential that has learned nothing."""
    x, y = clouds(seed, dim, n, m)
    coordinates = QuadraticGeometry.between(moments(x), moments(y))
    return coordinates, perturb(fresh(kind, dim, seed=seed % 7), seed, size), x, y


@pytest.mark.parametrize("kind", CONVEX)
@pytest.mark.parametrize("size", [0.0, 0.3, 2.0])
def test_rounding_errors_are_within_their_bounds(kind, size, rng, request):
    u = perturb(fresh(kind, 5, (16, 16, 8)), 1, size)
    x = (4.0 * rng.standard_normal((256, 5))).astype(np.float32)
    single, bounds = u.value_and_gradient(x), u.rounding(x)
    request.getfixturevalue("x64")
    precise = double(u).value_and_gradient(x.astype(np.float64))
    values = np.abs(np.asarray(single[0], np.float64) - precise[0])
    gradients = np.linalg.norm(np.asarray(single[1], np.float64) - precise[1], axis=1)
    assert_at_most(values, np.asarray(bounds[0], np.float64), "error of the value")
    assert_at_most(gradients, np.asarray(bounds[1], np.float64), "error of the gradient")
    # Bounds that say nothing would pass: they are no more than a ten thousandth of the value.
    assert_at_most(bounds[0], 1e-3 * np.abs(precise[0]) + 1e-4, "bound of the value's error")


@pytest.mark.parametrize("kind", ICNNS)
def test_rounding_errors_of_the_layers_alone(kind, rng, request):
    # A single layer of a single unit, for which the bound is not far from the truth, without the diagonal beside it.
    def layers_only(u, x):
        return jax.grad(lambda z: u(z).sum() - 0.5 * (z**2 @ u.curvatures()).sum())(x)

    u = perturb(fresh(kind, 1, (1,)), 3, 1.0)
    x = rng.standard_normal((2000, 1)).astype(np.float32)
    single, bounds = layers_only(u, jax.numpy.asarray(x)), network_rounding(x, u.layers)[1]
    request.getfixturevalue("x64")
    errors = np.abs(np.asarray(single, np.float64) - layers_only(double(u), jax.numpy.asarray(x, np.float64)))[:, 0]
    assert_at_most(errors, np.asarray(bounds, np.float64), "error of the gradient")
    assert np.max(errors / bounds) > 1e-3, "the bound says nothing"


@given(seed=seeds, kind=st.sampled_from(CONVEX), noise=st.sampled_from([0.0, 1e-3, 1.0, 30.0]))
def test_dual_values_are_feasible_for_every_pair(seed, kind, noise):
    c, u, x, y = setting(seed, 3, 40, 32, kind)
    # Conjugates as bad as they come: no solve at all, in part far away.
    guess = c.enter_y(y) + noise * np.random.default_rng(seed).standard_normal(y.shape).astype(np.float32)
    terms = dual_terms(c, u, x, y, guess)
    assert terms.certified
    feasible = terms.source[:, None] + (terms.target - terms.slack)[None]
    assert_at_most(feasible, costs(x, y), "dual value of a pair")
    assert (terms.slack > 0).all()


@pytest.mark.parametrize("kind", CONVEX)
def test_exact_conjugates_lose_next_to_nothing(kind, rng):
    c, u, x, _ = setting(3, 3, 32, 500, kind)
    # Each target is the exact image of a source point, so that its conjugate is known and the inequality is tight.
    inner = c.enter_x(x)
    y = c.leave_y(np.asarray(u.gradient(inner)))
    terms = dual_terms(c, u, c.leave_x(inner), y, inner)
    tight = terms.source + terms.target - terms.slack
    exact = np.diag(costs(c.leave_x(inner), y)).astype(np.float64)
    assert_at_most(tight, exact, "dual value of a pair")
    assert_close(tight, exact, atol=1e-6 * exact.max())


@given(seed=seeds, dim=st.integers(1, 5), n=st.integers(2, 40), m=st.integers(2, 40), guess=st.floats(0, 1e3))
def test_discrete_duals_and_plans_enclose_the_exact_cost(seed, dim, n, m, guess):
    x, y = clouds(seed, dim, n, m)
    rng = np.random.default_rng(seed)
    a, b = (rng.dirichlet(np.ones(count)) for count in (n, m))
    exact = ot.emd2(a, b, costs(x, y).astype(np.float64))
    slack = 1e-12 * costs(x, y).max()  # of POT's own arithmetic
    lower = discrete_dual(x, y, guess * rng.standard_normal(n), a, b)
    upper = plan_cost(guided_plan(x, y[rng.integers(m, size=n)], y, a, b), x, y, a, b)
    plan, dual = exact_plan(x, y, a, b)
    assert_at_most([lower, discrete_dual(x, y, dual, a, b)], exact + slack, "lower bounds")
    assert_at_most(exact - slack, [upper, plan_cost(plan, x, y, a, b)], "upper bounds")
    assert_close([discrete_dual(x, y, dual, a, b), plan_cost(plan, x, y, a, b)], np.full(2, exact), rtol=1e-9)


def test_bounds_far_from_the_origin_stay_bounds(rng):
    # Clouds of size one a million away: squares of the coordinates have lost every digit of the differences.
    x, y = rng.standard_normal((60, 2)) + 1e6, rng.standard_normal((50, 2)) + 1e6
    a, b = np.full(60, 1 / 60), np.full(50, 1 / 50)
    exact = ot.emd2(a, b, costs(x, y).astype(np.float64))
    plan, dual = exact_plan(x, y, a, b)
    assert_at_most(discrete_dual(x, y, dual, a, b), exact, "lower bound")
    assert_at_most(exact, plan_cost(plan, x, y, a, b), "upper bound")
    assert_close(discrete_dual(x, y, dual, a, b), exact, rtol=1e-9)


@pytest.mark.parametrize("exponent", [-400, -60, -20, -10, 40, 200])
def test_bounds_in_other_units_are_the_same_bounds(exponent, rng, monkeypatch):
    monkeypatch.setattr(couplings, "_LEAF", 32)
    x, y = rng.standard_normal((80, 3)), np.exp(rng.standard_normal((70, 3)))
    a, b = np.full(80, 1 / 80), np.full(70, 1 / 70)

    def bounds(unit: float) -> list[float]:
        plan, dual = exact_plan(unit * x, unit * y, a, b)
        cells = guided_plan(unit * x, unit * x, unit * y, a, b)
        values = [discrete_dual(unit * x, unit * y, dual, a, b)]
        values += [plan_cost(found, unit * x, unit * y, a, b) for found in (plan, cells)]
        return [float(value) / unit**2 for value in values]

    found = bounds(2.0**exponent)
    assert_close(found[:2], np.full(2, ot.emd2(a, b, costs(x, y).astype(np.float64))), rtol=1e-9)
    assert_close(found, bounds(1.0), rtol=1e-14)  # powers of two round nothing


@pytest.mark.parametrize(("n", "m"), [(200, 200), (150, 331), (7, 300)])
def test_plans_in_cells_have_the_right_marginals(n, m, rng, monkeypatch):
    monkeypatch.setattr(couplings, "_LEAF", 16)
    x, y = rng.standard_normal((n, 3)), rng.standard_normal((m, 3)) * 2 + 1
    for a, b in [(np.full(n, 1 / n), np.full(m, 1 / m)), (rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m)))]:
        plan = guided_plan(x, 2 * x + 1, y, a, b)
        assert (plan.mass > 0).all()
        assert_close(np.bincount(plan.rows, plan.mass, n), a, atol=1e-12)
        assert_close(np.bincount(plan.columns, plan.mass, m), b, atol=1e-12)
        exact = ot.emd2(a, b, costs(x, y).astype(np.float64))
        assert_at_most(exact, plan_cost(plan, x, y, a, b), "upper bound")
        assert_at_most(plan_cost(plan, x, y, a, b), 2.0 * exact, "cost of cells of 16 points")


def test_marginals_that_are_off_are_paid_for(rng):
    x, y = rng.standard_normal((20, 2)), rng.standard_normal((20, 2))
    a = np.full(20, 0.05)
    plan, _ = exact_plan(x, y, a, a)
    exact = plan_cost(plan, x, y, a, a)
    # A plan that leaves a point out costs less and is none: the bound has to be above the exact cost still.
    part = plan._replace(mass=np.where(plan.rows == np.argmax(np.linalg.norm(x, axis=1)), 0.0, plan.mass))
    assert_at_most(exact, plan_cost(part, x, y, a, a), "upper bound of a broken plan")


def enclosed(seed: int, dim: int, n: int, m: int, size: float) -> None:
    """All three ways to an interval contain POT's distance, for a potential that has learned nothing."""
    c, u, x, y = setting(seed, dim, n, m, size=size)
    images = TransportMap(c, u).forward(x)
    terms = dual_terms(c, u, x, y, c.enter_y(y))
    exact = ot.emd2(np.full(n, 1 / n), np.full(m, 1 / m), costs(x, y).astype(np.float64), numItermax=10**7)
    slack = 1e-11 * exact
    for limits, method in (({}, "exact"), ({"exact": 0}, "transforms"), ({"exact": 0, "transformed": 0}, "potential")):
        found = empirical_interval(x, y, images, terms, **limits)
        assert found.method == method
        assert_at_most(found.lower, exact + slack, f"lower bound, {method}, seed {seed}, d = {dim}")
        assert_at_most(exact - slack, found.upper, f"upper bound, {method}, seed {seed}, d = {dim}")
        if method == "exact":
            assert_close([found.lower, found.upper], np.full(2, exact), rtol=2e-6)


@pytest.mark.parametrize("trial", range(24))
def test_the_interval_contains_the_exact_distance(trial):
    rng = np.random.default_rng(trial)
    dim = (1, 2, 8)[trial % 3]
    n, m = (int(np.exp(rng.uniform(np.log(10), np.log(300)))) for _ in range(2))
    enclosed(trial, dim, n, m, size=(0.0, 0.3, 1.0)[trial // 3 % 3])


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_the_interval_contains_the_exact_distance_in_a_thousand_trials(block):
    for trial in range(50):
        seed = 1000 + 50 * block + trial
        rng = np.random.default_rng(seed)
        n, m = (int(np.exp(rng.uniform(np.log(10), np.log(2000)))) for _ in range(2))
        # A dimension a block: networks are compiled for each.
        enclosed(seed, (1, 2, 3, 4, 6, 8, 12, 16, 32, 64)[block % 10], n, m, size=rng.choice([0.0, 0.3, 1.0]))


@given(seed=seeds, kind=st.sampled_from(CONVEX), noise=st.sampled_from([0.0, 1e-5, 0.1, 10.0]))
def test_bounds_on_the_error_of_the_inverse_hold(seed, kind, noise):
    c, u, x, _ = setting(seed, 3, 40, 32, kind)
    inner = c.enter_x(x)[:32]
    y = c.leave_y(exact_images(u, inner))
    wrong = inner + noise * np.random.default_rng(seed).standard_normal(inner.shape).astype(np.float32)
    bounds = inverse_errors(c, u, y, wrong)
    true = np.linalg.norm(c.leave_x(wrong) - c.leave_x(inner), axis=1)
    assert_at_most(true, bounds + 1e-12 * np.abs(x).max(), "distance to the exact preimage")
    if noise == 0.0:
        assert_at_most(bounds, 1e-6 * np.abs(x).max(), "bound at the exact preimage")


def exact_images(u, inner: np.ndarray) -> np.ndarray:
    """`grad u` in double precision."""
    with jax.enable_x64(True):
        return np.asarray(double(u).gradient(inner.astype(np.float64)))


def test_a_potential_that_is_not_convex_certifies_nothing():
    c, u, x, y = setting(0, 3, 40, 32, "mlp-celu")
    terms = dual_terms(c, u, x, y, c.enter_y(y))
    assert not terms.certified
    assert np.isfinite(terms.source).all()
    assert np.isnan(inverse_errors(c, u, y, c.enter_y(y))).all()
