"""The answer of `distance`: estimates against closed forms, confidence against simulation, words against numbers."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.stats

from asserts import assert_at_most, assert_close
from brenier import InputError, TransportMap
from brenier.certificates import dual_terms, mismatch, population_bound
from brenier.certificates.mismatch import _permutation_test
from brenier.certificates.population import MeanBound
from brenier.geometry import Moments, QuadraticGeometry
from brenier.potentials import Quadratic
from networks import fresh, perturb
from problems import Gaussians, gaussians


def exact_map(pair: Gaussians) -> TransportMap:
    """The optimal map between two Gaussians."""
    sides = Moments(pair.mean_x, pair.covariance_x, 100), Moments(pair.mean_y, pair.covariance_y, 100)
    return TransportMap(QuadraticGeometry.between(*sides), Quadratic.identity(len(pair.mean_x)))


def draw(pair: Gaussians, n: int, m: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = rng.multivariate_normal(pair.mean_x, pair.covariance_x, n)
    return x, rng.multivariate_normal(pair.mean_y, pair.covariance_y, m)


def test_the_population_bound_is_the_textbook_one(rng):
    source, target = rng.standard_normal(50), 3.0 * rng.standard_normal(80)
    found = population_bound(source, target, 0.9)
    textbook = scipy.stats.ttest_ind(source, -target, equal_var=False).confidence_interval(0.9)
    assert_close(found.value, textbook.low, rtol=1e-12)
    assert_close(found.value + found.margin, source.mean() + target.mean(), rtol=1e-12)


@pytest.mark.parametrize("dim", [2, 16])
def test_the_population_bound_covers_in_500_repetitions(dim, rng):
    # The optimal potential, which is the hardest case: in expectation its dual value is the truth itself.
    pair = gaussians(dim)
    c = exact_map(pair).geometry
    u, truth, bounds = Quadratic.identity(dim), 0.5 * pair.w2**2, []
    x, y = draw(pair, 500 * 400, 500 * 300, rng)
    # The conjugate of half the squared norm is attained at the point itself.
    terms = dual_terms(c, u, x, y, c.precise_y(y))
    for k in range(500):
        source, target = terms.source[400 * k : 400 * (k + 1)], (terms.target - terms.slack)[300 * k : 300 * (k + 1)]
        bounds.append(population_bound(source, target, 0.95))
    covered = np.mean([bound.value <= truth for bound in bounds])
    means = np.array([bound.value + bound.margin for bound in bounds])
    assert covered >= 0.95
    # The same without a margin holds half of the time: the test can fail.
    assert 0.3 < np.mean(means <= truth) < 0.7
    assert_at_most(np.median([truth - bound.value for bound in bounds]) / truth, 0.5, "width of the bound")


def test_mmd_is_the_textbook_one(rng):
    x, y = rng.standard_normal((30, 2)), rng.standard_normal((20, 2)) + 0.5
    points = np.concatenate([x, y])
    squares = scipy.spatial.distance.cdist(points, points, "sqeuclidean")
    kernel = np.exp(-squares / np.median(squares[np.triu_indices(50, 1)]))
    across = kernel[:30, 30:].mean()
    within = [
        (part.sum() - np.trace(part)) / (len(part) * (len(part) - 1)) for part in (kernel[:30, :30], kernel[30:, 30:])
    ]
    found, _ = _permutation_test(x, y, rng)
    assert_close(found, sum(within) - 2 * across, atol=1e-12)


def test_the_test_of_the_image_has_its_level_and_sees_a_shift():
    rng = np.random.default_rng(0)
    p_values = [
        mismatch(rng.standard_normal((60, 2)), rng.standard_normal((50, 2)), seed).p_value for seed in range(60)
    ]
    # Under equality p-values are uniform: Kolmogorov's test finds nothing, and its own p-value is fixed by the seed.
    assert scipy.stats.kstest(p_values, "uniform").pvalue > 0.01
    shifted = mismatch(rng.standard_normal((300, 2)) + 0.6, rng.standard_normal((300, 2)))
    assert shifted.p_value == 1 / 500
    assert shifted.mmd > 0.1
    assert_close(shifted.sliced_w2, 0.6 / np.sqrt(2), atol=0.15)


def test_all_numbers_together_for_the_optimal_map(rng):
    pair = gaussians(3)
    x, y = draw(pair, 600, 500, rng)
    found = exact_map(pair).distance(x, y)
    assert found.population_lower < pair.w2
    assert_at_most(found.lower, found.upper, "interval")
    assert_close(found.lower, found.upper, rtol=1e-6)
    assert_close(
        found.population_gap, [found.w2 - found.population_lower, 1 - found.population_lower / found.w2], rtol=1e-9
    )
    assert found.mismatch.p_value > 0.01
    assert found.empirical.method == "exact"
    text = str(found)
    for words in ("neither squared nor halved", "with 95 % confidence", "exact", "p = "):
        assert words in text
    record = json.loads(json.dumps(found.record(), allow_nan=False))
    assert record["lower"] == found.lower
    assert record["empirical_gap"]["relative"] < 1e-6
    assert exact_map(pair).distance(x, y, confidence=0.5).population_lower > found.population_lower


def test_the_estimate_agrees_with_the_score_and_needs_no_interval(rng):
    pair = gaussians(3)
    x, y = draw(pair, 300, 200, rng)
    map_ = exact_map(pair)
    found = map_.distance(x, y, empirical=False)
    assert (found.lower, found.upper, found.mismatch, found.empirical_gap) == (None, None, None, None)
    assert_close(found.value, map_.dual(x, y).value, rtol=1e-5)
    assert "These samples" not in str(found)


class TestNotes:
    def test_a_map_that_misses_the_target(self, rng):
        pair = gaussians(3)
        x, y = draw(pair, 400, 400, rng)
        notes = " ".join(exact_map(pair).distance(x, y + 5.0).notes())
        assert "Image and target differ by more than chance (p = 0.002)" in notes

    def test_sampling_error(self, rng):
        pair = gaussians(3)
        notes = " ".join(exact_map(pair).distance(*draw(pair, 20, 20, rng)).notes())
        assert "sampling error with 20 points: use more held-out points" in notes

    def test_conjugates_that_are_not_solved(self, rng):
        pair = gaussians(3)
        found = exact_map(pair).distance(*draw(pair, 400, 400, rng), empirical=False)
        low = MeanBound(0.5 * found.value, 0.1 * found.value, 1.0, 99.0)
        found = dataclasses.replace(found, population=low, inexact=0.4 * found.value, unconverged=0.25)
        assert "because of inexact conjugates (25 % unconverged)" in " ".join(found.notes())

    def test_samples_in_many_dimensions(self, rng):
        pair = gaussians(16)
        found = exact_map(pair).distance(*draw(pair, 300, 300, rng))
        assert found.lower > pair.w2
        assert "in 16 dimensions lie of the order n^(-1/d)" in " ".join(found.notes())

    def test_no_convexity(self, rng):
        pair = gaussians(3)
        map_ = exact_map(pair)
        potential = perturb(fresh("mlp-celu", 3), 0, 0.05)
        found = TransportMap(map_.geometry, potential).distance(*draw(pair, 100, 100, rng))
        assert found.population_lower is None
        assert "not known to be convex" in str(found)
        # The interval of the samples asks nothing of the potential.
        assert_close(found.lower, found.upper, rtol=1e-6)


@pytest.mark.parametrize(
    ("count", "options", "message"),
    [
        (1, {}, "`X` must have at least 2 points for a distance; got 1"),
        (5, {"confidence": 1.0}, r"`confidence` must lie strictly between 0 and 1; got 1\.0"),
    ],
)
def test_what_cannot_be_asked(count, options, message, rng):
    pair = gaussians(3)
    x, y = draw(pair, count, 5, rng)
    with pytest.raises(InputError, match=message):
        exact_map(pair).distance(x, y, **options)


@pytest.mark.slow
@pytest.mark.parametrize("dim", [2, 8, 16])
def test_coverage_on_pairs_of_the_benchmark(dim, shared_data):
    from brenier import BrenierMap
    from brenier.datasets import Wasserstein2Pair

    pair = Wasserstein2Pair.load(shared_data / "w2bench" / f"{dim}.npz")
    ot = BrenierMap(scale="none", max_steps=1024, random_state=0).fit(pair.sample_source, pair.sample_target)
    rows, repetitions = 400, 500
    x, y = (
        np.concatenate([sample(np.array([side, k]), 20_000) for k in range(rows * repetitions // 20_000)])
        for side, sample in enumerate((pair.sample_source, pair.sample_target), start=1)
    )
    truth = 0.5 * float(np.mean(np.sum(np.square(pair.transport(x) - x), axis=1)))
    map_ = ot.map_
    inverse = map_.inverse(y)
    terms = dual_terms(map_.geometry, map_.potential, x.astype(float), y.astype(float), map_.geometry.enter_x(inverse))
    bounds = [
        population_bound(
            *(side[rows * k : rows * (k + 1)] for side in (terms.source, terms.target - terms.slack)), 0.95
        )
        for k in range(repetitions)
    ]
    assert np.mean([bound.value <= truth for bound in bounds]) >= 0.95
