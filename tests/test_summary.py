"""`print` of maps, distances and estimators: a dozen lines that say what they are."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from brenier import BrenierDensity, BrenierMap, TransportMap
from brenier._summary import fit_summary, map_lines, summary
from brenier.cli import app

FORMATS = Path(__file__).parent / "formats"


@pytest.fixture(scope="module")
def fitted() -> BrenierMap:
    """The Gaussian map of points with names, which remembers its rows."""
    import pandas as pd

    rng = np.random.default_rng(0)
    X, Y = (pd.DataFrame(rng.normal(size=(38, 2)), columns=["age", "dose"]) for _ in range(2))
    with pytest.warns(UserWarning, match="too few samples"):
        return BrenierMap(max_steps=1, random_state=0).fit(X, Y)


@pytest.mark.parametrize("path", sorted(FORMATS.glob("[0-9]*.brenier")), ids=lambda path: path.stem)
def test_every_map_prints_in_a_dozen_lines(path: Path) -> None:
    map_ = TransportMap.load(path)
    lines = str(map_).splitlines()
    assert lines[0].startswith(f"{type(map_).__name__} ")
    assert f" {map_.dim} columns" in lines[0]
    assert 2 <= len(lines) <= 12
    assert any(line.startswith("Potential ") for line in lines)
    assert str(map_) == repr(map_)


def test_conditions_and_costs_are_named() -> None:
    assert "Conditions        classes " in str(TransportMap.load(FORMATS / "2-classes.brenier"))
    assert "PNorm(p=" in str(TransportMap.load(FORMATS / "3-pnorm.brenier"))
    assert "independent normal columns" in str(TransportMap.load(FORMATS / "1-density.brenier"))


def test_an_estimator_prints_its_parameters_and_its_map(fitted: BrenierMap) -> None:
    assert repr(fitted) == "BrenierMap(max_steps=1, random_state=0)"
    lines = str(fitted).splitlines()
    assert lines[0] == "Estimator         BrenierMap(max_steps=1, random_state=0)"
    assert lines[1] == "TransportMap      2 columns: age, dose"
    assert "Fit               0 steps. Too few samples to train a network." in lines
    assert len(lines) <= 12
    assert str(fitted.map_) == "\n".join(lines[1:])


@pytest.mark.parametrize("estimator", [BrenierMap(max_steps=1), BrenierDensity(max_steps=1)])
def test_an_estimator_prints_before_its_fit(estimator) -> None:
    name = type(estimator).__name__
    assert str(estimator) == f"Estimator         {name}(max_steps=1)\nFitted            not yet"


def test_rows_of_the_fit_are_in_the_file_and_last(fitted: BrenierMap, tmp_path: Path) -> None:
    fitted.map_.save(tmp_path / "a.brenier")
    text = CliRunner().invoke(app, ["inspect", str(tmp_path / "a.brenier"), "--json"]).stdout
    record = json.loads(text)
    assert list(record)[-1] == "info"
    assert list(record["info"])[-1] == "data"
    marks = record["info"]["data"]["source"]["marks"]
    assert len(marks) == 38
    assert not any(mark in str(fitted.map_) + str(fitted) for mark in marks)


def test_distances_print_in_a_dozen_lines(fitted: BrenierMap, rng: np.random.Generator) -> None:
    distance = fitted.distance(rng.normal(size=(40, 2)), rng.normal(size=(40, 2)))
    lines = str(distance).splitlines()
    assert lines[0].startswith("W2  ")
    assert [line.split("  ")[0] for line in lines] == [label for label, _ in distance.lines()][:12]


class TestText:
    def test_of_many_lines_the_first_are_shown(self) -> None:
        lines = [(f"label {place}", "text") for place in range(30)]
        assert len(summary(lines[:12]).splitlines()) == 12
        assert "..." not in summary(lines[:12])
        shown = summary(lines).splitlines()
        assert shown[-2:] == ["label 10          text", "...               and 19 more lines"]

    def test_labels_are_aligned(self) -> None:
        assert summary([("a" * 20, "x"), ("b", "y")]) == f"{'a' * 20}  x\n{'b':<22}y"

    def test_what_a_stranger_wrote_stays_on_its_line(self) -> None:
        lines = map_lines(
            "TransportMap",
            3,
            ["a\nb", "\x1b[2J", "c" * 1000],
            cost=None,
            potential="ICNN",
            hyperparameters={"dim": 3, "hidden": [4, 4]},
            conditions=None,
            info={"steps": "many", "stop": ["x\n"] * 1000, "brenier": None, "base": 1},
        )
        text = summary(lines)
        assert text.replace("\n", "").isprintable()
        assert len(text.splitlines()) == len(lines) == 5
        assert max(map(len, text.splitlines())) < 130
        assert "ICNN, hidden [4, 4]" in text

    def test_parameters_of_many_lines_are_one(self) -> None:
        assert fit_summary("Name(a=1,\n     b=2)", None).splitlines()[0] == "Estimator         Name(a=1, b=2)"
