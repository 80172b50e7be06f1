"""What the two solvers of OTT-JAX share: a training loop that stops, and sets its rate, by the clock."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from brenier_bench.method import Fitted, Map
from brenier_bench.problem import Clock, Problem, batches

__all__ = ["ENDLESS", "adam", "run"]

ENDLESS = 1 << 62
"""A number of steps that no budget reaches."""


def adam(rate: float | None, b1: float = 0.9, b2: float = 0.999) -> optax.GradientTransformation:
    """Adam at a constant rate, or, for None, at one that `run` sets before every step."""
    if rate is not None:
        return optax.adam(rate, b1=b1, b2=b2)
    return optax.inject_hyperparams(optax.adam)(learning_rate=0.0, b1=b1, b2=b2)


def run(
    solver: Any,  # noqa: ANN401 - either class
    problem: Problem,
    clock: Clock,
    maps: Callable[[], tuple[Map, Map]],
    *,
    batch: int,
    peak: float | None,
    settings: dict[str, Any],
) -> Fitted:
    """Train until the time is over, with a half cosine from `peak` to zero over it if `peak` is given."""
    # Compiled before training, so that what follows it is known to be short.
    for transport, points in zip(maps(), (problem.test_x, problem.test_y), strict=True):
        jax.block_until_ready(transport(points))
    steps = 0

    def source(points: Iterator[np.ndarray]) -> Iterator[jax.Array]:
        nonlocal steps
        for part in points:
            # The library dispatches asynchronously; without waiting, the clock would be read ahead of the work.
            jax.block_until_ready(solver.state_f.params)
            if clock.progress >= 1.0:
                return
            if peak is not None:
                rate = jnp.asarray(peak * clock.cosine(), jnp.float32)
                for state in (solver.state_f, solver.state_g):
                    state.opt_state.hyperparams["learning_rate"] = rate
            steps += 1
            yield jnp.asarray(part)

    x, y = problem.sources()
    clock.train()
    try:
        solver.train_fn(source(batches(x, batch)), map(jnp.asarray, batches(y, batch)), iter(()), iter(()))
    except StopIteration:
        pass  # this is how the loop is told that the time is over
    count = sum(leaf.size for state in (solver.state_f, solver.state_g) for leaf in jax.tree.leaves(state.params))
    forward, inverse = maps()
    return Fitted(forward, inverse, steps, settings | {"rate": peak, "batch": batch}, count)
