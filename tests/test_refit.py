"""The second fit to finite samples: what it learns from, when it stops, and when the first one stands."""

from types import SimpleNamespace

import numpy as np
import pytest

from brenier import BrenierMap
from brenier.data.checks import as_points
from brenier.data.streams import ArrayStream, SamplerStream
from brenier.estimators.intake import Sample
from brenier.estimators.sides import split_side
from brenier.geometry import QuadraticGeometry, moments
from brenier.potentials import Quadratic
from brenier.training import HistoryRow, Outcome, Stop, TrainingConfig, choose_config, train_twice
from brenier.training import refit as module
from brenier.training.pool import Pool

STEPS = 128


def clouds(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(n, 2)), np.exp(0.9 * rng.normal(size=(n, 2)))


@pytest.fixture(scope="module")
def rows() -> list[HistoryRow]:
    return []


@pytest.fixture(scope="module")
def ot(rows: list[HistoryRow]) -> BrenierMap:
    return BrenierMap(max_steps=2 * STEPS, random_state=0, callbacks=rows.append).fit(*clouds())


class TestEstimator:
    def test_coordinates_are_those_of_all_samples(self, ot: BrenierMap) -> None:
        x, y = clouds()
        assert not ot.baseline_
        np.testing.assert_allclose(ot.map_.geometry.mean_x, x.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(ot.map_.geometry.mean_y, y.mean(axis=0), rtol=1e-12)
        once = BrenierMap(max_steps=STEPS, random_state=0, refit=False).fit(x, y)
        assert np.abs(once.map_.geometry.mean_x - x.mean(axis=0)).max() > 1e-4

    def test_rows_tell_the_second_fit_apart(self, ot: BrenierMap, rows: list[HistoryRow]) -> None:
        assert [row.refit for row in rows] == sorted(row.refit for row in rows)
        progress = [row.progress for row in rows]
        assert progress == sorted(progress)
        assert progress[-1] <= 1.0
        assert not any(row.refit for row in ot.history_)
        assert all(row.progress <= 0.5 for row in rows if not row.refit)
        assert all(row.progress >= 0.5 for row in rows if row.refit)

    def test_a_gaussian_pair_is_fitted_once(self) -> None:
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(2, 400, 2))
        rows: list[HistoryRow] = []
        ot = BrenierMap(max_steps=STEPS, random_state=0, callbacks=rows.append).fit(x, y)
        assert ot.baseline_
        assert not any(row.refit for row in rows)

    def test_many_samples_are_fitted_once(self, monkeypatch) -> None:
        monkeypatch.setattr("brenier.estimators.sides.MOST_REFITTED", 599)
        monkeypatch.setattr("brenier.estimators.fitting.train_twice", None)
        BrenierMap(max_steps=1, random_state=0).fit(*clouds())


def row(step: int, progress: float) -> HistoryRow:
    return HistoryRow(step, 1.0, progress, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, True)


def end(stop: Stop, baseline: bool = False, restarts: int = 0, progress: float = 1.0) -> Outcome:
    return Outcome(Quadratic.identity(2), [row(1024, progress)], stop, baseline, restarts, best_step=384)


