r"""Weights that give conditions one and the same distribution on both sides.

The dual of a conditional problem is a mean over conditions. If the two sides have different conditions, a function of
the condition alone, added to the potential, makes it as large as one likes, while it changes no map. So the rows of
both sides are weighted: classes equally, and within a class such that the means of polynomials of the numbers agree,
with weights as close to the given ones (equal by default) as that allows in relative entropy:
:math:`w_i \propto q_i \exp(\lambda \cdot f(c_i))`.

References: Hainmueller 2012, "Entropy balancing for causal effects", equations 3 to 6.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from brenier.conditions.basis import largest_degree, legendre
from brenier.data.weights import effective_size

__all__ = ["Balance", "balance", "entropy_weights", "weights_towards"]

Matrix = NDArray[np.float64]

_DEGREE = 4
"""Largest degree of the polynomials whose means are matched."""

_ROWS_A_TERM = 10
"""Rows of the smaller side for each polynomial."""

_ACCURATE = 1e-8
"""Largest difference of the means, in units of orthonormal polynomials."""

_NEWTON_STEPS = 100


class Balance(NamedTuple):
    """Weights of the rows of both sides.

    Attributes:
        x, y: `(n,)` and `(m,)`, each summing to one.
        effective: `(classes, 2)` share of the rows of a class and side that are left in effect: Kish's effective
            sample size over that of the given weights.
        unequal: Classes whose numbers no weights bring to one mean; their rows keep the given weights.
    """

    x: Matrix
    y: Matrix
    effective: Matrix
    unequal: tuple[int, ...]

    @property
    def sides(self) -> tuple[Matrix, Matrix]:
        """The weights of both sides, `(x, y)`."""
        return self.x, self.y


def balance(
    codes_x: Matrix, codes_y: Matrix, low: Matrix, high: Matrix, given: tuple[Matrix, Matrix] | None = None
) -> Balance:
    """Weights under which classes are equally frequent, and numbers have equal means of polynomials, on both sides.

    Means are matched to the mean of both sides, at the largest degree up to 4 at which weights exist.

    Args:
        codes_x: `(n, 1 + q)` number of the class, then the numbers.
        codes_y: `(m, 1 + q)` those of the target; every class has rows on both sides.
        low: `(classes, q)` lower ends of the ranges of the numbers.
        high: `(classes, q)` upper ends.
        given: Weights that the rows have already, positive; equal ones by default.
    """
    weights = np.zeros(len(codes_x)), np.zeros(len(codes_y))
    priors = (np.ones(len(codes_x)), np.ones(len(codes_y))) if given is None else given
    effective, unequal = np.ones((len(low), 2)), []
    for number in range(len(low)):
        rows = [np.flatnonzero(codes[:, 0] == number) for codes in (codes_x, codes_y)]
        numbers = [
            _unscale(codes[chosen, 1:], low[number], high[number])
            for codes, chosen in zip((codes_x, codes_y), rows, strict=True)
        ]
        prior = [_normalise(side[chosen]) for side, chosen in zip(priors, rows, strict=True)]
        matched = _match_both(numbers[0], numbers[1], prior[0], prior[1])
        if matched is None:
            unequal.append(number)
        for side, shares in enumerate(matched or prior):
            weights[side][rows[side]] = shares / len(low)
            effective[number, side] = effective_size(shares) / effective_size(prior[side])
    return Balance(*weights, effective, tuple(unequal))


def weights_towards(
    codes_x: Matrix, codes_y: Matrix, low: Matrix, high: Matrix, given: tuple[Matrix, Matrix] | None = None
) -> tuple[Matrix, tuple[int, ...]]:
    """Weights of the target's rows under which their conditions are distributed as those of the source's rows.

    Args:
        codes_x: `(n, 1 + q)` number of the class, then the numbers.
        codes_y: `(m, 1 + q)` those of the target, with every class that `codes_x` has.
        low: `(classes, q)` lower ends of the ranges of the numbers.
        high: `(classes, q)` upper ends.
        given: Weights that the rows of both sides have already, positive; equal ones by default.

    Returns:
        `(m,)`, summing to one, zero in classes that the source lacks; and the classes whose numbers no weights bring to
        the means of the source's, where they are as given.
    """
    weights, unequal = np.zeros(len(codes_y)), []
    a, b = (np.ones(len(codes_x)), np.ones(len(codes_y))) if given is None else given
    for number in np.unique(codes_x[:, 0].astype(np.intp)):
        of_x, of_y = codes_x[:, 0] == number, codes_y[:, 0] == number
        x, y = (_unscale(side, low[number], high[number]) for side in (codes_x[of_x, 1:], codes_y[of_y, 1:]))
        shares = _match_target(x, y, _normalise(a[of_x]), _normalise(b[of_y]))
        if shares is None:
            unequal.append(int(number))
            shares = _normalise(b[of_y])
        weights[of_y] = shares * (a[of_x].sum() / a.sum())
    return weights, tuple(unequal)


def _unscale(numbers: Matrix, low: Matrix, high: Matrix) -> Matrix:
    """Numbers, rescaled so that their range is from -1 to 1."""
    return (2.0 * numbers - low - high) / np.where(high > low, high - low, 1.0)


def _degrees(numbers: int, rows: int) -> range:
    """Degrees to try, from the largest on."""
    return range(min(_DEGREE, largest_degree(numbers, rows // _ROWS_A_TERM)), 0, -1)


def _normalise(weights: Matrix) -> Matrix:
    return weights / weights.sum()


def _match_both(x: Matrix, y: Matrix, a: Matrix, b: Matrix) -> tuple[Matrix, Matrix] | None:
    """Weights of both sides of a class, close to `a` and `b`; None if no degree has some."""
    if not x.shape[1]:
        return a, b
    for degree in _degrees(x.shape[1], min(len(x), len(y))):
        features = [legendre(side, degree)[:, 1:] for side in (x, y)]
        target = 0.5 * (a @ features[0] + b @ features[1])
        weights = [entropy_weights(side, target, prior) for side, prior in zip(features, (a, b), strict=True)]
        if weights[0] is not None and weights[1] is not None:
            return weights[0], weights[1]
    return None


def _match_target(x: Matrix, y: Matrix, a: Matrix, b: Matrix) -> Matrix | None:
    """Weights of `y` alone, close to `b`, with the means of `x` under `a`; None if no degree has some."""
    if not x.shape[1]:
        return b
    for degree in _degrees(x.shape[1], min(len(x), len(y))):
        weights = entropy_weights(legendre(y, degree)[:, 1:], a @ legendre(x, degree)[:, 1:], b)
        if weights is not None:
            return weights
    return None


def entropy_weights(features: Matrix, target: Matrix, prior: Matrix | None = None) -> Matrix | None:
    r"""The weights closest to `prior` in relative entropy whose mean :math:`\sum_i w_i f_i` is `target`.

    Args:
        features: `(n, p)` the values :math:`f_i`.
        target: `(p,)` means to reach.
        prior: `(n,)` positive weights to stay close to; equal ones by default.

    Returns:
        `(n,)` positive weights that sum to one; None if there are none, or none that are found in 100 Newton steps.
    """
    centred = features - target
    dual = np.zeros(features.shape[1])
    logs = np.zeros(len(features)) if prior is None else np.log(prior)

    def value(dual: Matrix) -> float:
        return float(np.asarray(logsumexp(centred @ dual + logs)))

    current = value(dual)
    for _ in range(_NEWTON_STEPS):
        weights = np.asarray(softmax(centred @ dual + logs), np.float64)
        gradient = weights @ centred
        if np.abs(gradient).max() < _ACCURATE:
            return weights
        hessian = (centred * weights[:, None]).T @ centred - np.outer(gradient, gradient)
        ridge = 1e-12 * np.trace(hessian) + 1e-300
        step = np.linalg.solve(hessian + ridge * np.eye(len(dual)), gradient)
        length, slope = 1.0, float(gradient @ step)
        while (new := value(dual - length * step)) > current - 1e-4 * length * slope and length > 1e-8:
            length *= 0.5
        if not np.isfinite(new) or length <= 1e-8:
            return None
        dual, current = dual - length * step, new
    return None
