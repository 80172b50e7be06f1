"""The report: what it says is true of the data, it loads nothing, escapes everything, and is the same bytes again."""

import base64
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import ot as pot
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from brenier import BrenierDensity, BrenierMap, ConvergenceWarning, InputError, Training, TransportMap
from brenier.cli import app
from brenier.data.remembered import recognise, remember
from brenier.maps import checksum
from brenier.report import write_report
from brenier.report.correlations import correlations
from brenier.report.drawing import drawing
from brenier.report.marginals import marginals
from brenier.report.projection import projection
from brenier.report.sides import Sides, read_sides
from brenier.report.sweep import sweeps
from brenier.report.training import training
from brenier.report.words import clean, number, percent
from brenier.training import HistoryRow
from brenier.training.history import compact_history
from commands import as_json, run

ROOT = Path(__file__).parents[1]
NAMES = ["age", "dose", "u"]
STEPS = 128
SMALL = Training(hidden=[16, 16])


class Reader(HTMLParser):
    """Tags with their attributes, identifiers, and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, name: str) -> list[str]:
        return [str(own[name]) for _, own in self.tags if name in own]


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


def table(seed: int, rows: int) -> Any:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rng.normal(size=(rows, 3)) @ [[1, 0.5, 0], [0, 1, 0.3], [0, 0, 1]], columns=NAMES)


def target(seed: int, rows: int) -> Any:
    points = table(seed, rows)
    return 0.4 * points + 2.0 * np.sign(points) + [5.0, 0.0, 0.0]


def sides_of(map_: Any, X: Any, Y: Any, **options: Any) -> Sides:
    conditions = options.get("conditions", (None, None))
    weights = options.get("weights", (None, None))
    return read_sides(map_, (X, Y), conditions, weights, ("x", "y"), options.get("most", 2236), 0)


@pytest.fixture(scope="module")
def fitted() -> BrenierMap:
    return BrenierMap(max_steps=STEPS, refit=False, training=SMALL, random_state=3).fit(table(1, 700), target(2, 800))


@pytest.fixture(scope="module")
def held_out() -> tuple[Any, Any]:
    return table(11, 300), target(12, 400)


@pytest.fixture(scope="module")
def page(fitted: BrenierMap, held_out: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(fitted, *held_out, path)
    return path


@pytest.fixture(scope="module")
def conditional() -> tuple[BrenierMap, list[Any]]:
    """A map with a label and a number, and held-out rows and conditions of both sides."""

    def side(seed: int, rows: int, moved: bool) -> tuple[Any, Any]:
        rng = np.random.default_rng(seed)
        points = rng.normal(size=(rows, 2))
        kinds = pd.DataFrame({"kind": rng.choice(["a", "b"], rows, p=[0.7, 0.3]), "dose": rng.uniform(0, 2, rows)})
        shift = np.column_stack([3.0 * kinds["dose"], np.where(kinds["kind"] == "a", 4.0, 0.0)])
        return points + moved * shift, kinds

    (X, a), (Y, b), (X_new, a_new), (Y_new, b_new) = (
        side(seed, rows, moved)
        for seed, rows, moved in ((1, 500, False), (2, 500, True), (3, 300, False), (4, 350, True))
    )
    ot = BrenierMap(max_steps=STEPS, refit=False, training=SMALL, random_state=0)
    return ot.fit(X, Y, x_condition=a, y_condition=b), [X_new, Y_new, a_new, b_new]


class TestWords:
    @pytest.mark.parametrize(
        ("value", "digits", "text"),
        [
            (2.5364, 4, "2.536"),
            (0.5, 3, "0.500"),
            (9.9999, 3, "10.0"),
            (-12345.6, 4, "−12,350"),
            (1e-5, 2, "1.0 × 10⁻⁵"),
            (-3.25e12, 3, "−3.25 × 10¹²"),
            (0.0, 3, "0"),
            (None, 3, "–"),
            (float("nan"), 3, "not a number"),
            (float("-inf"), 3, "−infinite"),
        ],
    )
    def test_number(self, value: float | None, digits: int, text: str) -> None:
        assert number(value, digits) == text

    def test_numbers_read_back(self, rng: np.random.Generator) -> None:
        for value in np.concatenate([rng.normal(size=50), np.geomspace(1e-9, 1e9, 50)]):
            text = number(float(value), 4).replace(",", "").replace("−", "-")
            raised = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
            mantissa, _, exponent = text.partition(" × 10")
            assert float(mantissa) * 10.0 ** int(exponent.translate(raised) or 0) == pytest.approx(value, rel=5.1e-4)

    @pytest.mark.parametrize(
        ("share", "text"),
        [(0.0, "0 %"), (1.0, "100 %"), (0.0123, "1.2 %"), (0.731, "73 %"), (0.99999, "99.99 %"), (4e-5, "0.0040 %")],
    )
    def test_percent(self, share: float, text: str) -> None:
        assert percent(share) == text

    def test_clean(self) -> None:
        assert clean("a\x00b\ud800c\n") == "a\ufffdb\ufffdc\ufffd"
        assert clean("naïve 剂量 🧪") == "naïve 剂量 🧪"


class TestRemembered:
    """What a map keeps of its fit: history, seed, and the rows by which its data are known again."""

    def test_history_is_that_of_the_estimator(self, fitted: BrenierMap) -> None:
        kept = fitted.map_.info["history"]
        assert kept["step"] == [row.step for row in fitted.history_]
        assert kept["dual"] == pytest.approx([row.dual for row in fitted.history_], rel=1e-5)
        assert kept["best"] == [row.best for row in fitted.history_]
        assert "seconds" not in kept
        assert fitted.map_.info["seed"] == 3

    def test_long_histories_are_thinned(self) -> None:
        rows = [
            HistoryRow(k, 1.0, k / 5000, float("nan") if k == 4999 else k / 7, 0.1, 0.1, 0.0, 0.0, 1.0, 0.1, k == 1234)
            for k in range(5000)
        ]
        kept = compact_history(rows)
        assert len(kept["step"]) <= 202
        assert (kept["step"][0], kept["step"][-1], kept["dual"][-1]) == (0, 4999, None)
        assert [step for step, best in zip(kept["step"], kept["best"], strict=True) if best] == [1234]
        assert len(json.dumps(kept, allow_nan=False)) < 20_000
        assert compact_history([]) == {}

    def test_survives_the_file(self, fitted: BrenierMap, tmp_path: Path) -> None:
        fitted.map_.save(tmp_path / "m")
        again = TransportMap.load(tmp_path / "m").info
        assert again["history"] == fitted.map_.info["history"]
        assert again["data"] == fitted.map_.info["data"]

    def test_one_seed_one_record(self, fitted: BrenierMap) -> None:
        again = BrenierMap(**fitted.get_params()).fit(table(1, 700), target(2, 800))
        assert again.map_.info == fitted.map_.info

    def test_ranges(self, fitted: BrenierMap) -> None:
        found, points = fitted.map_.info["data"]["target"], target(2, 800)
        assert found["rows"] == 800
        np.testing.assert_allclose(found["low"], points.min(), rtol=1e-8)
        np.testing.assert_allclose(found["high"], points.max(), rtol=1e-8)

    def test_recognised_shares(self, rng: np.random.Generator) -> None:
        points = rng.normal(size=(5000, 2))
        record = remember(points)
        assert recognise(record, points).share == 1.0
        mixed = np.concatenate([points[:1500], rng.normal(size=(1500, 2))])
        found = recognise(record, mixed)
        assert found.share == pytest.approx(0.5, abs=0.15)
        assert found.share < found.largest_share
        fresh = recognise(record, rng.normal(size=(2500, 2)))
        # Of 256 remembered rows 128 would be found; none has a probability of 5 % if three are expected.
        assert (fresh.found, fresh.expected) == (0, 128.0)
        assert fresh.largest_share == pytest.approx(-np.log(0.05) / 128.0)

    def test_zeros_have_no_sign(self) -> None:
        assert recognise(remember(np.zeros((3, 2))), -np.zeros((1, 2))).found == 1

    def test_samplers_and_generators_of_randomness(self) -> None:
        X = np.random.default_rng(0).normal(size=(400, 2))
        ot = BrenierMap(max_steps=128, refit=False, random_state=np.random.RandomState(0))
        info = ot.fit(X, "normal").map_.info
        assert info["seed"] is None
        assert list(info["data"]) == ["source"]


class TestNumbers:
    """Numbers on the page against NumPy, SciPy and POT."""

    @pytest.fixture
    def weighted(self, fitted: BrenierMap, held_out: tuple[Any, Any]) -> tuple[Sides, np.ndarray, np.ndarray]:
        rng = np.random.default_rng(5)
        a, b = (rng.integers(0, 4, len(own)) for own in held_out)
        return sides_of(fitted.map_, *held_out, weights=(a, b)), a, b

    def test_marginals(self, fitted: BrenierMap, held_out: tuple[Any, Any], weighted: Any) -> None:
        sides, a, b = weighted
        x, y = (own.to_numpy() for own in held_out)
        images = fitted.map_.forward(x)
        for own in marginals(sides):
            columns = [side[:, own.place] for side in (x, images, y)]
            means = [np.average(column, weights=w) for column, w in zip(columns, (a, a, b), strict=True)]
            np.testing.assert_allclose(own.mean, means, rtol=1e-6)
            deviations = [
                np.sqrt(np.cov(column, aweights=w, ddof=0)) for column, w in zip(columns, (a, a, b), strict=True)
            ]
            np.testing.assert_allclose(own.deviation, deviations, rtol=1e-6)
            exact = [
                np.sqrt(pot.wasserstein_1d(column, columns[2], a / a.sum(), b / b.sum(), p=2)) / deviations[2]
                for column in columns[:2]
            ]
            np.testing.assert_allclose([own.before, own.after], exact, rtol=1e-6)
            np.testing.assert_allclose(
                [density.sum() * np.diff(own.edges)[0] for density in own.density], 1.0, atol=0.02
            )
            assert max(own.beyond) <= 0.02
        assert [own.after for own in marginals(sides)] == sorted((own.after for own in marginals(sides)), reverse=True)

    def test_weights_are_repeats(self, fitted: BrenierMap, held_out: tuple[Any, Any], weighted: Any) -> None:
        sides, a, b = weighted
        x, y = (own.to_numpy() for own in held_out)
        repeated = sides_of(fitted.map_, x.repeat(a, axis=0), y.repeat(b, axis=0))
        for first, second in zip(marginals(sides), marginals(repeated), strict=True):
            assert first.name == second.name
            np.testing.assert_allclose(first.mean, second.mean, rtol=1e-9)
            assert first.after == pytest.approx(second.after, rel=1e-6)
        one, two = correlations(sides), correlations(repeated)
        assert one is not None
        assert two is not None
        np.testing.assert_allclose(one.image, two.image, rtol=1e-9)
        assert one.after == pytest.approx(two.after, rel=1e-9)

    def test_correlations(self, fitted: BrenierMap, held_out: tuple[Any, Any]) -> None:
        found = correlations(sides_of(fitted.map_, *held_out))
        assert found is not None
        x, y = (own.to_numpy() for own in held_out)
        truth = [np.corrcoef(own.T) for own in (x, fitted.map_.forward(x), y)]
        for own, exact in zip((found.source, found.image, found.target), truth, strict=True):
            np.testing.assert_allclose(own, exact, atol=1e-9)
        pairs = np.triu_indices(3, 1)
        assert found.before == pytest.approx(np.sqrt(np.mean((truth[0] - truth[2])[pairs] ** 2)))

    def test_plane_holds_most_of_the_displacement(self, fitted: BrenierMap, held_out: tuple[Any, Any]) -> None:
        sides = sides_of(fitted.map_, *held_out)
        found = projection(sides)
        moves = sides.images - held_out[0].to_numpy()
        singular = np.linalg.svd(moves, compute_uv=False) ** 2
        assert found.share == pytest.approx(singular[:2].sum() / singular.sum())
        flat = np.sum((found.image - found.source) ** 2)
        assert flat == pytest.approx(singular[:2].sum())

    def test_shift_has_no_second_direction(self, held_out: tuple[Any, Any]) -> None:
        X, shift = held_out[0].to_numpy(), np.array([10.0, 0.0, 0.0])
        with pytest.warns(ConvergenceWarning, match="too few samples"):
            ot = BrenierMap().fit(X[:50], X[:50] + shift)
        sides = sides_of(ot.map_, X, X + shift)
        found = projection(sides)
        assert "No other has 1 % of it" in found.rule
        across = np.linalg.eigvalsh(np.cov((X - X.mean(0))[:, 1:].T, ddof=0))[-1]
        assert found.target[:, 1].var() == pytest.approx(across, rel=1e-6)

    def test_sweep(self, conditional: tuple[BrenierMap, list[Any]]) -> None:
        ot, (X, Y, a, b) = conditional
        sides = sides_of(ot.map_, X, Y, conditions=(a, b))
        (found,) = sweeps(sides)
        assert found.variable == "dose"
        dose = a["dose"].to_numpy()
        first = dose <= np.quantile(dose, 1 / 8)
        np.testing.assert_allclose(found.mean[0][0], X[first].mean(axis=0))
        np.testing.assert_allclose(found.error[0][0], X[first].std(axis=0) / np.sqrt(first.sum()))
        # The target rises by three a unit of the dose, and the images follow.
        assert np.polyfit(found.centre, found.mean[2][:, 0], 1)[0] == pytest.approx(3.0, abs=0.5)
        assert np.polyfit(found.centre, found.mean[1][:, 0], 1)[0] == pytest.approx(3.0, abs=0.7)

    def test_certificate_is_that_of_the_map(self, fitted: BrenierMap, held_out: tuple[Any, Any], page: Path) -> None:
        text = read(page).text
        record = fitted.map_.distance(*held_out).record()
        for name in ("w2", "population_lower", "cost"):
            assert number(record[name]) in text
        assert f"p = {number(record['mismatch']['p_value'], 2)}" in text

    def test_training(self, fitted: BrenierMap, page: Path) -> None:
        found = training(fitted.map_)
        assert found is not None
        kept = [k for k, row in enumerate(fitted.history_) if row.best][-1]
        assert found.kept == kept
        w2 = np.sqrt(2.0 * fitted.history_[kept].dual)
        assert f"estimates W2 as {number(float(w2))}" in read(page).text


class TestRows:
    def test_few_rows_are_all_used(self, fitted: BrenierMap, held_out: tuple[Any, Any]) -> None:
        sides = sides_of(fitted.map_, *held_out)
        np.testing.assert_array_equal(sides.x.rows, np.arange(300))
        assert sides.x.describe() == "x: 300 rows"

    def test_many_rows_are_drawn(self, fitted: BrenierMap, held_out: tuple[Any, Any], tmp_path: Path) -> None:
        sides = sides_of(fitted.map_, *held_out, most=50)
        assert len(set(sides.x.rows)) == 50
        np.testing.assert_array_equal(sides.x.points, held_out[0].to_numpy()[sides.x.rows])
        report = write_report(fitted, *held_out, tmp_path / "r.html", max_rows=50)
        assert report.rows == (50, 50)
        assert "source: 50 rows of 300" in read(tmp_path / "r.html").text

    def test_classes_keep_their_shares(self, conditional: tuple[BrenierMap, list[Any]]) -> None:
        ot, (X, Y, a, b) = conditional
        sides = sides_of(ot.map_, X, Y, conditions=(a, b), most=100)
        assert sides.x.codes is not None
        assert np.mean(sides.x.codes[:, 0] == 0) == pytest.approx(np.mean(a["kind"] == "a"), abs=0.011)
        assert sides.x.condition is not None
        np.testing.assert_array_equal(sides.x.condition[:, 0], a["kind"].to_numpy()[sides.x.rows])

    def test_conditions_of_any_form(self, conditional: tuple[BrenierMap, list[Any]]) -> None:
        ot, (X, Y, a, b) = conditional
        forms = [(a, b), (a[["dose", "kind"]], b[["dose", "kind"]]), (a.to_numpy(), b.to_numpy())]
        first, *others = (sides_of(ot.map_, X, Y, conditions=own).images for own in forms)
        for other in others:
            np.testing.assert_array_equal(first, other)
        single = [sides_of(ot.map_, X, Y, conditions=(own, own)) for own in (("a", 1.0), {"dose": 1.0, "kind": "a"})]
        for own in single:
            np.testing.assert_allclose(own.images, ot.map_.at(("a", 1.0)).forward(X), rtol=1e-6)

    def test_target_rows_are_weighted_to_the_conditions_of_the_source(
        self, conditional: tuple[BrenierMap, list[Any]]
    ) -> None:
        ot, (X, Y, a, b) = conditional
        chosen = (b["kind"] == "b").to_numpy() | (np.arange(len(b)) % 3 == 0)
        sides = sides_of(ot.map_, X, Y[chosen], conditions=(a, b[chosen]))
        share = sides.y.even @ (b[chosen]["kind"] == "a").to_numpy()
        assert share == pytest.approx(np.mean(a["kind"] == "a"), abs=1e-6)

    def test_rare_classes_are_named(self, conditional: tuple[BrenierMap, list[Any]], tmp_path: Path) -> None:
        ot, (X, Y, a, b) = conditional
        kept = (a["kind"] == "a").to_numpy() | (np.arange(len(a)) == int(np.argmax(a["kind"] == "b")))
        write_report(ot, X[kept], Y, tmp_path / "r.html", x_condition=a[kept], y_condition=b)
        text = read(tmp_path / "r.html").text
        assert "Classes with fewer than two rows on one side are left out: b." in text

    def test_rows_without_an_image_are_said(
        self, fitted: BrenierMap, held_out: tuple[Any, Any], tmp_path: Path
    ) -> None:
        X, Y = (own.to_numpy().copy() for own in held_out)
        X[7] = 1e39
        with np.errstate(over="ignore", invalid="ignore"):
            write_report(fitted, X, Y, tmp_path / "r.html")
        text = read(tmp_path / "r.html").text
        assert "1 row of source have no finite image and are left out of all numbers below: row 7." in text

    def test_failed_inverses_are_shown(self, fitted: BrenierMap, held_out: tuple[Any, Any], tmp_path: Path) -> None:
        X, Y = (own.to_numpy().copy() for own in held_out)
        Y[5] = 1e12
        sides = sides_of(fitted.map_, X, Y)
        failed = int((~sides.inverse.converged).sum())
        write_report(fitted, X, Y, tmp_path / "r.html")
        text = read(tmp_path / "r.html").text
        assert f"{400 - failed:,} of 400" in text
        assert "Outside the data of the fit: " in text
        if failed:
            assert "red: not converged" in text

    def test_outside_the_range(self, fitted: BrenierMap, held_out: tuple[Any, Any], tmp_path: Path) -> None:
        X, Y = (own.to_numpy().copy() for own in held_out)
        low, high = table(1, 700).to_numpy().min(0), table(1, 700).to_numpy().max(0)
        X = np.clip(X, low, high)
        X[42, 1] = high[1] + 3.0
        write_report(fitted, X, Y, tmp_path / "r.html")
        text = read(tmp_path / "r.html").text
        assert "Outside the data of the fit: 1 row of source lies beyond" in text
        assert f"dose = {number(high[1] + 3.0)}" in text


class TestSeen:
    def test_held_out_rows(self, fitted: BrenierMap, held_out: tuple[Any, Any], tmp_path: Path) -> None:
        report = write_report(fitted, *held_out, tmp_path / "r.html")
        assert report.seen is False
        assert "confidence for their populations." in report.verdict

    @pytest.mark.parametrize("side", [0, 1])
    def test_rows_of_the_fit(self, fitted: BrenierMap, held_out: tuple[Any, Any], side: int, tmp_path: Path) -> None:
        given = [*held_out]
        given[side] = (table(1, 700), target(2, 800))[side]
        report = write_report(fitted, *given, tmp_path / "r.html")
        text = read(tmp_path / "r.html").text
        assert report.seen is True
        assert report.verdict.startswith("On rows that its fit has seen, the map")
        assert "no bound" in text
        assert "with 95 % confidence for their populations" not in text

    def test_too_few_to_tell(self, fitted: BrenierMap, held_out: tuple[Any, Any], tmp_path: Path) -> None:
        report = write_report(fitted, held_out[0][:20], held_out[1][:20], tmp_path / "r.html")
        assert report.seen is None
        assert report.verdict.endswith("if its fit has not seen these rows.")

    def test_older_maps(self, fitted: BrenierMap, held_out: tuple[Any, Any], tmp_path: Path) -> None:
        info = {name: own for name, own in fitted.map_.info.items() if name not in ("history", "data", "seed")}
        report = write_report(replace(fitted.map_, info=info), *held_out, tmp_path / "r.html")
        text = read(tmp_path / "r.html").text
        assert report.seen is None
        assert "This map keeps no history of its training" in text
        assert "Nothing is known of whether the fit has seen rows of source." in text
        assert "The map does not know the range of the data of its fit" in text
        write_report(replace(fitted.map_, info={}), *held_out, tmp_path / "bare.html")


class TestPage:
    def test_loads_nothing(self, page: Path) -> None:
        reader = read(page)
        assert not {tag for tag, _ in reader.tags} & {"script", "iframe", "object", "embed", "form"}
        links = [own for name in ("src", "href", "xlink:href", "srcset", "data") for own in reader.attributes(name)]
        assert links
        assert all(own.startswith(("#", "data:")) for own in links)
        style = page.read_text().split("<style>")[1].split("</style>")[0]
        assert "@import" not in style
        assert not re.search(r"url\((?!#)", page.read_text())

    def test_identifiers(self, page: Path) -> None:
        reader = read(page)
        ids = reader.attributes("id")
        assert len(ids) == len(set(ids))
        used = {own[1:] for own in reader.attributes("href") if own.startswith("#")}
        used |= set(re.findall(r"url\(#([^)]+)\)", page.read_text()))
        for name in ("aria-labelledby", "aria-describedby"):
            used |= set(reader.attributes(name))
        assert used <= set(ids)

    def test_figures_have_words(self, page: Path) -> None:
        figures = [own for tag, own in read(page).tags if tag == "svg"]
        assert len(figures) >= 12
        assert all(own["role"] == "img" and own["aria-labelledby"] for own in figures)
        assert page.read_text().count("<title ") == page.read_text().count("<desc ") == len(figures)

    def test_size(self, page: Path) -> None:
        assert page.stat().st_size < 600_000

    def test_every_column_is_named(self, page: Path) -> None:
        assert all(name in read(page).text for name in NAMES)

    def test_same_bytes_in_another_process(
        self, fitted: BrenierMap, held_out: tuple[Any, Any], page: Path, tmp_path: Path
    ) -> None:
        fitted.map_.save(tmp_path / "m.brenier")
        np.savez(tmp_path / "xy.npz", x=held_out[0].to_numpy(), y=held_out[1].to_numpy())
        code = (
            "import numpy as np; from brenier import TransportMap, write_report; xy = np.load('xy.npz');"
            "write_report(TransportMap.load('m.brenier'), xy['x'], xy['y'], 'r.html')"
        )
        environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "SOURCE_DATE_EPOCH": "1"}
        subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)
        assert (tmp_path / "r.html").read_bytes() == page.read_bytes()

    def test_nothing_is_injected(self, tmp_path: Path) -> None:
        evil = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a$b$ {{ 7*7 }} \x00 剂 🧪"]
        X, Y = (own.set_axis(evil, axis=1) for own in (table(1, 60), target(2, 60)))
        with pytest.warns(ConvergenceWarning, match="too few samples"):
            ot = BrenierMap(random_state=0).fit(X, Y)
        names = ("</svg><script>alert(2)</script>", "&lt;b&gt;")
        write_report(
            ot, X, Y, tmp_path / "r.html", names=names, title="<b>bold</b>", command="<i>x</i>", map_path="<u>"
        )
        reader = read(tmp_path / "r.html")
        tags = {tag for tag, _ in reader.tags}
        assert not tags & {"script", "img", "b", "i", "u"}
        assert all(clean(name) in reader.text for name in (*evil, *names))
        assert "\x00" not in reader.text

    def test_figures_that_differ_have_other_identifiers(self) -> None:
        for key in ("one", "two"):
            with drawing(key, key, key) as figure:
                figure.axes.plot([0, 1], [0, 1])
            found = re.findall(r'\bid="([^"]+)"', figure.markup)
            assert found
            assert all(own.startswith(f"{key}-") for own in found)

    def test_the_file_is_whole_or_not_at_all(
        self, fitted: BrenierMap, held_out: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "r.html").write_text("before")

        def fail(page: object) -> str:
            raise RuntimeError("no page")

        monkeypatch.setattr("brenier.report.write.render", fail)
        with pytest.raises(RuntimeError, match="no page"):
            write_report(fitted, *held_out, tmp_path / "r.html", max_rows=30)
        assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
        assert (tmp_path / "r.html").read_text() == "before"

    def test_is_in_the_wheel(self) -> None:
        builders = pytest.importorskip("hatchling.builders.wheel", reason="needs hatchling, which builds the package")
        included = {own.distribution_path for own in builders.WheelBuilder(str(ROOT)).recurse_included_files()}
        assert {"brenier/report/page.html.j2", "brenier/report/page.css"} <= included


class TestKinds:
    def test_classes(self, conditional: tuple[BrenierMap, list[Any]], tmp_path: Path) -> None:
        ot, (X, Y, a, b) = conditional
        report = write_report(ot, X, Y, tmp_path / "r.html", x_condition=a, y_condition=b)
        text = read(tmp_path / "r.html").text
        assert "in the mean over conditions" in report.verdict
        assert re.search(r"finds a difference \(p < 0.01\) in \d of 2 classes", report.verdict)
        assert "Along the conditions" in text
        assert "Each class; p below 0.01" in text

    def test_density(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        points = np.column_stack([rng.normal(size=900), rng.exponential(size=900)])
        density = BrenierDensity(max_steps=64, refit=False, training=SMALL, random_state=0).fit(points[:600])
        report = write_report(density, points[600:], None, tmp_path / "r.html", names=("data", "normal base"))
        text = read(tmp_path / "r.html").text
        values = density.score_samples(points[600:])
        error = values.std() / np.sqrt(300)
        assert f"{number(values.mean())} ± {number(error, 2)} nats" in text
        lowest = np.argsort(values)[:8]
        assert f"{lowest[0]}\n{number(values.min())}" in text
        assert report.rows == (300, 300)
        assert report.seen is False
        assert "The target was drawn from the base of the density." in text

    def test_one_column(self, tmp_path: Path) -> None:
        X, Y = table(1, 60)[["u"]], 2.0 * table(2, 60)[["u"]] + 1.0
        with pytest.warns(ConvergenceWarning, match="too few samples"):
            ot = BrenierMap(random_state=0).fit(X, Y)
        write_report(ot, X, Y, tmp_path / "r.html")
        reader = read(tmp_path / "r.html")
        assert "Correlations" not in reader.text
        assert "It never falls." in reader.text

    def test_many_columns(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        X, Y = rng.normal(size=(150, 120)), rng.normal(size=(150, 120)) + 1.0
        with pytest.warns(ConvergenceWarning, match="too few samples"):
            ot = BrenierMap(random_state=0, holdout=0.01, refit=False).fit(X, Y)
        write_report(ot, X, Y, tmp_path / "r.html")
        text = read(tmp_path / "r.html").text
        assert "The 12 columns with the largest mismatch, of 120." in text
        assert "Shown are the 12 of 120 columns" in text
        assert all(re.search(rf"\bcolumn {place}\b", text) for place in range(120))

    def test_pictures(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        source = rng.integers(0, 120, (60, 1200, 3), dtype=np.uint8)
        other = rng.integers(100, 255, (40, 30, 3), dtype=np.uint8)
        X, Y = (own.reshape(-1, 3)[:60] / 255.0 for own in (source, other))
        with pytest.warns(ConvergenceWarning, match="too few samples"):
            ot = BrenierMap(random_state=0).fit(X, Y)
        write_report(ot, X, Y, tmp_path / "r.html", images=(source, other))
        shown = [own for tag, own in read(tmp_path / "r.html").tags if tag == "img"]
        assert all(own["alt"] for own in shown)
        before, after, last = (
            np.asarray(Image.open(io.BytesIO(base64.b64decode(str(own["src"]).partition(",")[2]))), float)
            for own in shown
        )
        assert before.shape == after.shape == (28, 560, 3)
        assert last.shape == (40, 30, 3)
        exact = 255.0 * np.asarray(ot.transform(before.reshape(-1, 3) / 255.0)).reshape(before.shape)
        assert np.abs(after - exact).mean() < 8.0  # both went through JPEG
        assert np.abs(after.mean((0, 1)) - exact.mean((0, 1))).max() < 2.0


class TestErrors:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"max_rows": 1}, "`max_rows` must be at least 2"),
            ({"confidence": 1.0}, "`confidence` must lie strictly between 0 and 1"),
            ({"Y": None}, "`Y` is missing"),
            ({"X": [[0.0, 1.0, 2.0]]}, "must each have at least 2 rows"),
            ({"x_condition": "a"}, "the fit had none"),
            ({"fitted": object()}, "`fitted` must be a fitted estimator or a map"),
        ],
    )
    def test_message(
        self, fitted: BrenierMap, held_out: tuple[Any, Any], changes: dict[str, Any], message: str, tmp_path: Path
    ) -> None:
        given: dict[str, Any] = {"fitted": fitted, "X": held_out[0], "Y": held_out[1], "path": tmp_path / "r.html"}
        with pytest.raises(InputError, match=message):
            write_report(**given | changes)
        assert list(tmp_path.iterdir()) == []

    def test_folder(self, fitted: BrenierMap, held_out: tuple[Any, Any], tmp_path: Path) -> None:
        with pytest.raises(InputError, match="there is no folder"):
            write_report(fitted, *held_out, tmp_path / "no" / "r.html")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for name, own in (
        ("x", table(1, 300)),
        ("y", target(2, 300)),
        ("x-test", table(3, 200)),
        ("y-test", target(4, 200)),
    ):
        own.to_csv(folder / f"{name}.csv", index=False)
    run("fit", folder / "x.csv", folder / "y.csv", "-o", folder / "m.brenier", "--max-steps", 128, "--no-refit")
    return folder


class TestCommand:
    def test_report(self, files: Path, tmp_path: Path) -> None:
        given = [files / name for name in ("m.brenier", "x-test.csv", "y-test.csv")]
        record = as_json("report", *given, "-o", tmp_path / "r.html")
        assert record["report"] == str(tmp_path / "r.html")
        assert record["bytes"] == (tmp_path / "r.html").stat().st_size
        assert record["rows"] == record["rows_used"] == [200, 200]
        assert record["seen"] is False
        text = read(tmp_path / "r.html").text
        assert checksum(given[0]) in text
        assert record["verdict"] in text
        assert "x-test.csv" in text
        truth = as_json("distance", *given)
        assert record["distance"]["w2"] == pytest.approx(truth["w2"])

    def test_lines(self, files: Path, tmp_path: Path) -> None:
        out = run("report", files / "m.brenier", files / "x.csv", files / "y.csv", "-o", tmp_path / "r.html").stdout
        assert "Verdict" in out
        assert "the fit has seen rows of these files" in " ".join(out.split())

    def test_fit(self, files: Path, tmp_path: Path) -> None:
        steps = ["--max-steps", 128, "--no-refit"]
        record = as_json(
            "fit", files / "x.csv", files / "y.csv", "-o", tmp_path / "m", *steps, "--report", tmp_path / "r.html"
        )
        assert record["report"] == str(tmp_path / "r.html")
        assert "On rows that its fit has seen" in read(tmp_path / "r.html").text
        assert (tmp_path / "m").exists()

    def test_fit_checks_the_page_first(self, files: Path, tmp_path: Path) -> None:
        page = tmp_path / "no" / "r.html"
        given = ["fit", files / "x.csv", files / "y.csv", "-o", tmp_path / "m", "--report", page]
        result = CliRunner().invoke(app, [str(own) for own in given])
        assert result.exit_code == 2
        assert "there is no folder" in " ".join(result.stderr.split())
        assert not (tmp_path / "m").exists()

    @pytest.mark.parametrize(
        ("output", "message"), [("r.csv", "is to hold a page. Name it"), ("m.brenier", "is also an input")]
    )
    def test_outputs(self, files: Path, output: str, message: str) -> None:
        given = ["report", files / "m.brenier", files / "x.csv", files / "y.csv", "-o", files / output]
        result = CliRunner().invoke(app, [str(own) for own in given])
        assert result.exit_code == 2
        assert message in " ".join(result.stderr.split())

    def test_no_target(self, files: Path, tmp_path: Path) -> None:
        given = ["report", files / "m.brenier", files / "x.csv", "-o", tmp_path / "r.html"]
        result = CliRunner().invoke(app, [str(own) for own in given])
        assert result.exit_code == 2
        assert "is no density" in " ".join(result.stderr.split())

    def test_density(self, files: Path, tmp_path: Path) -> None:
        run("density", files / "x.csv", "-o", tmp_path / "d", "--max-steps", 64, "--no-refit")
        record = as_json("report", tmp_path / "d", files / "x-test.csv", "-o", tmp_path / "r.html")
        assert record["rows"] == [200]
        assert "Mean log density" in read(tmp_path / "r.html").text

    def test_conditions(self, tmp_path: Path) -> None:
        for name, own in (("x", table(1, 200)), ("y", target(2, 200))):
            own.assign(kind=["a", "b"] * 100).to_csv(tmp_path / f"{name}.csv", index=False)
        given = [tmp_path / "x.csv", tmp_path / "y.csv"]
        page = tmp_path / "r.html"
        run(
            "fit",
            *given,
            "-o",
            tmp_path / "m",
            "--condition",
            "kind",
            "--max-steps",
            128,
            "--no-refit",
            "--report",
            page,
        )
        assert "of 2 classes" in read(page).text
        record = as_json("report", tmp_path / "m", *given, "-o", page, "--at", "a")
        assert record["at"] == {"kind": "a"}

    @pytest.mark.filterwarnings("ignore::brenier.DataWarning")
    def test_images(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        for name in ("a", "b"):
            Image.fromarray(rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
        given = [tmp_path / "a.png", tmp_path / "b.png"]
        run("fit", *given, "-o", tmp_path / "m", "--max-steps", 128, "--no-refit", "--report", tmp_path / "r.html")
        assert sum(tag == "img" for tag, _ in read(tmp_path / "r.html").tags) == 3
