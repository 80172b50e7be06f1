"""Learning rates, tolerances and budgets, in steps and in seconds of a clock that the tests turn."""

import numpy as np
import pytest

from asserts import assert_at_most, assert_close
from brenier.training import schedule as module
from brenier.training.config import TrainingConfig
from brenier.training.schedule import Schedule


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def follow(schedule: Schedule, clock: Clock, seconds_a_step: float = 0.0, overhead: float = 0.0):
    """All cycles until the budget is used: rates, tolerances, and the time of each step."""
    rates, tolerances, sizes = [], [], []
    while True:
        rate, tolerance = schedule.next_cycle(sum(sizes))
        assert len(rate) == len(tolerance)
        if not len(rate):
            return np.concatenate(rates), np.concatenate(tolerances), sizes
        rates.append(rate)
        tolerances.append(tolerance)
        sizes.append(len(rate))
        clock.now += overhead + seconds_a_step * len(rate)
        overhead = 0.0
        assert sum(sizes) < 100_000, "the budget is never used"


@pytest.mark.parametrize("max_steps", [1, 64, 1000, 4096])
def test_a_budget_in_steps_is_used_exactly(max_steps, clock):
    config = TrainingConfig(max_steps=max_steps, cycle=64, learning_rate=0.5, tolerance=(0.1, 0.01))
    rates, tolerances, sizes = follow(Schedule(config), clock)
    assert sum(sizes) == max_steps
    assert_at_most(sizes, 64, "steps of a cycle")
    k = np.arange(max_steps)
    decay = 0.5 * (1 + np.cos(np.pi * k / max_steps))
    # Single precision.
    assert_close(rates, 0.5 * decay * np.minimum(1, (k + 1) / 100), rtol=1e-6, atol=1e-9)
    assert_close(tolerances, 0.01 + 0.09 * decay, rtol=1e-6)
    assert tolerances[0] == np.float32(0.1)


def test_rates_warm_up_once_and_end_at_zero(clock):
    rates, _, _ = follow(Schedule(TrainingConfig(max_steps=4096, learning_rate=1.0)), clock)
    assert_close(rates[0], 0.01, rtol=1e-6)
    assert np.argmax(rates) == 99
    assert_close(rates[99], 1.0, atol=2e-3)  # the cosine has fallen a little by then
    assert_at_most(np.diff(rates[99:]), 0.0, "change of the rate after the warm-up")
    assert_at_most(rates[-1], 1e-6, "last rate")


def test_the_factor_scales_rates_and_nothing_else(clock):
    config = TrainingConfig(max_steps=100)
    whole, half = Schedule(config), Schedule(config)
    half.factor = 0.5
    for plain, scaled, share in zip(whole.next_cycle(0), half.next_cycle(0), (0.5, 1.0), strict=True):
        assert_close(scaled, share * plain, rtol=1e-6)


@pytest.mark.parametrize("reserve", [0.0, 1.0])
def test_a_budget_in_seconds_ends_before_its_time_with_a_rate_near_zero(reserve, clock):
    config = TrainingConfig(max_steps=None, max_seconds=20.0, cycle=64, learning_rate=1.0)
    schedule = Schedule(config)
    schedule.reserve = reserve
    rates, tolerances, sizes = follow(schedule, clock, seconds_a_step=0.005, overhead=4.0)
    # The compilation uses four of 20 seconds; less than one cycle of 0.32 s is left over.
    assert 20.0 - reserve - 0.32 < schedule.seconds <= 20.0 - reserve
    assert schedule.ended
    # The last cycles were planned: half a cosine over 48 of them has fallen to pi^2 / 4 / 48^2 / 64^2 one step before
    # its end.
    assert_at_most(rates[-1], 1e-6, "last rate")
    assert_close(tolerances[-1], 0.01, rtol=1e-2)
    assert_at_most(np.diff(rates[200:]), 1e-7, "change of the rate after the warm-up")
    # From the third cycle on the speed is known, and the position moves evenly.
    position = np.arange(sum(sizes) - 128) / (sum(sizes) - 128)
    assert_close(rates[128:], 0.5 * (1 + np.cos(np.pi * position)), atol=1e-5)


def test_a_machine_that_slows_down_still_ends_on_time(clock):
    config = TrainingConfig(max_steps=None, max_seconds=20.0, cycle=64, learning_rate=1.0)
    schedule = Schedule(config)
    steps, rate, speed = 0, [1.0], 0.005
    while len(cycle := schedule.next_cycle(steps)[0]):
        steps, rate = steps + len(cycle), cycle
        speed = 0.005 if schedule.seconds < 10 else 0.01
        clock.now += speed * len(cycle)
    # The mean of both speeds is what the schedule knows: it may plan one cycle too many.
    assert 20.0 - 0.64 < schedule.seconds <= 20.0 + 0.64
    assert_at_most(rate[-1], 1e-2, "last rate")


def test_with_both_budgets_the_one_used_up_first_ends_the_fit(clock):
    both = {"max_steps": 1000, "max_seconds": 20.0, "cycle": 50}
    assert sum(follow(Schedule(TrainingConfig(**both)), clock, seconds_a_step=0.001)[2]) == 1000
    rates, _, sizes = follow(Schedule(TrainingConfig(**both)), clock, seconds_a_step=0.1)
    assert sum(sizes) == 200
    assert_at_most(rates[-1], 1e-2 * rates.max(), "last rate")


def test_seconds_count_from_the_start_that_is_given(clock):
    config = TrainingConfig(max_steps=None, max_seconds=10.0)
    assert Schedule(config, started=clock.now - 4.0).progress(7) == pytest.approx(0.4)
    assert Schedule(config).progress(7) == 0.0
    late = Schedule(config, started=clock.now - 11.0)
    # One cycle is taken however late it is.
    assert [len(part) for part in late.next_cycle(0)] == [config.cycle, config.cycle]
    assert [len(part) for part in late.next_cycle(config.cycle)] == [0, 0]


def test_a_fit_that_shares_its_budget_ends_at_its_part_of_what_compilation_leaves(clock) -> None:
    """Compilation of 40 s is paid once; a share of a half then ends at 40 + (100 - 40) / 2 = 70 s."""
    schedule, start = Schedule(TrainingConfig(max_steps=None, max_seconds=100.0, share=0.5, cycle=10)), clock.now
    steps, seconds = 0, 40.0
    while len(schedule.next_cycle(steps)[0]):
        steps, clock.now = steps + 10, clock.now + seconds
        seconds = 2.0
    assert 66.0 <= clock.now - start <= 70.0
    assert schedule.progress(steps) == pytest.approx((clock.now - start) / 70.0)
