"""The limit: brenier's network fitted by regression on the exact map, which no solver is given."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._types import Points, Scalar
from brenier.conjugates import conjugate_points
from brenier.potentials import ICNN
from brenier.training import choose_config
from brenier.training.step import AVERAGING
from brenier_bench.method import Fitted, count_parameters
from brenier_bench.peers._descend import Setting, adam, descend
from brenier_bench.problem import Clock, Problem

__all__ = ["fit"]


def fit(problem: Problem, clock: Clock, steps: int, max_steps: int | None = None) -> Fitted:
    """Train for as many steps as brenier took, with its batch and rate; `max_steps` is the budget that it had."""
    setting = Setting.of(problem)
    config = choose_config(problem.dim, problem.size, max_seconds=clock.left, max_steps=max_steps)
    c = setting.geometry
    rng = np.random.default_rng(problem.seed)
    network = ICNN(problem.dim, config.widths, rng=rng, floor=config.floor, sharpness=config.sharpness)
    start, static = eqx.partition(network, eqx.is_inexact_array)

    def pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
        x = setting.x.draw(count)
        images = problem.pair.transport(x)  # type: ignore[arg-type] - either precision will do
        return c.enter_x(x), c.enter_y(np.asarray(images, np.float64))

    def step(state: tuple, x: Points, y: Points, rate: Scalar) -> tuple:
        arrays, average, moments, count = state

        def loss(arrays: ICNN) -> Scalar:
            return jnp.mean(jnp.sum(jnp.square(eqx.combine(arrays, static).gradient(x) - y), axis=1))

        change, moments = adam.update(jax.grad(loss)(arrays), moments)
        arrays = jax.tree.map(lambda p, change: p - rate * change, arrays, change)
        share = (AVERAGING + 1.0) / (count + 1.0 + AVERAGING)
        average = jax.tree.map(lambda mean, p: mean + share * (p - mean), average, arrays)
        return arrays, average, moments, count + 1

    state = (start, start, adam.init(start), jnp.zeros((), jnp.int32))
    (_, average, _, _), steps = descend(
        step, state, pairs, clock, batch=config.batch, peak=config.learning_rate, steps=steps
    )
    fitted = eqx.combine(average, static)
    gradient = eqx.filter_jit(lambda u, points: u.gradient(points))
    forward, inverse = setting.maps(
        lambda p: gradient(fitted, p), lambda p: conjugate_points(fitted, np.asarray(p), scale=c.spread).points
    )
    settings = {"widths": config.widths, "rate": config.learning_rate, "batch": config.batch}
    return Fitted(forward, inverse, steps, settings, count_parameters(average))
