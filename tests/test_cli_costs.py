"""The command line with costs beyond half the squared distance: what it fits, prints and writes."""

import html
import json
import re
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import ot as pot
import pytest
from PIL import Image
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from typer.testing import CliRunner

from asserts import assert_same
from brenier import TransportMap
from brenier.cli import app
from brenier.costs import COSTS
from brenier.files import read_points, write_points
from commands import as_json, run
from made import cost_map, mahalanobis_map
from problems import covariance, gaussians

NAMES = ["a", "b"]
MATRIX = np.array([[2.0, 0.5], [0.5, 1.0]])
PNORM = {"name": "pnorm", "arguments": {"p": 1.5}}
STEPS = ("--max-steps", 128, "--no-refit")


def points(seed: int, rows: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 2))


def moved(seed: int, rows: int) -> np.ndarray:
    y = points(seed, rows)
    return 0.3 * y + 2.0 * np.sign(y)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_points(folder / "x.csv", points(0, 500), NAMES)
    write_points(folder / "y.csv", moved(1, 500), NAMES)
    write_points(folder / "x-test.csv", points(2, 150), NAMES)
    write_points(folder / "y-test.csv", moved(3, 150), NAMES)
    write_points(folder / "A.csv", MATRIX)
    for name in ("x", "y"):
        write_points(folder / f"few-{name}.csv", points(4, 40), NAMES)
    return folder


@pytest.fixture(scope="module")
def pnorm(folder: Path) -> tuple[Path, str]:
    """A map file, and what the command printed."""
    path = folder / "pnorm.brenier"
    return path, run("fit", folder / "x.csv", folder / "y.csv", "-o", path, "--cost", "pnorm:1.5", *STEPS).stdout


@pytest.fixture(scope="module")
def mahalanobis(folder: Path) -> tuple[Path, dict[str, Any]]:
    path, spec = folder / "mahalanobis.brenier", f"mahalanobis:{folder}/A.csv"
    return path, as_json("fit", folder / "x.csv", folder / "y.csv", "-o", path, "--cost", spec, *STEPS)


def lines(text: str) -> dict[str, str]:
    """Labels and texts of a printed answer; labels end at two spaces."""
    return {label: rest.strip() for label, _, rest in (line.partition("  ") for line in text.splitlines())}


def read(page: Path) -> str:
    """The text of a page."""
    return html.unescape(re.sub(r"<[^>]*>", "", page.read_text(encoding="utf-8")))


