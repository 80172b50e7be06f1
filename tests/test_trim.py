"""Heavy tails: named where they are met, and left aside on request, on both sides alike."""

import warnings

import numpy as np
import pytest
import scipy.stats

from asserts import assert_at_most, assert_same
from brenier import BrenierMap, DataWarning, InputError
from brenier.data.trim import keep_share, outlyingness
from brenier.metrics import unexplained_variance

TAILS = {
    "cauchy": (0.05, lambda z: scipy.stats.cauchy.ppf(scipy.stats.norm.cdf(z))),
    "lognormal": (0.05, lambda z: np.exp(2.0 * z)),
    # Like household power: long idle, now and then far more, and never negative.
    "power": (0.1, lambda z: np.exp(1.2 * z) + 0.02 * np.exp(4.0 * z)),
}


class TestOutlyingness:
    def test_it_does_not_depend_on_units_place_or_tails(self, rng) -> None:
        x = rng.standard_normal((500, 2))
        found = outlyingness(x)
        assert np.allclose(outlyingness(x * [1e-6, 1e6] + [5.0, -1e7]), found, rtol=1e-6)
        x[:5] *= 1e9
        assert np.abs(outlyingness(x)[5:] / found[5:] - 1.0).max() < 0.1

    def test_by_hand(self) -> None:
        values = np.array([[-4.0], [-1.0], [0.0], [1.0], [12.0]])  # quartiles -1 and 1
        assert_same(outlyingness(values), np.array([2.0, 0.5, 0.0, 0.5, 6.0]))

    def test_columns_of_mostly_one_value(self) -> None:
        values = np.r_[np.zeros(90), np.ones(10)][:, None]
        assert_same(outlyingness(values), np.r_[np.zeros(90), np.full(10, 10.0)])


class TestShares:
    def test_the_farthest_are_left_out(self, rng) -> None:
        x, y = rng.standard_cauchy((400, 2)), rng.standard_normal((300, 2))
        a, b = keep_share(x, 0.05), keep_share(y, 0.05)
        assert np.sum(a == 0) == 20
        assert np.sum(b == 0) == 15
        assert_at_most(outlyingness(x)[a > 0].max(), outlyingness(x)[a == 0].min(), "kept")

    def test_shares_are_those_of_the_weight(self, rng) -> None:
        x = rng.standard_normal((400, 1))
        heavy = np.where(outlyingness(x) > np.quantile(outlyingness(x), 0.9), 9.0, 1.0)
        a = keep_share(x, 0.1, heavy / heavy.sum())
        assert heavy[a == 0].sum() / heavy.sum() == pytest.approx(0.1, abs=0.02)
        assert np.sum(a == 0) < 15
        kept = a > 0
        assert np.allclose(a[kept] / a[kept].sum(), heavy[kept] / heavy[kept].sum())

    @pytest.mark.parametrize("share", [-0.1, 0.5, 2.0, np.nan])
    def test_refused_shares(self, share) -> None:
        with pytest.raises(InputError, match=r"`trim` must be a share of at least 0 and less than 0.5"):
            BrenierMap(trim=share).fit(np.zeros((10, 1)), np.zeros((10, 1)))

    def test_samplers_are_refused(self) -> None:
        with pytest.raises(InputError, match=r"`trim` \(0.1\) needs all points at once, but `X` is a function"):
            BrenierMap(trim=0.1).fit(lambda key, n: np.zeros((n, 1)), np.zeros((10, 1)))


@pytest.mark.parametrize("name", TAILS)
def test_the_middle_of_heavy_tails_is_learned(name) -> None:
    share, tail = TAILS[name]
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2000, 2)), tail(rng.standard_normal((2000, 2)))
    new = np.random.default_rng(1).standard_normal((3000, 2))
    middle = new[np.all(np.abs(new) < 1.645, axis=1)]
    truth = tail(middle)
    with pytest.warns(DataWarning, match="`Y` has heavy tails.*Fit with `trim`"):
        plain = BrenierMap(max_steps=512, refit=False, random_state=0).fit(x, y)
    assert np.isfinite(plain.transform(x)).all()
    assert not any(not np.isfinite(row.dual) for row in plain.history_)
    ot = BrenierMap(max_steps=512, refit=False, random_state=0, trim=share)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # what is kept may still be called heavy
        ot.fit(x, y)
    error = unexplained_variance(ot.transform(middle), truth)
    assert error < 20.0  # the best affine map of the rows that are kept: 60 and more
    assert error < 0.05 * unexplained_variance(plain.transform(middle), truth)
    assert ot.map_.info["trimmed"] == share
    far = np.array([[30.0, -30.0]])
    assert np.isfinite(ot.transform(far)).all()


def test_ordinary_data_are_not_called_heavy(rng, recwarn) -> None:
    x = rng.standard_normal((1500, 3))
    BrenierMap(max_steps=1, random_state=0).fit(x, np.exp(x))
    assert not [w for w in recwarn if "heavy" in str(w.message)]


def test_classes_are_trimmed_too(rng) -> None:
    kind = rng.choice(["a", "b"], (2, 1200))
    x, y = rng.standard_normal((1200, 1)), rng.standard_normal((1200, 1)) + np.where(kind[1] == "a", 3.0, -3.0)[:, None]
    y[:6] = 1e5
    ot = BrenierMap(max_steps=128, random_state=0, trim=0.01).fit(x, y, x_condition=kind[0], y_condition=kind[1])
    assert abs(ot.transform([[0.0]], condition="a")[0, 0] - 3.0) < 0.5
