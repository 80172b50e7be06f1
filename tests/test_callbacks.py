"""Callbacks: what they are told, that they can end a fit, and what happens to their errors; the certified gap."""

import copy
import io
import pickle
from typing import Any

import equinox as eqx
import numpy as np
import pytest
from rich.console import Console
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from asserts import assert_at_most
from brenier import BrenierDensity, BrenierMap, ConvergenceWarning, InputError, Training
from brenier.callbacks import Callback, End, Progress, Start
from brenier.conjugates import Tolerance
from brenier.geometry import Moments, QuadraticGeometry
from brenier.training import Fit, Holdout, Losses, LossObjective, Stop, TrainingConfig

QUICK: dict[str, Any] = {"max_steps": 256, "training": Training(hidden=[32], batch_size=64), "random_state": 0}
KINDS = ["map", "conditional map", "density"]


def curved(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return rng.normal(size=(n, 2)), np.exp(rng.normal(size=(n + 50, 2)))


def fit(kind: str, callbacks: Any, **options: Any) -> Any:
    x, y = curved()
    options = QUICK | options
    if kind == "density":
        return BrenierDensity(callbacks=callbacks, **options).fit(y)
    labels: dict[str, Any] = {"x_condition": np.arange(len(x)) % 2, "y_condition": np.arange(len(y)) % 2}
    return BrenierMap(callbacks=callbacks, **options).fit(x, y, **(labels if kind == "conditional map" else {}))


class Diary(Callback):
    """Writes down what it is told, under its name."""

    def __init__(self, log: list, name: str = "", fail: str | None = None, stop: bool = False) -> None:
        self.log, self.name, self.fail, self.stop = log, name, fail, stop

    def _note(self, what: str, value: Any) -> None:
        self.log.append((self.name, what, value))
        if self.fail == what:
            raise ZeroDivisionError(f"{what} of {self.name}")

    def on_start(self, start: Start) -> None:
        self._note("start", start)

    def on_validation(self, row: Any) -> bool:
        self._note("look", row)
        return self.stop

    def on_end(self, end: End) -> None:
        self._note("end", end)

    def entries(self, what: str) -> list:
        return [value for name, own, value in self.log if (name, own) == (self.name, what)]


class TestWhatIsTold:
    @pytest.mark.parametrize("kind", KINDS)
    def test_start_looks_and_end(self, kind: str) -> None:
        diary, rows = Diary([]), []
        fitted = fit(kind, [rows.append, diary], refit=True)
        assert [what for _, what, _ in diary.log] == ["start", *["look"] * len(rows), "end"]
        assert diary.entries("look") == rows
        first = [row for row in rows if not row.refit]
        # The first of two fits, whose progress is shown as a half of the whole.
        assert [row._replace(progress=2 * row.progress) for row in first] == fitted.history_
        # With conditions the first look was the best, and the second fit ends with it, before a look of its own.
        assert len(first) < len(rows) or kind == "conditional map"
        (start,), (end,) = diary.entries("start"), diary.entries("end")
        assert start.kind == kind
        assert start.dim == 2
        assert start.rows == ((450,) if kind == "density" else (400, 450))
        assert start.columns is None
        assert start.settings == fitted.map_.info["settings"]
        assert start.settings["batch"] == 64
        assert (end.stop, end.steps, end.baseline) == (fitted.stop_, fitted.n_iter_, fitted.baseline_)
        assert end.history is fitted.history_
        assert end.error is None
        assert end.seconds >= rows[-1].seconds > 0

    def test_samplers_have_no_rows_and_frames_have_columns(self) -> None:
        pd = pytest.importorskip("pandas")
        diary = Diary([], stop=True)

        def sampler(key, n):
            return np.random.default_rng(int(np.asarray(key)[-1])).normal(size=(n, 2))

        frame = pd.DataFrame(curved()[1], columns=["a", "b"])
        BrenierMap(callbacks=diary, **QUICK).fit(sampler, frame)
        assert diary.entries("start")[0].rows == (None, 450)
        BrenierDensity(callbacks=diary, **QUICK).fit(frame)
        assert diary.entries("start")[1].columns == ["a", "b"]

    def test_one_callback_serves_several_fits(self) -> None:
        diary = Diary([], stop=True)
        for _ in range(2):
            fit("map", diary)
        assert [what for _, what, _ in diary.log] == ["start", "look", "end"] * 2

    def test_a_fit_without_training_starts_and_ends(self) -> None:
        diary = Diary([])
        x, y = curved(30)
        with pytest.warns(ConvergenceWarning, match="too few samples"):
            BrenierMap(callbacks=diary, **QUICK).fit(x, y)
        assert [what for _, what, _ in diary.log] == ["start", "end"]
        assert diary.entries("end")[0].stop == Stop.untrained.value
        assert diary.entries("end")[0].steps == 0

    def test_data_that_are_refused_start_nothing(self) -> None:
        diary = Diary([])
        with pytest.raises(InputError, match="columns"):
            BrenierMap(callbacks=diary, **QUICK).fit(curved()[0], np.zeros((400, 3)))
        assert diary.log == []

    def test_methods_may_be_left_out(self) -> None:
        class Idle(Callback):
            pass

        assert fit("map", Idle()).n_iter_ == 256

    def test_any_object_with_the_three_methods_will_do(self) -> None:
        class Own:
            seen = 0

            def on_start(self, start: Start) -> None:
                self.seen += 1

            def on_validation(self, row: Any) -> bool:
                self.seen += 10
                return True

            def on_end(self, end: End) -> None:
                self.seen += 100

        own = Own()
        fit("map", (own,))
        assert own.seen == 111

    def test_the_row_that_a_budget_in_seconds_ends_with_is_shown(self) -> None:
        class Clock:
            """Lets two cycles of steps pass; no look is due after the second."""

            ended, cycles, seconds, reserve = False, 2, 0.0, 0.0

            def next_cycle(self, steps: int) -> tuple[np.ndarray, np.ndarray]:
                self.cycles -= 1
                return (np.ones(128 if self.cycles >= 0 else 0, np.float32),) * 2

            def progress(self, steps: int) -> float:
                return steps / 256

        class Still(LossObjective):
            """Steps that change nothing."""

            def advance(self, state, chunk):
                return state, {"training": chunk.rates}

            def baseline(self):
                return Losses(np.zeros(2))

            def evaluate(self, potential):
                return Losses(np.zeros(2))

            batches = loss = None  # type: ignore[assignment]

        seen: list[int] = []
        config, coordinates = (
            TrainingConfig(patience=None),
            QuadraticGeometry.between(*[Moments(np.zeros(1), np.eye(1), 9)] * 2),
        )
        running = Fit(Still(None, coordinates, config, seed=0), config, on_row=lambda row: seen.append(row.step))  # type: ignore[arg-type]
        running.schedule = Clock()  # type: ignore[assignment]
        assert running.run().stop is Stop.budget
        assert seen == [row.step for row in running.history] == [128, 256]


class TestEndingEarly:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_true_result_ends_the_fit(self, kind: str) -> None:
        diary = Diary([], stop=True)
        fitted = fit(kind, diary, max_steps=4096)
        (row,), (end,) = diary.entries("look"), diary.entries("end")
        assert fitted.n_iter_ == row.step < 4096
        assert fitted.stop_ == end.stop == "A callback asked for the end."

    def test_the_others_see_the_row_all_the_same(self) -> None:
        log: list = []
        fit("map", [Diary(log, "a", stop=True), Diary(log, "b")], max_steps=4096)
        assert [entry[:2] for entry in log] == [(own, what) for what in ("start", "look") for own in "ab"] + [
            ("b", "end"),
            ("a", "end"),
        ]

    def test_the_keyboard_keeps_the_map_and_is_no_error(self) -> None:
        diary = Diary([])

        def press(row: Any) -> None:
            raise KeyboardInterrupt

        with pytest.warns(ConvergenceWarning, match="Interrupted from the keyboard"):
            fitted = fit("map", [diary, press])
        (end,) = diary.entries("end")
        assert end.stop == fitted.stop_ == Stop.interrupted.value
        assert end.error is None


class TestErrors:
    @pytest.mark.parametrize("kind", KINDS)
    def test_an_error_is_raised_and_all_are_told(self, kind: str) -> None:
        log: list = []
        estimator = BrenierMap() if kind != "density" else BrenierDensity()
        with pytest.raises(ZeroDivisionError, match="look of b") as caught:
            estimator = fit(kind, [Diary(log, "a"), Diary(log, "b", fail="look")])
        with pytest.raises(NotFittedError):
            estimator.transform(np.zeros((1, 2))) if kind != "density" else estimator.sample()
        ends = [(name, value) for name, what, value in log if what == "end"]
        assert [name for name, _ in ends] == ["b", "a"]
        for _, end in ends:
            assert end.error is caught.value
            assert end.stop == "ZeroDivisionError: look of b"
            assert end.baseline is None
            assert [row.step for row in end.history] == [end.steps]

    def test_only_those_that_have_started_are_told_of_the_end(self) -> None:
        log: list = []
        with pytest.raises(ZeroDivisionError, match="start of b"):
            fit("map", [Diary(log, "a"), Diary(log, "b", fail="start"), Diary(log, "c")])
        assert [entry[:2] for entry in log] == [("a", "start"), ("b", "start"), ("a", "end")]
        assert log[-1][2].steps == 0

    def test_an_error_at_the_end_leaves_the_others_their_end(self) -> None:
        log: list = []
        with pytest.raises(ZeroDivisionError, match="end of b"):
            fit("map", [Diary(log, "a"), Diary(log, "b", fail="end", stop=True)])
        assert [entry[:2] for entry in log][-2:] == [("b", "end"), ("a", "end")]

    @pytest.mark.parametrize("estimator", [BrenierMap, BrenierDensity])
    @pytest.mark.parametrize(
        ("callbacks", "message"),
        [
            (3, "got 3"),
            ([print, "name"], "got 'name'"),
            (Progress, r"the class Progress\. .*: Progress\(\)"),
        ],
    )
    def test_what_is_no_callback(self, estimator: Any, callbacks: Any, message: str) -> None:
        x, y = curved()
        with pytest.raises(InputError, match=f"`callbacks` .*{message}"):
            estimator(callbacks=callbacks).fit(x, y if estimator is BrenierMap else None)


class TestGap:
    def test_it_encloses_the_dual_value_with_exact_conjugates(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The solver stops early; SciPy finds the conjugates of the network that the fit keeps."""
        from brenier.training import holdout as module

        monkeypatch.setattr(module, "_TOLERANCE", Tolerance(rtol=0.0, atol=0.04))
        monkeypatch.setattr(module, "_CHARGED", np.inf)
        held_out: list = []
        of = Holdout.of
        monkeypatch.setattr(module.Holdout, "of", lambda x, y, *rest: held_out.append((x, y)) or of(x, y, *rest))
        rows: list = []
        x, y = (3.0 * side for side in curved(900))  # in units that count
        ot = BrenierMap(
            callbacks=rows.append, refit=False, max_steps=512, training=Training(hidden=[32]), random_state=0
        ).fit(x, y)
        ((x, y),), row = held_out, [row for row in rows if row.best][-1]
        assert not ot.baseline_
        map_, c = ot.map_, ot.map_.geometry
        inner_x, inner_y = c.enter_x(x), c.enter_y(y)
        evaluate = eqx.filter_jit(lambda u, z: u.value_and_gradient(z))

        def conjugate(target: np.ndarray) -> float:
            def negative(z: np.ndarray) -> tuple[float, np.ndarray]:
                value, gradient = evaluate(map_.potential, z[None].astype(np.float32))
                return float(value[0]) - z @ target, np.asarray(gradient[0], np.float64) - target

            return -minimize(negative, target, jac=True, method="BFGS", options={"gtol": 1e-4}).fun

        conjugates = np.array([conjugate(own) for own in inner_y.astype(np.float64)])
        inner = float(np.mean(np.asarray(map_.potential(inner_x)))) + conjugates.mean()
        exact = c.dual_offset(x, y) - c.unit**2 * inner
        rounding = 1e-4 * abs(exact)
        assert row.gap > 20 * rounding
        assert_at_most(row.dual + 10 * rounding, exact, "the value, some of whose gap is not used up")
        assert_at_most(exact, row.dual + row.gap + rounding, "exact dual value")

    def test_a_floor_so_low_that_solved_points_have_a_large_gap(self) -> None:
        rows: list = []
        fit("map", rows.append, training=Training(hidden=[32], batch_size=64, convexity=1e-6), refit=False)
        assert rows[0].gap > 0.01 * rows[0].dual

    def test_it_is_small_when_the_solver_is_left_alone(self) -> None:
        rows: list = []
        fit("map", rows.append)
        assert all(0 <= row.gap < 1e-3 * row.dual for row in rows)
        assert "gap" in rows[0].describe()


class TestProgress:
    @pytest.mark.parametrize(("kind", "word"), [("map", "  gap "), ("density", "log-likelihood ")])
    def test_lines_where_there_is_no_terminal(self, kind: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
        rows: list = []
        fit(kind, [Progress(), rows.append])
        out, err = capsys.readouterr()
        lines = err.splitlines()
        assert out == ""
        assert len(lines) == len(rows) >= 2
        assert word in lines[0]
        assert all(line.endswith(" left") for line in lines[1:])
        assert lines[-1].lstrip().startswith(f"{100 * rows[-1].progress:.0f} %")
        assert "again on all samples" in lines[-1]
        assert word not in lines[-1]

    @pytest.mark.parametrize(("width", "bar"), [(80, False), (100, True)])
    def test_a_bar_on_a_terminal(self, width: int, bar: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        shown = io.StringIO()
        terminal = Console(file=shown, force_terminal=True, width=width, legacy_windows=False)
        monkeypatch.setattr("brenier.callbacks.progress.console", lambda **_: terminal)
        fit("map", Progress(), refit=False)
        found = shown.getvalue()
        assert ("━━" in found) is bar
        for part in ("compiling", "done", "\x1b[?25h"):  # the last shows the cursor again
            assert part in found

    def test_the_text_fits_a_narrow_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rows: list = []
        fit("map", rows.append, refit=False)
        shown = io.StringIO()
        terminal = Console(file=shown, force_terminal=True, width=80, legacy_windows=False)
        monkeypatch.setattr("brenier.callbacks.progress.console", lambda **_: terminal)
        progress = Progress()
        progress.on_start(Start("map", 2, (1, 1), None, {}))
        for share in (0.1, 0.2):
            progress.on_validation(rows[0]._replace(progress=share, seconds=590.0 * share, dual=-1234.56, gain=0.00123))
        progress.on_end(End("", 0, 0.0, None, [], ValueError()))
        assert " left" in shown.getvalue()
        assert "…" not in shown.getvalue()
        assert "done" not in shown.getvalue()

    def test_it_can_be_copied_before_and_after_a_fit(self) -> None:
        progress = Progress()
        fit("map", progress)
        assert isinstance(pickle.loads(pickle.dumps(progress)), Progress)
        assert isinstance(copy.deepcopy(progress), Progress)
        clone(BrenierMap(callbacks=progress))

    def test_time_left_goes_by_the_pace_since_the_first_row(self, capsys: pytest.CaptureFixture[str]) -> None:
        rows: list = []
        fit("density", rows.append, refit=False)
        progress = Progress()
        progress.on_start(Start("density", 2, (1,), None, {}))
        # The first tenth took a minute, most of it compilation, which says nothing yet.
        # The next four took 20 seconds, as the last five will.
        for share, seconds in ((0.1, 60.0), (0.5, 80.0)):
            progress.on_validation(rows[0]._replace(progress=share, seconds=seconds, gain=1.0))
        assert [line.split("  ")[-1] for line in capsys.readouterr().err.splitlines()] == ["gain 1.00", "25 s left"]
