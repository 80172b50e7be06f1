"""Weighted samples: equal to repeated rows where weights are integers, refused where they make no distribution."""

import numpy as np
import ot as pot
import pandas as pd
import pytest
from sklearn.covariance import ledoit_wolf_shrinkage

from asserts import assert_close, assert_same
from brenier import BrenierMap, DataWarning, InputError, TransportMap
from brenier.certificates.population import population_bound
from brenier.conditions.balance import balance, weights_towards
from brenier.data.weights import WeightedStream, as_weights, draw_systematic, effective_size
from brenier.geometry import QuadraticGeometry, moments
from brenier.geometry.dependence import dependence
from brenier.metrics import cosine_similarity, mmd_squared, sliced_w2, unexplained_variance
from brenier.potentials import ICNN
from brenier.solvers import BFGS
from brenier.training import Holdout, choose_config

ROUNDING = 1e-9
"""Sums of some hundred numbers in another order."""


@pytest.fixture
def cloud(rng):
    """Points with integer weights, the same as shares, and the rows repeated."""
    x, counts = rng.standard_normal((150, 3)) @ rng.standard_normal((3, 3)) + 1.0, rng.integers(1, 5, 150)
    return x, counts, counts / counts.sum(), np.repeat(x, counts, axis=0)


@pytest.fixture
def other(rng):
    y, counts = np.exp(0.5 * rng.standard_normal((120, 3))), rng.integers(1, 4, 120)
    return y, counts, counts / counts.sum(), np.repeat(y, counts, axis=0)


@pytest.fixture
def bent(cloud, other):
    """A map that is not affine, between the two clouds."""
    c = QuadraticGeometry.between(moments(cloud[3]), moments(other[3]))
    u = ICNN(3, (16, 16), rng=np.random.default_rng(1))
    import equinox as eqx

    return TransportMap(
        c, eqx.tree_at(lambda u: [layer.root_output for layer in u.layers], u, replace_fn=lambda r: 8 * r)
    )


class TestChecks:
    @pytest.mark.parametrize(
        "value", [[1, 2, 1], (1.0, 2.0, 1.0), np.array([[1.0], [2.0], [1.0]]), pd.Series([5, 10, 5])]
    )
    def test_forms(self, value) -> None:
        assert_close(as_weights(value, 3, "w"), [0.25, 0.5, 0.25], rtol=1e-15)

    def test_none_is_none(self) -> None:
        assert as_weights(None, 3, "w") is None

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ([1.0, 2.0], "each of the 3 points"),
            (np.ones((3, 2)), r"got shape \(3, 2\)"),
            (["a", "b", "c"], "one number for each point"),
            ([1.0, np.nan, 1.0], "1 missing and 0 infinite entries, in rows 1"),
            ([1.0, 1.0, np.inf], "0 missing and 1 infinite entries, in rows 2"),
            ([0.0, 0.0, 0.0], "all 3 are zero"),
        ],
    )
    def test_refused(self, value, words) -> None:
        with pytest.raises(InputError, match=f"`w`.*{words}"):
            as_weights(value, 3, "w")

    def test_negative_weights_are_explained(self) -> None:
        with pytest.raises(InputError) as caught:
            BrenierMap().fit(np.ones((4, 2)), np.ones((4, 2)), x_weight=[1.0, -0.5, 1.0, -0.5])
        message = str(caught.value)
        for words in (
            "`x_weight` has 2 negative weights",
            "33.3 %",
            "rows 1, 3",
            "cell resampling",
            "neural resampling",
        ):
            assert words in message

    def test_uneven_weights_are_named(self, rng) -> None:
        x, weights = rng.normal(size=(400, 2)), np.r_[1e4, np.ones(399)]
        with pytest.warns(DataWarning, match="`y_weight` is so uneven that its 400 points count as 1 in effect"):
            BrenierMap(max_steps=1, random_state=0).fit(x, x + 1.0, y_weight=weights)

    def test_a_sampler_has_none(self) -> None:
        def sampler(key, n):
            return np.random.default_rng(np.asarray(key)).normal(size=(n, 2))

        with pytest.raises(InputError, match="`y_weight` was given, but `Y` is a function"):
            BrenierMap().fit(np.random.default_rng(0).normal(size=(50, 2)), sampler, y_weight=np.ones(50))

    def test_effective_size(self) -> None:
        assert_close(effective_size(np.full(7, 3.0)), 7.0, rtol=1e-12)
        assert_close(effective_size(np.array([1.0, 1.0, 0.0])), 2.0, rtol=1e-12)
        assert_close(effective_size(np.array([3.0, 1.0])), 16 / 10, rtol=1e-12)


