"""Bounds for samples under any cost: against POT with a matrix made without JAX, and against sorting on the line."""

import numpy as np
import ot
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

import brenier.certificates.couplings as couplings
import brenier.certificates.pairs as pairs
from asserts import assert_at_most, assert_close
from brenier import InputError
from brenier.certificates import empirical_interval, general_interval
from brenier.certificates.general import _by_means
from brenier.certificates.pairs import c_transform, cost_matrix, row_costs
from brenier.certificates.terms import DualTerms
from brenier.costs import AbstractCost, Convex, ElasticNet, LogCosh, Mahalanobis, PNorm, SquaredEuclidean

seeds = st.integers(0, 2**32 - 1)


class Oneway(AbstractCost):
    """Not symmetric, and no function of the displacement: distance, dearer for larger `y`."""

    name = "oneway"

    def __call__(self, x, y):
        return abs(x - y).sum(axis=1) * (1.0 + abs(y).sum(axis=1))

    def arguments(self):
        return {}


def band(dim: int) -> np.ndarray:
    """A positive definite matrix that is not diagonal."""
    return np.diag(np.linspace(1.0, 3.0, dim)) + 0.4 * (np.eye(dim, k=1) + np.eye(dim, k=-1))


def matrix_of(own) -> callable:
    """A function of displacements, for all pairs at once."""
    return lambda x, y: own(x[:, None] - y[None])


# A cost for each number of columns, and its matrix in NumPy and SciPy.
COSTS = {
    "squared": (lambda d: SquaredEuclidean(), lambda x, y: 0.5 * cdist(x, y, "sqeuclidean")),
    "mahalanobis": (
        lambda d: Mahalanobis(band(d)),
        lambda x, y: 0.5 * cdist(x, y, "mahalanobis", VI=band(x.shape[1])) ** 2,
    ),
    "pnorm-1.25": (lambda d: PNorm(1.25), lambda x, y: cdist(x, y, "minkowski", p=1.25) ** 1.25 / 1.25),
    "pnorm-3": (lambda d: PNorm(3.0), lambda x, y: cdist(x, y, "minkowski", p=3.0) ** 3 / 3),
    "elastic-net": (
        lambda d: ElasticNet(0.5),
        lambda x, y: 0.5 * cdist(x, y, "sqeuclidean") + 0.5 * cdist(x, y, "cityblock"),
    ),
    "log-cosh": (lambda d: LogCosh(0.5), matrix_of(lambda z: 0.25 * (np.logaddexp(2 * z, -2 * z) - np.log(2)).sum(2))),
    "own, below zero": (
        lambda d: Convex(lambda z: (z**2).sum(1) + z[:, 0] - 9.0, lambda z: (2 * z).at[:, 0].add(1.0), lambda p: p),
        matrix_of(lambda z: (z**2).sum(2) + z[..., 0] - 9.0),
    ),
    "oneway": (lambda d: Oneway(), lambda x, y: cdist(x, y, "cityblock") * (1 + np.abs(y).sum(1))[None]),
}
every = pytest.mark.parametrize("name", COSTS)


def clouds(rng: np.random.Generator, dim: int, n: int, m: int) -> tuple[np.ndarray, ...]:
    """Two clouds of different shapes with random weights."""
    x = rng.standard_normal((n, dim)) * rng.uniform(0.3, 2.0, dim)
    y = np.exp(0.5 * rng.standard_normal((m, dim))) + rng.uniform(-2, 2, dim)
    return x, y, rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))