class TestFit:
    def test_text(self, pnorm: tuple[Path, str]) -> None:
        found = lines(pnorm[1])
        assert list(found) == ["Map", "Cost", "Least mean cost", "Steps", "Stop"]
        assert found["Cost"] == "PNorm(p=1.5), of points in the units of the data"
        assert "above that of the translation between the centres" in found["Least mean cost"]
        for word in ("W2", "Gaussian", "squared"):
            assert word not in pnorm[1]

    def test_the_file_has_the_cost(self, pnorm: tuple[Path, str]) -> None:
        map_ = TransportMap.load(pnorm[0])
        assert type(map_) is TransportMap
        assert str(map_.cost) == "PNorm(p=1.5)"

    def test_record_of_a_mahalanobis_distance(self, mahalanobis: tuple[Path, dict[str, Any]]) -> None:
        path, record = mahalanobis
        assert record["cost"] == {"name": "mahalanobis", "arguments": {"A": MATRIX.tolist()}}
        assert record["cost_function"] == "Mahalanobis(A=[[2.0, 0.5], [0.5, 1.0]])"
        assert record["w2"] == pytest.approx(np.sqrt(2 * record["dual"]))
        map_ = TransportMap.load(path)
        assert type(map_) is TransportMap
        z = points(0, 5)
        found = map_.cost(jnp.asarray(z, jnp.float32), jnp.zeros((5, 2)))
        np.testing.assert_allclose(found, 0.5 * np.einsum("ni,ij,nj->n", z, MATRIX, z), rtol=1e-5)

    @pytest.mark.parametrize(
        ("spec", "name", "kind"),
        [("squared", "SquaredEuclidean()", ", Gaussian"), ("pnorm:1.5", "PNorm(p=1.5)", ", the translation between")],
    )
    def test_where_nothing_is_trained(self, folder: Path, tmp_path: Path, spec: str, name: str, kind: str) -> None:
        args = ("fit", folder / "few-x.csv", folder / "few-y.csv", "-o", tmp_path / "m", "--cost", spec)
        record = as_json(*args)
        assert (record["baseline"], record["w2"], record["dual"]) == (True, None, None)
        assert record["cost_function"] == name
        text = run(*args).stdout
        assert f"2 columns{kind}" in text
        assert ("Gaussian" in text) == (spec == "squared")
        assert ("Gaussian" in run("inspect", tmp_path / "m").stdout) == (spec == "squared")

    def test_the_default_is_the_quadratic_cost(self, folder: Path, tmp_path: Path) -> None:
        record = as_json("fit", folder / "few-x.csv", folder / "few-y.csv", "-o", tmp_path / "m")
        assert record["cost"] == {"name": "squared", "arguments": {}}

    def test_units_of_the_columns(self, folder: Path, tmp_path: Path) -> None:
        args = ("fit", folder / "few-x.csv", folder / "few-y.csv", "-o", tmp_path / "m", "--scale", "pooled")
        text = run(*args, "--cost", "log-cosh:1").stdout
        assert "LogCosh(width=1.0), of points with each column in units of its scale" in text
        assert len(as_json("inspect", tmp_path / "m")["scale"]) == 2

    def test_help_lists_every_cost(self) -> None:
        text = "".join(CliRunner().invoke(app, ["fit", "--help"], env={"COLUMNS": "200"}).stdout.split())
        assert "--cost" in text
        for name in COSTS:
            assert name in text

    def test_colours_of_images(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        for name, low in (("before.png", 40), ("after.png", 90)):
            Image.fromarray(rng.integers(low, low + 90, (24, 24, 3)).astype(np.uint8)).save(tmp_path / name)
        before, map_file = tmp_path / "before.png", tmp_path / "m.brenier"
        args = ("fit", before, tmp_path / "after.png", "-o", map_file, "--cost", "elastic-net:0.02", *STEPS)
        record = as_json(*args, "--report", tmp_path / "page.html")
        assert (record["w2"], record["cost"]["name"]) == (None, "elastic-net")
        run("transform", map_file, before, "-o", tmp_path / "moved.png")
        wanted = TransportMap.load(map_file).forward(np.asarray(Image.open(before)).reshape(-1, 3) / 255.0)
        found = np.asarray(Image.open(tmp_path / "moved.png")).reshape(-1, 3) / 255.0
        np.testing.assert_allclose(found, np.clip(wanted, 0, 1), atol=0.51 / 255)
        target = np.asarray(Image.open(tmp_path / "after.png")).reshape(-1, 3) / 255.0
        np.testing.assert_allclose(found.mean(axis=0), target.mean(axis=0), atol=0.02)
        assert "before.png before and after its colours were moved" in read(tmp_path / "page.html")


class TestTransform:
    def test_there(self, folder: Path, pnorm: tuple[Path, str], tmp_path: Path) -> None:
        x = read_points(folder / "x.csv").values
        image = np.asarray(TransportMap.load(pnorm[0]).forward(x))
        for t in (1.0, 0.25):
            run("transform", pnorm[0], folder / "x.csv", "-o", tmp_path / "o.npy", "--t", t)
            np.testing.assert_allclose(np.load(tmp_path / "o.npy"), (1 - t) * x + t * image, atol=1e-12)

    def test_and_back(self, folder: Path, pnorm: tuple[Path, str], tmp_path: Path) -> None:
        y = read_points(folder / "y.csv").values
        found = TransportMap.load(pnorm[0]).inverse_with_status(y)
        assert found.disagree is not None
        assert 0 < found.disagree.mean() < 1
        args = ("transform", pnorm[0], folder / "y.csv", "-o", tmp_path / "o.npy", "--inverse")
        record = as_json(*args)
        assert_same(np.load(tmp_path / "o.npy"), found.points)
        assert record["disagree"] == pytest.approx(found.disagree.mean(), abs=1e-12)
        assert record["unconverged"] == (~found.converged).sum()
        assert "two starts differ" in lines(run(*args).stdout)["Several"]
        run(*args, "--t", 0.25)
        np.testing.assert_allclose(np.load(tmp_path / "o.npy"), 0.75 * y + 0.25 * found.points, atol=1e-12)

    def test_where_inner_problems_have_one_solution(
        self, folder: Path, mahalanobis: tuple[Path, dict[str, Any]], tmp_path: Path
    ) -> None:
        args = ("transform", mahalanobis[0], folder / "y.csv", "-o", tmp_path / "o.npy", "--inverse")
        assert as_json(*args)["disagree"] is None
        assert "Several" not in run(*args).stdout


class TestDistance:
    def test_pnorm(self, folder: Path, pnorm: tuple[Path, str]) -> None:
        record = as_json("distance", pnorm[0], folder / "x-test.csv", folder / "y-test.csv")
        x, y = points(2, 150), moved(3, 150)
        exact = pot.emd2([], [], np.sum(np.abs(x[:, None] - y) ** 1.5, axis=2) / 1.5)
        assert record["cost_function"] == "PNorm(p=1.5)"
        assert record["lower"] <= exact * (1 + 1e-9)
        assert record["upper"] >= exact * (1 - 1e-9)
        assert record["value"] <= exact * 1.1
        image = np.asarray(TransportMap.load(pnorm[0]).forward(x))
        assert record["cost"] == pytest.approx(np.mean(np.sum(np.abs(x - image) ** 1.5, axis=1)) / 1.5, rel=1e-6)
        text = run("distance", pnorm[0], folder / "x-test.csv", folder / "y-test.csv").stdout
        assert lines(text)["Measured"] == "costs of points in the units of the data; no root is taken"
        assert "neither squared nor halved" not in text

    def test_mahalanobis(self, folder: Path, mahalanobis: tuple[Path, dict[str, Any]]) -> None:
        record = as_json("distance", mahalanobis[0], folder / "x-test.csv", folder / "y-test.csv")
        squares = cdist(points(2, 150), moved(3, 150), "mahalanobis", VI=MATRIX) ** 2
        exact = np.sqrt(pot.emd2([], [], squares))
        assert record["lower"] == pytest.approx(exact, rel=1e-6)
        assert record["upper"] == pytest.approx(exact, rel=1e-6)
        assert record["population_lower"] < record["w2"]
        assert record["cost_function"].startswith("Mahalanobis(A=[[2.0")
        text = lines(run("distance", mahalanobis[0], folder / "x-test.csv", folder / "y-test.csv").stdout)
        assert text["Measured"] == "in units of the Mahalanobis distance"


class TestInspect:
    def test_pnorm(self, pnorm: tuple[Path, str]) -> None:
        record = as_json("inspect", pnorm[0])
        assert (record["cost"], record["cost_function"]) == (PNORM, "PNorm(p=1.5)")
        assert (record["gaussian_w2"], record["convexity_floor"]) == (None, None)
        text = run("inspect", pnorm[0]).stdout
        assert lines(text)["Cost"] == "PNorm(p=1.5), of points in the units of the data"
        assert "Gaussian" not in text
        assert "start" not in text

    def test_mahalanobis(self, tmp_path: Path) -> None:
        mahalanobis_map(dim=2).save(tmp_path / "m")
        pair, units = gaussians(2), np.linspace(0.5, 2.0, 2)
        # Matrix of the cost in the units of the data.
        metric = covariance(2, 3.0, 1) / np.outer(units, units)
        root = np.real(sqrtm(metric))
        source, target = (root @ own @ root for own in (pair.covariance_x, pair.covariance_y))
        shift = pair.mean_x + 30.0 - pair.mean_y
        half = np.real(sqrtm(source))
        square = shift @ metric @ shift + np.trace(source + target - 2 * np.real(sqrtm(half @ target @ half)))
        record = as_json("inspect", tmp_path / "m")
        assert record["gaussian_w2"] == pytest.approx(np.sqrt(square), rel=1e-6)
        np.testing.assert_allclose(record["cost"]["arguments"]["A"], covariance(2, 3.0, 1), rtol=1e-9)

    def test_large_matrices_are_not_printed(self, mahalanobis: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
        assert "with the matrix 2.000, 0.5000; 0.5000, 1.000\n" in run("inspect", mahalanobis[0]).stdout
        mahalanobis_map(dim=5).save(tmp_path / "m")
        assert lines(run("inspect", tmp_path / "m").stdout)["Cost"].endswith("of 5 x 5 numbers that --json shows")

    def test_what_is_known_of_convex_potentials(self, tmp_path: Path) -> None:
        cost_map(COSTS["elastic-net"](0.1), "icnn-ramp").save(tmp_path / "m")
        text = lines(run("inspect", tmp_path / "m").stdout)["Convexity"]
        assert text == "strongly convex with constant 0.0200, in the coordinates of the fit"


class TestReport:
    def test_pnorm(self, folder: Path, pnorm: tuple[Path, str], tmp_path: Path) -> None:
        tests = folder / "x-test.csv", folder / "y-test.csv"
        record = as_json("report", pnorm[0], *tests, "-o", tmp_path / "page.html")
        assert record["distance"]["value"] == as_json("distance", pnorm[0], *tests)["value"]
        assert "; the least mean cost between the two, PNorm(p=1.5), is estimated as" in record["verdict"]
        text = read(tmp_path / "page.html")
        for part in (
            "Least mean cost, estimate",
            "translation between the centres",
            "Several solutions",
            "Mean cost of",
        ):
            assert part in text
        for part in (
            "W2²",
            "Gaussian map",
            "neither squared",
            "W2, estimate",
            "W2 of",
            "not a number",
            "error at most",
        ):
            assert part not in text

    def test_of_a_mahalanobis_map(self, folder: Path, mahalanobis: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
        run("report", mahalanobis[0], folder / "x-test.csv", folder / "y-test.csv", "-o", tmp_path / "page.html")
        text = read(tmp_path / "page.html")
        assert "neither squared nor halved, in units of the Mahalanobis distance." in text
        assert "Half a squared Mahalanobis distance." in text


def test_densities_of_a_mahalanobis_map(tmp_path: Path) -> None:
    map_ = mahalanobis_map("icnn-softplus", 2)
    map_.save(tmp_path / "m")
    x = 30.0 + points(5, 6)
    write_points(tmp_path / "x.npy", x)
    options = ("--base", "normal", "--side", "source")
    run("logpdf", tmp_path / "m", tmp_path / "x.npy", "-o", tmp_path / "found.npy", *options)
    # The change of variables, by central differences of the map.
    steps = 0.01 * np.eye(2)
    columns = [(np.asarray(map_.forward(x + own)) - map_.forward(x - own)) / 0.02 for own in steps]
    volume = np.linalg.slogdet(np.stack(columns, axis=2))[1]
    wanted = volume - 0.5 * np.sum(np.asarray(map_.forward(x)) ** 2, axis=1) - np.log(2 * np.pi)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy")[:, 0], wanted, atol=5e-3)
    run("sample", tmp_path / "m", "-n", 7, "-o", tmp_path / "drawn.npy", "--base", "normal", "--seed", 3)
    assert_same(np.load(tmp_path / "drawn.npy"), map_.sample(7, "normal", seed=3))


def test_failures_are_one_json_object(folder: Path, pnorm: tuple[Path, str], tmp_path: Path) -> None:
    args = ["export", str(pnorm[0]), "-o", str(tmp_path / "p.pt2"), "--to", "torch", "--json"]
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 2
    assert "is for the cost PNorm(p=1.5); programs exist for" in json.loads(result.stdout)["error"]
