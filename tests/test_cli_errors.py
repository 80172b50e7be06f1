"""The command line on work that cannot be done: a message that names the culprit, exit code 2, and no output."""

import contextlib
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from brenier import InputError, TransportMap
from brenier.cli import app
from brenier.cli.console import number, print_result
from brenier.estimators.tasks import Fitted
from brenier.files import read_points, write_points
from brenier.files.registry import table_suffixes
from brenier.geometry import Moments, QuadraticGeometry
from brenier.training import Stop, baseline_outcome, choose_config

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(40, 2))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Maps between points named a and b, which took no training: m for the quadratic cost, p for another."""
    folder = tmp_path_factory.mktemp("shared")
    for name in ("x.csv", "y.csv"):
        write_points(folder / name, POINTS, ["a", "b"])
    fit = ["fit", f"{folder}/x.csv", f"{folder}/y.csv", "-o"]
    assert CliRunner().invoke(app, [*fit, f"{folder}/m"]).exit_code == 0
    assert CliRunner().invoke(app, [*fit, f"{folder}/p", "--cost", "pnorm:1.5"]).exit_code == 0
    return folder


@pytest.fixture
def folder(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files good and bad, as the current one; no work can be done in it."""
    for name in ("x.csv", "y.csv", "m", "p"):
        (tmp_path / name).write_bytes((shared / name).read_bytes())
    write_points(tmp_path / "wide.csv", RNG.normal(size=(40, 3)), ["a", "b", "c"])
    write_points(tmp_path / "swapped.csv", POINTS, ["b", "a"])
    write_points(tmp_path / "others.csv", POINTS, ["u", "v"])
    write_points(tmp_path / "constant.npy", np.ones((40, 2)))
    write_points(tmp_path / "three.npy", np.eye(3))
    (tmp_path / "hole.csv").write_text("a,b\n1,2\n3,nan\n")
    (tmp_path / "words.txt").write_text("1 2\n")
    (tmp_path / "broken").write_bytes((shared / "m").read_bytes()[:-8])
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    np.savez(tmp_path / "two.npz", first=POINTS, second=POINTS)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "black.png")
    (tmp_path / "kept.csv").write_text("kept")
    os.chmod(tmp_path / "kept.csv", 0o444)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "brenier.estimators.pair.choose_config", lambda *_, **__: pytest.fail("trained in spite of the error")
    )
    monkeypatch.setattr(TransportMap, "forward", lambda *_: pytest.fail("moved points in spite of the error"))
    return tmp_path


FIT = [
    ("missing.csv y.csv -o out", "missing.csv"),
    ("x.csv missing.png -o out", "missing.png"),
    ("x.csv words.txt -o out", "words.txt"),
    ("x.csv broken.png -o out", "broken.png"),
    ("x.csv y.csv -o nowhere/out", "nowhere"),
    ("x.csv y.csv -o .", "is a folder"),
    ("x.csv y.csv -o out.csv", "out.brenier"),
    ("x.csv y.csv -o out.png", "out.brenier"),
    ("x.csv y.csv -o y.csv", "`y.csv` is also an input"),
    ("x.csv hole.csv -o out", "`hole.csv` contains NaN"),
    ("x.csv wide.csv -o out", "must have the columns of `x.csv`, a, b; got a, b, c"),
    ("x.csv swapped.csv -o out", "Change the order"),
    ("x.csv others.csv -o out", "Change the names"),
    ("x.csv constant.npy -o out", "`constant.npy` has constant columns"),
    ("x.csv two.npz -o out", "first, second"),
    ("x.csv two.npz -o out --key third", "'third'"),
    ("x.csv two.npz -o out --key first --target-key third", "'third'"),
    ("x.csv y.csv -o out --key first", "`key` ('first')"),
    ("x.csv black.png -o out --target-key first", "`key` ('first')"),
    ("x.csv y.csv -o out --max-steps 0", "`max_steps` must be a positive number or None; got 0"),
    ("x.csv y.csv -o out --max-seconds nan", "`max_seconds` must be"),
    ("x.csv y.csv -o out --scale loud", "'loud'"),
    ("x.csv y.csv -o out --cost loud", "`--cost` must be one of"),
    ("x.csv y.csv -o out --cost pnorm", "`--cost` 'pnorm' needs its argument"),
    ("x.csv y.csv -o out --cost squared:2", "`--cost` 'squared' takes no argument"),
    ("x.csv y.csv -o out --cost pnorm:much", "`--cost` 'pnorm' needs a number"),
    ("x.csv y.csv -o out --cost pnorm:0.5", "`--cost` 'pnorm:0.5' cannot be used: `p` must be"),
    ("x.csv y.csv -o out --cost mahalanobis:missing.csv", "`missing.csv` cannot be read"),
    ("x.csv y.csv -o out --cost mahalanobis:x.csv", "`A` must be a square matrix"),
    ("x.csv y.csv -o out --cost mahalanobis:three.npy", "`--cost` has a matrix for 3 columns, but the data have 2"),
    ("x.csv y.csv -o out --cost pnorm:1.5 --condition a", "got `--cost`=PNorm(p=1.5). Fit each condition."),
]
TRANSFORM = [
    ("missing x.csv -o out.csv", "missing"),
    ("x.csv x.csv -o out.csv", "x.csv"),
    ("broken x.csv -o out.csv", "broken"),
    ("m missing.csv -o out.csv", "missing.csv"),
    ("m words.txt -o out.csv", "words.txt"),
    ("m wide.csv -o out.csv", "`wide.csv` must have 2 columns"),
    ("m swapped.csv -o out.csv", "columns of the map, a, b; got b, a"),
    ("m others.csv -o out.csv --inverse", "columns of the map, a, b; got u, v"),
    ("m black.png -o out.png", "`black.png` must have 2 columns"),
    ("m black.png -o out.csv", "`black.png` is an image, so the output must be one, too"),
    ("m x.csv -o out.png", "`out.png` is an image"),
    ("m x.csv -o out.txt", "`out.txt` must end in"),
    ("m x.csv -o nowhere/out.csv", "nowhere"),
    ("m x.csv -o x.csv", "`x.csv` is also an input"),
    ("m x.csv -o out.csv --t 1.5", "`--t` must lie between 0 and 1; got 1.5"),
    ("m x.csv -o out.csv --t nan", "`--t`"),
]
OTHERS = [
    ("distance missing x.csv y.csv", "missing"),
    ("distance m x.csv missing.csv", "missing.csv"),
    ("distance m x.csv others.csv", "`others.csv` must have the columns"),
    ("distance m wide.csv x.csv", "`wide.csv` must have 2 columns"),
    ("distance p x.csv others.csv", "`others.csv` must have the columns"),
    ("transform p wide.csv -o out.csv", "`wide.csv` must have 2 columns"),
    ("transform p x.csv -o out.csv --at men", "`p` holds a map without conditions"),
    ("export p -o out.pt2 --to torch", "`p` is for the cost PNorm(p=1.5); programs exist for"),
    ("export p -o out.zip --to stablehlo", "`p` is for the cost PNorm(p=1.5); programs exist for"),
    ("sample p -n 3 -o out.csv --base normal", "`p` holds a map for the cost PNorm(p=1.5); densities need"),
    ("logpdf p x.csv -o out.csv --base normal", "`p` holds a map for the cost PNorm(p=1.5); densities need"),
    ("report p x.csv -o out.html", "`TARGET` is missing"),
    ("inspect missing", "missing"),
    ("inspect broken", "broken"),
    ("inspect x.csv", "x.csv"),
    ("demo --out x.csv", "x.csv"),
    ("demo --out x.csv/out", "x.csv/out"),
]
CASES = [(f"fit {a}", m) for a, m in FIT] + [(f"transform {a}", m) for a, m in TRANSFORM] + OTHERS


