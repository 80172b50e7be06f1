"""How fast training steps are on an accelerator, what share of its peak they use, and where the time goes.

First the rates at which the device multiplies two square matrices of 8,192 rows, in three precisions. Then, for each
network, whole cycles of training after the first two: steps a second; operations of a step, those of the products in
the gradients that the inner solver took and in the gradient of the loss; their rate within the steps; and the shares of
the time that a cycle spends in the compiled steps, in coupling the pools, and in drawing and solving fresh points.
ENOT's steps, timed in the same way, are beside.

    python benchmarks/device.py

How accurate a budget makes both is measured by

    brenier bench peers --random 128 --device cuda --method brenier --method enot
"""

import argparse
import contextlib
import itertools
import json
import statistics
import time
from collections import defaultdict
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier.geometry import QuadraticGeometry, moments
from brenier.geometry.coupling import partitioned_orders, sorted_orders
from brenier.training import DualObjective, Holdout, choose_config, train
from brenier_bench.datasets import Wasserstein2Pair
from brenier_bench.problem import Clock, Problem

SIDE = 8192
CELLS = (
    (64, None, 1024, "float32"),
    (64, None, 1024, "tensorfloat32"),
    (64, None, 4096, "float32"),
    (128, None, 1024, "float32"),
    (128, None, 4096, "tensorfloat32"),
    (256, None, 4096, "float32"),
    (256, None, 4096, "tensorfloat32"),
    (256, (1024, 1024, 512), 4096, "float32"),
    (256, (1024, 1024, 512), 4096, "tensorfloat32"),
    (256, (1024, 1024, 512), 4096, "bfloat16"),
)
"""Dimension, hidden units (None for those of the rule), pairs a step, and precision of products."""


def peak(precision: str, side: int) -> float:
    """Operations a second, in units of 1e12, of one large product."""
    dtype = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
    a, b = (jax.random.normal(jax.random.key(k), (side, side), dtype) for k in (0, 1))
    product = jax.jit(lambda a, b: jnp.matmul(a, b, precision=None if precision == "bfloat16" else precision))
    for _ in range(3):
        jax.block_until_ready(product(a, b))
    since, count = time.perf_counter(), 20
    for _ in range(count):
        last = product(a, b)
    jax.block_until_ready(last)
    return 2e-12 * side**3 * count / (time.perf_counter() - since)


def operations(dim: int, widths: tuple[int, ...]) -> tuple[int, int]:
    """Of the products for one point: of a gradient in the point, and of a gradient of the loss in the parameters."""
    mixes = 2 * sum(below * width for below, width in itertools.pairwise(widths))
    value = 4 * dim * sum(widths) + mixes
    return 2 * value, 2 * value + mixes


def steps(dim: int, widths: tuple[int, ...] | None, batch: int, precision: str, cycles: int) -> dict[str, Any]:
    """Time whole cycles of training."""
    pair = Wasserstein2Pair.random(dim, seed=0)
    x, y = Problem.of(pair, seed=0).sources()
    sample = [np.asarray(side.draw(8192), np.float64) for side in (x, y)]
    c = QuadraticGeometry.between(moments(sample[0]), moments(sample[1]))
    changes: dict[str, Any] = {"max_steps": 10**9, "batch": batch, "pool": max(1 << 15, 16 * batch)}
    config = choose_config(dim, None, **changes | ({} if widths is None else {"widths": widths}))
    holdout = Holdout.of(sample[0][:1024], sample[1][:1024], c, config.solver)
    spent: dict[str, float] = defaultdict(float)
    counted = {"evaluations": [], "marks": []}

    class Timed(DualObjective):
        def place(self, placement: Any) -> None:
            super().place(placement)
            schedule = self.pools[0].schedule

            def couple(*arguments: Any) -> Any:
                since = time.perf_counter()
                orders = schedule(*arguments)
                spent["coupling"] += time.perf_counter() - since
                return orders

            self.pools[0].schedule = couple  # type: ignore[method-assign]

        def _refresh(self, state: Any, tolerance: np.float32) -> Any:
            since = time.perf_counter()
            new = jax.block_until_ready(super()._refresh(state, tolerance))
            spent["fresh points"] += time.perf_counter() - since
            return new

        def advance(self, state: Any, chunk: Any) -> Any:
            since, before = time.perf_counter(), spent["fresh points"] + spent["coupling"]
            new, statistics = super().advance(state, chunk)
            whole = time.perf_counter() - since
            spent["steps"] += whole - (spent["fresh points"] + spent["coupling"] - before)
            counted["marks"].append((chunk.before + len(chunk.rates), dict(spent)))
            counted["evaluations"].append(float(np.mean(statistics["evaluations"])))
            if len(counted["marks"]) == cycles + 2:
                raise StopIteration
            return new, statistics

    with jax.default_matmul_precision(precision), contextlib.suppress(StopIteration):
        train(Timed(x, y, c, holdout, config, seed=0), config, started=time.perf_counter())
    (first, before), (last, after) = counted["marks"][1], counted["marks"][-1]
    parts = {name: after[name] - before.get(name, 0.0) for name in after}
    seconds, evaluations = sum(parts.values()), float(np.mean(counted["evaluations"][2:]))
    gradient, loss = operations(dim, config.widths)
    count = batch * (evaluations * gradient + 2 * loss)
    return {
        "dim": dim,
        "widths": list(config.widths),
        "batch": batch,
        "precision": precision,
        "steps_per_second": (last - first) / seconds,
        "evaluations": evaluations,
        "gflop_per_step": 1e-9 * count,
        "tflops_in_steps": 1e-12 * count * (last - first) / parts["steps"],
        **{name.replace(" ", "_"): part / seconds for name, part in parts.items()},
    }


