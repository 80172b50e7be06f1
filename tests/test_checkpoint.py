"""A fit that was cut off and taken up again ends at the map of one that was not, bit for bit."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from brenier import BrenierDensity, BrenierMap, Training
from brenier._states import pack, unpack
from brenier.checkpoint import keeping
from brenier.costs import PNorm
from brenier.data.streams import ArrayStream, SamplerStream
from brenier.data.weights import WeightedStream
from brenier.estimators.conditioned import BalancedStream
from brenier.training import TrainingConfig
from brenier.training.schedule import Schedule
from checkpointing import SMALL, clouds, cut_off, fit, result

Fitting = Callable[[Path | None], Any]


@pytest.fixture(autouse=True)
def _at_every_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "COST", float("inf"))


def on_samplers(folder: Path | None) -> BrenierMap:
    def normal(key, n):
        return jax.random.normal(key, (n, 2))

    def other(key, n):
        return np.exp(0.9 * np.random.default_rng(np.asarray(key)).normal(size=(n, 2)))

    return BrenierMap(**SMALL).fit(normal, other, checkpoint=folder)


def with_weights(folder: Path | None) -> BrenierMap:
    x, y = clouds()
    a, b = np.random.default_rng(6).uniform(0.2, 1.0, size=(2, len(x)))
    return BrenierMap(**SMALL).fit(x, y, x_weight=a, y_weight=b, checkpoint=folder)


def with_conditions(folder: Path | None) -> BrenierMap:
    x, y = clouds(1200)
    labels = np.arange(len(x)) % 2
    y[labels == 0] *= -1.0
    ot = BrenierMap(**SMALL).set_params(max_steps=384, training__learning_rate=0.02)
    return ot.fit(x, y, x_condition=labels, y_condition=labels, checkpoint=folder)


def with_another_cost(folder: Path | None) -> BrenierMap:
    return fit(folder, cost=PNorm(1.5))


def in_eight_dimensions(folder: Path | None) -> BrenierMap:
    """Only a part of the pool is replaced, so that conjugates and the solver's memory of them live on."""
    x, y = clouds(dim=8)
    return BrenierMap(**SMALL | {"max_steps": 384}).fit(x, y, checkpoint=folder)


def in_many_dimensions(folder: Path | None) -> BrenierMap:
    """The same with more than 16, where the solver remembers pairs instead of a matrix."""
    x, y = clouds(dim=17)
    return BrenierMap(**SMALL | {"max_steps": 384}).fit(x, y, checkpoint=folder)


def of_a_density(folder: Path | None) -> BrenierDensity:
    settings = Training(hidden=[16, 16], batch_size=256)
    return BrenierDensity(max_steps=256, training=settings, random_state=0).fit(clouds()[1], checkpoint=folder)


def with_noise(folder: Path | None) -> BrenierMap:
    x, y = (np.round(4.0 * side) / 4.0 for side in clouds())
    return BrenierMap(dequantize=0.25, **SMALL).fit(x, y, checkpoint=folder)


@pytest.fixture(scope="module")
def whole() -> dict[Any, Any]:
    """Results of uninterrupted fits, each made once."""
    return {}


@pytest.mark.parametrize(
    ("fitting", "save", "refit"),
    [
        (fit, 1, False),
        (fit, 3, False),
        (fit, 4, True),
        (on_samplers, 1, False),
        (with_weights, 4, True),
        (with_conditions, 2, False),
        (with_conditions, 5, True),
        (with_another_cost, 1, False),
        (in_eight_dimensions, 2, False),
        (in_many_dimensions, 2, False),
        (with_noise, 1, False),
        (of_a_density, 2, False),
    ],
)
def test_the_map_is_that_of_an_uninterrupted_fit(
    fitting: Fitting, save: int, refit: bool, whole: dict[Any, Any], tmp_path: Path
) -> None:
    if fitting not in whole:
        whole[fitting] = result(fitting(None))
    cut_off(lambda: fitting(tmp_path / "work"), save)
    fitted = fitting(tmp_path / "work")
    assert fitted.resumed_.refit is refit
    assert fitted.resumed_.step > 0
    assert result(fitted) == whole[fitting]
    assert not fitted.baseline_


def test_cut_off_again_and_again(whole: dict[Any, Any], tmp_path: Path) -> None:
    if fit not in whole:
        whole[fit] = result(fit(None))
    steps = []
    for _ in range(5):
        cut_off(lambda: fit(tmp_path / "work", callbacks=lambda row: steps.append(row.step) and None), 1)
    assert result(fit(tmp_path / "work")) == whole[fit]
    assert steps == [128, 256, 128]


def test_a_diverging_fit(tmp_path: Path) -> None:
    options = {"training__learning_rate": 50.0, "max_steps": 640, "refit": False}
    with pytest.warns(match="diverged"):
        expected = result(fit(None, **options))
    cut_off(lambda: fit(tmp_path / "work", **options), 2)
    with pytest.warns(match="diverged"):
        assert result(fit(tmp_path / "work", **options)) == expected


