"""What is certain about the distance: bounds on populations and on samples, beside the exact answers.

A process for each problem fits a pair for a budget in seconds, then asks for the distance on points that the fit has
not seen. `population_lower` and `w2` are divided by the true distance of the populations: in closed form for Gaussians,
from four million points for the pairs of the Wasserstein-2 benchmark. The interval is that of `--samples` points a
side, divided by the same number.

    python benchmarks/certificates.py --data ../shared/data
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

PAIRS = {"w2bench/2.npz": 60, "w2bench/8.npz": 60, "w2bench/16.npz": 60, "w2bench/64.npz": 120}
GAUSSIANS = {f"gaussians/{dim}D_Test_Distributions.npz": 20 for dim in (2, 8, 16, 64)}
CHUNK = 1 << 17
EXACT_CHUNKS = 32


def draw(sample: Callable, seed: int, rows: int) -> np.ndarray:
    """Points of a sampler that no fit has seen."""
    parts = [sample(np.array([seed, k], np.uint32), min(CHUNK, rows - k * CHUNK)) for k in range(-(-rows // CHUNK))]
    return np.concatenate(parts).astype(np.float64)


def true_w2(pair: object) -> float:
    """The distance of the populations."""
    if hasattr(pair, "w2"):
        return pair.w2
    squares = []
    for k in range(EXACT_CHUNKS):
        x = pair.sample_source(np.array([8, k], np.uint32), CHUNK)
        squares.append(np.mean(np.sum(np.square(np.asarray(pair.transport(x), np.float64) - x), axis=1)))
    return float(np.sqrt(np.mean(squares)))


def measure(path: Path, seconds: float, held_out: int, samples: int) -> dict[str, object]:
    """One problem, in this process."""
    from brenier import BrenierMap
    from brenier.datasets import GaussianPair, Wasserstein2Pair

    pair = (GaussianPair if "gaussians" in str(path) else Wasserstein2Pair).load(path)
    ot = BrenierMap(scale="none", max_seconds=seconds, random_state=0).fit(pair.sample_source, pair.sample_target)
    x, y = draw(pair.sample_source, 6, held_out), draw(pair.sample_target, 7, held_out)
    since = time.perf_counter()
    found = ot.distance(x, y, empirical=False)
    population_seconds = time.perf_counter() - since
    since = time.perf_counter()
    interval = ot.distance(x[:samples], y[:samples])
    interval_seconds = time.perf_counter() - since
    truth = true_w2(pair)
    return {
        "problem": str(path.parent.name) + f", d = {pair.dim}",
        "true_w2": truth,
        "w2": found.w2 / truth,
        "population_lower": found.population_lower / truth,
        "inexact": found.inexact / found.value,
        "unconverged": found.unconverged,
        "seconds": population_seconds,
        "lower": interval.lower / truth,
        "upper": interval.upper / truth,
        "width_percent": 100 * interval.empirical_gap[1],
        "method": interval.empirical.method,
        "interval_seconds": interval_seconds,
    }


def main() -> None:
    """Measure every problem and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--held-out", type=int, default=100_000)
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--only", help="one problem, in this process, such as w2bench/2.npz; prints JSON")
    options = parser.parse_args()
    problems = PAIRS | GAUSSIANS
    if options.only:
        found = measure(options.data / options.only, problems[options.only], options.held_out, options.samples)
        print(json.dumps(found))
        return
    for place, name in enumerate(problems):
        sizes = ["--held-out", str(options.held_out), "--samples", str(options.samples)]
        command = [sys.executable, __file__, "--only", name, "--data", str(options.data), *sizes]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        if place == 0:
            print("| " + " | ".join(found) + " |\n" + "|---" * len(found) + "|")
        cells = (cell if isinstance(cell, str) else f"{cell:.5g}" for cell in found.values())
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
