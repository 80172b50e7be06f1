"""The example of domain adaptation: its shifts, its rows, and that it says what went wrong."""

import importlib
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from asserts import assert_close
from brenier import BrenierMap

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
MODULES = ("shifts", "events", "methods", "scores", "figure", "__main__")


@pytest.fixture(scope="module")
def example() -> Iterator[SimpleNamespace]:
    """The modules of the package, whose folder is on the path for as long as the tests of this file run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
        modules = {name.strip("_"): importlib.import_module(f"domain_adaptation.{name}") for name in MODULES}
        yield SimpleNamespace(**modules)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Events of two classes, skewed and correlated, in the format of the file."""
    rng = np.random.default_rng(7)
    labels = np.repeat(["g", "h"], [900, 600])
    values = rng.normal(size=(1500, 10)) @ (np.eye(10) + 0.3 * rng.normal(size=(10, 10)))
    other = labels == "h"
    values[:, 8] += 1.5 * other
    # What tells the classes apart lies across features that go together, and the shift stretches them differently.
    values[:, 0] = values[:, 2] + 0.25 * rng.normal(size=1500) + 0.6 * other
    values[:, 6] = values[:, 5] + 0.25 * rng.normal(size=1500) - 0.6 * other
    values = 20 * np.exp(0.25 * values) + 3.0
    path = tmp_path_factory.mktemp("data") / "events.data"
    rows = zip(values, labels, strict=True)
    path.write_text("".join(",".join([*(f"{value:.4f}" for value in row), kind]) + "\n" for row, kind in rows))
    return path


def residual(x, y):
    """Share of the variance of each column that the best affine map leaves."""
    ones = np.column_stack([x, np.ones(len(x))])
    best, *_ = np.linalg.lstsq(ones, y, rcond=None)
    return np.mean((y - ones @ best) ** 2, axis=0) / y.var(axis=0), best


def jacobian(function, point, step=1e-5):
    moves = step * np.eye(len(point))
    return ((function(point + moves) - function(point - moves)) / (2 * step)).T


class TestShifts:
    def test_the_affine_one_is_affine_and_no_optimal_map(self, example, rng):
        x = rng.normal(size=(500, 10)) ** 3
        left, best = residual(x, example.shifts.affine(x))
        assert left.max() < 1e-20
        matrix = best[:-1]
        assert np.abs(matrix - np.eye(10)).max() > 0.2
        assert np.linalg.cond(matrix) < 10
        assert np.abs(matrix - matrix.T).max() > 0.1
        assert np.abs(best[-1]).max() > 0.2

    def test_the_warped_one_is_not_affine(self, example, rng):
        x = rng.normal(size=(2000, 10))
        left, _ = residual(x, example.shifts.warped(x))
        named = dict(zip(example.shifts.FEATURES, left, strict=True))
        assert all(named[name] > 0.02 for name in ("length", "width", "size", "conc", "m3long", "alpha", "dist"))

    def test_warps_increase_and_keep_features_apart(self, example):
        line = np.linspace(-6, 10, 2001)
        assert (np.diff(example.shifts.warps(np.tile(line[:, None], 10)), axis=0) > 0).all()
        whole = jacobian(example.shifts.warps, np.linspace(-1, 1.3, 10))
        assert_close(whole, np.diag(np.diag(whole)), atol=1e-9)

    def test_crosstalk_is_the_gradient_of_a_convex_function_and_the_bend_is_none(self, example, rng):
        for point in rng.normal(size=(5, 10)):
            whole = jacobian(example.shifts.crosstalk, point)
            assert_close(whole, whole.T, atol=1e-8)
            assert np.linalg.eigvalsh(whole).min() > 1 - 1e-8
            bent = jacobian(example.shifts.bent, point)
            assert np.abs(bent - bent.T).max() > 0.03
            assert np.linalg.det(bent) > 0.5  # nothing folds over
        x = rng.normal(size=(20, 10))
        steps = example.shifts.bent(example.shifts.crosstalk(example.shifts.warps(x)))
        np.testing.assert_array_equal(example.shifts.warped(x), steps)