def invoke(command: str) -> Result:
    return CliRunner().invoke(app, command.split())


@pytest.mark.parametrize(("command", "message"), CASES)
def test_failure(folder: Path, command: str, message: str) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = invoke(command)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "command", ["fit missing.csv y.csv -o out", "transform m others.csv -o o.csv", "inspect broken"]
)
def test_failure_as_json(folder: Path, command: str) -> None:
    result = invoke(f"{command} --json")
    assert result.exit_code == 2
    message = json.loads(result.stdout)["error"]
    assert result.stderr == f"error: {message}\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_read_only_output(folder: Path) -> None:
    result = invoke("transform m x.csv -o kept.csv")
    assert result.exit_code == 2
    assert "`kept.csv` is read-only" in result.stderr
    assert (folder / "kept.csv").read_text() == "kept"


@pytest.mark.parametrize(
    "command", ["fit", "fit x.csv y.csv", "transform m x.csv -o o.csv --t much", "inspect m --loud"]
)
def test_usage(folder: Path, command: str) -> None:
    result = invoke(command)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"Usage: brenier {command.split()[0]}" in result.stderr.replace("root", "brenier")
    as_json = invoke(f"{command} --json")
    assert as_json.exit_code == 2
    assert json.loads(as_json.stdout)["error"]


def test_unexpected_exceptions_are_not_hidden(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("brenier.estimators.parameters.fit", fail)
    result = invoke("fit x.csv y.csv -o out")
    assert isinstance(result.exception, ZeroDivisionError)
    assert result.exit_code == 1
    assert not (folder / "out").exists()


@pytest.mark.parametrize(("times", "kept"), [(1, True), (2, False)])
def test_interrupts(folder: Path, monkeypatch: pytest.MonkeyPatch, times: int, kept: bool) -> None:
    def train(*_: object) -> Fitted:
        for _ in range(times):
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        standard = Moments(np.zeros(2), np.eye(2), 0)
        coordinates = QuadraticGeometry.between(standard, standard)
        outcome = baseline_outcome(coordinates)._replace(stop=Stop.interrupted)
        return Fitted(outcome, coordinates, choose_config(2, None), None, {})

    monkeypatch.setattr("brenier.estimators.parameters.fit", train)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = invoke("fit x.csv y.csv -o out --json")
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.exit_code == 130
    assert json.loads(result.stdout).get("interrupted", False) is kept
    assert (folder / "out").exists() is kept


def test_an_interrupt_outside_the_training_loop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("brenier.estimators.parameters.fit", interrupt)
    result = invoke("fit x.csv y.csv -o out")
    assert result.exit_code == 130
    assert "error: interrupted" in result.stderr
    assert not (folder / "out").exists()


def test_numbers_that_json_lacks_become_null(capsys: pytest.CaptureFixture[str]) -> None:
    print_result({"a": float("nan"), "b": [1.5, float("inf")], "c": {"d": -float("inf")}}, [], as_json=True)
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [1.5, None], "c": {"d": None}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.71, "0.7100"),
        (123456.7, "123,457"),
        (1234.0, "1234"),
        (1e-7, "1.000e-07"),
        (None, "unknown"),
        (-0.5, "-0.5000"),
    ],
)
def test_numbers_have_sensible_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_suffixes_are_those_that_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"must end in {', '.join(table_suffixes())}, .h5ad;"):
        read_points(tmp_path / "points.unknown")
