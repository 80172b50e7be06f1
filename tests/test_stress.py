"""Hard problems: a few small ones at every run, two hundred of any size as a long run; and checks that can fail."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import brenier_bench.stress_checks as stress_checks
from asserts import assert_same
from brenier import BrenierMap, TransportMap
from brenier.training.holdout import Holdout
from brenier_bench.stress import SHAPES, StressProblem
from brenier_bench.stress_checks import FAILURES, examine

DIM, ROWS, STEPS = 3, 200, 64
KEPT = 8
"""Seed of a small problem whose network is better than the Gaussian map."""


def small(seed: int) -> StressProblem:
    """A problem with few columns, and rows enough for a network; all of one size, so that they share their programs."""
    problem = StressProblem.drawn(seed, dims=(DIM,))
    source, target = (replace(cloud, rows=ROWS) for cloud in (problem.source, problem.target))
    return replace(problem, source=source, target=target)


@pytest.mark.parametrize("seed", range(12))
def test_small_problems_are_solved_or_say_what_is_wrong(seed: int) -> None:
    record = examine(small(seed), steps=STEPS, again=seed in (5, KEPT))
    assert record[FAILURES] == []
    if record["refused"] is None:
        assert record["certified"]
        assert record["unconverged"] == 0
    else:
        assert "constant columns" in record["refused"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200))
def test_problems_of_any_size_are_solved_or_say_what_is_wrong(seed: int) -> None:
    record = examine(StressProblem.drawn(seed))
    assert record[FAILURES] == []
    assert record["refused"] is None or "constant columns" in record["refused"]


def test_a_seed_is_one_problem_and_other_draws_are_other_points_of_it() -> None:
    problem = small(5)
    assert problem == small(5)
    assert problem != small(6)
    first, again, other = (problem.points((50, 60), draw)[0] for draw in (0, 0, 1))
    assert_same(first, again)
    assert not np.any(first == other)
    assert str(problem).startswith("seed 5: 3 columns")


def test_two_hundred_seeds_reach_both_ends_of_every_range() -> None:
    problems = [StressProblem.drawn(seed) for seed in range(200)]
    clouds = [cloud for problem in problems for cloud in (problem.source, problem.target)]
    assert {1, 200} <= {problem.dim for problem in problems}
    assert {cloud.shape for cloud in clouds} == set(SHAPES)
    assert min(cloud.rows for cloud in clouds) < 25
    assert max(cloud.rows for cloud in clouds) > 80_000
    assert max(cloud.condition for cloud in clouds) > 5e7
    assert max(problem.target.place - problem.source.place for problem in problems) > 5e5
    assert min(problem.unit for problem in problems) < 1e-11
    assert max(problem.unit for problem in problems) > 1e11


def falsely_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = TransportMap.inverse_with_status

    def inverse(self: TransportMap, *args: Any, **options: Any) -> Any:
        found = exact(self, *args, **options)
        return found._replace(points=found.points + 1e-4 * found.points.std(axis=0))

    monkeypatch.setattr(TransportMap, "inverse_with_status", inverse)


def not_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BrenierMap, "interpolate", lambda self, X, t: np.where(X > np.max(X[:, 0]) - 1e-9, np.nan, X))


def narrow_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = stress_checks.empirical_interval

    def interval(*args: Any, **options: Any) -> Any:
        found = exact(*args, **options)
        return found._replace(upper=0.5 * (found.lower + found.upper)) if options else found

    monkeypatch.setattr(stress_checks, "empirical_interval", interval)


def flattered_dual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Holdout, "dual", lambda self, value: self._offset + self._unit**2 * abs(value.objective))


def crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TransportMap, "forward", lambda self, X, condition=None: 1 // 0)


@pytest.mark.parametrize(
    ("break_", "said"),
    [
        (falsely_solved, "misses its tolerance"),
        (not_a_number, "`interpolate` is not finite"),
        (narrow_interval, "interval"),
        (flattered_dual, "above the cost"),
        (crash, "raised ZeroDivisionError"),
    ],
)
def test_what_is_broken_is_found(break_: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    break_(monkeypatch)
    record = examine(small(KEPT), steps=STEPS, again=False)
    assert any(said in failure for failure in record[FAILURES]), record
