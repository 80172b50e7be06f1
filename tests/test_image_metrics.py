"""Metrics of clouds of images against closed forms, SciPy and POT; Inception, where installed, against pytorch-fid."""

import sys

import numpy as np
import ot
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from asserts import assert_close
from brenier import InputError
from brenier_bench.image_metrics import frechet_distance, inception_features

ADDRESS = (
    r"https://github\.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d\.pth"
)


def cross(spreads: list[float]) -> np.ndarray:
    """`2d` points on the axes, with mean zero and exactly the covariance `diag(spreads^2)`."""
    points = np.diag(spreads) * np.sqrt((2 * len(spreads) - 1) / 2)
    return np.concatenate([points, -points])


def formula(a: np.ndarray, b: np.ndarray) -> float:
    """Equation 6 of Heusel et al. as their code computes it, with a matrix square root."""
    first, second = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(first @ second).real
    return float(np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2) + np.trace(first + second - 2 * root))


class TestFrechetDistance:
    def test_equal_clouds_in_any_order(self, rng) -> None:
        x = rng.standard_normal((200, 7)) @ rng.standard_normal((7, 7)) + 5
        assert_close(frechet_distance(x, x), 0.0, atol=1e-11)
        assert_close(frechet_distance(x, x[::-1]), 0.0, atol=1e-11)

    def test_a_shift_by_its_squared_length(self, rng) -> None:
        x = rng.standard_normal((50, 3))
        assert_close(frechet_distance(x, x + np.array([1.0, -2.0, 2.0])), 9.0, rtol=1e-12)

    def test_diagonal_covariances(self) -> None:
        a, b = cross([1.0, 2.0, 3.0]), cross([4.0, 2.0, 0.5])
        np.testing.assert_allclose(np.cov(a.T), np.diag([1.0, 4.0, 9.0]), atol=1e-12)
        # Axis by axis, the difference of the standard deviations: 3^2 + 0 + 2.5^2.
        assert_close(frechet_distance(a, b), 15.25, rtol=1e-12)
        assert_close(frechet_distance(a, b + np.array([0.0, 1.0, 0.0])), 16.25, rtol=1e-12)

    @given(n=st.integers(12, 60), m=st.integers(12, 60), d=st.integers(2, 8), seed=st.integers(0, 2**32 - 1))
    def test_the_formula_with_a_matrix_square_root(self, n, m, d, seed) -> None:
        rng = np.random.default_rng(seed)
        a = rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + rng.standard_normal(d)
        b = rng.standard_normal((m, d)) @ rng.standard_normal((d, d))
        # The square root of a product loses half of the digits where a covariance is close to singular.
        scale = np.trace(np.cov(a.T)) + np.trace(np.cov(b.T))
        assert_close(frechet_distance(a, b), formula(a, b), atol=1e-6 * scale)

    def test_the_distance_of_gaussians_of_pot(self, rng) -> None:
        a, b = rng.standard_normal((90, 5)) * [1, 2, 3, 4, 5], rng.standard_normal((70, 5)) @ rng.random((5, 5)) - 1
        distance = ot.gaussian.bures_wasserstein_distance(a.mean(axis=0), b.mean(axis=0), np.cov(a.T), np.cov(b.T))
        assert_close(frechet_distance(a, b), float(distance) ** 2, rtol=1e-9)

    def test_fewer_rows_than_columns(self, rng) -> None:
        """Clouds on two lines: along the same one spreads are subtracted, across nothing is saved."""
        line, other = np.linalg.qr(rng.standard_normal((40, 2)))[0].T
        places = np.array([-3.0, 0.0, 3.0])[:, None]  # variance 9
        twice = np.array([-2.0, 2.0, 0.0, 0.0, 0.0])[:, None]  # variance 2
        along, across = frechet_distance(places * line, twice * line), frechet_distance(places * line, twice * other)
        assert_close(along, (3.0 - np.sqrt(2.0)) ** 2, rtol=1e-9)
        assert_close(across, 11.0, rtol=1e-9)

    def test_single_precision_far_from_the_origin(self, rng) -> None:
        a, b = (1e4 + scale * rng.standard_normal((100, 3)) for scale in (1.0, 2.0))
        a, b = a.astype(np.float32), b.astype(np.float32)
        assert_close(frechet_distance(a, b), frechet_distance(a.astype(float) - 1e4, b.astype(float) - 1e4), rtol=1e-9)

    @pytest.mark.parametrize(
        ("a", "b", "message"),
        [
            (np.ones((1, 2)), np.ones((3, 2)), r"`a` has 1 row, which has no covariance\. Pass at least 2"),
            (np.ones((3, 2)), np.ones((1, 2)), r"`b` has 1 row"),
            (np.ones((3, 2)), np.ones((3, 4)), r"`a` and `b` must have the same columns; got 2 and 4"),
            (np.ones(3), np.ones((3, 1)), r"`a` must be 2-D"),
            (np.ones((3, 1)), np.full((3, 1), np.nan), r"`b` contains NaN"),
        ],
    )
    def test_what_cannot_be_compared(self, a, b, message) -> None:
        with pytest.raises(InputError, match=message):
            frechet_distance(a, b)