def couplings(pool: int, dim: int) -> dict[str, Any]:
    """Milliseconds of one coupling, on the host and as compiled sorts; medians of five."""
    points = [np.random.default_rng(seed).standard_normal((pool, dim), dtype=np.float32) for seed in (0, 1)]
    arrays = [jnp.asarray(side) for side in points]

    def median(call: Any) -> float:
        spent = []
        for _ in range(6):
            since = time.perf_counter()
            call()
            spent.append(time.perf_counter() - since)
        return 1e3 * statistics.median(spent[1:])

    host = median(lambda: partitioned_orders(*points))
    device = median(lambda: jax.block_until_ready(sorted_orders(*arrays)))
    return {"pool": pool, "dim": dim, "host_ms": host, "device_ms": device}


def enot(dim: int, seconds: float) -> dict[str, Any]:
    """ENOT's steps a second in a budget, its first steps and their compilation left out."""
    from brenier_bench.peers import enot as peer

    marks: list[float] = []

    class Marked(Clock):
        @property
        def progress(self) -> float:
            marks.append(time.perf_counter())
            return super().progress

    problem = Problem.of(Wasserstein2Pair.random(dim, seed=0), seed=0)
    peer.fit_tuned(problem, Marked(seconds, time.perf_counter(), 1.0))
    later = [mark for mark in marks if mark > marks[-1] - 0.5 * seconds]
    return {"dim": dim, "method": "enot", "steps_per_second": (len(later) - 1) / 2 / (later[-1] - later[0])}


def main() -> None:
    """Print a line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="*", default=range(len(CELLS)), help="which of them, from 0")
    parser.add_argument("--cycles", type=int, default=4, help="cycles of 128 steps that are timed")
    parser.add_argument("--side", type=int, default=SIDE, help="rows of the large product")
    parser.add_argument("--couplings", type=int, nargs="*", default=[1 << 15, 1 << 17], help="pools to couple")
    parser.add_argument("--enot", type=int, nargs="*", default=[64, 256], help="dimensions in which ENOT is timed")
    options = parser.parse_args()
    device = jax.devices()[0]
    print(json.dumps({"device": device.device_kind, "platform": device.platform, "jax": jax.__version__}), flush=True)
    for precision in ("float32", "tensorfloat32", "bfloat16"):
        record = {"product": precision, "tflops": peak(precision, options.side)}
        print(json.dumps(record), flush=True)
    for pool in options.couplings:
        print(json.dumps(couplings(pool, 64)), flush=True)
    for k in options.cells:
        since = time.perf_counter()
        record = steps(*CELLS[k], options.cycles)
        print(json.dumps(record | {"whole_seconds": round(time.perf_counter() - since, 1)}), flush=True)
    for dim in options.enot:
        print(json.dumps(enot(dim, 12.0)), flush=True)


if __name__ == "__main__":
    main()