class TestDraws:
    def test_an_epoch_is_the_repeated_rows(self, rng) -> None:
        counts = rng.integers(1, 6, 40)
        values = np.arange(40.0)[:, None]
        source = WeightedStream(values, counts / counts.sum(), rng)
        first, second = source.draw(counts.sum())[:, 0], source.draw(counts.sum())[:, 0]
        assert_same(np.sort(first), np.repeat(values[:, 0], counts))
        assert_same(np.sort(second), np.sort(first))
        assert not np.array_equal(first, second)
        assert np.abs(np.diff(first)).mean() > 5.0  # not row after row

    def test_any_draw_has_rows_in_proportion(self, rng) -> None:
        weights = rng.uniform(size=30) ** 3
        expected = 1000 * weights / weights.sum()
        rows = draw_systematic(weights, 1000, 0.3)
        assert np.all(np.abs(np.bincount(rows, minlength=30) - expected) < 1.0)


class TestMoments:
    def test_those_of_repeated_rows(self, cloud) -> None:
        x, _, shares, repeated = cloud
        weighted, whole = moments(x, weights=shares), moments(repeated)
        assert_close(weighted.mean, whole.mean, rtol=ROUNDING)
        assert_close(weighted.covariance, whole.covariance, rtol=ROUNDING)
        assert_close(whole.covariance, np.cov(x.T, fweights=cloud[1], bias=True), rtol=ROUNDING)
        assert weighted.count == round(effective_size(shares)) < whole.count

    @pytest.mark.parametrize(("n", "dim"), [(10, 4), (30, 20), (50, 3)])
    def test_equal_weights_shrink_as_scikit_learn_does(self, n, dim, rng) -> None:
        x = rng.standard_normal((n, dim)) @ rng.standard_normal((dim, dim))
        standard = (x - x.mean(axis=0)) / x.std(axis=0)
        assert_close(moments(x).shrinkage, ledoit_wolf_shrinkage(standard, assume_centered=True), rtol=1e-9)

    def test_uneven_weights_shrink_more(self, rng) -> None:
        x = rng.standard_normal((60, 4)) @ rng.standard_normal((4, 4))
        weights = rng.exponential(size=60) ** 2
        assert moments(x, weights=weights / weights.sum()).shrinkage > moments(x).shrinkage > 0

    def test_coordinates(self, cloud, other) -> None:
        weighted = QuadraticGeometry.between(moments(cloud[0], weights=cloud[2]), moments(other[0], weights=other[2]))
        whole = QuadraticGeometry.between(moments(cloud[3]), moments(other[3]))
        assert_close(weighted.linear_map, whole.linear_map, rtol=1e-7)
        products = weighted.dual_offset(cloud[0], other[0], cloud[2], other[2])
        assert_close(products, whole.dual_offset(cloud[3], other[3]), rtol=1e-7)


