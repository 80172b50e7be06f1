"""Conditions on the command line: fits of files with columns of them, what is done under them, and what is refused."""

import json
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from brenier import BrenierMap, ConvergenceWarning, TransportMap
from brenier.cli import app
from brenier.cli.conditions import describe_space, space_lines
from brenier.conditions.space import ConditionSpace, Variable
from brenier.files import read_image, to_colours, to_image
from brenier.files.points import read_with_conditions
from commands import as_json, run

SUFFIXES = [".npz", ".csv", ".tsv", ".parquet"]
POINTS, CONDITIONS = ["u", "v"], ["cell", "dose"]
ASKED = ["--condition", "cell", "--condition", "dose"]
STEPS = ["--max-steps", 128, "--seed", 0, "--no-refit"]

Frame: TypeAlias = Any
"""A frame of pandas, whose stubs know too little of what selections return."""


def frame(seed: int, rows: int) -> Frame:
    """A normal cloud with a label and a number, which lie among its columns."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(rows, 2))
    cell, dose = rng.choice(["a", "b"], rows), rng.uniform(0, 2, rows).round(3)
    return pd.DataFrame({"cell": cell, "u": points[:, 0], "dose": dose, "v": points[:, 1]})


def sides() -> tuple[Frame, Frame]:
    """A cloud, and four clusters, whose distance follows the dose in `b` alone."""
    x, y = frame(1, 500), frame(2, 450)
    points = y[POINTS].to_numpy()
    a, dose = y[["cell"]].to_numpy() == "a", y[["dose"]].to_numpy()
    y[POINTS] = 0.3 * points + np.where(a, 3.0, 2.0 + dose) * np.sign(points)
    return x, y


def few() -> tuple[Frame, Frame]:
    """So few rows that fits end in closed form, at once, with the same conditions; one more column of integers."""
    row = np.arange(96)
    conditions = {"cell": np.where(row % 2, "a", "b"), "dose": (row // 2 / 24).round(3), "batch": row % 3}
    x, y = (own.head(96).assign(**conditions) for own in sides())
    return x, y


def write(path: Path, table: Frame) -> Path:
    """A file as users have it: all columns in one table, or the points and every other column as arrays."""
    if path.suffix == ".npz":
        others = {name: table[name].to_numpy() for name in table.columns.drop(POINTS)}
        texts: dict[str, Any] = {
            name: values.astype(str) for name, values in others.items() if values.dtype.kind not in "if"
        }
        np.savez(path, data=table[POINTS].to_numpy(), **others | texts)
    elif path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)
    return path


def read(path: Path, *columns: str) -> tuple[np.ndarray, dict[str | None, list[Any]]]:
    """Points and conditions of a file."""
    table, conditions = read_with_conditions(path, None, columns)
    return table.values, {column.name: column.values.tolist() for column in conditions}


def pair(folder: Path, tables: tuple[Frame, Frame], suffix: str = ".csv") -> list[Path]:
    return [write(folder / f"{name}{suffix}", table) for name, table in zip("xy", tables, strict=True)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return pair(tmp_path_factory.mktemp("points"), sides())


@pytest.fixture(scope="module")
def fitted(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A map file, and what the command said about it."""
    path = tmp_path_factory.mktemp("map") / "m.brenier"
    return path, as_json("fit", *files, "-o", path, *ASKED, *STEPS)


@pytest.fixture(scope="module")
def map_file(fitted: tuple[Path, dict[str, Any]]) -> Path:
    return fitted[0]


