"""Accuracy on Gaussian families whose moments move with a number, at numbers that were not seen.

Each cell draws both sides, with numbers uniform from -1 to 1, fits `BrenierMap` with its defaults, and compares map and
inverse with the exact ones at numbers that are not among those of the samples. Errors are L2-UVP in percent: the mean
over the numbers, and the worst of them. Beside them the Gaussian map of all points together, whatever their number.

    python benchmarks/families.py --dims 2 8 32 --seeds 0 1 2 [--json]
"""

import argparse
import json
import statistics
import time

import numpy as np

from brenier import BrenierMap
from brenier.datasets import FamilyPair
from brenier.geometry import QuadraticGeometry, moments
from brenier.metrics import unexplained_variance

NUMBERS = np.linspace(-0.975, 0.975, 14)
TESTED = 2000
COLUMNS = ("forward", "inverse", "forward_worst", "inverse_worst", "without", "gaussian", "steps", "seconds")


def measure(dim: int, rows: int, seed: int) -> dict[str, float]:
    """One fit."""
    pair, rng = FamilyPair.random(dim, seed), np.random.default_rng(seed)
    c, d = rng.uniform(-1, 1, (2, rows))
    x, y = pair.source.sample(c, rng), pair.target.sample(d, rng)
    since = time.perf_counter()
    ot = BrenierMap(random_state=seed).fit(x, y, x_condition=c, y_condition=d)
    seconds = time.perf_counter() - since
    together = QuadraticGeometry.between(moments(x), moments(y), np.ones(dim))
    errors = []
    for number in map(float, NUMBERS):
        x = pair.source.sample(np.full(TESTED, number), rng)
        y = pair.transport(number, x)
        total = [float(np.trace(side.covariance(number))) for side in pair]
        forward, back = ot.transform(x, condition=number), ot.inverse_transform(y, condition=number)
        errors.append(
            (
                unexplained_variance(forward, y, total[1]),
                unexplained_variance(back, x, total[0]),
                unexplained_variance(together.leave_y(together.enter_x(x)), y, total[1]),
            )
        )
    mean, worst = np.mean(errors, axis=0), np.max(errors, axis=0)
    return {
        "dim": dim,
        "rows": rows,
        "seed": seed,
        "forward": mean[0],
        "inverse": mean[1],
        "forward_worst": worst[0],
        "inverse_worst": worst[1],
        "without": mean[2],
        "gaussian": float(ot.baseline_),
        "steps": ot.n_iter_,
        "seconds": seconds,
    }


def table(records: list[dict[str, float]]) -> str:
    """Markdown: medians over the seeds."""
    lines = ["| d | rows | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 2) + "|"]
    for dim in dict.fromkeys(row["dim"] for row in records):
        own = [row for row in records if row["dim"] == dim]
        texts = [f"{statistics.median(row[name] for row in own):.4g}" for name in COLUMNS]
        lines.append(f"| {dim} | {own[0]['rows']:,} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure every dimension and seed, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 8, 32])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    records = []
    for dim in options.dims:
        for seed in options.seeds:
            records.append(measure(dim, options.rows, seed))
            if options.json:
                print(json.dumps(records[-1]), flush=True)
    if not options.json:
        print(table(records))


if __name__ == "__main__":
    main()
