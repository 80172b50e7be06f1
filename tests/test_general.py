"""Maps for other costs against maps that are known: one dimension, translations, constructed pairs, exact couplings."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from asserts import assert_close
from brenier import BrenierMap, ConvergenceWarning, InputError, Training, TransportMap
from brenier.costs import Convex, ElasticNet, LogCosh, Mahalanobis, PNorm, SquaredEuclidean
from brenier.datasets import ConstructedPair
from brenier.metrics import unexplained_variance
from brenier.potentials import ICNN
from problems import gaussians

SHIFT = np.array([0.7, -0.4])

SEPARABLE = [PNorm(1.5), PNorm(3.0), LogCosh(), ElasticNet(0.3)]


def sampler(law, dim: int):
    return lambda key, n: law.rvs((n, dim), random_state=np.random.default_rng(np.asarray(key)))


def quantile_map(first, second):
    return lambda x: second.ppf(first.cdf(x))


@pytest.mark.parametrize("cost", [PNorm(1.5), ElasticNet(0.3)], ids=str)
def test_in_one_dimension_the_map_is_the_monotone_one(cost) -> None:
    # Whatever the convex cost: Santambrogio 2015, theorem 2.9.
    first, second = scipy.stats.norm(), scipy.stats.gumbel_r(loc=2.0, scale=0.7)
    ot = BrenierMap(cost=cost, max_steps=512, random_state=0).fit(sampler(first, 1), sampler(second, 1))
    x = first.ppf((np.arange(1000)[:, None] + 0.5) / 1000)
    y = quantile_map(first, second)(x)
    assert unexplained_variance(ot.transform(x), y) < 0.5
    assert unexplained_variance(ot.inverse_transform(y), x) < 0.5
    assert not ot.map_.geometry.quadratic


@pytest.mark.slow
@pytest.mark.parametrize("cost", SEPARABLE, ids=str)
def test_on_product_measures_separable_costs_move_each_coordinate_by_itself(cost) -> None:
    sides = [
        (scipy.stats.norm(), scipy.stats.gumbel_r(loc=1.0, scale=0.7)),
        (scipy.stats.logistic(scale=0.5), scipy.stats.norm(loc=-0.5, scale=1.4)),
    ]

    def draw(place: int):
        def sample(key, n: int) -> np.ndarray:
            rng = np.random.default_rng(np.asarray(key))
            return np.column_stack([own[place].rvs(n, random_state=rng) for own in sides])

        return sample

    ot = BrenierMap(cost=cost, max_steps=2048, random_state=0).fit(draw(0), draw(1))
    x = draw(0)([7, 7], 4000)
    y = np.column_stack([quantile_map(*own)(x[:, [i]])[:, 0] for i, own in enumerate(sides)])
    assert unexplained_variance(ot.transform(x), y) < 1.0
    assert unexplained_variance(ot.inverse_transform(y), x) < 1.0


FEW = [PNorm(1.5), LogCosh(), Mahalanobis([[2.0, 0.3], [0.3, 1.0]])]
MORE = [PNorm(1.2), PNorm(3.0), PNorm(6.0), ElasticNet(0.3)]


@pytest.mark.parametrize("cost", [*FEW, *(pytest.param(cost, marks=pytest.mark.slow) for cost in MORE)], ids=str)
def test_translations_are_found_for_every_cost(cost, rng) -> None:
    x = rng.standard_normal((600, 2)) * [1.0, 0.5]
    ot = BrenierMap(cost=cost, max_steps=128, random_state=0).fit(x, x + SHIFT)
    # Now and then a network beats the translation on held-out points by chance, and is kept.
    assert_close(ot.transform(x[:50]), x[:50] + SHIFT, atol=0.05)
    assert_close(ot.inverse_transform(x[:50]), x[:50] - SHIFT, atol=0.05)
    least = float(cost(jnp.zeros((1, 2)), jnp.asarray(SHIFT[None]))[0])
    assert_close(ot.score(x, x + SHIFT), least, rtol=0.01)


def test_mahalanobis_gaussians_are_in_closed_form(rng) -> None:
    pair, weights = gaussians(3, seed=1), np.array([[2.0, 0.4, 0.0], [0.4, 1.0, 0.3], [0.0, 0.3, 0.5]])
    x = rng.multivariate_normal(pair.mean_x, pair.covariance_x, 4000)
    y = rng.multivariate_normal(pair.mean_y, pair.covariance_y, 4000)
    ot = BrenierMap(cost=Mahalanobis(weights), max_steps=128, random_state=0).fit(x, y)
    # The closed form of the samples' own moments, in coordinates R x with R^T R = A.
    root = scipy.linalg.cholesky(weights)
    sides = [(root @ s.mean(axis=0), root @ np.cov(s.T) @ root.T) for s in (x, y)]
    half = scipy.linalg.sqrtm(sides[0][1])
    middle = scipy.linalg.sqrtm(half @ sides[1][1] @ half)
    matrix = np.linalg.solve(half, np.linalg.solve(half, middle.T).T)
    exact = ((x @ root.T - sides[0][0]) @ matrix.T + sides[1][0]) @ np.linalg.inv(root).T
    assert not ot.map_.geometry.quadratic
    assert ot.baseline_
    assert_close(ot.transform(x), exact, atol=0.03)
    squares = np.trace(sides[0][1] + sides[1][1] - 2 * middle) + np.sum((sides[0][0] - sides[1][0]) ** 2)
    found = ot.distance(x, y)
    assert_close(found.w2, np.sqrt(squares), rtol=0.01)
    assert found.population_lower is not None
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower <= found.upper
    plain = BrenierMap(max_steps=128, random_state=0).fit(x, y)
    assert np.abs(plain.transform(x) - exact).max() > 0.1  # the quadratic cost has another map


@pytest.mark.parametrize(
    ("cost", "kind"), [(PNorm(1.5), "mixed"), (LogCosh(), "together"), (ElasticNet(0.3), "apart")], ids=str
)
def test_constructed_maps_are_found_in_two_dimensions(cost, kind) -> None:
    check_constructed(cost, 2, kind, 1024, (1.0, 1.0))


# The cube is flat where points hardly move, so that many preimages cost the same to three digits.
BOUNDS = [(PNorm(1.5), (1.0, 1.0)), (LogCosh(), (1.0, 1.0)), (ElasticNet(0.3), (1.0, 1.0)), (PNorm(3.0), (1.0, 2.5))]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["apart", "together", "mixed"])
@pytest.mark.parametrize(("cost", "bounds"), BOUNDS, ids=str)
@pytest.mark.parametrize("dim", [2, 8, 16])
def test_constructed_maps_are_found(cost, bounds: tuple[float, float], dim: int, kind) -> None:
    check_constructed(cost, dim, kind, 2048, bounds)


def check_constructed(cost, dim: int, kind, steps: int, bounds: tuple[float, float]) -> None:
    pair = ConstructedPair(cost, dim, kind, seed=1)
    ot = BrenierMap(cost=cost, max_steps=steps, random_state=0).fit(pair.source, pair.target)
    x, y = pair.pairs(4000, [5, 5])
    assert unexplained_variance(x - x.mean(axis=0) + y.mean(axis=0), y) > 5.0
    assert unexplained_variance(ot.transform(x), y) < bounds[0]
    assert unexplained_variance(ot.inverse_transform(y, return_status=True).points, x) < bounds[1]


@pytest.mark.parametrize("cost", SEPARABLE, ids=str)
def test_constructed_pairs_are_matched_best_by_their_own_map(cost) -> None:
    import ot

    for kind in ("apart", "together", "mixed"):
        x, y = ConstructedPair(cost, 4, kind, seed=2).pairs(200, 3)
        z = (x[:, None] - y[None]).reshape(-1, 4)
        costs = np.asarray(cost.value(jnp.asarray(z)), np.float64).reshape(200, 200)
        assert_close(np.trace(costs) / 200, ot.emd2([], [], costs), rtol=1e-4)
        assert np.trace(np.roll(costs, 1, axis=1)) > 1.5 * np.trace(costs)


def test_samples_are_matched_as_an_exact_solver_does(rng) -> None:
    import ot as pot

    cost = PNorm(1.5)
    x, y = rng.standard_normal((1500, 2)), rng.exponential(size=(1500, 2)) - 0.5
    ot = BrenierMap(cost=cost, max_steps=1024, random_state=0).fit(x[:1000], y[:1000])
    test_x, test_y = x[1000:], y[1000:]
    z = (test_x[:, None] - test_y[None]).reshape(-1, 2)
    costs = np.asarray(cost.value(jnp.asarray(z)), np.float64).reshape(500, 500)
    exact = pot.emd2([], [], costs)
    found = ot.distance(test_x, test_y)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower <= exact * (1 + 1e-6)
    assert exact <= found.upper * (1 + 1e-6)
    # Two halves of the samples differ by about a tenth in two dimensions.
    assert_close(found.value, exact, rtol=0.15)
    assert_close(found.cost, exact, rtol=0.15)
    assert found.population_lower is None
    assert any("Nothing is certified" in note for note in found.notes())
    assert "PNorm(p=1.5)" in repr(found)
    assert found.record()["value"] == found.value


def test_a_convex_potential_certifies_what_a_strongly_convex_cost_allows(rng) -> None:
    x = rng.standard_normal((1200, 2))
    y = 1.5 * rng.standard_normal((1200, 2)) + 1.0
    options = {
        "max_steps": 256,
        "random_state": 0,
        "training": Training(potential=lambda dim, own: ICNN(dim, (16, 16), rng=own)),
    }
    ot = BrenierMap(cost=ElasticNet(0.2), **options).fit(x[:800], y[:800])
    found = ot.distance(x[800:], y[800:])
    assert found.population_lower is not None
    assert found.inexact is not None
    assert found.upper is not None
    assert 0 < found.population_lower < found.value <= found.upper * 1.2
    assert found.inexact < 0.01 * found.value
    assert found.disagree == 0.0
    status = ot.inverse_transform(y, return_status=True)
    assert status.disagree is None or not status.disagree.any()
    assert ot.score(x[800:], y[800:]) <= found.value
    assert BrenierMap(cost=LogCosh(), **options).fit(x, y).distance(x[:50], y[:50]).population_lower is None


def test_several_solutions_are_told() -> None:
    # Cubes are flat at zero: where nothing moves, the slightest bump of a potential has several best responses.
    pair = ConstructedPair(PNorm(4.0), 2, "mixed", seed=0)
    ot = BrenierMap(cost=PNorm(4.0), max_steps=256, random_state=0).fit(pair.source, pair.target)
    _, y = pair.pairs(3000, 1)
    status = ot.inverse_transform(y, return_status=True)
    assert status.disagree is not None
    assert 0 < status.disagree.mean() < 0.5
    assert any("several solutions" in note for note in ot.distance(*pair.pairs(500, 2)).notes())


def test_slopes_that_no_move_matches_are_warned_of() -> None:
    ot = BrenierMap(cost=LogCosh(), max_steps=128, random_state=0).fit(*far_apart())
    with pytest.warns(ConvergenceWarning, match=r"at \d+ of 2 points the potential is steeper than the cost") as caught:
        ot.map_.forward(np.array([[500.0, -800.0], [-900.0, 700.0]]))
    assert caught[0].filename == __file__


def far_apart() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((500, 2)), 2.5 * rng.standard_normal((500, 2))


def test_units_of_columns_go_into_the_cost(rng) -> None:
    x, y = rng.standard_normal((800, 2)), rng.exponential(size=(800, 2)) + 1.0
    units = np.array([10.0, 0.1])
    plain = BrenierMap(cost=PNorm(1.5), max_steps=128, random_state=0).fit(x, y)
    scaled = BrenierMap(cost=PNorm(1.5), scale=units, max_steps=128, random_state=0).fit(x * units, y * units)
    assert_close(scaled.transform(x * units) / units, plain.transform(x), atol=1e-3)
    assert_close(scaled.score(x * units, y * units), plain.score(x, y), rtol=1e-4)


def test_the_squared_cost_by_name_is_the_default(rng) -> None:
    x, y = rng.standard_normal((300, 2)), rng.exponential(size=(300, 2))
    first, second = (
        BrenierMap(cost=cost, max_steps=128, random_state=0).fit(x, y) for cost in (None, SquaredEuclidean())
    )
    np.testing.assert_array_equal(first.transform(x), second.transform(x))


def test_costs_that_cannot_be_used_are_refused(rng) -> None:
    x = rng.standard_normal((300, 2))
    wrong = Convex(lambda z: jnp.sum(z**4, axis=1), lambda z: z**3, lambda p: jnp.cbrt(p))
    for cost, message in (
        ("pnorm", "`cost` must be one of `brenier.costs`"),
        (wrong, "gradient"),
        (Mahalanobis(np.eye(3)), "for 3 columns, but the data have 2"),
        (LogCosh(0.01), "so flat at the displacement of the centres"),
    ):
        with pytest.raises(InputError, match=message):
            BrenierMap(cost=cost, max_steps=128).fit(x, x + 1.0)
    with pytest.raises(InputError, match="conditions need the quadratic cost"):
        BrenierMap(cost=PNorm(1.5)).fit(x, x, x_condition=x[:, 0], y_condition=x[:, 0])
    ot = BrenierMap(cost=PNorm(1.5), max_steps=128, random_state=0).fit(x, x + 1.0)
    with pytest.raises(InputError, match="densities need the quadratic cost"):
        ot.log_density(x, "normal")


def test_maps_survive_a_file(rng, tmp_path) -> None:
    x, y = rng.standard_normal((300, 2)), rng.exponential(size=(300, 2))
    ot = BrenierMap(cost=LogCosh(0.8), max_steps=128, random_state=0).fit(x, y)
    ot.map_.save(tmp_path / "map.brenier")
    again = TransportMap.load(tmp_path / "map.brenier")
    np.testing.assert_array_equal(again.forward(x), ot.map_.forward(x))
    np.testing.assert_array_equal(again.inverse_with_status(y).points, ot.map_.inverse_with_status(y).points)
    assert str(again.cost) == "LogCosh(width=0.8)"
    assert_close(again.interpolate(x, 0.5), 0.5 * (x + np.asarray(ot.transform(x))), atol=1e-12)


def test_few_samples_are_not_fitted_worse_than_by_a_translation(rng) -> None:
    errors = []
    for seed in range(3):
        pair = ConstructedPair(PNorm(1.5), 4, "mixed", seed=seed)
        (x, _), (_, y) = pair.pairs(400, [seed, 1]), pair.pairs(400, [seed, 2])
        ot = BrenierMap(cost=PNorm(1.5), max_steps=512, random_state=0).fit(x, y)
        test_x, test_y = pair.pairs(3000, [seed, 3])
        still = test_x - x.mean(axis=0) + y.mean(axis=0)
        errors.append(unexplained_variance(ot.transform(test_x), test_y) / unexplained_variance(still, test_y))
    assert max(errors) < 1.0
    assert np.median(errors) < 0.5
