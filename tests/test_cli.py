"""The command line on work that succeeds: what it computes, prints and writes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brenier import BrenierMap, TransportMap
from brenier.files import read_points, write_points
from brenier.maps import Inverse
from brenier.solvers import Status
from commands import as_json, run

SUFFIXES = [".npy", ".npz", ".csv", ".tsv", ".parquet"]
NAMES = ["a", "b"]
STEPS = "128"


def clouds() -> tuple[np.ndarray, np.ndarray]:
    """A normal cloud, and four clusters that no affine map makes of it."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(600, 2)), rng.normal(size=(600, 2))
    return x, 0.3 * y + 3.0 * np.sign(y)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("points")
    paths = folder / "x.csv", folder / "y.csv"
    for path, values in zip(paths, clouds(), strict=True):
        write_points(path, values, NAMES)
    return paths


@pytest.fixture(scope="module")
def fitted(files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A map file, and what the command said about it."""
    path = tmp_path_factory.mktemp("map") / "m.brenier"
    return path, as_json("fit", *files, "-o", path, "--max-steps", STEPS, "--seed", 3)


@pytest.fixture(scope="module")
def map_file(fitted: tuple[Path, dict[str, Any]]) -> Path:
    return fitted[0]


class TestFit:
    def test_record(self, fitted: tuple[Path, dict[str, Any]]) -> None:
        path, record = fitted
        assert record["map"] == str(path)
        assert record["rows"] == [600, 600]
        assert (record["dim"], record["columns"], record["steps"]) == (2, NAMES, 128)
        assert not record["baseline"]
        assert not record["interrupted"]
        assert record["w2"] == pytest.approx(np.sqrt(2 * record["dual"]))
        assert record["gain"] > 2 * record["gain_error"] > 0
        assert record["stop"] == "The budget was used."

    def test_same_map_as_the_estimator(self, map_file: Path, fitted: tuple[Path, dict[str, Any]]) -> None:
        x, y = clouds()
        ot = BrenierMap(max_steps=128, random_state=3).fit(x, y)
        map_ = TransportMap.load(map_file)
        np.testing.assert_array_equal(map_.forward(x), ot.transform(x))
        assert map_.columns == tuple(NAMES)
        assert fitted[1]["dual"] == ot.history_[-1].dual

    def test_text(self, files: tuple[Path, Path], tmp_path: Path) -> None:
        result = run("fit", *files, "-o", tmp_path / "m", "--max-steps", 640, "--no-refit")
        labels = [line.split()[0] for line in result.stdout.splitlines()]
        assert labels == ["Map", "W2", "Dual", "Steps", "Stop"]
        assert "neither squared nor halved" in result.stdout
        # After the first cycle, after 512 steps, and at the end.
        first, second, last = result.stderr.splitlines()
        assert first.startswith(" 20 %  dual ")
        assert second.startswith(" 80 %  dual ")
        for part in ("100 %", "dual", "gain", "unconverged", "0 s left"):
            assert part in last
        assert [path.name for path in tmp_path.iterdir()] == ["m"]

    def test_a_second_fit_says_so(self, files: tuple[Path, Path], tmp_path: Path) -> None:
        result = run("fit", *files, "-o", tmp_path / "m", "--max-steps", 256)
        lines = result.stderr.splitlines()
        assert " 50 %  dual " in lines[-2]
        assert "again on all samples" in lines[-1]
        assert "dual" not in lines[-1]

    def test_seconds_alone_are_the_budget(self, files: tuple[Path, Path], tmp_path: Path) -> None:
        run("fit", *files, "-o", tmp_path / "m", "--max-seconds", 0.01)
        settings = TransportMap.load(tmp_path / "m").info["settings"]
        assert (settings["max_steps"], settings["max_seconds"]) == (None, 0.01)

    def test_arrays_of_one_archive(self, tmp_path: Path) -> None:
        x, y = clouds()
        np.savez(tmp_path / "pair.npz", before=x, after=y[:590])
        pair = [tmp_path / "pair.npz"] * 2
        keys = ["--key", "before", "--target-key", "after"]
        record = as_json("fit", *pair, "-o", tmp_path / "m", "--max-steps", STEPS, *keys)
        assert record["rows"] == [600, 590]

    def test_scale(self, files: tuple[Path, Path], tmp_path: Path) -> None:
        result = run("fit", *files, "-o", tmp_path / "m", "--max-steps", STEPS, "--scale", "pooled")
        assert "units of its scale" in result.stdout
        assert "Scale" in run("inspect", tmp_path / "m").stdout

    def test_warnings_are_lines_and_numbers_may_be_missing(self, tmp_path: Path) -> None:
        for name, values in zip(("x.npy", "y.npy"), clouds(), strict=True):
            np.save(tmp_path / name, values[:20].repeat(3, axis=0))
        args = ["fit", tmp_path / "x.npy", tmp_path / "y.npy", "-o", tmp_path / "m"]
        result = run(*args, "--json")
        lines = result.stderr.splitlines()
        assert len(lines) == 3
        assert all(line.startswith("warning: ") and ".py" not in line for line in lines)
        assert f"67 % of the rows of `{tmp_path / 'x.npy'}` repeat earlier rows" in lines[0]
        record = json.loads(result.stdout)
        assert record["baseline"]
        assert record["w2"] is None
        assert "W2" not in run(*args).stdout


class TestTransform:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_points(self, map_file: Path, tmp_path: Path, suffix: str) -> None:
        x, _ = clouds()
        source, output = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
        write_points(source, x, NAMES)
        record = as_json("transform", map_file, source, "-o", output)
        moved = read_points(output)
        np.testing.assert_array_equal(moved.values, TransportMap.load(map_file).forward(x))
        assert moved.columns == (None if suffix == ".npy" else NAMES)
        assert record == {"output": str(output), "rows": 600, "inverse": False, "t": 1.0}

    def test_part_of_the_way(self, map_file: Path, files: tuple[Path, Path], tmp_path: Path) -> None:
        map_, (x, y) = TransportMap.load(map_file), clouds()
        run("transform", map_file, files[0], "-o", tmp_path / "o.npy", "--t", 0.25)
        np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), map_.interpolate(x, 0.25))
        run("transform", map_file, files[1], "-o", tmp_path / "o.npy", "--t", 0.25, "--inverse")
        np.testing.assert_allclose(np.load(tmp_path / "o.npy"), 0.75 * y + 0.25 * map_.inverse(y), rtol=1e-12)

    def test_there_and_back(self, map_file: Path, files: tuple[Path, Path], tmp_path: Path) -> None:
        run("transform", map_file, files[0], "-o", tmp_path / "there.csv")
        result = run("transform", map_file, tmp_path / "there.csv", "-o", tmp_path / "back.csv", "--inverse")
        assert "all preimages converged" in result.stdout
        np.testing.assert_allclose(read_points(tmp_path / "back.csv").values, clouds()[0], atol=1e-3)

    def test_unconverged_rows_are_reported(
        self, map_file: Path, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failed = np.isin(np.arange(600), [4, 7, 599])

        status = Status.of(np.where(failed, Status.max_steps_reached.code, Status.converged.code))

        def half_solved(self: TransportMap, Y: np.ndarray, **_: object) -> Inverse:
            return Inverse(Y, np.where(failed, 0.5, 9.0), ~failed, np.ones(600, np.int32), status=status)

        monkeypatch.setattr(TransportMap, "inverse_with_status", half_solved)
        args = ["transform", map_file, files[1], "-o", tmp_path / "o.csv", "--inverse"]
        record = as_json(*args)
        assert record["unconverged"] == 3
        assert record["unconverged_rows"] == [4, 7, 599]
        assert record["largest_residual"] == 0.5
        assert "3 of 600 preimages NOT converged: rows 4, 7, 599" in run(*args).stdout
        assert record["reasons"] == {Status.max_steps_reached.value: 3}
        assert "3 of them: The step budget ran out" in run(*args).stdout
        assert (tmp_path / "o.csv").exists()


class TestDistance:
    def test_same_as_the_map(self, map_file: Path, files: tuple[Path, Path]) -> None:
        record = as_json("distance", map_file, *files)
        assert record.pop("rows") == [600, 600]
        assert record.pop("weighted") == [False, False]
        expected = TransportMap.load(map_file).distance(*clouds()).record()
        assert {name: record.pop(name) for name in ("method", "notes")} == {
            name: expected.pop(name) for name in ("method", "notes")
        }
        assert json.dumps(record) == json.dumps(expected)
        assert 0 < record["population_lower"] < record["w2"]
        text = run("distance", map_file, *files).stdout
        for words in ("neither squared nor halved", "in the units of the data", "with 95 % confidence", "exact"):
            assert words in text

    def test_less_on_request(self, map_file: Path, files: tuple[Path, Path]) -> None:
        record = as_json("distance", map_file, *files, "--no-empirical", "--confidence", 0.5)
        assert (record["lower"], record["upper"], record["mismatch"]) == (None, None, None)
        assert record["confidence"] == 0.5

    def test_a_negative_dual_value_is_explained(self, map_file: Path, files: tuple[Path, Path], tmp_path: Path) -> None:
        write_points(tmp_path / "far.csv", clouds()[1] * 20, NAMES)
        result = run("distance", map_file, tmp_path / "far.csv", files[0])
        assert "does not belong to these points" in result.stdout


class TestInspect:
    def test_record(self, map_file: Path) -> None:
        record = as_json("inspect", map_file)
        assert (record["dim"], record["columns"], record["potential"]) == (2, NAMES, "ICNN")
        assert 0 < record["convexity_floor"] < 1
        assert record["parameters"] > 1000
        assert record["info"]["steps"] == 128
        assert {"brenier", "jax", "settings"} <= record["info"].keys()

    def test_gaussian_distance(self, tmp_path: Path) -> None:
        x, y = (values[:90] + shift for values, shift in zip(clouds(), ([0.0, 0.0], [3.0, -1.0]), strict=True))
        for name, values in (("x.npy", x), ("y.npy", y)):
            np.save(tmp_path / name, values)
        run("fit", tmp_path / "x.npy", tmp_path / "y.npy", "-o", tmp_path / "m")
        moments = x.mean(axis=0), y.mean(axis=0), np.cov(x.T, bias=True), np.cov(y.T, bias=True)
        values, vectors = np.linalg.eigh(moments[2])
        root = vectors * np.sqrt(values) @ vectors.T
        middle = np.linalg.eigvalsh(root @ moments[3] @ root)
        squares = np.sum((moments[0] - moments[1]) ** 2) + np.trace(moments[2] + moments[3]) - 2 * np.sqrt(middle).sum()
        assert as_json("inspect", tmp_path / "m")["gaussian_w2"] == pytest.approx(np.sqrt(squares), rel=0.03)

    def test_text(self, map_file: Path) -> None:
        text = run("inspect", map_file).stdout
        for part in ("2: a, b", "ICNN", "Gaussian W2", "128 steps", "brenier 0."):
            assert part in text