class TestEvents:
    def test_parts_share_no_event_and_have_the_same_classes(self, example, data):
        values, labels = example.events.read(data)
        assert (values.shape, labels.sum()) == ((1500, 10), 900)
        task = example.events.split(values, labels, lambda x: x + 1, seed=3)
        source = np.round(task.x, 9)
        target, test = (np.round(part - 1, 9) for part in (task.y, task.test))
        assert [len(part) for part in (source, target, test)] == [630, 630, 240]
        assert len(np.unique(np.concatenate([source, target, test]), axis=0)) == 1500
        for own in (task.x_labels, task.y_labels, task.test_labels):
            assert own.mean() == 0.6
        assert_close(task.x.mean(axis=0), np.zeros(10), atol=1e-9)
        assert_close(task.x.std(axis=0), np.ones(10), atol=1e-9)
        # Labels went with their events: the ninth feature is what differs most.
        for points, own in ((task.x, task.x_labels), (task.y, task.y_labels), (task.test, task.test_labels)):
            assert points[own == 0, 8].mean() - points[own == 1, 8].mean() > 0.5

    def test_other_shares_of_the_target(self, example, data):
        values, labels = example.events.read(data)
        task = example.events.split(values, labels, lambda x: x, seed=3, shares=0.2)
        assert_close([task.y_labels.mean(), task.test_labels.mean(), task.x_labels.mean()], [0.2, 0.2, 0.6], atol=0.01)
        assert np.sum(task.y_labels == 0) == 252  # all of the other class
        own = example.events.matched(task, 0.2)
        assert_close(own.x_labels.mean(), 0.2, atol=0.01)
        rows = {tuple(row): label for row, label in zip(task.x, task.x_labels, strict=True)}
        assert all(rows[tuple(row)] == label for row, label in zip(own.x, own.x_labels, strict=True))
        assert own.y is task.y


class TestMethods:
    def test_learns_from_so_many_points_without_labels_of_the_target_and_moves_all(self, example, data):
        class Spy(example.methods.Coral):
            seen = None

            def fit(self, **given):
                Spy.seen = given
                return super().fit(**given)

        task = example.events.split(*example.events.read(data), example.shifts.affine, seed=0)
        for points in (None, 200):
            method = example.methods.Method("spy", lambda **_: Spy(), points=points)
            moved = example.methods.move(method, task, {}, max_steps=1, seed=0)
            assert sorted(Spy.seen) == ["Xs", "Xt", "ys"]
            for name, whole in (("Xs", task.x), ("ys", task.x_labels), ("Xt", task.y)):
                np.testing.assert_array_equal(Spy.seen[name], whole[:points])
            assert (moved.forward.shape, moved.back.shape) == (task.x.shape, task.test.shape)
            assert (moved.seconds > 0, moved.said) == (True, [])

    def test_correlation_alignment(self, example, rng):
        x, y = rng.normal(size=(400, 3)) @ rng.normal(size=(3, 3)), rng.gamma(2.0, size=(300, 3)) + 4
        coral = example.methods.Coral().fit(x, np.zeros(400, int), y)
        moved = coral.transform(x)
        assert_close(moved.mean(axis=0), y.mean(axis=0), atol=1e-9)
        assert_close(np.cov(moved.T), np.cov(y.T), atol=1e-9)
        assert_close(coral.inverse_transform(moved), x, atol=1e-9)


def run(example, capsys, *words, code=None):
    """The command in this process: what it wrote to stdout and to stderr."""
    if code is None:
        example.main.main([str(word) for word in words])
    else:
        with pytest.raises(SystemExit) as stopped:
            example.main.main([str(word) for word in words])
        assert stopped.value.code == code
    return capsys.readouterr()


