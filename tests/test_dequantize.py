"""Discrete columns: which are found, noise within their steps and the way back, fits with it, and what is said."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats
from sklearn.base import clone
from sklearn.utils import check_random_state
from typer.testing import CliRunner

from brenier import BrenierMap, DataWarning, Dequantizer, InputError, TransportMap
from brenier.cli import app
from brenier.data.lattice import Lattice, few_values
from brenier.estimators.intake import Given, intake

polars = pytest.importorskip("polars")


def taken_in(x, y, dequantize=None, generator=None):
    """Both sides behind the door of a fit, and the widths of their noise."""
    sides = Given("X", x), Given("Y", y)
    problem = intake(BrenierMap(dequantize=dequantize), *sides, generator=generator or np.random.RandomState(0))
    return problem.source.table, problem.target.table, problem.widths


def counts(n: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Counts on both sides; those of the target have two modes, so that no affine map reaches them."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.poisson(3.0, n), rng.poisson(8.0, n)]).astype(float)
    y = np.column_stack([rng.poisson(rng.choice([3.0, 14.0], n)), rng.poisson(4.0, n)]).astype(float)
    return x, y


def decimals(rng: np.random.Generator, step: int, digits: int, n: int = 2000, start: int = -30) -> np.ndarray:
    """Numbers as a text file would have them: whole multiples of `step` units in the last of so many digits."""
    return np.array([float(f"{(start + step * k) * 10.0**-digits:.{digits}f}") for k in rng.integers(0, 40, n)])


class TestLattice:
    @pytest.mark.parametrize(
        ("make", "width", "offset"),
        [
            (lambda rng: rng.poisson(5.0, 1000), 1.0, 0.0),
            (lambda rng: -rng.poisson(5.0, 1000), 1.0, 0.0),
            (lambda rng: 3 * rng.poisson(5.0, 1000) + 1, 3.0, 1.0),
            (lambda rng: 100 * np.rint(rng.lognormal(3.0, 1.0, 5000)), 100.0, 0.0),
            (lambda rng: rng.choice([0, 2, 5], 300), 1.0, 0.0),  # the step is no gap between two values
            (lambda rng: rng.choice([0.0, 0.2, 0.5], 300), 0.1, 0.0),
            (lambda rng: decimals(rng, 1, 1), 0.1, 0.0),
            (lambda rng: decimals(rng, 3, 1), 0.3, 0.0),
            (lambda rng: decimals(rng, 10, 2, start=-35), 0.1, 0.05),
            (lambda rng: decimals(rng, 1, 2, start=100_000_000), 0.01, 0.0),
            (lambda rng: rng.integers(0, 256, 5000) / 255, 1 / 255, 0.0),
        ],
    )
    def test_is_found_and_rounding_leads_back_exactly(self, make, width: float, offset: float) -> None:
        rng = np.random.default_rng(0)
        values = np.asarray(make(rng), np.float64)
        found = Lattice.of(values)
        assert found == (width, offset)
        noisy = values + width * rng.uniform(-0.5, 0.5, len(values)) * (1 - 1e-6)
        np.testing.assert_array_equal(found.nearest(noisy), values)

    def test_in_single_precision_is_found_up_to_its_rounding(self) -> None:
        values = decimals(np.random.default_rng(0), 1, 1).astype(np.float32).astype(np.float64)
        found = Lattice.of(values)
        assert found.width == 0.1
        np.testing.assert_allclose(found.nearest(values + 0.04), values, rtol=1e-7, atol=1e-12)

    def test_that_is_no_fraction_leads_back_up_to_rounding(self) -> None:
        values = (np.random.default_rng(0).poisson(5.0, 1000) - 5.1) / np.sqrt(2.0)
        found = Lattice.of(values)
        assert found.width == pytest.approx(np.sqrt(0.5), rel=1e-12)
        np.testing.assert_allclose(found.nearest(values + 0.3), values, atol=1e-14)

    @pytest.mark.parametrize(
        "make",
        [
            lambda rng: rng.normal(size=1000),
            lambda rng: rng.normal(size=1000).astype(np.float32),
            lambda rng: rng.choice(rng.normal(size=100), 1000),  # ties without a step, as resampling makes them
            lambda rng: rng.choice(rng.normal(size=100).astype(np.float32), 1000),
            lambda rng: rng.integers(0, 10**6, 1000),  # whole numbers without ties
            lambda rng: np.full(1000, 7.0),
            lambda rng: np.r_[np.zeros(300), rng.normal(size=700)],  # a single value that repeats
        ],
    )
    def test_is_none_of_other_columns(self, make) -> None:
        values = np.asarray(make(np.random.default_rng(0)), np.float64)
        found = Lattice.of(values)
        assert found == (0.0, 0.0)
        np.testing.assert_array_equal(found.nearest(values), values)

    def test_few_values_are_few_for_the_rows(self) -> None:
        rng = np.random.default_rng(0)
        assert few_values(rng.integers(0, 7, 140).astype(float)) == 7
        assert few_values(rng.integers(0, 7, 139).astype(float)) is None
        assert few_values(rng.integers(0, 100, 50_000).astype(float)) == 100
        assert few_values(rng.integers(0, 256, 500_000) / 255.0) is None
        assert few_values(rng.normal(size=1000)) is None
        assert few_values(np.full(1000, 2.0)) is None
        # The first look takes every other row here, and sees one value.
        assert few_values(np.tile([0.0, 1.0], 10_000)) == 2


class TestDequantizer:
    def test_noise_is_uniform_within_a_step(self) -> None:
        x = np.column_stack([3.0 * np.random.default_rng(0).poisson(4.0, 20_000), np.linspace(0, 1, 20_000)])
        spread = Dequantizer(random_state=0).fit(x)
        assert spread.widths_.tolist() == [3.0, 0.0]
        noise = spread.transform(x) - x
        np.testing.assert_array_equal(noise[:, 1], 0.0)
        assert np.abs(noise[:, 0]).max() < 1.5
        assert stats.kstest(noise[:, 0], stats.uniform(-1.5, 3.0).cdf).pvalue > 0.01
        assert abs(noise[:, 0].mean()) < 4 * 3.0 / np.sqrt(12 * 20_000)

    def test_rounding_leads_back_exactly(self) -> None:
        rng = np.random.default_rng(0)
        x = np.column_stack([rng.poisson(5.0, 2000), decimals(rng, 1, 1), decimals(rng, 10, 2, start=-35)])
        spread = Dequantizer(random_state=0).fit(x)
        np.testing.assert_array_equal(spread.inverse_transform(spread.transform(x)), x)

    @pytest.mark.parametrize(
        ("widths", "expected"),
        [(0.5, [0.5, 0.5]), ([2.0, 0.0], [2.0, 0.0]), ({"b": 3}, [0.0, 3.0]), ("auto", [1.0, 1.0]), (0, [0.0, 0.0])],
    )
    def test_widths(self, widths, expected: list[float]) -> None:
        x = pd.DataFrame(counts()[0], columns=["a", "b"])
        spread = Dequantizer(widths, random_state=0).fit(x)
        assert spread.widths_.tolist() == expected
        noise = (spread.transform(x) - x).to_numpy()
        np.testing.assert_allclose(noise.std(axis=0), np.array(expected) / np.sqrt(12), rtol=0.05)

    @pytest.mark.parametrize(
        ("widths", "message"),
        [
            (-1.0, "`widths` must be 'auto', a width of at least 0, one for each of the 2 columns, .*; got -1.0"),
            ("some", "`widths` must be .*; got 'some'"),
            (True, "`widths` must be .*; got True"),
            ([1.0], r"`widths` must be .*; got \[1.0\]"),
            ([1.0, np.inf], r"`widths` must be .*; got \[1.0, inf\]"),
            ({"a": "wide"}, "`widths` must be .*; got {'a': 'wide'}"),
            ({"c": 1.0}, "`widths` names columns that the data lack: 'c'. They have a, b."),
        ],
    )
    def test_bad_widths(self, widths, message: str) -> None:
        with pytest.raises(InputError, match=message):
            Dequantizer(widths).fit(pd.DataFrame(counts()[0], columns=["a", "b"]))
        if isinstance(widths, dict) and "c" in widths:
            with pytest.raises(InputError, match=r"They have no names."):
                Dequantizer(widths).fit(counts()[0])

    def test_frames_and_names(self) -> None:
        x = pd.DataFrame(counts(200)[0], columns=["a", "b"], index=np.arange(200)[::-1])
        spread = Dequantizer(random_state=0).fit(x)
        assert list(spread.feature_names_in_) == ["a", "b"]
        assert list(spread.get_feature_names_out()) == ["a", "b"]
        pd.testing.assert_frame_equal(spread.inverse_transform(spread.transform(x)), x)
        other = spread.set_output(transform="polars").transform(x)
        assert isinstance(other, polars.DataFrame)
        with pytest.raises(InputError, match="`X` must have the columns of the fit"):
            spread.transform(x[["b", "a"]])
        assert not hasattr(spread.fit(x.to_numpy()), "feature_names_in_")

    def test_seeds(self) -> None:
        x = counts(100)[0]
        seeded, other = Dequantizer(random_state=0).fit(x), Dequantizer(random_state=1).fit(x)
        np.testing.assert_array_equal(seeded.transform(x), clone(seeded).fit(x).transform(x))
        assert np.all(seeded.transform(x) != other.transform(x))
        going_on = Dequantizer(random_state=np.random.RandomState(0)).fit(x)
        assert np.all(going_on.transform(x) != going_on.transform(x))


@pytest.fixture(scope="module")
def fitted() -> BrenierMap:
    return BrenierMap(max_steps=256, dequantize="auto", random_state=0).fit(*counts())


class TestFits:
    def test_reach_the_spread_target(self, fitted: BrenierMap) -> None:
        x, y = counts(seed=1)
        spread = Dequantizer(random_state=np.random.RandomState(5)).fit(x)
        moved, target = fitted.transform(spread.transform(x)), spread.transform(y)
        assert not fitted.baseline_
        for column in range(2):
            # 0.036 is the 1 % level of two samples of 4,000; a map of as few rows and steps has errors of its own.
            assert stats.ks_2samp(moved[:, column], target[:, column]).statistic < 0.05
            # All points of a value go to one place, so raw counts keep the steps of the source.
            assert stats.ks_2samp(fitted.transform(x)[:, column], target[:, column]).statistic > 0.07
        rounded = spread.inverse_transform(moved)
        assert stats.ks_2samp(rounded[:, 0], y[:, 0]).statistic < 0.05

    def test_move_raw_points_as_they_are(self, fitted: BrenierMap) -> None:
        x = counts(10)[0]
        np.testing.assert_array_equal(fitted.transform(x), fitted.map_.forward(x))
        np.testing.assert_array_equal(fitted.transform(x), fitted.transform(x))

    def test_say_what_they_did(self, fitted: BrenierMap, tmp_path: Path) -> None:
        assert fitted.widths_.tolist() == [1.0, 1.0]
        fitted.map_.save(tmp_path / "m")
        assert TransportMap.load(tmp_path / "m").info["dequantized"] == [1.0, 1.0]

    def test_are_those_of_points_that_were_spread_before(self, fitted: BrenierMap) -> None:
        generator = check_random_state(0)
        generator.randint(2**31 - 1, size=3)  # seeds of the fit
        x, y, widths = taken_in(*counts(), "auto", generator)
        assert widths.tolist() == [1.0, 1.0]
        by_hand = BrenierMap(max_steps=256, random_state=0).fit(x.values, y.values)
        np.testing.assert_array_equal(by_hand.transform(counts()[0]), fitted.transform(counts()[0]))
        assert by_hand.widths_.tolist() == [0.0, 0.0]
        assert "dequantized" not in by_hand.map_.info

    def test_without_it_draw_what_they_did(self) -> None:
        x, y = np.random.default_rng(0).normal(size=(2, 30, 2))
        generator = np.random.RandomState(0)
        before = generator.get_state()
        left, right, widths = taken_in(x, y, None, generator)
        assert widths is None
        np.testing.assert_array_equal(left.values, x)
        np.testing.assert_array_equal(right.values, y)
        np.testing.assert_array_equal(generator.get_state()[1], before[1])

    def test_add_the_wider_step_to_both_sides(self) -> None:
        x, y = counts()
        left, right, widths = taken_in(2 * x, y, "auto")
        assert widths.tolist() == [2.0, 2.0]
        assert 0.99 < np.abs(left.values - 2 * x).max() < 1.0
        assert 0.99 < np.abs(right.values - y).max() < 1.0
        assert abs(np.corrcoef((left.values - 2 * x)[:, 0], (right.values - y)[:, 0])[0, 1]) < 0.1

    def test_with_conditions(self) -> None:
        x, y = counts(400)
        kind = np.repeat(["u", "v"], 200)
        ot = BrenierMap(max_steps=1, dequantize=[1.0, 0.5], random_state=0)
        ot.fit(x, y, x_condition=kind, y_condition=kind)
        assert ot.map_.conditions is not None
        assert ot.map_.info["dequantized"] == [1.0, 0.5]

    @pytest.mark.parametrize(
        ("side", "kind"),
        [(lambda key, n: np.ones((n, 2)), "function"), (iter([np.ones((9, 2))]), "list_iterator")],
    )
    def test_refuse_streams(self, side, kind: str) -> None:
        message = rf"`dequantize` \('auto'\) needs all points at once, but `Y` is a {kind}. Pass an array or a frame"
        with pytest.raises(InputError, match=message):
            BrenierMap(dequantize="auto").fit(counts()[0], side)

    @pytest.mark.parametrize(
        ("widths", "message"),
        [
            (-0.5, "`dequantize` must be 'auto', a width of at least 0, .*; got -0.5"),
            ([1.0, 1.0, 1.0], r"`dequantize` must be .* each of the 2 columns, .*; got \[1.0, 1.0, 1.0\]"),
            ({"a": 1.0}, "`dequantize` names columns that the data lack: 'a'"),
        ],
    )
    def test_bad_widths(self, widths, message: str) -> None:
        with pytest.raises(InputError, match=message):
            BrenierMap(dequantize=widths).fit(*counts())

    def test_sides_of_different_width_are_told_apart_first(self) -> None:
        with pytest.raises(InputError, match="must have the same number of columns"):
            BrenierMap(dequantize="auto").fit(counts()[0], counts()[1][:, :1])


class TestWarning:
    def test_names_columns_and_the_option(self) -> None:
        x, y = counts()
        x = pd.DataFrame({"visits": np.minimum(x[:, 0], 6), "age": np.random.default_rng(0).normal(size=len(x))})
        message = (
            r"^`X` has discrete columns: `visits` takes 7 different values. No map can spread tied points apart. .*"
            r"fit with `dequantize` \(\"auto\", or the width"
        )
        with pytest.warns(DataWarning, match=message) as caught:
            taken_in(x, np.random.default_rng(1).normal(size=(500, 2)))
        assert len(caught) == 1
        with pytest.warns(DataWarning, match="`Y` has discrete columns: column 0 takes .* values, column 1 takes"):
            taken_in(y + np.random.default_rng(0).normal(size=y.shape), y)

    def test_is_given_by_fits(self) -> None:
        with pytest.warns(DataWarning) as caught:
            BrenierMap(max_steps=1, random_state=0).fit(*counts(1000))
        assert [("discrete" in str(own.message)) for own in caught].count(True) == 2
        assert caught[0].filename == __file__

    @pytest.mark.parametrize(
        "make",
        [
            lambda rng: rng.normal(size=(2000, 2)),
            lambda rng: np.round(rng.normal(size=(2000, 2)), 2),
            lambda rng: rng.integers(0, 256, (100_000, 2)) / 255.0,
            lambda rng: rng.poisson(3.0, (100, 2)),
            lambda rng: np.repeat(rng.normal(size=(700, 2)), 3, axis=0),
        ],
    )
    def test_is_not_given(self, make) -> None:
        side = np.asarray(make(np.random.default_rng(0)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            taken_in(side, side)


def fit(folder: Path, *options: str):
    return CliRunner().invoke(app, ["fit", "x.csv", "y.csv", "-o", "m", "--max-steps", "1", *options])


class TestCommandLine:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.chdir(tmp_path)
        rng = np.random.default_rng(0)
        for name, side in zip(("x.csv", "y.csv"), counts(800), strict=True):
            pd.DataFrame({"visits": side[:, 0], "age": rng.normal(size=800)}).to_csv(name, index=False)
        return tmp_path

    @pytest.mark.parametrize(("option", "widths"), [("auto", [1.0, 0.0]), ("0.5", [0.5, 0.5])])
    def test_option(self, folder: Path, option: str, widths: list[float]) -> None:
        result = fit(folder, "--dequantize", option, "--json")
        assert result.exit_code == 0, result.output
        assert "discrete" not in result.stderr
        assert json.loads(result.stdout)["dequantized"] == widths
        shown = CliRunner().invoke(app, ["inspect", "m"]).stdout
        assert f"uniform, of width visits {widths[0]:g}" in shown
        text = fit(folder, "--dequantize", option).stdout
        assert f"uniform, of width visits {widths[0]:g}" in text

    @pytest.mark.parametrize("option", ["wide", "-1", "0", "nan"])
    def test_bad_option(self, folder: Path, option: str) -> None:
        result = fit(folder, f"--dequantize={option}")
        assert result.exit_code == 2
        assert result.stderr == f"error: `--dequantize` must be auto or a positive width; got '{option}'.\n"

    def test_warning(self, folder: Path) -> None:
        result = fit(folder, "--json")
        assert result.exit_code == 0
        assert json.loads(result.stdout)["dequantized"] is None
        assert "warning: `x.csv` has discrete columns: `visits` takes" in result.stderr
        assert 'fit with `--dequantize` ("auto", or the width' in result.stderr

    def test_images_are_silent(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        for name in ("x.png", "y.png"):  # of few colours, so that their columns count as discrete
            Image.fromarray(rng.integers(0, 20, (40, 40, 3)).astype(np.uint8)).save(name)
        result = CliRunner().invoke(app, ["fit", "x.png", "y.png", "-o", "m", "--max-steps", "1"])
        assert result.exit_code == 0, result.output
        assert "warning" not in result.stderr