def scripted(first: Outcome, second: Outcome, config: TrainingConfig):
    """Fits whose ends are known; and how they were asked for."""
    calls: list = []

    def train(objective, config, until=None, **_) -> Outcome:
        calls.append((config, until))
        return {"part": first, "whole": second}[objective.coordinates]

    part, whole = (SimpleNamespace(coordinates=name) for name in ("part", "whole"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "train", train)
        outcome, coordinates = train_twice(part, whole, config)  # type: ignore[arg-type]
    return outcome, coordinates, calls


class TestSchedule:
    def test_steps(self) -> None:
        config = choose_config(2, 600, max_steps=1024)
        outcome, coordinates, calls = scripted(end(Stop.budget), end(Stop.reached), config)
        (first, none), (second, until) = calls
        assert (first.max_steps, none) == (1024, None)
        assert (second.max_steps, second.patience, until) == (1024, None, 384)
        assert (outcome.stop, outcome.best_step, coordinates) == (Stop.budget, 384, "whole")

    def test_seconds_are_shared_and_become_steps(self) -> None:
        config = choose_config(2, 600, max_steps=None, max_seconds=30.0)
        _, _, calls = scripted(end(Stop.patience, progress=0.8), end(Stop.reached), config)
        (first, _), (second, until) = calls
        assert (first.max_seconds, first.share) == (30.0, 0.48)
        assert (second.max_seconds, second.max_steps, until) == (None, 1280, 384)

    @pytest.mark.parametrize("first", [end(Stop.budget, baseline=True), end(Stop.interrupted), end(Stop.callback)])
    def test_no_second_fit(self, first: Outcome) -> None:
        outcome, coordinates, calls = scripted(first, end(Stop.reached), choose_config(2, 600))
        assert outcome is first
        # The Gaussian map needs no judge, so that it may as well be that of all samples.
        assert coordinates == ("whole" if first.baseline else "part")
        assert len(calls) == 1

    @pytest.mark.parametrize(
        ("second", "stop", "restarts"),
        [
            (end(Stop.interrupted), Stop.interrupted, 0),
            (end(Stop.callback), Stop.callback, 0),
            (end(Stop.reached, restarts=2), Stop.budget, 2),
        ],
    )
    def test_the_first_stands(self, second: Outcome, stop: Stop, restarts: int) -> None:
        first = end(Stop.budget)
        outcome, coordinates, _ = scripted(first, second, choose_config(2, 600))
        assert outcome.potential is first.potential
        assert (outcome.stop, outcome.restarts, coordinates) == (stop, restarts, "part")


@pytest.mark.parametrize(("rows", "held_out"), [(100, 30), (500, 150), (1500, 200), (5000, 500)])
def test_few_samples_hold_out_more(rows: int, held_out: int) -> None:
    values = np.random.default_rng(0).normal(size=(rows, 2))
    side = split_side(Sample("X", as_points(values, "X")), share=0.1, most=4096, least=200, seed=0)
    assert len(side.holdout) == held_out
    assert len(side.training) == rows - held_out
    whole = side.whole(np.random.default_rng(0))
    drawn = whole.source.draw(rows)
    np.testing.assert_array_equal(np.sort(drawn, axis=0), np.sort(values, axis=0))
    assert whole.size == rows


class TestJitter:
    def pool(self, source, size: int | None) -> tuple[Pool, QuadraticGeometry, TrainingConfig]:
        x, y = clouds()
        coordinates = QuadraticGeometry.between(moments(x), moments(y))
        config = choose_config(2, size)
        return Pool(source, source, coordinates, config, np.random.default_rng(0)), coordinates, config

    def test_draws_of_one_sample_differ_by_the_noise(self) -> None:
        x, _ = clouds()
        pool, coordinates, config = self.pool(ArrayStream(x, np.random.default_rng(0)), len(x))
        inside = coordinates.enter_x(x)
        distance = np.linalg.norm(pool.x[:, None] - inside[None], axis=2).min(axis=1)
        assert len(np.unique(pool.x, axis=0)) == config.pool
        # Root mean square over two coordinates, less what a nearer neighbour takes away.
        expected = config.jitter * np.sqrt(np.sum(coordinates.spread**2))
        assert 0.3 * expected < np.sqrt(np.mean(distance**2)) < expected

    def test_the_rule(self) -> None:
        assert choose_config(8, 800).jitter == pytest.approx(3.5 / 80)
        assert choose_config(2, 800).jitter == pytest.approx(0.25**0.25 * 3.5 / 40)
        assert choose_config(16, 200).jitter == pytest.approx(31 / 200)
        assert choose_config(16, 10).jitter == 0.25
        assert choose_config(2, None).jitter == 0.0

    def test_samplers_have_none(self) -> None:
        points = np.random.default_rng(1).normal(size=(1 << 15, 2))
        pool, coordinates, _ = self.pool(SamplerStream(lambda key, n: points[:n], 0, "X"), None)
        np.testing.assert_array_equal(pool.x, coordinates.enter_x(points))
