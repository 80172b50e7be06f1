"""Weights on the command line: a column of one file or both, read again by the map that was fitted with it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from brenier import BrenierMap
from brenier.cli import app
from commands import as_json, run

STEPS = ("--max-steps", "128", "--seed", "0")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Simulated events with weights, measured ones without, and a map between them."""
    folder = tmp_path_factory.mktemp("weights")
    rng = np.random.default_rng(0)
    simulated = pd.DataFrame(rng.normal(size=(600, 2)), columns=["a", "b"])
    simulated["w"] = rng.integers(0, 3, 600)
    measured = pd.DataFrame(rng.exponential(size=(500, 2)), columns=["a", "b"])
    paths = folder / "simulated.csv", folder / "measured.csv", folder / "map.brenier"
    simulated.to_csv(paths[0], index=False)
    measured.to_csv(paths[1], index=False)
    run("fit", *paths[:2], "-o", paths[2], *STEPS, "--weight", "w")
    return paths


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, float_precision="round_trip")


def test_a_fit_takes_them(files, tmp_path) -> None:
    simulated, measured, _ = files
    record = as_json("fit", simulated, measured, "-o", tmp_path / "m.brenier", *STEPS, "--weight", "w")
    assert record["weight"] == "w"
    assert record["columns"] == ["a", "b"]
    x = table(simulated)
    ot = BrenierMap(max_steps=128, random_state=0).fit(x[["a", "b"]], table(measured), x_weight=x["w"])
    moved = as_json("transform", tmp_path / "m.brenier", measured, "-o", tmp_path / "moved.csv")
    assert moved["rows"] == 500
    np.testing.assert_array_equal(table(tmp_path / "moved.csv"), ot.transform(table(measured)))


def test_moved_files_keep_them(files, tmp_path) -> None:
    run("transform", files[2], files[0], "-o", tmp_path / "moved.csv")
    moved = table(tmp_path / "moved.csv")
    assert list(moved.columns) == ["a", "b", "w"]
    np.testing.assert_array_equal(moved["w"], table(files[0])["w"])


def test_distances_take_those_of_the_fit(files, tmp_path) -> None:
    record = as_json("distance", files[2], *files[:2])
    assert record["weighted"] == [True, False]
    x = table(files[0])
    repeated = x.loc[x.index.repeat(x["w"]), ["a", "b"]]
    repeated.to_csv(tmp_path / "repeated.csv", index=False)
    whole = as_json("distance", files[2], tmp_path / "repeated.csv", files[1])
    assert whole["weighted"] == [False, False]
    assert record["upper"] == pytest.approx(whole["upper"], rel=1e-6)
    assert record["w2"] == pytest.approx(whole["w2"], rel=1e-6)
    x.rename(columns={"w": "v"}).to_csv(tmp_path / "other.csv", index=False)
    other = as_json("distance", files[2], tmp_path / "other.csv", files[1], "--weight", "v")
    assert other["w2"] == record["w2"]


def test_people_read_what_they_are_worth(files, tmp_path) -> None:
    result = run("fit", *files[:2], "-o", tmp_path / "m.brenier", *STEPS, "--weight", "w")
    assert f"w of {files[0]}, whose 600 rows count as" in result.stdout


def test_with_conditions(files, tmp_path) -> None:
    rng = np.random.default_rng(1)
    for path in files[:2]:
        rows = table(path)
        rows["kind"] = rng.choice(["p", "q"], len(rows))
        rows.to_csv(tmp_path / path.name, index=False)
    pair = tmp_path / "simulated.csv", tmp_path / "measured.csv"
    run("fit", *pair, "-o", tmp_path / "m.brenier", *STEPS, "--weight", "w", "--condition", "kind")
    run("transform", tmp_path / "m.brenier", pair[0], "-o", tmp_path / "moved.csv")
    assert list(table(tmp_path / "moved.csv").columns) == ["a", "b", "kind", "w"]
    run("transform", tmp_path / "m.brenier", pair[0], "-o", tmp_path / "moved.csv", "--at", "q")
    assert set(table(tmp_path / "moved.csv")["kind"]) == {"q"}
    assert as_json("distance", tmp_path / "m.brenier", *pair)["parts"].keys() == {"p", "q"}


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (None, ("--weight", "v"), "there is no column `v`"),
        (None, ("--weight", "a", "--condition", "a"), "cannot be both a condition and the weight"),
        (-1.0, ("--weight", "w"), "column w` has 1 negative weights"),
        ("heavy", ("--weight", "w"), "column w` must hold one number"),
        (np.nan, ("--weight", "w"), "missing entries"),
    ],
)
def test_refusals(change, options, words, files, tmp_path) -> None:
    rows = table(files[0]).astype({"w": object})
    if change is not None:
        rows.loc[0, "w"] = change
    rows.to_csv(tmp_path / "x.csv", index=False)
    result = CliRunner().invoke(
        app, ["fit", str(tmp_path / "x.csv"), str(files[1]), "-o", str(tmp_path / "m"), *options, "--json"]
    )
    assert result.exit_code == 2
    assert words in json.loads(result.stdout)["error"]
    assert not (tmp_path / "m").exists()
