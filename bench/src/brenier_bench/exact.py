"""Accuracy within a wall-clock budget, on pairs whose map is known."""

import time
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.estimators.brenier_map import BrenierMap
from brenier.geometry import Moments, QuadraticGeometry
from brenier.maps import TransportMap
from brenier.metrics import unexplained_variance
from brenier.potentials import ICNN
from brenier.training import choose_config
from brenier_bench.datasets import GaussianPair, Wasserstein2Pair
from brenier_bench.method import Fitted, Preimages, count_parameters, machine, score
from brenier_bench.problem import Problem

__all__ = ["bench_gaussian", "bench_problem", "bench_w2"]

_HELD_OUT = 4096
_MARGIN = (1.0, 0.025)
"""Seconds, and share of the budget, kept for what the rehearsal of the evaluation does not see."""

_WORTH_REHEARSING = 25.0
"""Seconds of budget from which on the evaluation is compiled ahead, to learn how long it takes."""

_UNREHEARSED = 0.35
"""Share of a shorter budget kept for the evaluation and its compilation."""

_BENT = 10.0
"""Factor of the square roots of a fresh network's output weights."""


def bench_w2(
    pair: Wasserstein2Pair, *, seconds: float, seed: int, started: float, max_steps: int | None = None
) -> dict[str, Any]:
    """Fit a Wasserstein-2 benchmark pair from its own sampler and measure both maps on its test points.

    Args:
        pair: The pair.
        seconds: Wall-clock budget from `started` to the end of the evaluation: imports, compilation and sampling count.
        seed: Seed of the fit and of the samples.
        started: `time.perf_counter()` at the start of the program.
        max_steps: Steps at most, for runs that should not depend on the machine's speed.

    Returns:
        JSON values; errors are L2-UVP in percent.
    """
    return bench_problem(Problem.of(pair, seed), seconds=seconds, started=started, max_steps=max_steps)


def bench_gaussian(
    pair: GaussianPair, *, seconds: float, seed: int, started: float, max_steps: int | None = None
) -> dict[str, Any]:
    """Fit a pair of Gaussians and compare with its closed-form map and distance; arguments as for `bench_w2`."""
    problem = Problem.of(pair, seed)
    return bench_problem(problem, seconds=seconds, started=started, max_steps=max_steps) | {"w2_exact": pair.w2}


def bench_problem(problem: Problem, *, seconds: float, started: float, max_steps: int | None = None) -> dict[str, Any]:
    """Fit any pair from its own samplers; arguments and result as for `bench_w2`."""
    rehearsal = _rehearse(problem.dim, problem.test_x) if seconds >= _WORTH_REHEARSING else _UNREHEARSED * seconds
    left = seconds - (time.perf_counter() - started) - rehearsal - _MARGIN[0] - _MARGIN[1] * seconds
    if left <= 0:
        raise InputError(
            f"`seconds` must leave time to train: {seconds:g} s were asked for, and start-up and evaluation take "
            f"{seconds - left:.1f} s here. Allow more."
        )
    ot = BrenierMap(scale="none", max_steps=max_steps, max_seconds=left, random_state=problem.seed)
    ot.fit(problem.pair.sample_source, problem.pair.sample_target)
    inverse, settings = Preimages(ot.map_), dict(ot.map_.info["settings"])
    fitted = Fitted(ot.transform, inverse, ot.n_iter_, settings, count_parameters(ot.map_.potential))
    record = score(problem, fitted)
    held_out = problem.pair.sample_target(jnp.asarray([problem.seed, 2**32 - 2], jnp.uint32), _HELD_OUT)
    dual = ot.map_.dual(problem.test_x, held_out).value
    c = ot.map_.geometry
    linear = c.leave_y(c.enter_x(np.asarray(problem.test_x, np.float64)))
    return record | {
        "dim": problem.dim,
        "seconds": round(time.perf_counter() - started, 3),
        "w2": float(np.sqrt(max(2.0 * dual, 0.0))),
        "unconverged_fraction": inverse.unconverged,
        "linear_uvp_forward": unexplained_variance(linear, problem.test_y, problem.var_y),
        "gaussian": ot.baseline_,
        "seed": problem.seed,
        **machine(),
    }


def _rehearse(dim: int, points: NDArray[np.floating]) -> float:
    """Compile the evaluation for a network of the right shape; returns the seconds it takes once compiled."""
    config = choose_config(dim, None)
    potential = ICNN(dim, config.widths, rng=np.random.default_rng(0), floor=config.floor, activation=config.activation)
    # A map that bends about as much as a trained one, so that its inverse takes about as long.
    bent = tuple(layer.root_output * _BENT for layer in potential.layers)
    potential = eqx.tree_at(lambda u: tuple(layer.root_output for layer in u.layers), potential, bent)
    standard = Moments(np.zeros(dim), np.eye(dim), 0)
    coordinates = QuadraticGeometry.between(standard, standard)
    trial = TransportMap(coordinates, potential)
    for _ in range(2):
        since = time.perf_counter()
        images = trial.forward(points)
        trial.dual(points, images)
        trial.inverse_with_status(images)
    return time.perf_counter() - since
