"""Whether two versions of brenier learn the same maps: twelve small fits of every kind, on 256 points each.

Seeds are fixed, budgets are in steps. `record` writes images, preimages and held-out values of this version;
`compare` fits again and prints, for each problem, the largest difference in units of the spread of the images. It ends
with exit status 1 where one is larger than `--tolerance`.

    python benchmarks/agreement.py record before.npz
    python benchmarks/agreement.py compare before.npz
"""

import argparse
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np

from brenier import BrenierDensity, BrenierMap, costs

STEPS, POINTS, ROWS = 256, 256, 2000

Results = dict[str, np.ndarray]


def clouds(dim: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A normal cloud, and a skewed one; they are not paired."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(ROWS, dim)), np.exp(0.5 * rng.normal(size=(ROWS, dim))) + rng.normal(size=dim)


def moved(ot: BrenierMap, x: np.ndarray, y: np.ndarray, condition: Any = None) -> Results:
    """Images of some points, and preimages of others."""
    given = {} if condition is None else {"condition": condition[:POINTS]}
    back = ot.inverse_transform(y[:POINTS], return_status=True, **given)
    # Where the inverse is not found its point means nothing.
    return {
        "forward": ot.transform(x[:POINTS], **given),
        "inverse": np.where(back.converged[:, None], back.points, np.nan),
        "steps": np.array([ot.n_iter_]),
    }


def plain(dim: int, **settings: Any) -> Results:
    """A map between two arrays."""
    x, y = clouds(dim)
    return moved(BrenierMap(max_steps=STEPS, random_state=0, **settings).fit(x, y), x, y)


def weights() -> Results:
    """A map between weighted rows."""
    (x, y), rng = clouds(2), np.random.default_rng(1)
    ot = BrenierMap(max_steps=STEPS, random_state=0)
    return moved(ot.fit(x, y, x_weight=rng.uniform(size=ROWS), y_weight=rng.uniform(size=ROWS)), x, y)


def samplers() -> Results:
    """A map between two samplers."""

    def source(key: jax.Array, n: int) -> jax.Array:
        return jax.random.normal(key, (n, 3))

    def target(key: jax.Array, n: int) -> jax.Array:
        return jax.numpy.exp(0.5 * jax.random.normal(key, (n, 3)))

    ot = BrenierMap(max_steps=STEPS, random_state=0).fit(source, target)
    return moved(ot, *clouds(3))


def sphere() -> Results:
    """A map between points on the sphere."""
    x, y = (points - 0.5 * sign for points, sign in zip(clouds(3), (1.0, 3.0), strict=True))
    x, y = (points / np.linalg.norm(points, axis=1, keepdims=True) for points in (x, y))
    return moved(BrenierMap(cost=costs.GreatCircle(), max_steps=STEPS, random_state=0).fit(x, y), x, y)


def conditional(labels: bool) -> Results:
    """A map for every class, or for every number."""
    (x, y), rng = clouds(2), np.random.default_rng(2)
    c = [rng.integers(2, size=ROWS) if labels else rng.uniform(size=ROWS) for _ in range(2)]
    y = y * (1.0 + c[1])[:, None]
    named = [np.array(["a", "b"])[codes] if labels else codes for codes in c]
    ot = BrenierMap(max_steps=STEPS, random_state=0).fit(x, y, x_condition=named[0], y_condition=named[1])
    return moved(ot, x, y, named[0])


def density() -> Results:
    """A density."""
    _, y = clouds(2)
    ot = BrenierDensity(max_steps=STEPS, random_state=0).fit(y)
    return {"forward": ot.score_samples(y[:POINTS])[:, None], "steps": np.array([ot.n_iter_])}


PROBLEMS: dict[str, Callable[[], Results]] = {
    "quadratic, 2 columns": lambda: plain(2),
    "quadratic, 6 columns": lambda: plain(6),
    "weights": weights,
    "samplers": samplers,
    "mahalanobis": lambda: plain(2, cost=costs.Mahalanobis(np.array([[2.0, 0.5], [0.5, 1.0]]))),
    "p-norm 1.5": lambda: plain(2, cost=costs.PNorm(1.5)),
    "log-cosh": lambda: plain(2, cost=costs.LogCosh()),
    "elastic net": lambda: plain(2, cost=costs.ElasticNet(0.3)),
    "sphere": sphere,
    "labels": lambda: conditional(True),
    "numbers": lambda: conditional(False),
    "density": density,
}


def fitted() -> Results:
    """Results of all problems, by problem and kind."""
    results = {}
    for name, problem in PROBLEMS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parts = problem()
        results |= {f"{name}: {kind}": values for kind, values in parts.items()}
        print(f"{name}: {parts['steps'][0]} steps", flush=True)
    return results


def main() -> int:
    """Record or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("record", "compare"))
    parser.add_argument("file")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="in units of the spread (default 1e-5)")
    options = parser.parse_args()
    results = fitted()
    if options.what == "record":
        np.savez(options.file, **results)
        return 0
    worst = 0.0
    with np.load(options.file) as before:
        for name, values in results.items():
            expected = before[name]
            known = np.isfinite(expected).all(axis=-1) & np.isfinite(values).all(axis=-1)
            spread = max(float(expected[known].std()), 1.0 if name.endswith("steps") else 1e-12)
            difference = float(np.abs(values - expected)[known].max()) / spread
            changed = int((np.isfinite(expected) != np.isfinite(values)).any(axis=-1).sum())
            worst = max(worst, difference, float(changed > 0))
            print(f"{name:32} {difference:.2e}" + (f"  {changed} points solved in one version only" * bool(changed)))
    print(f"largest difference {worst:.2e}, tolerance {options.tolerance:.0e}")
    return int(worst > options.tolerance)


if __name__ == "__main__":
    sys.exit(main())
