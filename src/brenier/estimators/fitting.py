"""From a checked problem to an outcome: which task, which settings, one fit or two."""

from typing import Any

from brenier._errors import ConvergenceWarning, warn
from brenier.callbacks import Start
from brenier.estimators.conditional import ConditionalTask
from brenier.estimators.density import DensityTask
from brenier.estimators.intake import Problem
from brenier.estimators.pair import PairTask
from brenier.estimators.sides import FEWEST_HELD_OUT
from brenier.estimators.tasks import AbstractTask, Fitted, Request
from brenier.geometry import AbstractGeometry
from brenier.training import Outcome, baseline_outcome, train, train_twice

__all__ = ["fit"]


def fit(problem: Problem, request: Request) -> Fitted:
    """Fit a map, a family of maps under conditions, or a density.

    Args:
        problem: Checked data.
        request: What the user asked for.
    """
    task = _task(problem, request)
    resumed = request.identify(problem, task.config, task.digests)
    start = Start(task.kind, task.dim, task.rows, task.columns, task.config.summary(), resumed)
    request.running.begin(start)
    outcome, coordinates = _train(task, request)
    return Fitted(outcome, coordinates, task.config, task.columns, task.data, task.space, task.info(coordinates))


def _task(problem: Problem, request: Request) -> AbstractTask:
    if problem.target is None:
        return DensityTask(problem, request)
    kind = PairTask if problem.source.condition is None else ConditionalTask
    return kind(problem, request)


def _train(task: AbstractTask, request: Request) -> tuple[Outcome, AbstractGeometry]:
    if not task.enough:
        coordinates = task.coordinates()
        return _fall_back(coordinates), coordinates
    watch: Any = {"on_row": request.running.show, "started": request.started}
    part = task.part()
    if not (request.refit and task.small):
        return train(part, task.config, keeper=request.keeper("only"), **watch), part.coordinates
    keepers = request.keeper("first"), request.keeper("second")
    return train_twice(part, task.whole(), task.config, keepers=keepers, **watch)


def _fall_back(coordinates: AbstractGeometry) -> Outcome:
    """Return the baseline, and warn that too few points are held out to judge a network."""
    warn(
        f"too few samples to hold {FEWEST_HELD_OUT} out on each side, so no network was trained: the result is "
        f"{coordinates.surplus.baseline_name}. Pass more samples, or raise `holdout`.",
        ConvergenceWarning,
    )
    return baseline_outcome(coordinates)
