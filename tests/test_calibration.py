"""Calibrated and stratified batches: their moments and places against NumPy, and the noise that they are for."""

import jax
import jax.numpy as jnp
import numpy as np

from brenier.training import choose_config
from brenier.training.calibration import calibration
from brenier.training.pool import strata

SCALE = np.array([1.0, 2.0, 0.5, 1.0, 1.0, 3.0, 1.0, 1.0], np.float32)


def clouds(rng: np.random.Generator, draw) -> tuple[np.ndarray, np.ndarray]:
    return tuple(draw(rng, (8192, 8)).astype(np.float32) * SCALE for _ in "xz")


def batches(rng: np.random.Generator, count: int = 16, size: int = 512) -> np.ndarray:
    return rng.permutation(8192)[: count * size].reshape(count, size).astype(np.int32)


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.standard_normal(shape) @ np.linalg.qr(rng.standard_normal((8, 8)))[0] + 1.0


def test_batches_get_the_moments_of_their_pool():
    rng = np.random.default_rng(0)
    x, z = clouds(rng, normal)
    source, target = batches(rng), batches(rng)
    found = calibration(*map(jnp.asarray, (x, z, source, target, SCALE)))
    for points, picks, affine in ((x, source, found.source), (z, target, found.target)):
        for k, pick in enumerate(picks):
            one = jax.tree.map(lambda array, k=k: array[k], affine)
            moved = np.asarray(one(jnp.asarray(points[pick])), np.float64)
            before = np.abs(points[pick].mean(axis=0) - points.mean(axis=0)) / SCALE
            after = np.abs(moved.mean(axis=0) - points.mean(axis=0)) / SCALE
            assert after.max() < 1e-4 < 0.02 < before.max()
            unit = np.outer(SCALE, SCALE)
            off, was = (np.abs(np.cov(rows.T) - np.cov(points.T)) / unit for rows in (moved, points[pick]))
            # The ridge leaves a thousandth of the difference, and a sample's own covariance is off by its 1 / n.
            assert off.max() < 5e-3 < 0.05 < was.max()


def test_batches_of_heavy_tails_stay_as_they_are():
    rng = np.random.default_rng(0)
    x, _ = clouds(rng, normal)
    z = rng.standard_cauchy((8192, 8)).astype(np.float32)
    source, target = batches(rng), batches(rng)
    found = calibration(*map(jnp.asarray, (x, z, source, target, np.ones(8, np.float32))))
    left = np.abs(np.asarray(found.target.matrix) - np.eye(8)).max(axis=(1, 2)) == 0
    assert left.mean() > 0.8
    for affine in found:  # both sides or none
        assert (np.abs(np.asarray(affine.matrix) - np.eye(8)).max(axis=(1, 2)) < 1e-5)[left].all()
        assert not np.asarray(affine.shift)[left].any()


def test_calibration_takes_noise_out_of_differences_and_leaves_their_mean():
    """Of a smooth function that is not quadratic, and of clouds with one distribution, that of an optimal map."""
    rng = np.random.default_rng(0)
    direction = rng.standard_normal((8, 5))

    def value(points: np.ndarray) -> np.ndarray:
        return np.logaddexp(0.0, 2.0 * (points / SCALE) @ direction).mean(axis=0)

    with_it, without = [], []
    for _ in range(12):
        x, z = clouds(rng, lambda rng, shape: rng.laplace(size=shape))
        source, target = batches(rng), batches(rng)
        found = calibration(*map(jnp.asarray, (x, z, source, target, SCALE)))
        pool = value(x) - value(z)
        for k, (a, b) in enumerate(zip(source, target, strict=True)):
            one = jax.tree.map(lambda array, k=k: array[k], found)
            moved = [np.asarray(side(jnp.asarray(rows))) for side, rows in zip(one, (x[a], z[b]), strict=True)]
            with_it.append(value(moved[0]) - value(moved[1]) - pool)
            without.append(value(x[a]) - value(z[b]) - pool)
    with_it, without = np.array(with_it), np.array(without)
    assert (with_it.var(axis=0) < 0.25 * without.var(axis=0)).all()
    assert (np.abs(with_it.mean(axis=0)) < 4.0 * with_it.std(axis=0) / len(with_it) ** 0.5).all()


def test_every_batch_has_one_pair_of_each_run_of_the_order():
    places = strata(np.random.default_rng(0), 1024, 64, 40)
    assert places.shape == (40, 64)
    assert (np.sort(places // 16, axis=1) == np.arange(64)).all()
    for epoch in (places[:16], places[16:32]):
        assert (np.sort(epoch.ravel()) == np.arange(1024)).all()
    assert not (places[:16] == places[16:32]).all()


def test_batches_that_do_not_divide_the_pool_leave_other_places_over_each_time():
    places = strata(np.random.default_rng(0), 1024, 100, 200)
    assert all(len(np.unique(epoch)) == 1000 for epoch in places.reshape(20, -1))
    assert len(np.unique(places)) == 1024


def test_batches_larger_than_the_pool_hold_all_of_it():
    for batch in (512, 600):
        counts = np.stack([np.bincount(row, minlength=256) for row in strata(np.random.default_rng(0), 256, batch, 10)])
        assert (counts.sum(axis=1) == batch).all()
        assert set(np.unique(counts)) == ({2} if batch == 512 else {2, 3})


def test_calibrated_are_batches_of_samplers_that_know_their_covariance():
    assert [choose_config(dim, None).calibrated for dim in (4, 5, 64, 65)] == [False, True, True, False]
    assert not choose_config(8, 1000).calibrated
    assert not choose_config(8, None, batch=60).calibrated
    assert choose_config(64, None, shards=2).calibrated