def exact_cost(costs: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    return ot.emd2(a, b, costs, numItermax=10**7)


@every
@pytest.mark.parametrize("dim", [1, 2, 8])
def test_costs_of_pairs_are_those_of_scipy(name, dim, rng, monkeypatch):
    monkeypatch.setattr(pairs, "_SIDES", (4, 8))
    make, matrix = COSTS[name]
    x, y, _, _ = clouds(rng, dim, 21, 30)
    expected, cost = matrix(x, y), make(dim)
    found = cost_matrix(cost, x, y)
    assert_close(found, expected, rtol=1e-12, atol=1e-13)
    rows, columns = rng.integers(21, size=50), rng.integers(30, size=50)
    assert_close(row_costs(cost, x[rows], y[columns]), expected[rows, columns], rtol=1e-12, atol=1e-13)
    f, h = rng.standard_normal(21), rng.standard_normal(30)
    to_y, to_x = c_transform(cost, x, y, f, axis=0), c_transform(cost, x, y, h, axis=1)
    assert_close(to_y.values, (expected - f[:, None]).min(axis=0), rtol=1e-12, atol=1e-13)
    assert_close(to_x.values, (expected - h).min(axis=1), rtol=1e-12, atol=1e-13)
    for part in (to_y, to_x):
        assert_close([part.least, part.most], [expected.min(), expected.max()], rtol=1e-12, atol=1e-13)


def test_pairs_and_rows_are_cut_into_pieces_of_bounded_size(rng, monkeypatch):
    x, y = rng.standard_normal((70, 3)), rng.standard_normal((150, 3))
    whole, rows = cost_matrix(PNorm(1.5), x, y), row_costs(PNorm(1.5), x, y[:70])
    monkeypatch.setattr(pairs, "_NUMBERS", 200)
    largest = []

    class Watched(PNorm):
        def value(self, z):
            largest.append(z.size)
            return super().value(z)

    assert_close(cost_matrix(Watched(1.5), x, y), whole, rtol=1e-14)
    assert_close(row_costs(Watched(1.5), x, y[:70]), rows, rtol=1e-14)
    assert 0 < max(largest) <= 200


@every
@pytest.mark.parametrize("dim", [2, 8])
@pytest.mark.parametrize(("n", "m"), [(60, 90), (5, 150)])
def test_the_interval_contains_the_exact_cost(name, dim, n, m, rng, monkeypatch):
    monkeypatch.setattr(couplings, "_LEAF", 16)
    make, matrix = COSTS[name]
    x, y, a, b = clouds(rng, dim, n, m)
    cost, truth = make(dim), exact_cost(matrix(x, y), a, b)
    slack = 1e-12 * np.abs(matrix(x, y)).max()  # of POT's own arithmetic
    third = "transforms" if name == "oneway" else "means"
    limits = [({}, "exact"), ({"exact": 0}, "transforms"), ({"exact": 0, "transformed": 0}, third)]
    images, values = rng.standard_normal(x.shape), 3.0 * rng.standard_normal(n)
    for given_limits, method in limits:
        found = general_interval(cost, x, y, images, values, a=a, b=b, **given_limits)
        assert found.method == method
        assert_at_most(found.lower, truth + slack, f"lower bound, {method}")
        assert_at_most(truth - slack, found.upper, f"upper bound, {method}")
        if method == "exact":
            assert_close([found.lower, found.upper], np.full(2, truth), atol=1e-10 * np.abs(matrix(x, y)).max())


@given(seed=seeds, name=st.sampled_from(list(COSTS)), size=st.sampled_from([0.0, 1.0, 1e3, 1e9]))
def test_no_dual_values_and_no_images_break_the_bounds(seed, name, size):
    rng = np.random.default_rng(seed)
    make, matrix = COSTS[name]
    n, m = rng.integers(1, 64, size=2)
    x, y, a, b = clouds(rng, 2, n, m)
    truth, slack = exact_cost(matrix(x, y), a, b), 1e-12 * np.abs(matrix(x, y)).max()
    images, values = size * rng.standard_normal((n, 2)), size * rng.standard_normal(n)
    found = general_interval(make(2), x, y, images, values, a=a, b=b, exact=0)
    assert_at_most(found.lower, truth + slack, "lower bound")
    assert_at_most(truth - slack, found.upper, "upper bound")


@every
def test_the_optimal_dual_and_the_optimal_images_close_the_interval(name, rng, monkeypatch):
    monkeypatch.setattr(couplings, "_LEAF", 16)
    make, matrix = COSTS[name]
    x, _, _, _ = clouds(rng, 2, 128, 1)
    y = x[rng.permutation(128)] + 0.3
    weights = np.full(128, 1 / 128)
    plan, log = ot.emd(weights, weights, matrix(x, y), log=True)
    images, truth = y[plan.argmax(axis=1)], exact_cost(matrix(x, y), weights, weights)
    found = general_interval(make(2), x, y, images, log["u"], exact=0)
    assert found.method == "transforms"
    # Cells of the images and of the targets are the same here, so that the best coupling is among those in cells.
    assert_close([found.lower, found.upper], np.full(2, truth), atol=1e-11 * np.abs(matrix(x, y)).max())


@pytest.mark.parametrize("p", [1.25, 2.0, 3.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_on_the_line_the_cost_is_that_of_sorted_samples(p, weighted, rng):
    x, y, a, b = clouds(rng, 1, 80, 80)
    if weighted:
        # The distance between the quantile functions, which are constant between all the steps of either.
        order_x, order_y = np.argsort(x[:, 0]), np.argsort(y[:, 0])
        steps_x, steps_y = np.cumsum(a[order_x]), np.cumsum(b[order_y])
        levels = np.sort(np.concatenate([[0.0], steps_x[:-1], steps_y[:-1], [1.0]]))
        middle = 0.5 * (levels[1:] + levels[:-1])
        moves = (
            x[order_x[np.searchsorted(steps_x[:-1], middle)], 0] - y[order_y[np.searchsorted(steps_y[:-1], middle)], 0]
        )
        truth = np.diff(levels) @ np.abs(moves) ** p / p
        options = {"a": a, "b": b}
    else:
        truth, options = np.mean(np.abs(np.sort(x[:, 0]) - np.sort(y[:, 0])) ** p) / p, {}
    found = general_interval(PNorm(p), x, y, x, np.zeros(80), **options)
    assert found.lower <= truth <= found.upper
    assert_close([found.lower, found.upper], np.full(2, truth), rtol=1e-9)


def test_the_squared_cost_has_the_bounds_that_it_has_as_the_quadratic_one(rng):
    x, y, a, b = clouds(rng, 3, 70, 50)
    terms = DualTerms(source=rng.standard_normal(70), target=np.zeros(50), slack=np.zeros(50), certified=True)
    images = rng.standard_normal((70, 3))
    for limits in ({}, {"exact": 0}):
        quadratic = empirical_interval(x, y, images, terms, a=a, b=b, **limits)
        general = general_interval(SquaredEuclidean(), x, y, images, terms.source, a=a, b=b, **limits)
        assert general.method == quadratic.method
        assert_close(general[:2], quadratic[:2], rtol=1e-9)


def test_clouds_far_from_the_origin_lose_no_digits(rng):
    x, y, a, b = clouds(rng, 2, 40, 30)
    x, y = x + 2.0**20, y + 2.0**20
    truth = exact_cost(COSTS["pnorm-3"][1](x - 2.0**20, y - 2.0**20), a, b)
    found = general_interval(PNorm(3.0), x, y, x, np.zeros(40), a=a, b=b)
    assert_close([found.lower, found.upper], np.full(2, truth), rtol=1e-9)
    means = general_interval(PNorm(3.0), x, y, x, np.zeros(40), a=a, b=b, exact=0, transformed=0)
    assert_at_most(means.lower, truth, "lower bound")
    assert means.lower > 0.0


@pytest.mark.parametrize(
    ("cost", "own"),
    [
        (SquaredEuclidean(), lambda z: z**2 / 2),
        (PNorm(1.25), lambda z: abs(z) ** np.longdouble(1.25) / np.longdouble(1.25)),
        (PNorm(3.0), lambda z: abs(z) ** 3 / 3),
        (LogCosh(0.5), lambda z: (np.logaddexp(2 * z, -2 * z) - np.log(np.longdouble(2))) / 4),
    ],
    ids=lambda part: "" if callable(part) and not isinstance(part, AbstractCost) else str(part),
)
def test_rounding_is_within_the_bounds(cost, own, rng):
    # The cost of a single pair is known in extended precision.
    for _ in range(50):
        x, y = rng.standard_normal((2, 1, 3))
        truth = own(x.astype(np.longdouble) - y).sum()
        for limits in ({}, {"exact": 0}, {"exact": 0, "transformed": 0}):
            found = general_interval(cost, x, y, x, 1e2 * rng.standard_normal(1), **limits)
            assert found.lower <= truth <= found.upper
            assert_close([found.lower, found.upper], np.full(2, float(truth)), atol=1e-10)


class Rounded(SquaredEuclidean):
    """The squared cost, off by 80 roundings: for three columns up to 88 are assumed."""

    up: float

    def __init__(self, up: float) -> None:
        super().__init__()
        self.up = up

    def value(self, z):
        return super().value(z) * (1.0 + self.up * 80 * 2.0**-52)


@pytest.mark.parametrize("up", [-1.0, 1.0])
def test_costs_may_round_as_much_as_is_assumed(up, rng):
    for _ in range(20):
        x, y = rng.standard_normal((2, 1, 3))
        truth = ((x.astype(np.longdouble) - y) ** 2).sum() / 2
        for limits in ({}, {"exact": 0}, {"exact": 0, "transformed": 0}):
            found = general_interval(Rounded(up), x, y, x, np.zeros(1), **limits)
            assert found.lower <= truth <= found.upper


@every
def test_the_lower_bound_is_that_of_two_transforms(name, rng):
    make, matrix = COSTS[name]
    x, y, a, b = clouds(rng, 2, 40, 30)
    f, costs = rng.standard_normal(40), matrix(x, y)
    h = (costs - f[:, None]).min(axis=0)
    second = (costs - h).min(axis=1)
    assert a @ second > a @ f + 1e-3
    found = general_interval(make(2), x, y, x, f, a=a, b=b, exact=0)
    assert_close(found.lower, a @ second + b @ h, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", [name for name in COSTS if name != "oneway"])
def test_costs_of_all_pairs_are_within_the_box(name, rng):
    make, matrix = COSTS[name]
    for dim in (1, 2, 8):
        x, y, a, b = clouds(rng, dim, 30, 40)
        bounds = _by_means(make(dim), x, y, a, b)
        assert_at_most(bounds.least, matrix(x, y), "least cost")
        assert_at_most(matrix(x, y), bounds.most, "largest cost")
        mean = matrix((a @ x)[None], (b @ y)[None])[0, 0]
        assert_close(bounds.lower, mean, rtol=1e-10, atol=1e-12)
        assert bounds.lower <= mean + 1e-15


def test_translations_have_the_cost_of_their_means(rng):
    # All mass moves alike, for which Jensen's inequality is an equality.
    x = rng.standard_normal((50, 3))
    found = general_interval(PNorm(1.5), x, x + 0.7, x + 0.7, np.zeros(50), exact=0, transformed=0)
    assert_close([found.lower, found.upper], np.full(2, 3 * 0.7**1.5 / 1.5), rtol=1e-9)
    assert found.lower <= 3 * 0.7**1.5 / 1.5 <= found.upper


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y": np.zeros((4, 3))}, r"`y` must have shape \(4, 2\), as `x` has \(5, 2\); got \(4, 3\)"),
        ({"images": np.zeros((4, 2))}, r"`images` must have shape \(5, 2\).*got \(4, 2\)"),
        ({"source_values": np.zeros(4)}, r"`source_values` must have shape \(5,\).*got \(4,\)"),
        ({"source_values": np.full(5, np.nan)}, "`source_values` has entries that are not finite"),
        ({"images": np.full((5, 2), np.inf)}, "`images` has entries that are not finite"),
        ({"cost": PNorm(4.0), "x": np.full((5, 2), 1e80)}, r"`cost` \(PNorm\(p=4.0\)\) is not finite"),
        ({"cost": PNorm(4.0), "x": np.full((5, 2), 1e80), "exact": 0}, "`cost` .* is not finite"),
    ],
)
def test_errors_name_the_argument(changes, words):
    given_arguments = {"cost": PNorm(1.5), "x": np.zeros((5, 2)), "y": np.zeros((4, 2))}
    given_arguments |= {"images": np.zeros((5, 2)), "source_values": np.zeros(5)} | changes
    with pytest.raises(InputError, match=words):
        general_interval(**given_arguments)
