"""Ten thousand fits in one process: whether memory stays flat, and whether anything is compiled again.

Every fit has new data of one shape and a new seed, trains a network for a few steps, and is then used once in every
direction. Every thousand fits one line: resident memory after a collection of garbage, live JAX arrays, programs
compiled since the last line, and seconds a fit. `--sizes` draws so many different numbers of rows instead, and counts
what each of them compiles.

    python benchmarks/leaks.py --fits 10000
    python benchmarks/leaks.py --sizes 20
"""

import argparse
import gc
import os
import time
import warnings
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np

from brenier import BrenierMap, ConvergenceWarning, DataWarning, Training

COMPILATION = "/jax/core/compile/backend_compile_duration"
DIM, ROWS, STEPS = 2, 96, 2


class Compilations:
    """Counts programs that XLA compiles, from its construction on."""

    def __init__(self) -> None:
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._heard)

    def stop(self) -> None:
        """Hear no more."""
        jax.monitoring.unregister_event_duration_listener(self._heard)

    def _heard(self, event: str, duration: float, **_: object) -> None:
        self.count += event == COMPILATION


def use(rows: tuple[int, int], seed: int, new: int = 40) -> None:
    """One fit, and everything a map is for, once."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((rows[0], DIM)), np.exp(0.5 * rng.standard_normal((rows[1], DIM)))
    ot = BrenierMap(
        max_steps=STEPS, training=Training(hidden=(8, 8), pool_size=256), refit=False, holdout=0.3, random_state=seed
    )
    ot.fit(x, y)
    assert ot.history_, "no network was trained"
    ot.transform(x[:new])
    ot.inverse_transform(y[:new], return_status=True, return_error=True)
    ot.distance(x[:new], y[:new])


def resident() -> float:
    """Memory of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def repeat(fits: int, every: int, seconds: float) -> None:
    """Fits of one shape."""
    compiled = Compilations()
    print("| fits | resident MB | live arrays | compiled | seconds a fit |\n|---|---|---|---|---|", flush=True)
    started = since = time.perf_counter()
    last = 0
    for number in range(fits + 1):
        use((ROWS, ROWS), number)
        ended = time.perf_counter() - started > seconds or number == fits
        if number in (0, every // 10) or number % every == 0 or ended:
            gc.collect()
            took = (time.perf_counter() - since) / max(number - last, 1)
            live = len(jax.live_arrays())
            print(f"| {number} | {resident():.1f} | {live} | {compiled.count} | {took:.3f} |", flush=True)
            compiled.count, last, since = 0, number, time.perf_counter()
        if ended:
            return


def sizes(count: int, seed: int) -> None:
    """Fits of different shapes."""
    rng, compiled = np.random.default_rng(seed), Compilations()
    print("| rows | compiled |\n|---|---|")
    for number in range(count):
        rows = (int(rng.integers(80, 4000)), int(rng.integers(80, 4000)))
        use(rows, number, new=int(rng.integers(20, 80)))
        print(f"| {rows[0]} and {rows[1]} | {compiled.count} |", flush=True)
        compiled.count = 0


def main() -> None:
    """Print one of the two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fits", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after so long, whatever was reached")
    parser.add_argument("--sizes", type=int, default=0, help="so many fits of different numbers of rows instead")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore", DataWarning)
    warnings.simplefilter("ignore", ConvergenceWarning)
    if options.sizes:
        sizes(options.sizes, options.seed)
    else:
        repeat(options.fits, options.every, options.seconds)


if __name__ == "__main__":
    main()
