"""How training scales over processes: what a step costs, what the processes say to each other, and what follows.

Runs 1, 2 and 4 processes of one core each, with as many shards, and the same work in each; times whole steps, and the
sum of gradients alone; and compares the time of a step with the model of docs/distributed.md,

    step = compute * max(1, processes / cores) + sum of gradients,

where `compute` is the step of one process. Then it extends the model to more devices, for networks between them that
are given by latency and bandwidth: a ring sums P numbers of 4 bytes in 2 (n - 1) (latency + 4 P / n / bandwidth).

    python benchmarks/scaling.py
    python benchmarks/scaling.py --dim 64
    python benchmarks/scaling.py --model 0.14 --parameters 180000   # a step of 0.14 ms on a GPU, without any run
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time

CYCLE, REPEATS, SUMS = 64, 9, 200

NETWORKS = {
    "Ethernet, 10 Gbit/s": (30e-6, 1.25e9),
    "InfiniBand, 200 Gbit/s": (2e-6, 25e9),
    "NVLink within a node, 450 GB/s": (1e-6, 450e9),
}
"""Latency in seconds and bandwidth in bytes a second."""

DEVICES = (1, 2, 4, 8, 16, 64, 256, 1000)


def work(process: int, processes: int, port: int, dim: int) -> dict:
    """One process: seconds of a step and of a sum of gradients."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[process % len(cores)]})
    import jax

    if processes > 1:
        jax.distributed.initialize(f"localhost:{port}", processes, process)
    import equinox as eqx
    import jax.numpy as jnp
    import numpy as np
    from jax.sharding import PartitionSpec

    from brenier.data.streams import SamplerStream
    from brenier.geometry import Moments, QuadraticGeometry
    from brenier.training import DualObjective, Fit, Holdout, choose_config
    from brenier.training.placement import Sharded
    from brenier.training.sharded import AXIS, run_sharded_steps
    from brenier.training.step import Batches

    config = choose_config(dim, None, shards=max(processes, 1))
    source, target = (SamplerStream(lambda key, n: jax.random.normal(key, (n, dim)), seed, "X") for seed in (0, 1))
    coordinates = QuadraticGeometry.between(*(Moments(np.zeros(dim), np.eye(dim), 10**6),) * 2)
    held_out = np.random.default_rng(0).normal(size=(2, 64, dim))
    holdout = Holdout.of(*held_out, coordinates, config.solver)
    objective = DualObjective(source, target, coordinates, holdout, config, seed=0)
    shards = Sharded.over(config.shards)
    fit = Fit(objective, config, shards)
    each, pool = config.batch // config.shards, config.pool // config.shards
    rng = np.random.default_rng(process)
    times = []
    for _ in range(REPEATS + 1):
        slots = rng.integers(pool, size=(len(shards.numbers), CYCLE, each)).astype(np.int32)
        places = shards.join(slots, axis=1)
        rates, tolerances = shards.replicate(tuple(np.full(CYCLE, value, np.float32) for value in (1e-4, 0.05)))
        batches = jax.block_until_ready(Batches(places, jnp.copy(places), rates, tolerances))
        since = time.perf_counter()
        fit.state, _ = jax.block_until_ready(run_sharded_steps(objective.context, fit.state, batches, shards.mesh))
        times.append((time.perf_counter() - since) / CYCLE)
    numbers = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(fit.initial, eqx.is_inexact_array)))

    def sums(vector: jax.Array) -> jax.Array:
        def once(carry: jax.Array, _: None) -> tuple[jax.Array, None]:
            return jax.lax.psum(carry, AXIS) / config.shards, None

        return jax.lax.scan(once, vector, None, length=SUMS)[0]

    everywhere = PartitionSpec()
    program = jax.jit(jax.shard_map(sums, mesh=shards.mesh, in_specs=everywhere, out_specs=everywhere, check_vma=False))
    vector, alone = shards.replicate(np.ones(numbers, np.float32)), []
    for _ in range(REPEATS + 1):
        since = time.perf_counter()
        jax.block_until_ready(program(vector))
        alone.append((time.perf_counter() - since) / SUMS)
    if processes > 1:
        jax.distributed.shutdown()
    return {
        "step": statistics.median(times[1:]),
        "sum": statistics.median(alone[1:]) if processes > 1 else 0.0,
        "parameters": numbers,
    }


def measured(processes: int, dim: int) -> dict:
    """The slowest of so many processes."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, __file__, "--dim", str(dim), "--worker"]
    running = [
        subprocess.Popen([*command, *map(str, (process, processes, port))], stdout=subprocess.PIPE, text=True)
        for process in range(processes)
    ]
    found = [json.loads(own.communicate()[0].splitlines()[-1]) for own in running]
    return {name: max(own[name] for own in found) for name in found[0]}


def ring(devices: int, parameters: int, latency: float, bandwidth: float) -> float:
    """Seconds of a sum of gradients."""
    return 2 * (devices - 1) * (latency + 4 * parameters / devices / bandwidth) if devices > 1 else 0.0


def extend(compute: float, parameters: int) -> None:
    """Print the share of a step that is computing, for each network and number of devices."""
    print(f"\nA step of {1e3 * compute:.3g} ms and {parameters:,} parameters, {4e-6 * parameters:.2g} MB a step:\n")
    print("| devices | " + " | ".join(NETWORKS) + " |\n|---" + "|---" * len(NETWORKS) + "|")
    for devices in DEVICES:
        shares = [compute / (compute + ring(devices, parameters, *network)) for network in NETWORKS.values()]
        print(f"| {devices} | " + " | ".join(f"{100 * share:.0f} %" for share in shares) + " |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=8)
    parser.add_argument("--model", type=float, metavar="MS", help="only extend a step of so many milliseconds")
    parser.add_argument("--parameters", type=int, default=20_000)
    parser.add_argument("--worker", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(*options.worker, options.dim)))
        return
    if options.model:
        extend(1e-3 * options.model, options.parameters)
        return
    cores = len(os.sched_getaffinity(0))
    found = {processes: measured(processes, options.dim) for processes in (1, 2, 4)}
    compute, parameters = found[1]["step"], found[1]["parameters"]
    print(f"d = {options.dim}, {parameters:,} parameters, {cores} cores, the same work in each process\n")
    print("| processes | step, ms | of it sum of gradients, ms | model, ms | measured / model |\n|---|---|---|---|---|")
    for processes, own in found.items():
        model = compute * max(1.0, processes / cores) + own["sum"]
        row = [f"{1e3 * value:.3g}" for value in (own["step"], own["sum"], model)]
        print(f"| {processes} | " + " | ".join(row) + f" | {own['step'] / model:.2f} |")
    extend(compute, parameters)


if __name__ == "__main__":
    main()
