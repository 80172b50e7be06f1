"""What training and maps cost, in counts that do not depend on the machine."""

import importlib.util
import tracemalloc
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier import BrenierMap
from brenier.geometry import Moments, QuadraticGeometry
from brenier.maps import TransportMap
from brenier.potentials import ICNN
from brenier.training import HistoryRow, choose_config
from brenier.training.step import Batches, Context, run_steps, start


def lognormal(key, n: int) -> np.ndarray:
    return np.exp(0.6 * np.random.default_rng(np.asarray(key)).standard_normal((n, 8)))


def normal(key, n: int) -> np.ndarray:
    return np.random.default_rng(np.asarray(key)).standard_normal((n, 8))


@pytest.fixture(scope="module")
def rows() -> list[HistoryRow]:
    return BrenierMap(max_steps=1024, random_state=0).fit(normal, lognormal).history_


def test_gradients_a_step(rows: list[HistoryRow]) -> None:
    # Warm starts: a cold start takes seven and more. The first cycles, where the map moves fast, take the most.
    evaluations = [row.evaluations for row in rows]
    assert 1.0 <= evaluations[-1] <= 3.2
    assert max(evaluations) <= 3.6


def test_the_second_fit_compiles_no_step_anew() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((900, 3)), np.exp(0.7 * rng.standard_normal((900, 3)))
    before = run_steps._cached._cache_size()
    rows: list[HistoryRow] = []
    BrenierMap(max_steps=256, random_state=0, callbacks=rows.append).fit(x, y)
    assert any(row.refit for row in rows)
    assert run_steps._cached._cache_size() - before <= 1


@pytest.mark.filterwarnings("ignore:Some donated buffers")  # the calls themselves say so to nobody
@pytest.mark.parametrize(("dim", "megabytes"), [(8, 3.0), (64, 6.5)])
def test_memory_of_a_step(dim: int, megabytes: float) -> None:
    config = choose_config(dim, None)
    u = ICNN(dim, config.widths, rng=np.random.default_rng(0), sharpness=config.sharpness)
    points = jnp.zeros((4096, dim), jnp.float32)
    static = eqx.filter(u, eqx.is_inexact_array, inverse=True)
    context = Context(
        config.solver, config.rounds, config.unconverged, config.usable, jnp.ones(dim), static, points, points
    )
    state = start(u, points, config.solver)

    def temporary(steps: int) -> float:
        slots, rates = jnp.zeros((steps, config.batch), jnp.int32), jnp.zeros(steps, jnp.float32)
        compiled = run_steps.lower(context, state, Batches(slots, slots, rates, rates)).compile().compiled
        return compiled.memory_analysis().temp_size_in_bytes / 2**20

    assert temporary(8) <= megabytes
    # All steps of a chunk share their memory.
    assert temporary(64) <= 1.1 * temporary(8)


@pytest.mark.parametrize("direction", ["forward", "inverse_with_status"])
def test_memory_of_a_map_does_not_grow_with_the_rows(direction: str) -> None:
    rng = np.random.default_rng(0)
    standard = Moments(np.zeros(3), np.eye(3), 0)
    u = ICNN(3, (8, 8, 4), rng=rng)
    call = getattr(TransportMap(QuadraticGeometry.between(standard, standard), u), direction)
    points = rng.standard_normal((3 << 17, 3))
    call(points[: 1 << 16])

    def extra(rows: int) -> float:
        tracemalloc.start()
        results = jax.tree.leaves(call(points[:rows]))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return (peak - sum(array.nbytes for array in results)) / 2**20

    # One more copy of 262,144 more points would take 6 MB.
    assert extra(3 << 17) < extra(1 << 17) + 1.0


def test_the_inference_benchmark_counts_the_rounds_of_an_inverse(shared_data: Path, monkeypatch) -> None:
    path = Path(__file__).parents[1] / "benchmarks" / "inference.py"
    spec = importlib.util.spec_from_file_location("inference", path)
    inference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(inference)
    monkeypatch.setattr(inference, "STEPS", 256)
    found = inference.measure(shared_data / "w2bench" / "2.npz", rows=16384, rounds=1)
    assert found["unconverged"] == 0.0
    # Eight with curvature that is learned on the way; a gradient is needed to see that a guess is a root.
    assert 1.0 <= found["inverse_rounds"] <= 10.0
