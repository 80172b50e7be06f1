"""Transport of gamma events to hadron events of the MAGIC telescope: ten features of very different scales.

Every split halves both classes at random, fits `BrenierMap` with its defaults on one half, and measures on the other:
the sliced Wasserstein-2 distance between transported gammas and hadrons, in pooled standard deviations, for the
network and for the Gaussian map that it started from, and between the two halves of the hadrons, which is what sampling
alone leaves. The data are the file `magic04.data` of the UCI repository (Bock et al. 2004).

    python benchmarks/events.py --data ../shared/data/physics/magic04.data --splits 8 [--json]
"""

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brenier import BrenierMap, DataWarning
from brenier.metrics import sliced_w2

FEATURES = 10


def read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gamma and hadron events."""
    rows = [line.split(",") for line in path.read_text().split()]
    values, kinds = np.array([row[:FEATURES] for row in rows], float), np.array([row[FEATURES] for row in rows])
    return values[kinds == "g"], values[kinds == "h"]


def measure(gamma: NDArray[np.float64], hadron: NDArray[np.float64], seed: int) -> dict[str, float]:
    """Fit one split and measure it."""
    rng = np.random.default_rng(seed)
    gammas, hadrons = (np.array_split(rng.permutation(events), 2) for events in (gamma, hadron))
    pooled = np.sqrt((gamma.var(axis=0) + hadron.var(axis=0)) / 2)
    since = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # that the cost is in standard deviations, which is wanted
        ot = BrenierMap(random_state=seed).fit(gammas[0], hadrons[0])
    seconds = time.perf_counter() - since
    images = ot.transform(gammas[1])
    coordinates = ot.map_.geometry
    gaussian = coordinates.leave_y(coordinates.enter_x(gammas[1]))
    back = ot.inverse_transform(images, return_status=True)
    error = np.max(np.abs(back.points - gammas[1]) / gammas[1].std(axis=0), axis=1)
    distances = {
        "network": sliced_w2(images, hadrons[1], scale=pooled),
        "gaussian": sliced_w2(gaussian, hadrons[1], scale=pooled),
        "halves": sliced_w2(hadrons[0], hadrons[1], scale=pooled),
    }
    return distances | {
        "split": seed,
        "ratio": distances["network"] / distances["gaussian"],
        "returned": float(np.mean(error < 1e-3)),
        "converged": float(back.converged.mean()),
        "lost_unnamed": int(np.sum((error >= 1e-3) & back.converged)),
        "steps": ot.n_iter_,
        "fit_seconds": round(seconds, 1),
    }


def main() -> None:
    """Measure every split and print a row each, then the median."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/physics/magic04.data"))
    parser.add_argument("--splits", type=int, default=8)
    parser.add_argument("--json", action="store_true", help="One JSON object a line.")
    options = parser.parse_args()
    events = read(options.data)
    fields = ("network", "gaussian", "halves", "ratio", "returned", "lost_unnamed", "steps", "fit_seconds")
    if not options.json:
        print("| split | " + " | ".join(fields) + " |\n" + "|---" * (len(fields) + 1) + "|")
    rows = []
    for split in range(options.splits):
        rows.append(measure(*events, split))
        line = f"| {split} | " + " | ".join(f"{rows[-1][field]:.4g}" for field in fields) + " |"
        print(json.dumps(rows[-1]) if options.json else line, flush=True)
    if not options.json:
        print("| median | " + " | ".join(f"{statistics.median(r[field] for r in rows):.4g}" for field in fields) + " |")


if __name__ == "__main__":
    main()