@pytest.fixture(scope="module")
def map_(map_file: Path) -> TransportMap:
    return TransportMap.load(map_file)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A map in closed form, and the files of its fit."""
    folder = tmp_path_factory.mktemp("quick")
    x, y = few()
    files = pair(folder, (x.drop(columns="batch"), y.drop(columns="batch")))
    run("fit", *files, "-o", folder / "m", *ASKED, "--no-refit")
    return folder / "m", files


class TestFit:
    def test_record(self, fitted: tuple[Path, dict[str, Any]]) -> None:
        path, record = fitted
        assert (record["map"], record["rows"], record["dim"], record["columns"]) == (str(path), [500, 450], 2, POINTS)
        assert not record["baseline"]
        assert record["w2"] == pytest.approx(np.sqrt(2 * record["dual"]))
        found = record["conditions"]
        assert found["variables"] == [{"name": "cell", "kind": "label"}, {"name": "dose", "kind": "number"}]
        assert [own["labels"] for own in found["classes"]] == [["a"], ["b"]]
        x, y = (own.groupby("cell")["dose"] for own in sides())
        common = zip(np.maximum(x.min(), y.min()), np.minimum(x.max(), y.max()), strict=True)
        assert [own["ranges"] for own in found["classes"]] == [[list(ends)] for ends in common]

    def test_same_map_as_the_estimator(self, map_: TransportMap, fitted: tuple[Path, dict[str, Any]]) -> None:
        x, y = sides()
        ot = BrenierMap(max_steps=128, random_state=0, refit=False)
        ot.fit(x[POINTS], y[POINTS], x_condition=x[CONDITIONS], y_condition=y[CONDITIONS])
        np.testing.assert_array_equal(
            map_.forward(x[POINTS], condition=x[CONDITIONS]), ot.transform(x[POINTS], condition=x[CONDITIONS])
        )
        assert fitted[1]["dual"] == ot.history_[-1].dual

    def test_text_and_another_format(self, map_: TransportMap, tmp_path: Path) -> None:
        result = run("fit", *pair(tmp_path, sides(), ".npz"), "-o", tmp_path / "m", *ASKED, *STEPS)
        labels = [line.split()[0] for line in result.stdout.splitlines()]
        assert labels == ["Map", "Conditions", "Classes", "W2", "Dual", "Steps", "Stop"]
        for part in ("cell (label), dose (number)", "2: a: dose from 0.0", "mean over conditions", "the Gaussian maps"):
            assert part in result.stdout
        again, x = TransportMap.load(tmp_path / "m"), sides()[0]
        np.testing.assert_array_equal(
            again.forward(x[POINTS].to_numpy(), condition=x[CONDITIONS]),
            map_.forward(x[POINTS], condition=x[CONDITIONS]),
        )

    @pytest.mark.parametrize("suffix", SUFFIXES)
    @pytest.mark.parametrize(
        ("options", "variables", "labels"),
        [
            ("cell", ["cell (label)"], [["a"], ["b"]]),
            ("dose", ["dose (number)"], [[]]),
            ("batch", ["batch (label)"], [["0"], ["1"], ["2"]]),
            ("batch --condition-type batch=number", ["batch (number)"], [[]]),
            ("dose --condition cell", ["dose (number)", "cell (label)"], [["a"], ["b"]]),
        ],
    )
    def test_kinds(self, tmp_path: Path, suffix: str, options: str, variables: list[str], labels: list) -> None:
        asked = ["--condition", *options.split()]
        own = [name for name in asked if name in ("cell", "dose", "batch")]
        x, y = (table[[*POINTS, *own]] for table in few())
        record = as_json("fit", *pair(tmp_path, (x, y), suffix), "-o", tmp_path / "m", *asked, "--no-refit")
        found = record["conditions"]
        assert [f"{variable['name']} ({variable['kind']})" for variable in found["variables"]] == variables
        assert [each["labels"] for each in found["classes"]] == labels
        assert record["baseline"]
        ot = BrenierMap(refit=False, condition_types=[variable["kind"] for variable in found["variables"]])
        with pytest.warns(ConvergenceWarning, match="too few samples"):
            ot.fit(x[POINTS], y[POINTS], x_condition=x[own], y_condition=y[own])
        map_ = TransportMap.load(tmp_path / "m")
        np.testing.assert_array_equal(
            map_.forward(x[POINTS].to_numpy(), condition=x[own]),
            ot.map_.forward(x[POINTS].to_numpy(), condition=x[own]),
        )

    @pytest.mark.parametrize(
        ("options", "kinds"),
        [
            ("c", {"c[0]": "number", "c[1]": "number"}),
            ("c --condition-type c[0]=label", {"c[0]": "label", "c[1]": "number"}),
            ("c[1] --condition c[0] --condition-type c=label", {"c[1]": "label", "c[0]": "label"}),
            ("c[1]", {"c[1]": "number"}),
            ("c[0] --condition-type c=label", {"c[0]": "label"}),
        ],
    )
    def test_an_array_with_several_columns(self, tmp_path: Path, options: str, kinds: dict[str, str]) -> None:
        x, y, out = tmp_path / "x.npz", tmp_path / "y.npz", tmp_path / "o.npz"
        for path, own in zip((x, y), few(), strict=True):
            second = own["dose"] > 1.0 if kinds.get("c[1]") == "label" else own["dose"]
            np.savez(path, points=own[POINTS], c=np.column_stack([own["cell"] == "a", second]).astype(float))
        args = ["fit", x, y, "-o", tmp_path / "m", "--condition", *options.split(), "--no-refit"]
        assert {own["name"]: own["kind"] for own in as_json(*args)["conditions"]["variables"]} == kinds
        run("transform", tmp_path / "m", x, "-o", out)
        with np.load(out) as archive:
            assert set(archive) == {"points", "c[1]" if list(kinds) == ["c[1]"] else "c"}
        assert read(out, *kinds)[1] == read(x, *kinds)[1]
        run("transform", tmp_path / "m", out, "-o", out.with_suffix(".csv"))
        assert read(out.with_suffix(".csv"), *kinds)[1] == read(x, *kinds)[1]

    def test_what_one_side_lacks_is_said_of_its_file(self, tmp_path: Path) -> None:
        x, y = few()
        y = pd.concat([y, y.head(5).assign(cell="c")])
        x_file, y_file = pair(tmp_path, (x.drop(columns="batch"), y.drop(columns="batch")))
        result = run("fit", x_file, y_file, "-o", tmp_path / "m", *ASKED, "--no-refit")
        warning = result.stderr.splitlines()[0]
        assert warning.startswith(f"warning: `{y_file}` has classes that the other side lacks: 'c'.")
        assert "Classes      2: a: " in result.stdout

    def test_numbers_as_labels_are_spelled_alike_in_all_files(self, tmp_path: Path) -> None:
        x, y = (own.drop(columns=CONDITIONS) for own in few())
        files = pair(tmp_path, (x, y.assign(batch=y["batch"].astype(float))))
        options = ["--condition", "batch", "--condition-type", "batch=label"]
        found = as_json("fit", *files, "-o", tmp_path / "m", *options, "--no-refit")["conditions"]
        assert [own["labels"] for own in found["classes"]] == [["0"], ["1"], ["2"]]
        one = TransportMap.load(tmp_path / "m").at(1)
        for value in ("1", "1.0", "batch=1"):
            record = as_json("transform", tmp_path / "m", files[0], "-o", tmp_path / "o.csv", "--at", value)
            assert record["at"] == {"batch": "1"}
            moved, beside = read(tmp_path / "o.csv", "batch")
            np.testing.assert_array_equal(moved, one.forward(x[POINTS]))
            assert beside == {"batch": [1] * 96}

    def test_digits_with_leading_zeros_stay_names(self, tmp_path: Path) -> None:
        x, y = (own.drop(columns=CONDITIONS).assign(batch=np.where(own["batch"] == 1, "07", "7")) for own in few())
        files = pair(tmp_path, (x, y))
        found = as_json("fit", *files, "-o", tmp_path / "m", "--condition", "batch", "--no-refit")["conditions"]
        assert [own["labels"] for own in found["classes"]] == [["07"], ["7"]]
        run("transform", tmp_path / "m", files[0], "-o", tmp_path / "o.csv")
        assert read(tmp_path / "o.csv", "batch")[1]["batch"] == x["batch"].tolist()

    @pytest.mark.parametrize("index", [False, True])
    def test_categories_and_truth_values_of_parquet(self, tmp_path: Path, index: bool) -> None:
        x, y = tmp_path / "x.parquet", tmp_path / "y.parquet"
        for path, own in zip((x, y), few(), strict=True):
            own = own.assign(cell=own["cell"].astype("category"), high=own["dose"] > 1)[[*POINTS, "cell", "high"]]
            (own.set_index("cell") if index else own).to_parquet(path, index=index)
        asked = ["--condition", "cell", "--condition", "high"]
        found = as_json("fit", x, y, "-o", tmp_path / "m", *asked, "--no-refit")["conditions"]
        assert [own["labels"] for own in found["classes"]] == [
            ["a", "False"],
            ["a", "True"],
            ["b", "False"],
            ["b", "True"],
        ]
        for suffix in SUFFIXES:
            run("transform", tmp_path / "m", x, "-o", tmp_path / f"there{suffix}")
            run("transform", tmp_path / "m", tmp_path / f"there{suffix}", "-o", tmp_path / "back.npy", "--inverse")
            np.testing.assert_allclose(np.load(tmp_path / "back.npy"), few()[0][POINTS], atol=1e-4)


class TestTransform:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_each_row_under_its_own_condition(
        self, map_: TransportMap, map_file: Path, tmp_path: Path, suffix: str
    ) -> None:
        x, _ = sides()
        source, output = write(tmp_path / f"in{suffix}", x), tmp_path / f"out{suffix}"
        record = as_json("transform", map_file, source, "-o", output)
        moved, beside = read(output, *CONDITIONS)
        np.testing.assert_array_equal(moved, map_.forward(x[POINTS], condition=x[CONDITIONS]))
        assert beside == {name: x[name].tolist() for name in CONDITIONS}
        expected = {"output": str(output), "rows": 500, "inverse": False, "t": 1.0}
        assert record == expected | {"conditions": CONDITIONS, "at": None}

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_there_and_back(self, quick: tuple[Path, list[Path]], tmp_path: Path, suffix: str) -> None:
        x, there, back = few()[0], tmp_path / f"there{suffix}", tmp_path / "back.csv"
        run("transform", quick[0], quick[1][0], "-o", there)
        assert "all preimages converged" in run("transform", quick[0], there, "-o", back, "--inverse").stdout
        points, beside = read(back, *CONDITIONS)
        np.testing.assert_allclose(points, x[POINTS], atol=1e-4)
        assert beside == {name: x[name].tolist() for name in CONDITIONS}
        assert back.read_text().startswith("u,v,cell,dose\n")

    def test_an_array_of_points_alone(
        self, map_: TransportMap, map_file: Path, files: list[Path], tmp_path: Path
    ) -> None:
        x = sides()[0][POINTS].to_numpy()
        run("transform", map_file, files[0], "-o", tmp_path / "there.npy")
        np.save(tmp_path / "x.npy", x)
        run("transform", map_file, tmp_path / "x.npy", "-o", tmp_path / "o.npy", "--at", "b", "--at", "1.5")
        np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), map_.at(("b", 1.5)).forward(x))
        assert np.load(tmp_path / "there.npy").shape == (500, 2)

    def test_part_of_the_way(self, map_: TransportMap, map_file: Path, files: list[Path], tmp_path: Path) -> None:
        x, y = sides()
        run("transform", map_file, files[0], "-o", tmp_path / "o.npy", "--t", 0.25)
        expected = map_.interpolate(x[POINTS], 0.25, condition=x[CONDITIONS])
        np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), expected)
        record = as_json("transform", map_file, files[1], "-o", tmp_path / "o.npy", "--t", 0.25, "--inverse")
        solved = map_.inverse_with_status(y[POINTS], condition=y[CONDITIONS])
        expected = 0.75 * y[POINTS].to_numpy() + 0.25 * solved.points
        np.testing.assert_allclose(np.load(tmp_path / "o.npy"), expected, rtol=1e-12)
        assert record["unconverged"] == np.sum(~solved.converged)

    @pytest.mark.parametrize("given", ["b 0.5", "dose=0.5 cell=b", "cell=b dose=.50"])
    def test_one_condition_for_all_rows(
        self, map_: TransportMap, map_file: Path, files: list[Path], tmp_path: Path, given: str
    ) -> None:
        x = sides()[0]
        at = [part for value in given.split() for part in ("--at", value)]
        record = as_json("transform", map_file, files[0], "-o", tmp_path / "o.csv", *at)
        assert record["at"] == {"cell": "b", "dose": 0.5}
        moved, beside = read(tmp_path / "o.csv", *CONDITIONS)
        np.testing.assert_array_equal(moved, map_.at(("b", 0.5)).forward(x[POINTS]))
        assert beside == {"cell": ["b"] * 500, "dose": [0.5] * 500}

    def test_one_condition_for_all_rows_back(self, quick: tuple[Path, list[Path]], tmp_path: Path) -> None:
        out, at = tmp_path / "o.npz", ["--at", "b", "--at", 0.5]
        text = run("transform", quick[0], quick[1][1], "-o", out, "--inverse", *at).stdout
        assert "Condition   cell = b, dose = 0.5 for all rows" in text
        moved, beside = read(out, *CONDITIONS)
        expected = TransportMap.load(quick[0]).at(("b", 0.5)).inverse(few()[1][POINTS])
        np.testing.assert_array_equal(moved, expected)
        assert beside == {"cell": ["b"] * 96, "dose": [0.5] * 96}

    def test_what_the_file_says_then_does_not_count(self, map_file: Path, tmp_path: Path) -> None:
        x = sides()[0]
        at, out = ["--at", "a", "--at", "1"], tmp_path / "o.csv"
        run("transform", map_file, write(tmp_path / "plain.csv", x[POINTS]), "-o", out, *at)
        plain = pd.read_csv(out, float_precision="round_trip")
        assert list(plain.columns) == POINTS
        for odd in (x.assign(cell="z", dose=99), x.assign(cell=None), x.drop(columns="dose")):
            run("transform", map_file, write(tmp_path / "odd.csv", odd), "-o", out, *at)
            moved: Frame = pd.read_csv(out, float_precision="round_trip")
            pd.testing.assert_frame_equal(moved[POINTS], plain)
            assert list(moved.columns) == [*POINTS, *(name for name in CONDITIONS if name in odd)]

    def test_numbers_outside_the_fit_warn(
        self, map_: TransportMap, map_file: Path, files: list[Path], tmp_path: Path
    ) -> None:
        x = sides()[0]
        result = run("transform", map_file, files[0], "-o", tmp_path / "o.npy", "--at", "a", "--at", 9)
        assert result.stderr.startswith("warning: `--at` has numbers outside the range of the fit (")
        end = float(map_.conditions.high[0, 0])
        np.testing.assert_allclose(np.load(tmp_path / "o.npy"), map_.at(("a", end)).forward(x[POINTS]), atol=1e-5)
        x.loc[3, "dose"] = -7.0
        result = run("transform", map_file, write(tmp_path / "x.csv", x), "-o", tmp_path / "o.csv")
        assert result.stderr.startswith(f"warning: `{tmp_path / 'x.csv'}` has numbers in rows 3 outside the range")
        assert read(tmp_path / "o.csv", *CONDITIONS)[1]["dose"][3] == -7.0

    def test_an_image_under_one_condition(self, tmp_path: Path, rng: np.random.Generator) -> None:
        cell = np.arange(60) % 2
        for name in "xy":
            np.savez(tmp_path / f"{name}.npz", colours=rng.uniform(size=(60, 3)), cell=cell)
        files = [tmp_path / "x.npz", tmp_path / "y.npz"]
        run("fit", *files, "-o", tmp_path / "m", "--condition", "cell", "--no-refit")
        Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8)).save(tmp_path / "x.png")
        run("transform", tmp_path / "m", tmp_path / "x.png", "-o", tmp_path / "o.png", "--at", 1)
        colours = to_colours(read_image(tmp_path / "x.png"))
        expected, _ = to_image(TransportMap.load(tmp_path / "m").at(1).forward(colours), (5, 7))
        np.testing.assert_array_equal(read_image(tmp_path / "o.png"), expected)
        assert "pixels have no column `cell`" in refusal(
            f"transform {tmp_path}/m {tmp_path}/x.png -o {tmp_path}/o2.png"
        )


class TestDistance:
    def test_averaged(self, quick: tuple[Path, list[Path]], tmp_path: Path) -> None:
        x, y = few()
        y = y[:20:-1]
        record = as_json("distance", quick[0], quick[1][0], write(tmp_path / "y.csv", y.drop(columns="batch")))
        assert (record.pop("rows"), record.pop("conditions"), record.pop("at")) == ([96, 75], CONDITIONS, None)
        assert record.pop("weighted") == [False, False]
        found = TransportMap.load(quick[0]).distance(
            x[POINTS], y[POINTS], x_condition=x[CONDITIONS], y_condition=y[CONDITIONS]
        )
        assert json.dumps(record) == json.dumps(found.record())
        assert list(record["parts"]) == ["a", "b"]

    def test_of_one_class(self, tmp_path: Path) -> None:
        x, y = few()
        files = pair(tmp_path, (x[["cell", *POINTS]], y[["cell", *POINTS]]))
        run("fit", *files, "-o", tmp_path / "m", "--condition", "cell", "--no-refit")
        (tmp_path / "b").mkdir()
        own_x, own_y = (table.loc[table["cell"] == "b", POINTS] for table in (x, y))
        record = as_json("distance", tmp_path / "m", *pair(tmp_path / "b", (own_x, own_y)), "--at", "b")
        assert (record.pop("rows"), record.pop("conditions"), record.pop("at")) == ([48, 48], ["cell"], {"cell": "b"})
        assert record.pop("weighted") == [False, False]
        found = TransportMap.load(tmp_path / "m").at("b").distance(own_x, own_y)
        assert json.dumps(record) == json.dumps(found.record())
        part = as_json("distance", tmp_path / "m", *files)["parts"]["b"]
        assert part == {"share": 0.5} | record
        text = run("distance", tmp_path / "m", *files).stdout
        assert "   mean over conditions; neither squared nor halved\n" in text
        assert f"\nb                  W2 {found.w2:.5g}, populations at least " in text
        assert "\nConditions         cell of each row\n" in text

    def test_under_one_condition(self, quick: tuple[Path, list[Path]]) -> None:
        x, y = few()
        options = ["--no-empirical", "--confidence", 0.9]
        result = run("distance", quick[0], *quick[1], "--at", "dose=1", "--at", "cell=a", *options)
        map_ = TransportMap.load(quick[0]).at(("a", 1.0))
        found = map_.distance(x[POINTS], y[POINTS], confidence=0.9, empirical=False)
        assert result.stdout.startswith(f"W2                {found.w2:.5g}   estimate")
        assert "\nCondition         cell = a, dose = 1.0 for all rows\n" in result.stdout


class TestInspect:
    def test_classes_and_ranges(self, map_file: Path, fitted: tuple[Path, dict[str, Any]]) -> None:
        record = as_json("inspect", map_file)
        assert record["conditions"] == fitted[1]["conditions"]
        assert (record["dim"], record["columns"], record["gaussian_w2"]) == (2, POINTS, None)
        low, high = record["conditions"]["classes"][1]["ranges"][0]
        text = run("inspect", map_file).stdout
        assert "Conditions   cell (label), dose (number)\n" in text
        assert f"; b: dose from {low:g} to {high:g}\n" in text
        assert "Gaussian" not in text.replace("as the Gaussian map", "")

    def test_many_classes(self) -> None:
        classes = tuple((f"c{place}",) for place in range(11))
        space = ConditionSpace((Variable("cell", "label"),), classes, np.zeros((11, 0)), np.zeros((11, 0)))
        text = "11: c0; c1; c2; c3; c4; c5; c6; c7; and 3 more"
        assert space_lines(describe_space(space)) == [("Conditions", "cell (label)"), ("Classes", text)]

    def test_closed_forms_and_numbers_alone(self, tmp_path: Path) -> None:
        x, y = (own[[*POINTS, "dose"]] for own in few())
        run("fit", *pair(tmp_path, (x, y)), "-o", tmp_path / "m", "--condition", "dose", "--no-refit")
        text = run("inspect", tmp_path / "m").stdout
        low, high = max(x["dose"].min(), y["dose"].min()), min(x["dose"].max(), y["dose"].max())
        assert f"Ranges       dose from {low:g} to {high:g}\n" in text
        assert "these are the closed-form Gaussian maps, one for each condition" in text


@pytest.fixture(scope="module")
def nameless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map of the library whose conditions were columns without names."""
    x, y = few()
    conditions = {"x_condition": x[CONDITIONS].to_numpy(), "y_condition": y[CONDITIONS].to_numpy()}
    path = tmp_path_factory.mktemp("nameless") / "m"
    with pytest.warns(ConvergenceWarning, match="too few samples"):
        BrenierMap(refit=False).fit(x[POINTS], y[POINTS], **conditions).map_.save(path)
    return path


