"""Cost of the map at inference, beside one bare evaluation of its network on the same points.

Fits a pair of the Wasserstein-2 benchmark for a short time, in a process for each dimension, then takes the median
over rounds of alternating calls on a million points: the network's value, compiled and in batches of the same size,
then `forward` and `inverse` of the map, with their checks and changes of coordinates. Memory is what the process's peak
grows by in the first call of each on all points, beyond its result.

    python benchmarks/inference.py --data ../shared/data
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

DIMS = (2, 8, 16, 64)
STEPS = 1024
BATCH = 8192


def peak() -> float:
    """Peak resident memory in megabytes (Linux counts in kilobytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(path: Path, rows: int, rounds: int) -> dict[str, float]:
    """One dimension, in this process."""
    import equinox as eqx

    from brenier import BrenierMap
    from brenier.datasets import Wasserstein2Pair

    pair = Wasserstein2Pair.load(path)
    ot = BrenierMap(scale="none", max_steps=STEPS, random_state=0).fit(pair.sample_source, pair.sample_target)
    x = np.concatenate([pair.sample_source(np.array([9, k]), 1 << 16) for k in range(-(-rows // (1 << 16)))])[:rows]
    x = x.astype(np.float64)
    inner = ot.map_.geometry.enter_x(x)
    value = eqx.filter_jit(lambda u, points: u(points))

    def bare() -> None:
        for start in range(0, rows, BATCH):
            value(ot.map_.potential, inner[start : start + BATCH]).block_until_ready()

    y = ot.map_.forward(x[:BATCH])
    ot.map_.inverse(y)
    before = peak()
    y = ot.map_.forward(x)
    forward_memory = peak() - before - y.nbytes / 2**20
    before = peak()
    back = ot.map_.inverse_with_status(y)
    inverse_memory = peak() - before - sum(part.nbytes for part in back if part is not None) / 2**20
    times: dict[str, list[float]] = {"bare": [], "forward": [], "inverse": []}
    bare()
    for _ in range(rounds):
        calls = {"bare": bare, "forward": lambda: ot.map_.forward(x), "inverse": lambda: ot.map_.inverse_with_status(y)}
        for name, call in calls.items():
            since = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - since)
    seconds = {name: statistics.median(values) for name, values in times.items()}
    return {
        "dim": pair.dim,
        "bare_seconds": seconds["bare"],
        "forward": seconds["forward"] / seconds["bare"],
        "inverse": seconds["inverse"] / seconds["bare"],
        "inverse_rounds": float(back.steps.mean()),
        "unconverged": float(np.mean(~back.converged)),
        "forward_extra_mb": forward_memory,
        "inverse_extra_mb": inverse_memory,
        "points_mb": x.nbytes / 2**20,
    }


def main() -> None:
    """Measure every dimension and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--dims", type=int, nargs="+", default=DIMS)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--here", action="store_true", help="one dimension, in this process; prints JSON")
    options = parser.parse_args()
    if options.here:
        found = measure(options.data / "w2bench" / f"{options.dims[0]}.npz", options.rows, options.rounds)
        print(json.dumps(found))
        return
    for dim in options.dims:
        sizes = ["--dims", str(dim), "--rows", str(options.rows), "--rounds", str(options.rounds)]
        command = [sys.executable, __file__, "--here", "--data", str(options.data), *sizes]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        if dim == options.dims[0]:
            print("| " + " | ".join(found) + " |\n" + "|---" * len(found) + "|")
        print("| " + " | ".join(f"{number:.3g}" for number in found.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