class TestMetrics:
    def test_those_of_repeated_rows(self, cloud, other) -> None:
        (x, _, a, xx), (y, _, b, yy) = cloud, other
        assert_close(sliced_w2(x, y, x_weight=a, y_weight=b), sliced_w2(xx, yy), rtol=ROUNDING)
        assert_close(sliced_w2(x, y, x_weight=a), sliced_w2(xx, y), rtol=ROUNDING)
        assert_close(mmd_squared(x, y, x_weight=a, y_weight=b), mmd_squared(xx, yy), rtol=1e-7)
        moved, counts = x**2, cloud[1]
        repeated = np.repeat(moved, counts, axis=0)
        assert_close(unexplained_variance(moved, x, weight=counts), unexplained_variance(repeated, xx), rtol=ROUNDING)
        found = cosine_similarity(moved, x, 0 * x, weight=counts)
        assert_close(found, cosine_similarity(repeated, xx, 0 * xx), rtol=ROUNDING)

    def test_sliced_distance_is_that_of_pot(self, cloud, other) -> None:
        directions = np.random.default_rng(3).standard_normal((3, 40))
        directions /= np.linalg.norm(directions, axis=0)
        theirs = pot.sliced_wasserstein_distance(cloud[0], other[0], cloud[2], other[2], projections=directions)
        found = sliced_w2(cloud[0], other[0], projections=40, seed=3, x_weight=cloud[1], y_weight=other[1])
        assert_close(found, theirs, rtol=1e-9)

    def test_discrepancy_by_hand(self) -> None:
        x, y = np.array([[0.0], [1.0]]), np.array([[3.0]])
        kernel = lambda r: np.exp(-0.5 * (r / 2.0) ** 2)  # noqa: E731
        within = (0.75**2 + 0.25**2) * 1.0 + 2 * 0.75 * 0.25 * kernel(1.0)
        expected = within + 1.0 - 2 * (0.75 * kernel(3.0) + 0.25 * kernel(2.0))
        assert_close(mmd_squared(x, y, width=2.0, x_weight=[3, 1]), expected, rtol=1e-12)


class TestCertificates:
    def test_distances_are_those_of_repeated_rows(self, bent, cloud, other) -> None:
        weighted = bent.distance(cloud[0], other[0], x_weight=cloud[1], y_weight=other[1])
        whole = bent.distance(cloud[3], other[3])
        for name in ("w2", "value", "cost", "lower", "upper", "inexact"):
            assert_close(getattr(weighted, name), getattr(whole, name), rtol=1e-6)
        assert_close(weighted.mismatch.sliced_w2, whole.mismatch.sliced_w2, rtol=1e-9)
        assert_close(weighted.upper, np.sqrt(pot.emd2(cloud[2], other[2], pot.dist(cloud[0], other[0]))), rtol=1e-6)
        # Copies of a draw are no new draws.
        assert weighted.population_lower < whole.population_lower

    def test_dual_values_and_scores(self, bent, cloud, other) -> None:
        weighted = bent.dual(cloud[0], other[0], x_weight=cloud[1], y_weight=other[1])
        assert_close(weighted.value, bent.dual(cloud[3], other[3]).value, rtol=1e-5)  # single precision
        assert abs(weighted.value / bent.dual(cloud[0], other[0]).value - 1.0) > 1e-3

    def test_held_out_value(self, bent, cloud, other) -> None:
        c, u = bent.geometry, bent.potential
        weighted = Holdout.of(cloud[0], other[0], c, BFGS(), (cloud[2], other[2]))
        whole = Holdout.of(cloud[3], other[3], c, BFGS())
        first, second = weighted.evaluate(u), whole.evaluate(u)
        assert_close(first.objective, second.objective, rtol=1e-5)
        assert_close(weighted.dual(first), whole.dual(second), rtol=1e-4)
        gain, error = first.gain_over(weighted.baseline())
        assert_close(gain, second.gain_over(whole.baseline())[0], rtol=1e-3)
        assert error > second.gain_over(whole.baseline())[1]

    def test_a_bound_with_equal_weights_is_the_one_without(self, rng) -> None:
        a, b = rng.exponential(size=50), rng.normal(size=80)
        weighted = population_bound(a, b, 0.95, np.full(50, 0.02), np.full(80, 1 / 80))
        assert_close(np.array(weighted), np.array(population_bound(a, b, 0.95)), rtol=1e-12)

    def test_bounds_hold_for_weighted_draws(self) -> None:
        """Draws of N(0, 1.5^2), weighted to stand for N(0, 1): the mean of x^2 is one."""
        rng = np.random.default_rng(0)
        held = naive = 0
        means, errors = [], []
        for _ in range(400):
            x = 1.5 * rng.standard_normal(300)
            weights = np.exp(-0.5 * x**2 * (1.0 - 1.0 / 1.5**2))
            weights /= weights.sum()
            zero = np.zeros(2)
            bound = population_bound(x**2, zero, 0.95, weights)
            held += bound.value <= 1.0
            means.append(bound.value + bound.margin)
            errors.append(bound.variance)
            naive += population_bound(x**2, zero, 0.95).value <= 1.0
        assert held >= 0.95 * 400
        # The standard error is the spread of the estimates, known to 4 % from 400 of them.
        assert_close(np.sqrt(np.mean(errors)) / np.std(means), 1.0, atol=0.12)
        assert naive < 100  # without weights it is about another distribution


