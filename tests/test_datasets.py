"""Benchmark pairs: files are read as they are meant, and the maps are what they claim."""

import jax
import numpy as np
import ot
import pytest

from brenier import InputError
from brenier.datasets import GaussianPair, Wasserstein2Pair
from brenier.metrics import unexplained_variance

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
    for name in ("text.npz", "objects.npz", "missing.npz"):
        with pytest.raises(InputError, match=r"cannot be read as an \.npz file"):
            GaussianPair.load(tmp_path / name)
    with pytest.raises(InputError, match=r"has no arrays \['Sigma1'\]"):
        GaussianPair.load(tmp_path / "other.npz")
    with pytest.raises(InputError, match="target covariance must be symmetric positive definite"):
        GaussianPair.load(tmp_path / "indefinite.npz")
    with pytest.raises(InputError, match="has no arrays"):
        Wasserstein2Pair.load(tmp_path / "other.npz")
    with pytest.raises(InputError, match="square and of one size"):
        GaussianPair.of(np.eye(2), np.eye(3))