class TestMapsWithoutNames:
    def test_one_condition_for_all_rows(self, nameless: Path, tmp_path: Path) -> None:
        x = few()[0][POINTS]
        args = ["transform", nameless, write(tmp_path / "x.csv", x), "-o", tmp_path / "o.csv", "--at", "a", "--at", "1"]
        assert "Condition   a, 1.0 for all rows" in run(*args).stdout
        assert as_json(*args)["at"] == {"0": "a", "1": 1.0}
        np.testing.assert_array_equal(read(tmp_path / "o.csv")[0], TransportMap.load(nameless).at(("a", 1)).forward(x))

    def test_what_else_is_said(self, nameless: Path, files: list[Path], tmp_path: Path) -> None:
        assert "without a name (label), without a name (number)" in run("inspect", nameless).stdout
        assert "no columns can be read for them" in refusal(f"transform {nameless} {files[0]} -o {tmp_path}/o.csv")
        message = refusal(f"distance {nameless} {files[0]} {files[1]} --at a")
        assert "one without a name, one without a name" in message


@pytest.fixture
def folder(tmp_path: Path, quick: tuple[Path, list[Path]], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files good and bad, as the current one; no points can be moved in it."""
    for name, path in zip(("x.csv", "y.csv", "m"), (*quick[1], quick[0]), strict=True):
        (tmp_path / name).write_bytes(path.read_bytes())
    x = few()[0].drop(columns="batch")
    write(tmp_path / "plain.csv", x[POINTS])
    write(tmp_path / "celled.csv", x[["cell", *POINTS]])
    write(tmp_path / "new.csv", x.assign(cell=np.where(np.arange(96) == 3, "z", x["cell"])))
    write(tmp_path / "gap.csv", x.assign(cell=np.where(np.arange(96) == 3, "", x["cell"])))
    write(tmp_path / "only_a.csv", x[x["cell"] == "a"])
    write(tmp_path / "words.csv", x.assign(dose=np.where(x.index == 3, "high", x["dose"].astype(str))))
    write(tmp_path / "constant.csv", x.assign(dose=1.5))
    write(tmp_path / "x.npz", x)
    write(tmp_path / "celled.npz", x[["cell", *POINTS]])
    np.savez(tmp_path / "short.npz", data=x[POINTS], cell=np.array(["a", "b"]))
    (tmp_path / "twice.csv").write_text("cell,u,cell\na,1,b\n")
    (tmp_path / "headless.csv").write_text("1,2\n3,4\n")
    np.save(tmp_path / "x.npy", x[POINTS])
    pd.DataFrame({"u": [1.0], "v": [2.0], "cell": [pd.Timestamp(0)]}).to_parquet(tmp_path / "dates.parquet")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "black.png")
    with pytest.warns(ConvergenceWarning, match="too few samples"):
        BrenierMap(refit=False).fit(x[POINTS], x[POINTS] + 1.0).map_.save(tmp_path / "without")
    monkeypatch.chdir(tmp_path)
    for method in ("images", "conjugates"):
        monkeypatch.setattr(TransportMap, method, lambda *_: pytest.fail("moved points in spite of the error"))
    return tmp_path


def refusal(command: str) -> str:
    """The one line of a command that cannot be done, and says so in JSON, too."""
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    told = CliRunner().invoke(app, [*command.split(), "--json"])
    assert told.exit_code == 2
    assert f"error: {json.loads(told.stdout)['error']}" == line
    return line


BOTH = "--condition cell --condition dose"
FIT = [
    (
        f"x.csv y.csv -o out {BOTH} --condition nope",
        "`x.csv` has no column `nope` to take conditions from: it has cell,",
    ),
    (
        f"x.csv plain.csv -o out {BOTH}",
        "`plain.csv` has no columns `cell`, `dose` to take conditions from: it has u, v.",
    ),
    (f"x.csv celled.npz -o out {BOTH}", "`celled.npz` has no array `dose` to take conditions from: it has data, cell."),
    (
        f"x.csv x.npy -o out {BOTH}",
        "`x.npy` has no columns `cell`, `dose` to take conditions from: it holds a single array",
    ),
    (f"x.csv headless.csv -o out {BOTH}", "its columns have no names. Write these into its first row"),
    (f"black.png x.csv -o out {BOTH}", "`black.png` is an image, whose pixels have no column `cell`, `dose`"),
    (f"x.csv gap.csv -o out {BOTH}", "`gap.csv`, column `cell` has 1 missing entries, in rows 3"),
    (f"words.csv y.csv -o out {BOTH} --condition-type dose=number", "`words.csv`, column `dose`, must hold numbers"),
    (f"constant.csv y.csv -o out {BOTH}", "declare it a label with `--condition-type`"),
    (f"x.csv y.csv -o out {BOTH} --condition cell", "`cell` is asked for twice as a condition"),
    (f"x.csv y.csv -o out {BOTH} --condition u --condition v", "has no columns but those of conditions"),
    ("twice.csv y.csv -o out --condition cell", "`twice.csv` has 2 columns named `cell`. Rename all but one"),
    ("dates.parquet y.csv -o out --condition cell", "`dates.parquet`, column `cell` must hold labels or numbers"),
    (
        "short.npz y.csv -o out --condition cell",
        "`short.npz`, column `cell` must have one entry for each of the 96 points",
    ),
    ("x.npz x.npz -o out --condition cell", "holds 2 arrays besides the conditions (data, dose)"),
    (f"x.npz x.npz -o out {BOTH} --key dose", "cannot be both the points (`key`) and a condition"),
    (
        "x.npz x.npz -o out --condition cell[0] --condition dose",
        "`x.npz` has no `cell[0]`: that array has shape (96,)",
    ),
    (f"x.csv y.csv -o out {BOTH} --condition-type dose", "must read COL=label or COL=number; got 'dose'"),
    (f"x.csv y.csv -o out {BOTH} --condition-type dose=amount", "must read COL=label or COL=number; got 'dose=amount'"),
    (f"x.csv y.csv -o out {BOTH} --condition-type u=number", "is about no condition of this fit. It has cell, dose;"),
    (f"x.csv y.csv -o out {BOTH} --condition-type cell=number", "`x.csv`, column `cell`, must hold numbers"),
    (f"x.csv y.csv -o out {BOTH} {2 * '--condition-type dose=number '}", "declares `dose` twice"),
    ("x.csv y.csv -o out --condition-type cell=label", "It has none; name columns with `--condition`"),
    ("x.csv y.csv -o out --condition dose", "`x.csv`, line 2, column `cell`: 'b' is not a number"),
]
TRANSFORM = [
    (
        "m plain.csv -o o.csv",
        "`plain.csv` has no columns `cell`, `dose` to take conditions from: it has u, v. To take all",
    ),
    ("m celled.csv -o o.csv --inverse", "has no column `dose` to take conditions from: it has cell, u, v. To take all"),
    ("m x.npy -o o.npy", "give it with `--at`"),
    ("m new.csv -o o.csv", "`new.csv` has classes that the fit has not seen on both sides: 'z'. It knows 'a', 'b'"),
    ("m gap.csv -o o.csv", "`gap.csv`, column `cell` has 1 missing entries, in rows 3"),
    (
        "m words.csv -o o.csv",
        "`words.csv`, column `dose`, must hold numbers, for it is a column of numbers in this fit",
    ),
    (
        "m x.csv -o o.csv --at z --at 1",
        "`--at` has classes that the fit has not seen on both sides: 'z'. It knows 'a', 'b'",
    ),
    (
        "m x.csv -o o.csv --at a",
        "once for each column of the conditions, `cell`, `dose`, all in this order or all as COL=",
    ),
    ("m x.csv -o o.csv --at a --at 1 --at 2", "got a, 1, 2"),
    ("m x.csv -o o.csv --at dose=1 --at a", "all in this order or all as COL=VALUE; got dose=1, a"),
    ("m x.csv -o o.csv --at cell=a --at cell=b", "got cell=a, cell=b"),
    ("m x.csv -o o.csv --at 1 --at a", "`--at`: `dose` is a number; got 'a'"),
    ("m x.csv -o o.csv --at a --at nan", "`--at`: `dose` is a number; got 'nan'"),
    ("without x.npy -o o.csv --at a", "`without` holds a map without conditions. Leave `--at` out"),
    ("without x.csv -o o.csv", "column `cell`: 'b' is not a number"),
]
OTHERS = [
    ("distance m x.csv plain.csv", "`plain.csv` has no columns `cell`, `dose`"),
    ("distance m x.csv new.csv", "`new.csv` has classes that the fit has not seen"),
    ("distance m x.csv only_a.csv", "`only_a.csv` lacks classes of `x.csv`: 'b'. Leave their points out"),
    ("distance m x.csv y.csv --at z --at 1", "`--at` has classes"),
    ("distance m x.csv y.csv --at a", "got a."),
    ("distance without x.npy x.npy --at a", "Leave `--at` out"),
]
CASES = [(f"fit {a}", m) for a, m in FIT] + [(f"transform {a}", m) for a, m in TRANSFORM] + OTHERS


@pytest.mark.parametrize(("command", "message"), CASES)
def test_refusals(folder: Path, command: str, message: str) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert message in refusal(command)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_columns_named_as_arguments_of_the_library_keep_their_names(tmp_path: Path) -> None:
    for name, own in zip("xy", few(), strict=True):
        renamed = own.rename(columns={"u": "X", "v": "Y", "cell": "condition"}).drop(columns=["dose", "batch"])
        renamed.to_csv(tmp_path / f"{name}.csv", index=False)
    run("fit", tmp_path / "x.csv", tmp_path / "y.csv", "-o", tmp_path / "m", "--condition", "condition", "--no-refit")
    renamed.assign(Y=2).to_csv(tmp_path / "flat.csv", index=False)
    renamed[["X", "Y"]].to_csv(tmp_path / "plain.csv", index=False)
    flat, plain = tmp_path / "flat.csv", tmp_path / "plain.csv"
    message = refusal(f"fit {flat} {plain} -o {tmp_path}/out --condition condition")
    assert f"`{plain}` has no column `condition` to take" in message
    message = refusal(f"transform {tmp_path}/m {plain} -o {tmp_path}/o.csv")
    assert f"`{plain}` has no column `condition` to take" in message
    message = refusal(f"fit {flat} {tmp_path}/x.csv -o {tmp_path}/out --condition condition")
    assert f"`{flat}` has constant columns, which no map can move: `Y` (always 2)" in message