class TestFit:
    def test_the_weighted_distribution_is_learned(self) -> None:
        """Draws of N(0, 1.5^2) weighted to N(0, 1), onto a mixture of which weights leave one part."""
        rng = np.random.default_rng(0)
        x = 1.5 * rng.standard_normal((6000, 2))
        weights = np.exp(-0.5 * np.sum(x**2, axis=1) * (1.0 - 1.0 / 1.5**2))
        part = rng.uniform(size=6000) < 0.5
        y = np.where(part[:, None], np.exp(0.5 * rng.standard_normal((6000, 2))), 20.0 + rng.standard_normal((6000, 2)))
        ot = BrenierMap(max_steps=512, random_state=0).fit(x, y, x_weight=weights, y_weight=part.astype(float))
        new = np.random.default_rng(1).standard_normal((2000, 2))
        exact = np.exp(0.5 * new)
        assert not ot.baseline_
        assert unexplained_variance(ot.transform(new), exact) < 4.0  # the best affine map: about 12
        assert unexplained_variance(BrenierMap(max_steps=1).fit(x, y).transform(new), exact) > 100.0

    def test_settings_follow_the_effective_number(self, rng) -> None:
        x, weights = rng.normal(size=(3000, 2)), rng.exponential(size=3000) ** 3
        ot = BrenierMap(max_steps=1, refit=False, random_state=0).fit(x, np.exp(x), x_weight=weights)
        found, plain = ot.map_.info["settings"], choose_config(2, 2500).summary()
        assert found["decay"] > 2 * plain["decay"]
        assert found["jitter"] > plain["jitter"]

    def test_rows_without_weight_are_left_out_and_units_do_not_count(self, rng) -> None:
        x, y = rng.normal(size=(400, 2)), rng.exponential(size=(300, 2))
        weights = rng.integers(0, 3, 400).astype(float)
        whole = BrenierMap(max_steps=128, random_state=0).fit(x, y, x_weight=weights)
        kept = weights > 0
        part = BrenierMap(max_steps=128, random_state=0).fit(x[kept], y, x_weight=0.125 * weights[kept])
        assert_same(whole.transform(x), part.transform(x))

    def test_scores_and_distances_take_weights(self, rng) -> None:
        x, y, weights = rng.normal(size=(400, 2)), rng.exponential(size=(300, 2)), rng.integers(1, 3, 400)
        ot = BrenierMap(max_steps=128, random_state=0).fit(x, y, x_weight=weights)
        repeated = np.repeat(x, weights, axis=0)
        assert_close(ot.score(x, y, x_weight=weights), ot.score(repeated, y), rtol=1e-5)
        assert_close(ot.distance(x, y, x_weight=weights).upper, ot.distance(repeated, y).upper, rtol=1e-6)


