"""Settings from a grid, judged by the error *on the test points*: more than a user could do, so no row lacks tuning."""

from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from brenier.metrics import unexplained_variance
from brenier_bench.method import Map
from brenier_bench.problem import Clock, Problem

__all__ = ["Choice", "choose"]

Model = TypeVar("Model")


class Choice(NamedTuple, Generic[Model]):
    """The best of a grid.

    Attributes:
        name: Its key.
        model: What was fitted.
        errors: L2-UVP forward of everything that was tried.
    """

    name: str
    model: Model
    errors: dict[str, float]


def choose(
    problem: Problem, clock: Clock, grid: Mapping[str, Callable[[], Model]], forward: Callable[[Model], Map]
) -> Choice[Model]:
    """Fit in order, and take the one with the least error forward, of those that finish in time.

    Args:
        problem: Whose test points judge.
        clock: Nothing is begun when less time is left than the one before took; the first is always tried.
        grid: What fits each.
        forward: The map of what was fitted.
    """
    best, errors, took = None, {}, 0.0
    for name, fit in grid.items():
        if best is not None and clock.left < took:  # the next one takes about as long, or longer
            break
        since = clock.elapsed
        model = fit()
        images = np.asarray(forward(model)(problem.test_x))
        errors[name], took = unexplained_variance(images, problem.test_y, problem.var_y), clock.elapsed - since
        if best is None or errors[name] < errors[best[0]]:
            best = (name, model)
    if best is None:
        raise ValueError("nothing was tried.")
    return Choice(*best, errors)
