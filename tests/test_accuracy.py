"""Long runs: the accuracy that the project promises, on maps that are known and on measured data.

Budgets are in steps, fewer than the published budgets in seconds buy on one core, so that a slow machine changes how
long these take and not whether they pass.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from brenier.datasets import GaussianPair, Wasserstein2Pair
from brenier_bench.exact import bench_gaussian, bench_w2

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
HOUR = 3600


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("dim", "steps", "forward", "inverse"),
    [(2, 8192, 0.10, 0.08), (4, 8192, 0.45, 0.13), (8, 6144, 0.90, 0.30), (16, 6144, 0.80, 0.40), (64, 3072, 4.5, 0.5)],
)
def test_wasserstein2_benchmark_pairs(dim, steps, forward, inverse, seed, shared_data):
    pair = Wasserstein2Pair.load(shared_data / f"w2bench/{dim}.npz")
    found = bench_w2(pair, seconds=HOUR, seed=seed, started=time.perf_counter(), max_steps=steps)
    assert found["steps"] == steps
    assert found["l2_uvp_forward"] <= forward
    assert found["l2_uvp_inverse"] <= inverse
    assert found["unconverged_fraction"] == 0


@pytest.mark.parametrize("dim", [2, 4, 8, 16, 64])
def test_gaussian_pairs(dim, shared_data):
    pair = GaussianPair.load(shared_data / f"gaussians/{dim}D_Test_Distributions.npz")
    found = bench_gaussian(pair, seconds=HOUR, seed=0, started=time.perf_counter(), max_steps=512)
    assert found["l2_uvp_forward"] <= 0.02
    assert found["l2_uvp_inverse"] <= 0.02
    assert found["w2"] == pytest.approx(found["w2_exact"], rel=0.03)


def test_measured_events_half_the_distance_of_the_gaussian_map_and_there_and_back(shared_data):
    command = [
        sys.executable,
        "benchmarks/events.py",
        "--data",
        shared_data / "physics/magic04.data",
        "--splits",
        "4",
        "--json",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    splits = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(splits) == 4
    for split in splits:
        assert split["ratio"] <= 0.5
        assert split["returned"] >= 0.999
        assert split["lost_unnamed"] == 0
