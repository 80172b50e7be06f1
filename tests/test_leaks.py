"""Many fits in one process: nothing is compiled again, and no array stays behind."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
import pytest

from brenier.training.step import run_steps

PROGRAM = Path(__file__).parents[1] / "benchmarks" / "leaks.py"


@pytest.fixture(scope="module")
def leaks() -> ModuleType:
    """The long run, whose single fit is taken from it."""
    spec = importlib.util.spec_from_file_location("leaks", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def compiled(leaks: ModuleType) -> Iterator[Any]:
    counter = leaks.Compilations()
    yield counter
    counter.stop()


def test_the_count_of_compilations_counts(compiled) -> None:
    jax.jit(lambda x: x * 3.0 + len("a program of its own"))(np.ones(3))
    assert compiled.count == 1


@pytest.mark.filterwarnings("ignore::brenier.DataWarning", "ignore::brenier.ConvergenceWarning")
def test_more_fits_of_one_shape_compile_nothing_and_leave_nothing(leaks, compiled) -> None:
    for seed in range(3):
        leaks.use((96, 96), seed)
    live, before = len(jax.live_arrays()), compiled.count
    for seed in range(3, 23):
        leaks.use((96, 96), seed)
    assert compiled.count == before
    assert len(jax.live_arrays()) <= live


@pytest.mark.filterwarnings("ignore::brenier.DataWarning", "ignore::brenier.ConvergenceWarning")
def test_other_numbers_of_rows_share_the_program_of_the_steps(leaks, compiled) -> None:
    leaks.use((300, 330), 0)
    programs, before = run_steps._cached._cache_size(), compiled.count
    for rows in ((301, 329), (340, 320), (380, 290)):
        leaks.use(rows, 0)
    assert run_steps._cached._cache_size() == programs
    # A slice or two that is cut to the number of rows, and not the look at the held-out points.
    assert compiled.count - before <= 2 * 3
