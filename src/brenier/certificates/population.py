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

from brenier.data.weights import effective_size

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


def population_bound(
    source: Array, target: Array, confidence: float, a: Array | None = None, b: Array | None = None
) -> MeanBound:
    """Lower confidence bound on `E a(x) + E b(y)`: the lower end of Welch's two-sided interval.

    Weighted draws are draws from another distribution than the one they stand for; their mean is a ratio of two means,
    and its standard error that of a ratio, to first order. Degrees of freedom are those of Kish's effective number of
    draws. It is not the bound for rows repeated by their weights: copies of a draw are no new draws.

    Args:
        source: `(n,)` values of `a` at independent draws; at least two.
        target: `(m,)` values of `b` at independent draws; at least two.
        confidence: Probability in (0, 1) with which the bound is to hold, in the limit of many points.
        a: `(n,)` weights of the draws, summing to one; equal ones by default.
        b: `(m,)` weights of the draws of the target.

    References: Welch 1947, "The generalization of Student's problem when several different population variances are
        involved"; Owen 2013, "Monte Carlo theory, methods and examples", equations 9.8 and 9.14, for weights.

    Example:
        >>> import numpy as np
        >>> a, b = np.random.default_rng(0).normal(1.0, 1.0, size=(2, 10_000))
        >>> bound = population_bound(a, b, 0.95)
        >>> bool(1.9 < bound.value < 2.0), round(bound.margin, 3)  # 1.96 standard errors
        (True, 0.028)
    """
    means, variances, freedoms = zip(*(_estimate(*side) for side in ((source, a), (target, b))), strict=True)
    return lower_bound(sum(means), np.array(variances), np.array(freedoms), confidence)


def _estimate(values: Array, weights: Array | None) -> tuple[float, float, float]:
    """A mean, its squared standard error, and the degrees of freedom of that."""
    if weights is None:
        return float(values.mean()), float(values.var(ddof=1)) / len(values), len(values) - 1.0
    mean, effective = float(weights @ values), effective_size(weights)
    freedom = max(effective - 1.0, 1.0)
    # For equal weights this is what it is without: n / (n - 1) corrects for the mean that is estimated, too.
    return mean, float(np.sum(np.square(weights * (values - mean)))) * effective / freedom, freedom


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
