"""How close maps for other costs come to maps that are known: `python benchmarks/costs.py [--dim 2] [--steps N]`.

Fresh samples of constructed pairs, settings of the library's own rule. Prints a line for each cost and kind of map:
errors of both directions in percent of the variance, that of the translation between the centres, the share of
preimages that missed their tolerance, the share of target points at which two starts of the inner problem disagree, and
seconds.
"""

import argparse
import time

import numpy as np

from brenier import BrenierMap, Training
from brenier.costs import AbstractDisplacementCost, ElasticNet, LogCosh, PNorm, SquaredEuclidean
from brenier.datasets import ConstructedPair
from brenier.datasets.constructed import Kind
from brenier.metrics import unexplained_variance
from brenier.potentials import ICNN

COSTS = (SquaredEuclidean(), PNorm(1.25), PNorm(1.5), PNorm(3.0), PNorm(4.0), LogCosh(), ElasticNet(0.3))
POINTS = 10_000


def main() -> None:
    """Run the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dim", type=int, action="append")
    parser.add_argument("--steps", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append")
    parser.add_argument("--convex", action="store_true", help="a convex network instead of the free one")
    parser.add_argument("--cost", help="only costs whose name starts like this")
    options = parser.parse_args()
    print("| d | cost | map | forward | inverse | translation | unconverged | disagree | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for dim in options.dim or (2, 8, 16):
        for cost in COSTS:
            if options.cost and not str(cost).startswith(options.cost):
                continue
            for kind in options.kind or ("apart", "together", "mixed"):
                print(_line(cost, dim, kind, options.steps, options.seed, options.convex), flush=True)


def _line(cost: AbstractDisplacementCost, dim: int, kind: Kind, steps: int, seed: int, convex: bool) -> str:
    pair = ConstructedPair(cost, dim, kind, seed=seed)
    started = time.perf_counter()
    network = (lambda columns, rng: ICNN(columns, rng=rng)) if convex else None
    ot = BrenierMap(cost=cost, training=Training(potential=network), max_steps=steps, random_state=seed).fit(
        pair.source, pair.target
    )
    seconds = time.perf_counter() - started
    x, y = pair.pairs(POINTS, [seed, 99])
    found = ot.inverse_transform(y, return_status=True)
    forward = unexplained_variance(ot.transform(x), y)
    inverse = unexplained_variance(found.points, x)
    still = unexplained_variance(x - x.mean(axis=0) + y.mean(axis=0), y)
    disagree = 0.0 if found.disagree is None else float(np.mean(found.disagree))
    return (
        f"| {dim} | {cost} | {kind} | {forward:.3f} | {inverse:.3f} | {still:.0f} | "
        f"{100 * np.mean(~found.converged):.2f} % | {100 * disagree:.2f} % | {seconds:.0f} |"
    )


if __name__ == "__main__":
    main()
