"""The training loop of the baselines written here: compiled chunks of steps, and a rate that follows the clock."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from brenier._types import Array, Points, Scalar
from brenier.data.streams import PointStream
from brenier.geometry import QuadraticGeometry, accumulate_moments, moments
from brenier_bench.problem import Clock, Problem

__all__ = ["Setting", "adam", "descend"]

_CHUNK = 64
_MOMENT_BATCHES = 8
_MOMENT_BATCH = 1 << 14

Step = Callable[[Any, Points, Points, Scalar], Any]
"""From a state, a batch of each side and a rate to the next state."""

adam = optax.scale_by_adam(b1=0.9, b2=0.99)


class Setting(NamedTuple):
    """Where a baseline works: in the same coordinates as brenier, so that what differs is the method."""

    x: PointStream
    y: PointStream
    geometry: QuadraticGeometry

    @classmethod
    def of(cls, problem: Problem) -> "Setting":
        """Streams of both sides and the geometry between their moments."""
        x, y = problem.sources()
        if problem.size is None:
            of_x, of_y = (accumulate_moments(s.draw(_MOMENT_BATCH) for _ in range(_MOMENT_BATCHES)) for s in (x, y))
        else:
            of_x, of_y = (moments(points) for points in problem.samples())
        return cls(x, y, QuadraticGeometry.between(of_x, of_y))

    def draw(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Points of both sides in the inner coordinates, independent of each other."""
        c = self.geometry
        return c.enter_x(self.x.draw(count)), c.enter_y(self.y.draw(count))

    def maps(
        self, forward: Callable[[Array], Any], inverse: Callable[[Array], Any]
    ) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
        """Maps of the inner coordinates as maps of the data."""
        c = self.geometry
        return (
            lambda points: c.leave_y(np.asarray(forward(jnp.asarray(c.enter_x(points))))),
            lambda points: c.leave_x(np.asarray(inverse(jnp.asarray(c.enter_y(points))))),
        )


def descend(
    step: Step,
    state: Any,  # noqa: ANN401
    pairs: Callable[[int], tuple[np.ndarray, np.ndarray]],
    clock: Clock,
    *,
    batch: int,
    peak: float,
    steps: int | None = None,
) -> tuple[Any, int]:
    """Steps with a half cosine from `peak` to zero, over the clock's time or over a number of steps.

    Args:
        step: One step, compiled here.
        state: The first state; a pytree of arrays.
        pairs: `pairs(n)` gives n points of each side, in the coordinates of the step.
        clock: Ends the training if `steps` is None.
        batch: Points a side and step.
        peak: First rate.
        steps: Number of steps, instead of the clock.
    """

    @jax.jit
    def chunk(state: Any, x: Array, y: Array, rates: Array) -> Any:  # noqa: ANN401
        return jax.lax.scan(lambda s, part: (step(s, *part), None), state, (x, y, rates))[0]

    count = 0
    clock.train()
    while (count < steps) if steps is not None else clock.progress < 1.0:
        size = _CHUNK if steps is None else min(_CHUNK, steps - count)
        x, y = (points.reshape(size, batch, -1) for points in pairs(size * batch))
        share = clock.cosine() if steps is None else 0.5 * (1.0 + math.cos(math.pi * count / steps))
        state = jax.block_until_ready(chunk(state, x, y, jnp.full(size, peak * share, jnp.float32)))
        count += size
    return state, count