def test_a_fit_that_has_ended_is_only_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = fit(tmp_path)
    monkeypatch.setattr("brenier.training.dual.run_steps", None)
    again = fit(tmp_path)
    assert again.resumed_ == keeping.Resumed(256, True, True)
    assert result(again) == result(first)
    assert first.resumed_ is None


def test_a_fit_without_a_seed_keeps_that_of_its_start(tmp_path: Path) -> None:
    cut_off(lambda: fit(tmp_path / "a", random_state=None), 1)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    one, two = (fit(tmp_path / name, random_state=None) for name in "ab")
    assert one.resumed_.step == two.resumed_.step == 128
    assert result(one) == result(two)
    assert result(fit(tmp_path / "c", random_state=None)) != result(one)


class TestPace:
    def test_saves_cost_a_fiftieth_of_the_time(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.undo()
        now = [100.0]
        monkeypatch.setattr(keeping.time, "perf_counter", lambda: now[0])
        with keeping.open_checkpoints(tmp_path) as checkpoints:
            monkeypatch.setattr(checkpoints._folder, "save", lambda *_: now.__setitem__(0, now[0] + 2.0))
            assert checkpoints.due()
            checkpoints.save("only", {"ended": None, "steps": 1})
            assert not checkpoints.due()
            now[0] += 99.0
            assert not checkpoints.due()
            now[0] += 1.0
            assert checkpoints.due()

    def test_seconds_of_both_processes_count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [0.0]
        monkeypatch.setattr(time, "perf_counter", lambda: now[0])
        config = TrainingConfig(max_steps=None, max_seconds=100.0)

        def take(schedule: Schedule, steps: int, seconds: float) -> int:
            rates, _ = schedule.next_cycle(steps)
            now[0] += seconds
            return steps + len(rates)

        before = Schedule(config, 0.0)
        steps = 0
        for seconds in (20.0, 10.0, 10.0):
            steps = take(before, steps, seconds)
        assert before.progress(steps) == pytest.approx(0.4)
        saved = before.state()
        now[0] = 1000.0
        after = Schedule(config, 995.0)  # five seconds before the loop begins
        after.restore(saved, steps)
        assert after.progress(steps) == pytest.approx(0.45)
        steps = take(after, steps, 15.0)  # compiles again
        for seconds in (10.0, 10.0):
            steps = take(after, steps, seconds)
        position = after._position
        rates, _ = after.next_cycle(steps)
        # 80 seconds are used; chunks take ten, whatever was compiled in between, so that two more fit in.
        assert len(rates) == config.cycle
        assert after._position == pytest.approx(position + (1.0 - position) / 2)
        assert after._seconds_a_step == pytest.approx(10.0 / config.cycle)


SOURCES = {
    "array": lambda: ArrayStream(clouds()[0], np.random.default_rng(1)),
    "weighted": lambda: WeightedStream(clouds()[0], np.linspace(0.1, 1.0, 600), np.random.default_rng(1)),
    "balanced": lambda: BalancedStream(
        np.column_stack([clouds()[0], np.arange(600) % 2]), np.full(600, 1 / 600), 2, np.random.default_rng(1)
    ),
    "sampler": lambda: SamplerStream(lambda key, n: jax.random.normal(key, (n, 2)), 3, "X"),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_goes_on_where_another_stood(kind: str) -> None:
    source = SOURCES[kind]()
    source.draw(257)
    state = source.state()
    expected = [source.draw(n) for n in (100, 700)]
    content = pack(state)
    other = SOURCES[kind]()
    other.restore(unpack(content))
    for points in expected:
        np.testing.assert_array_equal(other.draw(len(points)), points)


def test_a_state_comes_back_as_it_was() -> None:
    state = {
        "a": [np.arange(3), np.empty((0, 2), np.int64), np.array(2.5), {"b": np.array([True, False])}],
        "c": {"n": 2**127, "f": 0.1, "none": None, "scalar": np.float32(0.5)},
    }
    content = pack(state)
    back = unpack(content)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(back), strict=True):
        assert np.shape(a) == np.shape(b)
        assert a == b if np.isscalar(b) else (np.array_equal(a, b) and a.dtype == b.dtype)


def test_no_byte_of_a_state_can_change_unseen() -> None:
    """What is read is what was written, or nothing: of names, types, shapes and entries alike."""
    state = {"a": np.arange(3, dtype=np.float32), "b": np.arange(3, 6, dtype=np.int32), "c": [1.5, None]}
    content = pack(state)

    def read_or_refuse(changed: bytes) -> bool:
        try:
            back = unpack(changed)
        except ValueError:
            return False
        assert back["c"] == state["c"]
        assert all(np.array_equal(back[name], state[name]) and back[name].dtype == state[name].dtype for name in "ab")
        return True

    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 0x01
        read_or_refuse(bytes(changed))
    swapped = content.replace(b'"0":', b'"?":').replace(b'"1":', b'"0":').replace(b'"?":', b'"1":')
    for changed in (swapped, content.replace(b'"F32"', b'"I32"'), content.replace(b'"shape":[3]', b'"shape":[03]')):
        assert changed != content
        assert not read_or_refuse(changed)
    assert read_or_refuse(content)