class TestCommand:
    def test_restores_what_the_shift_cost_with_a_row_for_each_method(
        self, example, data, tmp_path, capsys, monkeypatch
    ):
        # Samples as small as these would be fitted twice, and one of the settings is enough to have a row.
        monkeypatch.setattr(example.methods, "BrenierMap", partial(BrenierMap, refit=False))
        short = [
            method._replace(grid=method.grid[:1], points=method.points and 150) for method in example.methods.METHODS
        ]
        monkeypatch.setattr(example.main, "METHODS", tuple(short))
        path = tmp_path / "figure.png"
        words = ("--data", data, "--shift", "affine", "--max-steps", 32, "--events", 800, "--output", path)
        done = run(example, capsys, *words)
        assert "failed" not in done.out
        head, rule, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.out.splitlines()]
        assert rule == ["---"] * len(head)
        names = [method.name for method in example.methods.METHODS]
        assert [row[0] for row in rows] == ["no adaptation", *names, "trained on target labels"]
        assert all(len(row) == len(head) for row in rows)
        by_name = {row[0]: dict(zip(head[1:4] + head[5:6], row[1:4] + row[5:6], strict=True)) for row in rows}
        start = float(by_name["no adaptation"]["accuracy %, retrained"])
        ceiling = float(by_name["trained on target labels"]["accuracy %, retrained"])
        assert ceiling - start > 10
        for name in ("brenier", "CORAL", "POT LinearTransport"):
            for way in ("accuracy %, retrained", "accuracy %, moved back"):
                assert float(by_name[name][way]) > start + 0.6 * (ceiling - start), (name, way)
        restored = float(by_name["brenier"]["restored %"])
        ours = float(by_name["brenier"]["accuracy %, retrained"])
        assert_close(restored, 100 * (ours - start) / (ceiling - start), atol=2)
        assert by_name["brenier"]["points a side, at most"] == "336"
        assert by_name["POT MappingTransport"]["accuracy %, moved back"] == ""
        # What POT says of itself is not lost.
        assert "  reg_e=0.3: Sinkhorn did not converge" in done.err
        assert list(tmp_path.iterdir()) == [path]
        with Image.open(path) as image:
            assert (image.format, image.size) == ("PNG", (1540, 726))

    def test_one_object_with_every_seed_and_what_known_shares_give(self, example, data, capsys):
        words = ("--data", data, "--shift", "affine", "--shares", 0.3, "--seeds", 0, 4, "--json")
        done = run(example, capsys, *words, "--methods", "POT LinearTransport", "CORAL", "--classifier", "logistic")
        told = json.loads(done.out, parse_constant=pytest.fail)
        names = [row["method"] for row in told["table"]]
        assert names == [
            "no adaptation",
            "CORAL",
            "POT LinearTransport",
            "CORAL, shares known",
            "trained on target labels",
        ]
        assert [record["seed"] for record in told["records"]] == [0] * 5 + [4] * 5
        assert told["options"]["shares"] == 0.3
        rows = {row["method"]: row["retrained_balanced"] for row in told["table"]}
        assert all(len(score["each"]) == 2 for score in rows.values())
        assert rows["CORAL, shares known"]["median"] > rows["CORAL"]["median"]

    def test_a_method_that_fails_is_a_row_that_says_how(self, example, data, capsys, monkeypatch, tmp_path):
        class Torn(example.methods.Coral):
            def transform(self, Xs):
                return np.where(Xs[:, :1] > 0, Xs, np.nan)

        def broken(**_):
            raise MemoryError("no room for\nthe coupling")

        kinds = (("torn", lambda **_: Torn()), ("broken", broken), ("fine", lambda **_: example.methods.Coral()))
        methods = tuple(example.methods.Method(name, make) for name, make in kinds)
        monkeypatch.setattr(example.main, "METHODS", methods)
        done = run(example, capsys, "--data", data, "--events", 800, "--output", tmp_path / "figure.png")
        rows = {line.split("|")[1].strip(): line for line in done.out.splitlines()}
        assert "| failed: MemoryError: no room for the coupling |" in rows["broken"]
        assert "of 336 points are not finite" in rows["torn"]
        assert "failed" not in rows["fine"]
        assert "failed: MemoryError" in done.err

    def test_one_seed_that_fails_does_not_hide_behind_the_others(self, example, data, capsys, monkeypatch):
        def fickle(seed, **_):
            if seed == 5:
                raise ValueError("odd seed")
            return example.methods.Coral()

        monkeypatch.setattr(example.main, "METHODS", (example.methods.Method("fickle", fickle),))
        done = run(example, capsys, "--data", data, "--classifier", "logistic", "--seeds", 4, 5)
        assert "| fickle (of some seeds; failed: ValueError: odd seed) | 630 |" in done.out
        assert [line for line in done.err.splitlines() if line.startswith("  ")] == ["  failed: ValueError: odd seed"]

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--shift", "turned"], "argument --shift: invalid choice: 'turned'"),
            (["--shares", "1.5"], "argument --shares: '1.5' is no number from 0.05 to 0.95"),
            (["--shares", "nan"], "argument --shares: 'nan'"),
            (["--seeds", "-1"], "argument --seeds"),
            (["--seeds", "1", "1"], "argument --seeds: every seed may be there once only"),
            (["--methods", "guess"], "argument --methods: invalid choice: 'guess'"),
            (["--max-steps", "0"], "argument --max-steps: '0' is no whole number of at least 1"),
            (["--events", "10"], "argument --events: '10' is no whole number of at least 400"),
            (["--classifier", "oracle"], "argument --classifier: invalid choice"),
            (["--output", "no/such/folder/figure.png"], "no/such/folder"),
            (["--data", "missing.data"], "--data (missing.data) cannot be read"),
        ],
    )
    def test_bad_arguments_are_named_before_any_work(self, example, data, words, said, capsys, monkeypatch):
        monkeypatch.setattr(example.main, "_run", lambda *_: pytest.fail("worked before arguments were checked"))
        done = run(example, capsys, "--data", data, *words, code=2)
        assert said in done.err
        assert done.out == ""

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("1,2,3,g\n" * 300, "must have rows of 10 finite numbers and a class"),
            (("1," * 10 + "x\n") * 300, "must have rows of 10 finite numbers and a class"),
            (("1," * 9 + "nan,g\n") * 300, "must have rows of 10 finite numbers and a class"),
            (("1," * 10 + "g\n") * 300, "has only 0 events of one class"),
        ],
    )
    def test_other_data_are_refused(self, example, text, said, tmp_path, capsys):
        path = tmp_path / "other.data"
        path.write_text(text)
        done = run(example, capsys, "--data", path, code=2)
        assert f"--data ({path}) {said}" in done.err


class TestScores:
    def test_settings_are_the_best_for_each_way_and_shares_are_of_each_seed(self, example):
        def record(retrained, back):
            scores = [{"accuracy": value, "balanced": value, "auc": 1 - value} for value in (retrained, back)]
            return {"settings": {"a": retrained}, "seconds": 1.0, "retrained": scores[0], "back": scores[1]}

        best = example.scores._best([record(0.7, 0.6), record(0.8, 0.5)])
        assert (best["retrained"]["accuracy"], best["back"]["accuracy"]) == (0.8, 0.6)
        assert best["settings"] == {"retrained": {"a": 0.8}, "back": {"a": 0.7}}
        rows = [
            {"method": name, "seed": seed} | record(value, value)
            for seed, values in enumerate(([0.5, 0.8, 0.9], [0.6, 0.6, 0.8], [0.5, 0.6, 0.7]))
            for name, value in zip(("no adaptation", "one", "trained on target labels"), values, strict=True)
        ]
        low, one, high = example.scores.summary(rows)
        assert (low["restored"], high["restored"]) == (0, 100)
        assert_close(one["restored"], 50, atol=1e-9)
        assert one["retrained_accuracy"] == {"median": 0.6, "each": [0.8, 0.6, 0.6]}
