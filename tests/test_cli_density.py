"""Densities on the command line: learned, evaluated and drawn from as by the functions of the library."""

import contextlib
import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from brenier import BrenierDensity, BrenierMap, TransportMap
from brenier.callbacks import Progress
from brenier.cli import app
from brenier.density.change import LogDensity
from brenier.files import read_points, to_colours, write_points
from brenier.maps import Inverse
from commands import as_json, run

SUFFIXES = [".npy", ".npz", ".csv", ".tsv", ".parquet"]
NAMES = ["a", "b"]
STEPS = ("--max-steps", 64)


def points() -> np.ndarray:
    """A cloud that is far from normal, in units far from one."""
    return np.random.default_rng(0).exponential(size=(600, 2)) * [20.0, 0.1] + [5.0, -1.0]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("points") / "x.csv"
    write_points(path, points(), NAMES)
    return path


@pytest.fixture(scope="module")
def fitted(data: Path) -> tuple[Path, dict[str, Any]]:
    """A map file, and what the command said about it."""
    path = data.with_name("m.brenier")
    return path, as_json("density", data, "-o", path, *STEPS, "--seed", 3)


@pytest.fixture(scope="module")
def map_file(fitted: tuple[Path, dict[str, Any]]) -> Path:
    return fitted[0]


@pytest.fixture(scope="module")
def between(data: Path) -> Path:
    """A map between two samples, which knows no base; its target is close to normal."""
    path = data.with_name("between.brenier")
    x, y = points(), np.random.default_rng(1).normal(size=(600, 2))
    BrenierMap(max_steps=128, random_state=0).fit(x, y).map_.save(path)
    return path


