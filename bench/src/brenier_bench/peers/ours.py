"""brenier on finite samples as users get it: the estimator with its defaults.

On samplers it is `brenier_bench.exact.bench_problem`, as in `brenier bench w2`.
"""

from brenier.estimators.brenier_map import BrenierMap
from brenier_bench.method import Fitted
from brenier_bench.problem import Clock, Problem

__all__ = ["fit"]


def fit(problem: Problem, clock: Clock, max_steps: int | None = None) -> Fitted:
    """Fit with the default number of steps, whatever the clock says, or with fewer."""
    del clock
    ot = BrenierMap(scale="none", max_steps=max_steps, random_state=problem.seed).fit(*problem.samples())
    inverse = ot.map_.inverse_with_status
    return Fitted(ot.transform, lambda points: inverse(points).points, ot.n_iter_)
