"""brenier as users get it: the estimator with its defaults and, for samplers, a budget in seconds."""

from brenier.bench.method import Fitted
from brenier.bench.problem import Clock, Problem
from brenier.estimator import BrenierMap

__all__ = ["fit"]


def fit(problem: Problem, clock: Clock, max_steps: int | None = None) -> Fitted:
    """Fit within the time left; finite samples get the default number of steps."""
    if problem.size is None:
        ot = BrenierMap(scale="none", max_steps=max_steps, max_seconds=clock.left, random_state=problem.seed)
        ot.fit(problem.pair.sample_source, problem.pair.sample_target)
    else:
        ot = BrenierMap(scale="none", max_steps=max_steps, random_state=problem.seed).fit(*problem.samples())
    inverse = ot.map_.inverse_with_status
    return Fitted(ot.transform, lambda points: inverse(points).points, ot.n_iter_)