class TestConditions:
    def test_moments_that_move_are_those_of_repeated_rows(self, rng, monkeypatch) -> None:
        monkeypatch.setattr("brenier.geometry.dependence._LARGEST_DEGREE", 1)  # both would choose their own
        numbers = rng.uniform(-1, 1, (900, 1))
        points = rng.standard_normal((900, 2)) * np.exp(0.5 * numbers) + 2.0 * numbers
        counts = rng.integers(1, 3, 900)
        weighted = dependence(points, numbers, points.std(axis=0), counts.astype(float))
        whole = dependence(np.repeat(points, counts, axis=0), np.repeat(numbers, counts, axis=0), points.std(axis=0))
        assert weighted.degree == whole.degree == 1
        places = np.linspace(-1, 1, 5)[:, None]
        assert_close(weighted.means(places), whole.means(places), atol=1e-6)
        one, other = (side.roots(places) @ side.roots(places).transpose(0, 2, 1) for side in (weighted, whole))
        assert_close(one, other, rtol=1e-5, atol=1e-6)

    def test_balanced_weights_are_those_of_repeated_rows(self, rng) -> None:
        x, y = (np.column_stack([np.zeros(200), rng.uniform(0, 1, 200) ** power]) for power in (1.0, 1.5))
        counts = rng.integers(1, 4, 200)
        low, high = np.zeros((1, 1)), np.ones((1, 1))
        for found, whole in (
            (
                balance(x, y, low, high, (counts.astype(float), np.ones(200))).x,
                balance(np.repeat(x, counts, axis=0), y, low, high).x,
            ),
            (
                weights_towards(y, x, low, high, (np.ones(200), counts.astype(float)))[0],
                weights_towards(y, np.repeat(x, counts, axis=0), low, high)[0],
            ),
        ):
            owner = np.repeat(np.arange(200), counts)
            assert_close(found, np.bincount(owner, whole), rtol=1e-6)

    def test_classes_with_weights(self, rng) -> None:
        kind = rng.choice(["a", "b"], 1600)
        x, y = rng.normal(size=(2, 1600, 2))
        y += np.where(kind == "a", 3.0, -3.0)[:, None]
        stray = rng.uniform(size=1600) < 0.3
        y[stray] += 50.0
        weights = np.where(stray, 0.0, rng.uniform(0.5, 1.5, 1600))
        fit = {"x_condition": rng.choice(["a", "b"], 1600), "y_condition": kind}
        ot = BrenierMap(max_steps=128, random_state=0).fit(x, y, **fit, y_weight=weights)
        assert_close(ot.transform([[0.0, 0.0]], condition="a"), [[3.0, 3.0]], atol=0.3)
        counts = rng.integers(1, 3, 1600)
        part = {"x_condition": fit["x_condition"], "y_condition": kind[~stray]}
        weighted = ot.distance(x, y[~stray], **part, x_weight=counts)
        part["x_condition"] = np.repeat(part["x_condition"], counts)
        whole = ot.distance(np.repeat(x, counts, axis=0), y[~stray], **part)
        assert_close(weighted.w2, whole.w2, rtol=1e-5)
        assert_close(weighted.upper, whole.upper, rtol=1e-5)
        assert_close(weighted.shares["a"], whole.shares["a"], rtol=1e-12)

    def test_numbers_with_weights(self, rng) -> None:
        dose = rng.uniform(0, 1, (2, 1500))
        x, y = rng.normal(size=(2, 1500, 2))
        y *= (1.0 + dose[1])[:, None]
        stray = rng.uniform(size=1500) < 0.3
        counts = np.where(stray, 0, rng.integers(1, 3, 1500))
        x[stray] += 50.0
        ot = BrenierMap(max_steps=128, random_state=0).fit(
            x, y, x_condition=dose[0], y_condition=dose[1], x_weight=counts
        )
        assert_close(ot.transform([[1.0, 0.0]], condition=0.5), [[1.5, 0.0]], atol=0.5)  # not 50 away
        both = {"x_condition": dose[0], "y_condition": dose[1]}
        repeated = {"x_condition": np.repeat(dose[0], counts), "y_condition": dose[1]}
        found = ot.score(x, y, **both, x_weight=counts)
        assert_close(found, ot.score(np.repeat(x, counts, axis=0), y, **repeated), rtol=1e-4)
        assert abs(found / ot.score(x, y, **both) - 1.0) > 1e-3
