"""One network for several classes, against a network of its own for each, with the same budget in all.

Classes are made from a benchmark pair whose exact map T is known: class k turns, stretches and moves both sides, and
its exact map is the gradient of a convex function again, `x -> b + s Q T(Q' x / r)`, for rotations Q and positive r, s.
Each cell fits `BrenierMap` once with the labels as conditions for S seconds, and once for each class alone for S over
the number of classes. Errors are L2-UVP in percent on fresh points, the mean over the classes. By `--steps`, budgets
are in training steps instead: of the single network, and of each of the others.

    python benchmarks/classes.py --data ../shared/data/w2bench --dims 2 8 16 --classes 4 --rows 2000 --seconds 120
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from brenier import BrenierMap
from brenier.datasets import Wasserstein2Pair
from brenier.geometry import QuadraticGeometry, moments
from brenier.metrics import unexplained_variance

TESTED = 4096
TURN = 0.4
"""Size of the rotations: of their generators in the Frobenius norm, for each column."""

Array = NDArray[np.float64]


class Related(NamedTuple):
    """One class: the pair, turned and stretched."""

    pair: Wasserstein2Pair
    turn: Array
    sizes: tuple[float, float]
    shift: Array

    @classmethod
    def random(cls, pair: Wasserstein2Pair, rng: np.random.Generator) -> "Related":
        """A class that has something in common with the others."""
        skew = rng.standard_normal((pair.dim, pair.dim))
        skew = TURN * (skew - skew.T) / np.sqrt(2 * pair.dim)
        sizes = np.exp(rng.uniform(-0.3, 0.3, 2))
        return cls(pair, expm(skew), (float(sizes[0]), float(sizes[1])), rng.standard_normal(pair.dim))

    def source(self, count: int, key: jax.Array) -> Array:
        """Points of the source."""
        return self.sizes[0] * np.asarray(self.pair.sample_source(key, count), np.float64) @ self.turn.T

    def transport(self, x: Array) -> Array:
        """The exact map."""
        images = self.pair.transport((x @ self.turn / self.sizes[0]).astype(np.float32))
        return self.shift + self.sizes[1] * np.asarray(images, np.float64) @ self.turn.T


def measure(pair: Wasserstein2Pair, options: argparse.Namespace, seed: int) -> dict[str, object]:
    """Both ways of fitting, on the same points."""
    rng, keys = np.random.default_rng(seed), iter(jax.random.split(jax.random.PRNGKey(seed), 3 * options.classes))
    classes = [Related.random(pair, rng) for _ in range(options.classes)]
    x, y, tests = [], [], []
    for own in classes:
        x.append(own.source(options.rows, next(keys)))
        y.append(own.transport(own.source(options.rows, next(keys))))
        test = own.source(TESTED, next(keys))
        tests.append((test, own.transport(test)))
    labels = np.repeat(np.arange(options.classes), options.rows)
    if options.steps is not None:
        budgets = {"max_steps": options.steps}, {"max_steps": options.steps}
    else:
        budgets = {"max_seconds": options.seconds}, {"max_seconds": options.seconds / options.classes}

    since = time.perf_counter()
    together = BrenierMap(random_state=seed, **budgets[0])
    together.fit(np.concatenate(x), np.concatenate(y), x_condition=labels, y_condition=labels)
    seconds = [time.perf_counter() - since]
    maps = [together.map_.at(str(number)) for number in range(options.classes)]
    since = time.perf_counter()
    alone = [BrenierMap(random_state=seed, **budgets[1]).fit(a, b).map_ for a, b in zip(x, y, strict=True)]
    seconds.append(time.perf_counter() - since)

    record: dict[str, object] = {"dim": pair.dim, "rows": options.rows, "classes": options.classes, "seed": seed}
    for name, found in (("together", maps), ("alone", alone)):
        errors = [
            (
                unexplained_variance(map_.forward(a), b),
                unexplained_variance(map_.inverse_with_status(b).points, a),
            )
            for map_, (a, b) in zip(found, tests, strict=True)
        ]
        record[f"{name}_forward"], record[f"{name}_inverse"] = map(float, np.mean(errors, axis=0))
    linear = [QuadraticGeometry.between(moments(a), moments(b), np.ones(pair.dim)) for a, b in zip(x, y, strict=True)]
    record["gaussian_forward"] = float(
        np.mean([unexplained_variance(c.leave_y(c.enter_x(a)), b) for c, (a, b) in zip(linear, tests, strict=True)])
    )
    record["steps"], record["steps_alone"] = together.n_iter_, [map_.info["steps"] for map_ in alone]
    record["seconds"], record["seconds_alone"] = seconds
    return record


def table(records: list[dict]) -> str:
    """Markdown: medians over the seeds."""
    names = ("gaussian_forward", "together_forward", "alone_forward", "together_inverse", "alone_inverse")
    head = ("Gaussian", "forward, one network", "forward, one a class", "inverse, one network", "inverse, one a class")
    lines = ["| d | rows a class | " + " | ".join(head) + " |", "|---" * (len(names) + 2) + "|"]
    for dim in dict.fromkeys(row["dim"] for row in records):
        own = [row for row in records if row["dim"] == dim]
        texts = [f"{statistics.median(row[name] for row in own):.3g}" for name in names]
        lines.append(f"| {dim} | {own[0]['rows']:,} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure every dimension and seed, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/w2bench"))
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 8, 16])
    parser.add_argument("--classes", type=int, default=4)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    records = []
    for dim in options.dims:
        pair = Wasserstein2Pair.load(options.data / f"{dim}.npz")
        for seed in options.seeds:
            records.append(measure(pair, options, seed))
            if options.json:
                print(json.dumps(records[-1]), flush=True)
    if not options.json:
        print(table(records))


if __name__ == "__main__":
    main()
