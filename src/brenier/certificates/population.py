r"""A confidence bound on the distance between two populations, from points that the fit has not seen.

**Theorem.** Let `a` and `b` be fixed functions with :math:`a(x) + b(y) \le \tfrac12 |x - y|^2` for all x and y, square
integrable; let :math:`x_1, \dots, x_n` and :math:`y_1, \dots, y_m` be independent draws of source and target. Then

.. math:: P\Big(\tfrac12 W_2^2 \ge \bar a + \bar b - t \sqrt{s_a^2 / n + s_b^2 / m}\Big) \ge 1 - \alpha / 2
          \quad \text{as } n, m \to \infty,

with t the quantile of order :math:`1 - \alpha / 2` of Student's distribution with Welch's degrees of freedom.

*Proof.* Integrating the inequality over an optimal coupling gives :math:`E a + E b \le \tfrac12 W_2^2`. The lower
end of Welch's two-sided interval is below :math:`E a + E b` with that probability in the limit, by the central limit
theorem.

The level is stated as :math:`1 - \alpha`: the other half of alpha is kept for means of finitely many, skewed values,
whose distribution is not quite normal. What is taken off does not grow with the dimension: it is the sampling error of
means.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

__all__ = ["MeanBound", "lower_bound", "population_bound"]

Array = NDArray[np.float64]


class MeanBound(NamedTuple):
    """A lower confidence bound on a sum of two expectations.

    Attributes:
        value: The bound.
        margin: What was taken off the sum of the two means for their sampling errors.
        variance: Squared standard error of that sum.
        freedom: Degrees of freedom of that error.
    """

    value: float
    margin: float
    variance: float
    freedom: float


def population_bound(source: Array, target: Array, confidence: float) -> MeanBound:
    """Lower confidence bound on `E a(x) + E b(y)`: the lower end of Welch's two-sided interval.

    Args:
        source: `(n,)` values of `a` at independent draws; at least two.
        target: `(m,)` values of `b` at independent draws; at least two.
        confidence: Probability in (0, 1) with which the bound is to hold, in the limit of many points.

    References: Welch 1947, "The generalization of Student's problem when several different population variances are
        involved".
    """
    counts = np.array([len(source), len(target)])
    variances = np.array([source.var(ddof=1), target.var(ddof=1)]) / counts
    return lower_bound(float(source.mean() + target.mean()), variances, counts - 1.0, confidence)


def lower_bound(total: float, variances: Array, freedoms: Array, confidence: float) -> MeanBound:
    """Lower confidence bound on a sum of expectations, from the sum of their independent estimates.

    Args:
        total: The sum.
        variances: Squared standard error of each estimate.
        freedoms: Degrees of freedom of each of those.
        confidence: As for `population_bound`.
    """
    variance = float(variances.sum())
    if variance == 0:
        return MeanBound(total, 0.0, 0.0, math.inf)
    freedom = variance**2 / float(np.sum(variances**2 / freedoms))
    margin = float(student.ppf(0.5 + 0.5 * confidence, freedom)) * variance**0.5
    return MeanBound(total - margin, margin, variance, freedom)
