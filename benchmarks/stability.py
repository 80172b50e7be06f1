"""Many seeds of brenier on the pairs of the Wasserstein-2 benchmark: how far results spread, and what went wrong.

Fits are short, with a budget in steps, so that what is counted does not depend on the machine; the learning rate goes
through its whole schedule. A run counts as diverged if either error is beyond that of the constant map or not finite;
`restarts` counts those that went back to an earlier state on the way, `gaussian` those that returned the Gaussian map.

    python benchmarks/stability.py --data ../shared/data --seeds 20
"""

import argparse
import statistics
import warnings
from pathlib import Path

from brenier import BrenierMap, ConvergenceWarning
from brenier.datasets import Wasserstein2Pair
from brenier.metrics import unexplained_variance

DIMS = (2, 4, 8, 16, 64)
STEPS = 1024


def fit(pair: Wasserstein2Pair, seed: int) -> tuple[float, float, bool, bool]:
    """Errors of both maps in percent, whether it restarted, and whether it fell back to the Gaussian map."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ot = BrenierMap(scale="none", max_steps=STEPS, random_state=seed).fit(pair.sample_source, pair.sample_target)
    restarted = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    forward = unexplained_variance(ot.transform(pair.test_x), pair.test_y, pair.var_y)
    back = ot.inverse_transform(pair.test_y, return_status=True).points
    return forward, unexplained_variance(back, pair.test_x, pair.var_x), restarted, ot.baseline_


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def main() -> None:
    """Print a line for each dimension."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--dims", type=int, nargs="+", default=DIMS)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    print("| d | runs | diverged | restarts | gaussian | forward %, median (range) | inverse %, median (range) |")
    print("|---" * 7 + "|", flush=True)
    for dim in options.dims:
        pair = Wasserstein2Pair.load(options.data / "w2bench" / f"{dim}.npz")
        forward, inverse, restarted, gaussian = zip(*(fit(pair, seed) for seed in range(options.seeds)), strict=True)
        diverged = sum(not max(errors) <= 100.0 for errors in zip(forward, inverse, strict=True))
        counts = f"{options.seeds} | {diverged} | {sum(restarted)} | {sum(gaussian)}"
        print(f"| {dim} | {counts} | {spread(list(forward))} | {spread(list(inverse))} |", flush=True)


if __name__ == "__main__":
    main()