class TestDensity:
    def test_noise_on_request(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        write_points(tmp_path / "counts.csv", rng.poisson(4.0, (500, 2)).astype(float), ["a", "b"])
        options = ("--max-steps", 1, "--dequantize", "auto")
        record = as_json("density", tmp_path / "counts.csv", "-o", tmp_path / "d.brenier", *options)
        assert record["dequantized"] == [1.0, 1.0]
        shown = run("density", tmp_path / "counts.csv", "-o", tmp_path / "d.brenier", *options).stdout
        assert "uniform, of width a 1, b 1" in shown

    def test_same_as_the_estimator(self, fitted: tuple[Path, dict[str, Any]]) -> None:
        path, record = fitted
        density = BrenierDensity(max_steps=64, random_state=3).fit(points())
        best = next(row for row in reversed(density.history_) if row.best)
        assert record.pop("seconds") > 0
        assert record == {
            "map": str(path),
            "rows": 600,
            "dim": 2,
            "columns": NAMES,
            "dequantized": None,
            "log_likelihood": best.log_likelihood,
            "gain": best.gain,
            "gain_error": best.error,
            "baseline": False,
            "steps": 64,
            "stop": "The budget was used.",
            "interrupted": False,
            "weight": None,
            "resumed_from": None,
        }
        assert record["gain"] > 2 * record["gain_error"] > 0
        map_ = TransportMap.load(path)
        np.testing.assert_array_equal(map_.log_density(points()), density.score_samples(points()))
        assert map_.columns == tuple(NAMES)

    def test_text_and_progress(self, data: Path, tmp_path: Path) -> None:
        result = run("density", data, "-o", tmp_path / "m", "--max-steps", 320, "--no-refit")
        labels = [line.split()[0] for line in result.stdout.splitlines()]
        assert labels == ["Map", "Log-likelihood", "Gain", "Steps", "Stop"]
        for words in ("on held-out rows, for volumes in the units of the data", "above the normal distribution"):
            assert words in result.stdout
        first, *_, last = result.stderr.splitlines()
        assert first.startswith(" 20 %  log-likelihood -")
        for part in ("100 %  log-likelihood -", "  gain ", "  0 s left"):
            assert part in last
        assert "dual" not in result.output
        assert [path.name for path in tmp_path.iterdir()] == ["m"]

    def test_a_second_fit_says_so(self, data: Path, tmp_path: Path) -> None:
        lines = run("density", data, "-o", tmp_path / "m", "--max-steps", 256).stderr.splitlines()
        assert lines[-2].startswith(" 50 %  log-likelihood ")
        assert "again on all samples" in lines[-1]
        assert "log-likelihood" not in lines[-1]

    def test_normal_data_stay_normal(self, tmp_path: Path) -> None:
        x = np.random.default_rng(0).normal(3.0, 2.0, size=(400, 1))
        np.save(tmp_path / "x.npy", x)
        args = ["density", tmp_path / "x.npy", "-o", tmp_path / "m", *STEPS]
        record = as_json(*args)
        assert record["baseline"]
        assert (record["gain"], record["gain_error"]) == (0.0, 0.0)
        # The entropy of the normal distribution; its error on 120 held-out rows is 0.065.
        assert record["log_likelihood"] == pytest.approx(-0.5 * np.log(2 * np.pi * np.e * 4.0), abs=0.2)
        text = run(*args).stdout
        assert "1 column, the normal distribution" in text
        assert "no network beat the normal distribution" in text

    def test_too_few_rows_are_told(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", points()[:20])
        args = ["density", tmp_path / "x.npy", "-o", tmp_path / "m"]
        record = as_json(*args)
        assert (record["log_likelihood"], record["gain"], record["steps"]) == (None, None, 0)
        assert "Log-likelihood" not in run(*args).stdout

    def test_weights(self, data: Path, tmp_path: Path) -> None:
        frame = pd.read_csv(data, float_precision="round_trip").assign(w=np.random.default_rng(1).integers(0, 3, 600))
        frame.to_csv(tmp_path / "x.csv", index=False)
        args = ["density", tmp_path / "x.csv", "-o", tmp_path / "m", *STEPS, "--weight", "w"]
        result = run(*args)
        assert f"w of {tmp_path / 'x.csv'}, whose 600 rows count as" in result.stdout
        density = BrenierDensity(max_steps=64, random_state=0).fit(frame[NAMES], sample_weight=frame["w"])
        record = as_json("logpdf", tmp_path / "m", tmp_path / "x.csv", "-o", tmp_path / "p.csv")
        assert record["weighted"]
        values = pd.read_csv(tmp_path / "p.csv", float_precision="round_trip")
        assert list(values.columns) == ["log_density"]
        np.testing.assert_array_equal(values["log_density"], density.score_samples(frame[NAMES]))
        assert record["mean"] == pytest.approx(density.score(frame[NAMES], sample_weight=frame["w"]), rel=1e-12)

    def test_colours(self, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 250, (9, 20, 3)).astype(np.uint8).repeat(7, axis=0)
        Image.fromarray(pixels).save(tmp_path / "x.png")
        result = run("density", tmp_path / "x.png", "-o", tmp_path / "m", *STEPS)
        assert "warning" not in result.stderr
        run("logpdf", tmp_path / "m", tmp_path / "x.png", "-o", tmp_path / "p.npy")
        expected = TransportMap.load(tmp_path / "m").log_density(to_colours(pixels))
        np.testing.assert_array_equal(np.load(tmp_path / "p.npy")[:, 0], expected)
        run("sample", tmp_path / "m", "-n", 5, "-o", tmp_path / "s.csv")
        assert read_points(tmp_path / "s.csv").columns == ["red", "green", "blue"]

    @pytest.mark.parametrize(("times", "kept"), [(1, True), (2, False)])
    def test_interrupts(
        self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, kept: bool
    ) -> None:
        shown = Progress.on_validation

        def press(self: Progress, row: Any) -> None:
            shown(self, row)
            for _ in range(times - 1):
                with contextlib.suppress(KeyboardInterrupt):
                    signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(Progress, "on_validation", press)
        args = ["density", str(data), "-o", str(tmp_path / "m"), "--max-steps", str(10**7), "--json"]
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            result = CliRunner().invoke(app, args)
        finally:
            signal.signal(signal.SIGINT, before)
        assert result.exit_code == 130
        record = json.loads(result.stdout)
        assert record.get("interrupted", False) is kept
        assert (tmp_path / "m").exists() is kept
        if kept:
            assert "Interrupted" in record["stop"]
            assert not record["baseline"]
            assert TransportMap.load(tmp_path / "m").info["steps"] == record["steps"] == 64


class TestLogpdf:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_files(self, map_file: Path, tmp_path: Path, suffix: str) -> None:
        x, output = points()[:50], tmp_path / f"out{suffix}"
        write_points(tmp_path / f"in{suffix}", x, NAMES)
        record = as_json("logpdf", map_file, tmp_path / f"in{suffix}", "-o", output)
        expected = TransportMap.load(map_file).log_density(x)
        found = read_points(output)
        np.testing.assert_array_equal(found.values, expected[:, None])
        assert found.columns == (None if suffix == ".npy" else ["log_density"])
        assert record == {
            "output": str(output),
            "rows": 50,
            "side": "source",
            "mean": pytest.approx(expected.mean(), rel=1e-12),
            "standard_error": pytest.approx(expected.std() / np.sqrt(50), rel=1e-12),
            "weighted": False,
            "largest_error": 0.0,
        }

    @pytest.mark.parametrize("side", ["source", "target"])
    def test_maps_without_a_base(self, between: Path, data: Path, tmp_path: Path, side: str) -> None:
        args = ["logpdf", between, data, "-o", tmp_path / "p.npy", "--base", "normal", "--side", side]
        record = as_json(*args)
        expected = TransportMap.load(between).log_density_with_status(points(), "normal", side=side)
        np.testing.assert_array_equal(np.load(tmp_path / "p.npy")[:, 0], expected.value)
        assert record["side"] == side
        assert ("unconverged" in record) is (side == "target")
        assert ("preimages converged" in run(*args).stdout) is (side == "target")

    def test_the_side_is_that_of_the_map(self, map_file: Path, between: Path, data: Path, tmp_path: Path) -> None:
        """By default, and the base that is given instead of its own changes nothing about it."""
        for file, side in ((map_file, "source"), (between, "target")):
            record = as_json("logpdf", file, data, "-o", tmp_path / "p.npy", "--base", "normal")
            assert record["side"] == side
            expected = TransportMap.load(file).log_density_with_status(points(), "normal").value
            np.testing.assert_array_equal(np.load(tmp_path / "p.npy")[:, 0], expected)

    def test_unconverged_rows_are_reported(
        self, between: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failed = np.isin(np.arange(600), [4, 7, 599])

        def half_solved(self: TransportMap, *_: object, **__: object) -> LogDensity:
            return LogDensity(np.zeros(600), np.full(600, 0.25), ~failed)

        monkeypatch.setattr(TransportMap, "log_density_with_status", half_solved)
        args = ["logpdf", between, data, "-o", tmp_path / "p.csv", "--base", "normal"]
        record = as_json(*args)
        assert (record["unconverged"], record["unconverged_rows"]) == (3, [4, 7, 599])
        assert record["largest_error"] == 0.25
        text = run(*args).stdout
        assert "3 of 600 preimages NOT converged: rows 4, 7, 599 (from 0)" in text
        assert "standard errors of up to 0.25 nats" in text

    def test_one_row_has_no_standard_error(self, map_file: Path, tmp_path: Path) -> None:
        write_points(tmp_path / "x.csv", points()[:1], NAMES)
        args = ["logpdf", map_file, tmp_path / "x.csv", "-o", tmp_path / "p.csv"]
        assert as_json(*args)["standard_error"] is None
        text = run(*args).stdout
        assert "1 row, points on the source side" in text
        assert "+-" not in text


class TestSample:
    @pytest.mark.parametrize("suffix", [".npy", ".csv"])
    def test_same_as_the_map(self, map_file: Path, tmp_path: Path, suffix: str) -> None:
        output = tmp_path / f"s{suffix}"
        record = as_json("sample", map_file, "-n", 30, "-o", output, "--seed", 5)
        found = read_points(output)
        np.testing.assert_array_equal(found.values, TransportMap.load(map_file).sample(30, seed=5))
        assert found.columns == (None if suffix == ".npy" else NAMES)
        assert record == {"output": str(output), "rows": 30, "columns": NAMES, "seed": 5}

    @pytest.mark.parametrize("side", [None, "source", "target"])
    def test_maps_without_a_base(self, between: Path, tmp_path: Path, side: str | None) -> None:
        chosen = [] if side is None else ["--side", side]
        run("sample", between, "-n", 30, "-o", tmp_path / "s.npy", "--base", "normal", *chosen)
        expected = TransportMap.load(between).sample(30, "normal", side=side)
        np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), expected)

    def test_unconverged_rows_are_told(self, map_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def half_solved(self: TransportMap, Y: np.ndarray, **_: object) -> Inverse:
            return Inverse(Y, np.ones(30), np.arange(30) % 15 > 0, np.ones(30, np.int32))

        monkeypatch.setattr(TransportMap, "inverse_with_status", half_solved)
        result = run("sample", map_file, "-n", 30, "-o", tmp_path / "s.csv", "--json")
        assert result.stderr.startswith("warning: 2 of 30 preimages are not converged: rows 0, 15;")
        assert len(result.stdout.splitlines()) == 1


def test_maps_with_conditions(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, factor in (("x.csv", 1.0), ("y.csv", 3.0)):
        frame = pd.DataFrame(factor * rng.normal(size=(400, 2)), columns=NAMES)
        frame.assign(kind=rng.choice(["p", "q"], 400)).to_csv(tmp_path / name, index=False)
    file, data = tmp_path / "m", tmp_path / "y.csv"
    run("fit", tmp_path / "x.csv", data, "-o", file, *STEPS, "--condition", "kind")
    map_ = TransportMap.load(file).at("q")
    options = ("--base", "normal", "--at", "q")
    record = as_json("logpdf", file, data, "-o", tmp_path / "p.csv", *options)
    expected = map_.log_density_with_status(pd.read_csv(data, float_precision="round_trip")[NAMES], "normal").value
    np.testing.assert_array_equal(pd.read_csv(tmp_path / "p.csv", float_precision="round_trip"), expected[:, None])
    assert record["at"] == {"kind": "q"}
    result = run("sample", file, "-n", 20, "-o", tmp_path / "s.csv", *options)
    assert "kind = q for all rows" in result.stdout
    np.testing.assert_array_equal(
        pd.read_csv(tmp_path / "s.csv", float_precision="round_trip"), map_.sample(20, "normal")
    )
    for command in (["logpdf", file, data], ["sample", file, "-n", 20]):
        args = [str(arg) for arg in (*command, "-o", tmp_path / "no.csv", "--base", "normal")]
        refused = CliRunner().invoke(app, args)
        assert refused.exit_code == 2
        assert "holds a map with conditions (kind). Choose one for all rows with `--at`" in refused.stderr
    assert not (tmp_path / "no.csv").exists()


def test_inspect_shows_the_base(map_file: Path, between: Path) -> None:
    line = "independent normal columns on the target side"
    assert line in run("inspect", map_file).stdout
    base = as_json("inspect", map_file)["base"]
    assert base["side"] == "target"
    np.testing.assert_allclose(base["mean"], points().mean(axis=0), rtol=1e-6)
    assert "Base" not in run("inspect", between).stdout
    assert as_json("inspect", between)["base"] is None


REFUSALS = [
    ("density missing.csv -o out", "missing.csv"),
    ("density x.csv -o out.csv", "out.brenier"),
    ("density x.csv -o x.csv", "`x.csv` is also an input"),
    ("density x.csv -o nowhere/out", "nowhere"),
    ("density hole.csv -o out", "`hole.csv` contains NaN"),
    ("density words.parquet -o out", "use `brenier fit --condition kind`"),
    ("density constant.npy -o out", "`constant.npy` has constant columns"),
    ("density x.csv -o out --max-steps 0", "`max_steps` must be a positive number"),
    ("density x.csv -o out --weight v", "there is no column `v`"),
    ("density negative.csv -o out --weight w", "`negative.csv, column w` has 1 negative weights"),
    ("density x.csv -o out --key first", "`key` ('first')"),
    ("logpdf missing x.csv -o out.csv", "missing"),
    ("logpdf m missing.csv -o out.csv", "missing.csv"),
    ("logpdf m wide.csv -o out.csv", "`wide.csv` must have 2 columns"),
    ("logpdf m others.csv -o out.csv", "columns of the map, a, b; got u, v"),
    ("logpdf m x.csv -o x.csv", "`x.csv` is also an input"),
    ("logpdf m x.csv -o out.txt", "`out.txt` must end in"),
    ("logpdf m x.csv -o out.csv --side left", "`--side` must be 'source' or 'target'"),
    ("logpdf m x.csv -o out.csv --side target", "`--side` is that of the base of this map, 'target'"),
    ("logpdf m x.csv -o out.csv --base cauchy", "`--base` must be 'normal'"),
    ("logpdf m x.csv -o out.csv --at q", "without conditions"),
    ("logpdf between x.csv -o out.csv", "`--base` is missing"),
    ("sample missing -n 3 -o out.csv", "missing"),
    ("sample m -n 0 -o out.csv", "`-n` must be at least 1; got 0"),
    ("sample m -n 3 -o out.png", "`out.png` must end in"),
    ("sample m -n 3 -o nowhere/out.csv", "nowhere"),
    ("sample named.csv -n 3 -o named.csv", "`named.csv` is also an input"),
    ("sample m -n 3 -o out.csv --side left", "`--side` must be 'source' or 'target'"),
    ("sample between -n 3 -o out.csv", "`--base` is missing"),
]


@pytest.fixture
def folder(data: Path, map_file: Path, between: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files good and bad, as the current one; no work can be done in it."""
    for name, path in (("x.csv", data), ("m", map_file), ("between", between), ("named.csv", map_file)):
        (tmp_path / name).write_bytes(path.read_bytes())
    values = points()[:40]
    write_points(tmp_path / "wide.csv", np.column_stack([values, values]))
    write_points(tmp_path / "others.csv", values, ["u", "v"])
    write_points(tmp_path / "constant.npy", np.ones((40, 2)))
    write_points(tmp_path / "negative.csv", np.column_stack([values, np.r_[-1.0, np.ones(39)]]), [*NAMES, "w"])
    pd.DataFrame(values, columns=NAMES).assign(kind=pd.Categorical(["p"] * 40)).to_parquet(tmp_path / "words.parquet")
    (tmp_path / "hole.csv").write_text("a,b\n1,2\n3,nan\n")
    monkeypatch.chdir(tmp_path)
    places = ("training.fit.Fit.run", "density.methods.log_density", "density.bases.Normal.draw")
    for place in places:
        monkeypatch.setattr(f"brenier.{place}", lambda *_, **__: pytest.fail("worked in spite of the error"))
    return tmp_path


@pytest.mark.parametrize(("command", "message"), REFUSALS)
def test_refusals(folder: Path, command: str, message: str) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = CliRunner().invoke(app, [*command.split(), "--json"])
    assert result.exit_code == 2, result.output
    said = json.loads(result.stdout)["error"]
    assert message in said
    assert result.stderr.splitlines()[-1] == f"error: {said}"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