class TestInceptionFeatures:
    def test_without_a_file_of_weights(self, tmp_path) -> None:
        with pytest.raises(InputError, match=rf"there is no file `.*none\.pth`\. Download {ADDRESS} and pass its path"):
            inception_features(np.zeros((1, 28, 28)), tmp_path / "none.pth")

    @pytest.mark.parametrize("missing", ["torch", "pytorch_fid.inception", "torchvision.models.inception"])
    def test_without_a_package(self, missing, tmp_path, monkeypatch) -> None:
        (tmp_path / "weights.pth").touch()
        monkeypatch.setitem(sys.modules, missing, None)
        with pytest.raises(
            InputError, match=r"need pytorch-fid, torch and torchvision .*Run `pip install pytorch-fid`"
        ):
            inception_features(np.zeros((1, 28, 28)), tmp_path / "weights.pth")

    @pytest.mark.parametrize(
        ("images", "message"),
        [
            (np.zeros((28, 28)), r"shape \(n, h, w\) or \(n, h, w, 3\), not empty; got \(28, 28\)"),
            (np.zeros((2, 28, 28, 4)), r"got \(2, 28, 28, 4\)"),
            (np.zeros((0, 28, 28)), r"got \(0, 28, 28, 3\)"),
            (np.full((2, 4, 4), 255), r"between 0 and 1; got 255 to 255\. Divide bytes by 255"),
            (np.full((2, 4, 4), np.nan), r"between 0 and 1; got nan"),
        ],
    )
    def test_what_are_no_images(self, images, message, tmp_path) -> None:
        with pytest.raises(InputError, match=message):
            inception_features(images, tmp_path / "none.pth")

    def test_features_are_those_of_pytorch_fid(self, rng, tmp_path, monkeypatch) -> None:
        torch = pytest.importorskip("torch")
        theirs = pytest.importorskip("pytorch_fid.inception")
        random = theirs.torchvision.models.inception_v3(
            weights=None, num_classes=1008, aux_logits=False, init_weights=False
        )
        torch.save(random.state_dict(), tmp_path / "weights.pth")
        monkeypatch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: random.state_dict())
        images = rng.random((3, 28, 28)).astype(np.float32)
        colours = torch.from_numpy(np.repeat(images[:, None], 3, axis=1))
        with torch.inference_mode():
            expected = theirs.InceptionV3().eval()(colours)[0].numpy()[:, :, 0, 0]
        found = inception_features(images, tmp_path / "weights.pth")
        assert found.shape == (3, 2048)
        assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(np.abs(expected).max()))

    def test_files_that_hold_other_things(self, tmp_path) -> None:
        torch = pytest.importorskip("torch")
        pytest.importorskip("pytorch_fid")
        torch.save(torch.nn.Linear(2, 3).state_dict(), tmp_path / "other.pth")
        torch.save(torch.nn.Linear(2, 3), tmp_path / "code.pth")
        (tmp_path / "text.pth").write_text("no weights")
        for name in ("other", "code", "text"):
            with pytest.raises(InputError, match=rf"does not hold the weights of this network .*Download {ADDRESS}"):
                inception_features(np.zeros((1, 8, 8)), tmp_path / f"{name}.pth")
