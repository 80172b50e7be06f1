"""Held-out targets that are treated as training treats its own, and a stopwatch that leaves out evaluations."""

import math
import time

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._types import Array, Points, Scalar
from brenier.geometry import QuadraticGeometry
from brenier.potentials import AbstractPotential
from brenier.solvers import AbstractSolver, Solution, iterate
from brenier.training import Holdout, TrainingConfig
from brenier.training.holdout import HoldoutValue

__all__ = ["Visits"]


class Visits(Holdout):
    """Held-out points that get one visit of the cell's own solver at each evaluation.

    A visit is what a target point of a batch gets in a step: the same solver, rounds and tolerance, from where the last
    visit left it, with its memory; or, without warm starts, from the point itself. The first visit has as many rounds
    as points get that are new to the pool. Between evaluations lie many steps, so that the points are behind those of
    the pool rather than ahead of them.

    Args:
        x, y: Points in the units of the data.
        coordinates: Coordinates of the training.
        config: Settings of the training.

    Attributes:
        gap: Mean of `r^2 / (2 m)` after the last visit, in squared units of the coordinates.
    """

    def __init__(
        self, x: NDArray[np.float64], y: NDArray[np.float64], coordinates: QuadraticGeometry, config: TrainingConfig
    ) -> None:
        inner_x, inner_y = coordinates.enter_x(x), coordinates.enter_y(y)
        offset = coordinates.dual_offset(x, y)
        super().__init__(inner_x, inner_y, coordinates.spread, config.solver, coordinates.unit, offset)
        self._config, self.gap = config, math.nan
        self._visited: tuple[Points, object] | None = None
        self._left = time.process_time()
        self._spans: list[float] = []

    def evaluate(self, u: AbstractPotential) -> HoldoutValue:
        """The held-out value, as in any fit; and one visit of every point."""
        self._spans.append(time.process_time() - self._left)
        value = super().evaluate(u)
        config, most = self._config, self._config.rounds[1]
        y = jnp.asarray(self._y)
        x, memory = y, config.solver.init(y)
        if config.warm and self._visited is None:
            most = config.fresh_rounds
        elif config.warm and self._visited is not None:
            x, memory = self._visited
        solution, memory = _visit(
            config.solver,
            config.rounds[0],
            config.unconverged,
            u,
            y,
            (x, memory),
            self._scale,
            jnp.asarray(config.tolerance[1], jnp.float32),
            jnp.asarray(most, jnp.int32),
        )
        self._visited = solution.value, memory
        floor = u.convexity_floor()
        square = float(jnp.mean(jnp.square(solution.residual)))
        self.gap = math.inf if floor is None else square / (2.0 * float(floor))
        self._left = time.process_time()
        return value

    def step_seconds(self, cycle: int) -> float | None:
        """Processor time of a step, the median over chunks of `cycle` steps; `None` if all contain compilation.

        The first chunk contains the compilation of the steps, the second that of refreshing the pool.
        """
        return float(np.median(self._spans[2:])) / cycle if len(self._spans) > 2 else None


@eqx.filter_jit
def _visit(
    solver: AbstractSolver,
    fewest: int,
    unconverged: float,
    u: AbstractPotential,
    y: Points,
    start: tuple[Points, object],
    scale: Array,
    tolerance: Scalar,
    most: Array,
) -> tuple[Solution, object]:
    return iterate(
        solver,
        lambda x: u.gradient(x) - y,
        start[0],
        tolerance=tolerance,
        min_steps=fewest,
        max_steps=most,
        allowed_unconverged=unconverged,
        scale=scale,
        state=start[1],
    )
