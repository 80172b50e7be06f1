"""brenier on finite samples as users get it: the estimator with its defaults.

On samplers it is `brenier_bench.exact.bench_problem`, as in `brenier bench w2`.
"""

from brenier.estimators.brenier_map import BrenierMap
from brenier_bench.method import Fitted, Preimages
from brenier_bench.problem import Clock, Problem

__all__ = ["fit"]


def fit(problem: Problem, clock: Clock, max_steps: int | None = None) -> Fitted:
    """Fit with the default number of steps, whatever the clock says, or with fewer."""
    del clock
    ot = BrenierMap(scale="none", max_steps=max_steps, random_state=problem.seed).fit(*problem.samples())
    return Fitted(ot.transform, Preimages(ot.map_), ot.n_iter_)
