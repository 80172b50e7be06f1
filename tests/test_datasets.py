"""Benchmark pairs: files are read as they are meant, and the maps are what they claim."""

import re

import jax
import numpy as np
import ot
import pytest

from asserts import assert_same
from brenier import InputError
from brenier.metrics import unexplained_variance
from brenier_bench.datasets import FamilyPair, GaussianPair, Wasserstein2Pair

KEY = jax.random.PRNGKey(0)


@pytest.mark.parametrize("dim", [2, 4, 8, 16, 64])
def test_stored_test_points_are_reproduced(shared_data, dim: int) -> None:
    """The files hold points and their images, computed by the code that the benchmark published."""
    pair = Wasserstein2Pair.load(shared_data / "w2bench" / f"{dim}.npz")
    assert unexplained_variance(pair.transport(pair.test_x), pair.test_y, pair.var_y) < 1e-6


def test_samples_have_the_moments_of_the_test_points(shared_data) -> None:
    pair = Wasserstein2Pair.load(shared_data / "w2bench" / "4.npz")
    for draw, points in ((pair.sample_source, pair.test_x), (pair.sample_target, pair.test_y)):
        sample = draw(KEY, 40000)
        # Standard errors of means and covariances over 4,096 stored points are below 0.03 here.
        np.testing.assert_allclose(sample.mean(axis=0), points.mean(axis=0), atol=0.08)
        np.testing.assert_allclose(np.cov(sample.T), np.cov(points.T), atol=0.12)


def test_samples_follow_the_key(shared_data) -> None:
    pair = Wasserstein2Pair.load(shared_data / "w2bench" / "2.npz")
    np.testing.assert_array_equal(pair.sample_target(KEY, 100), pair.sample_target(KEY, 100))
    assert np.abs(pair.sample_source(KEY, 100) - pair.sample_source(jax.random.PRNGKey(1), 100)).max() > 0


@pytest.mark.parametrize("dim", [2, 20])
def test_the_map_of_a_random_pair_is_the_optimal_coupling_of_its_points(dim: int) -> None:
    pair = Wasserstein2Pair.random(dim, seed=1)
    x, y = (side[:300].astype(np.float64) for side in (pair.test_x, pair.test_y))
    plan = ot.emd(ot.unif(300), ot.unif(300), ot.dist(x, y))
    assert_same(plan.argmax(axis=1), np.arange(300))


def test_random_pairs_are_no_affine_ones() -> None:
    for dim in (2, 8, 64):
        pair = Wasserstein2Pair.random(dim, seed=0)
        x = np.column_stack([pair.test_x, np.ones(len(pair.test_x))]).astype(np.float64)
        affine = x @ np.linalg.lstsq(x, pair.test_y, rcond=None)[0]
        assert 12.0 < unexplained_variance(affine, pair.test_y, pair.var_y) < 45.0


def test_random_pairs_follow_their_seed() -> None:
    one, again, other = (Wasserstein2Pair.random(3, seed) for seed in (4, 4, 5))
    assert_same(one.test_y, again.test_y)
    assert not np.allclose(one.centers, other.centers)


def test_gaussian_map_and_distance_agree_with_pot() -> None:
    pair = GaussianPair.random(5, seed=2)
    zero = np.zeros(5)
    matrix, _ = ot.gaussian.bures_wasserstein_mapping(zero, zero, pair.source, pair.target)
    np.testing.assert_allclose(pair.matrix, matrix, atol=1e-8)
    assert pair.w2 == pytest.approx(float(ot.gaussian.bures_wasserstein_distance(zero, zero, pair.source, pair.target)))
    np.testing.assert_allclose(pair.matrix @ pair.source @ pair.matrix, pair.target, atol=1e-10)


def test_gaussian_samples_have_the_covariances() -> None:
    pair = GaussianPair.random(3, seed=0)
    np.testing.assert_allclose(np.cov(pair.sample_source(KEY, 100000).T), pair.source, atol=0.08)
    np.testing.assert_allclose(np.cov(pair.sample_target(KEY, 100000).T), pair.target, atol=0.08)


def test_files_that_are_no_pairs(tmp_path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "other.npz", Sigma0=np.eye(2))
    np.savez(tmp_path / "indefinite.npz", Sigma0=np.eye(2), Sigma1=-np.eye(2))
    np.savez(tmp_path / "objects.npz", Sigma0=np.array([{}], dtype=object), Sigma1=np.eye(2))
    faults = {
        "text": "not a whole .npz archive",
        "objects": "they are pickles",
        "missing": "cannot be read: No such file",
    }
    for name, words in faults.items():
        with pytest.raises(InputError, match=re.escape(words)):
            GaussianPair.load(tmp_path / f"{name}.npz")
    with pytest.raises(InputError, match=r"has no arrays \['Sigma1'\]"):
        GaussianPair.load(tmp_path / "other.npz")
    with pytest.raises(InputError, match="target covariance must be symmetric positive definite"):
        GaussianPair.load(tmp_path / "indefinite.npz")
    with pytest.raises(InputError, match="has no arrays"):
        Wasserstein2Pair.load(tmp_path / "other.npz")
    with pytest.raises(InputError, match="square and of one size"):
        GaussianPair.of(np.eye(2), np.eye(3))


class TestFamilies:
    @pytest.mark.parametrize("c", [-0.9, 0.3])
    def test_maps_and_distances_agree_with_pot_at_every_number(self, c: float, rng) -> None:
        pair = FamilyPair.random(4, seed=3)
        moments = [(side.mean(c), side.covariance(c)) for side in pair]
        matrix, shift = ot.gaussian.bures_wasserstein_mapping(
            moments[0][0], moments[1][0], moments[0][1], moments[1][1]
        )
        x = rng.normal(size=(50, 4))
        np.testing.assert_allclose(pair.transport(c, x), x @ matrix + shift, atol=1e-9)
        np.testing.assert_allclose(pair.inverse(c, pair.transport(c, x)), x, atol=1e-9)
        distance = ot.gaussian.bures_wasserstein_distance(moments[0][0], moments[1][0], moments[0][1], moments[1][1])
        assert pair.squared_w2(c) == pytest.approx(distance**2, rel=1e-9)

    def test_points_have_the_moments_of_their_number(self, rng) -> None:
        family = FamilyPair.random(3, seed=1).source
        c = np.tile([-0.7, 0.8], 60000)
        points = family.sample(c, rng)
        for own in (-0.7, 0.8):
            part = points[c == own]
            np.testing.assert_allclose(part.mean(axis=0), family.mean(own), atol=0.03)
            np.testing.assert_allclose(np.cov(part.T), family.covariance(own), atol=0.06)
        assert np.abs(family.covariance(-0.7) - family.covariance(0.8)).max() > 0.3
