r"""Mean and covariance as smooth functions of the numbers of a condition.

Means are polynomials. Covariances are modified Cholesky factors: every coordinate is regressed on those before it, with
coefficients that are polynomials, and the logarithm of what is left of its variance is one, too. So there is a positive
definite covariance for every condition, and each part is a regression: least squares for coefficients, a gamma model
with logarithmic link for variances. The degree is the one of least AIC.

References: Pourahmadi 1999, "Joint mean-covariance models with applications to longitudinal data", sections 2 and 3.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brenier.conditions.basis import largest_degree, legendre
from brenier.data.weights import effective_size
from brenier.geometry.moments import moments

__all__ = ["Dependence", "dependence"]

Matrix = NDArray[np.float64]

_LARGEST_DEGREE = 12
_MOST_TERMS = 64
_ROWS_A_TERM = 20
"""Rows that each polynomial needs."""

_PATIENCE = 2
"""Degrees without a better AIC after which the search ends."""

_ROWS_TO_CHOOSE = 1 << 15
"""Rows that the degrees are compared on: with a correction for their number, they tell what all rows will give."""

_FLOOR = 1e-6
"""Least variance, in units where all of it is one."""

_SCORING_STEPS = 30
_CHUNK = 1 << 13
"""Rows whose products of coordinates and polynomials are in memory together."""

_DEVIATIONS = (1e-2, 10.0)
"""Least and largest standard deviation under a condition, relative to that of all rows.

A hundredth of the rows cannot be spread more than ten times as widely as all of them, and a hundredth of that width is
rarely known: what says so is a polynomial that has left its data.
"""

_LOGS = 12.0
"""Largest logarithm of a factor of such a deviation."""


class Dependence(NamedTuple):
    """Mean and covariance of points given the numbers of their condition.

    In coordinates `e = whiten (x - centre)` the mean is `p(c) shift`. With `p` the polynomials, `e` less its mean, each
    coordinate over `exp(p(c) log_scale / 2)`, is `s`; then `s_j = sum_k<j (p(c) slopes_jk) s_k` plus noise whose
    variance is `exp(p(c) log_noise_j)`.

    Attributes:
        degree: Degree of the polynomials.
        centre: `(d,)`.
        whiten, colour: `(d, d)` and its inverse.
        shift: `(p, d)`.
        log_scale: `(p, d)`.
        slopes: `(d, d, p)`, zero on and above the diagonal.
        log_noise: `(p, d)`.
    """

    degree: int
    centre: Matrix
    whiten: Matrix
    colour: Matrix
    shift: Matrix
    log_scale: Matrix
    slopes: Matrix
    log_noise: Matrix

    def means(self, numbers: Matrix) -> Matrix:
        """`(n, d)` means at `(n, q)` numbers from -1 to 1."""
        return legendre(numbers, self.degree) @ self.shift @ self.colour.T + self.centre

    def mean_coefficients(self) -> Matrix:
        """`(p, d)` coefficients of the mean as polynomials of the numbers."""
        coefficients = self.shift @ self.colour.T
        coefficients[0] += self.centre
        return coefficients

    def roots(self, numbers: Matrix) -> Matrix:
        """`(n, d, d)` matrices `R` at `(n, q)` numbers from -1 to 1, of which `R R^T` is the covariance.

        At the ends of the numbers some covariances have no Cholesky factor in double precision; these always exist.
        """
        p = legendre(numbers, self.degree)
        dim = len(self.centre)
        unit = np.eye(dim) - np.einsum("np,jkp->njk", p, self.slopes)
        # Exponentials of polynomials that have left their data would overflow.
        noise, scale = (np.exp(np.clip(0.5 * p @ part, -_LOGS, _LOGS)) for part in (self.log_noise, self.log_scale))
        factor = scale[:, :, None] * np.linalg.solve(unit, np.broadcast_to(np.eye(dim), unit.shape) * noise[:, None, :])
        left, sizes, right = np.linalg.svd(factor)
        return self.colour @ ((left * np.clip(sizes, *_DEVIATIONS)[:, None, :]) @ right)


def dependence(points: Matrix, numbers: Matrix, spread: Matrix, weights: Matrix | None = None) -> Dependence:
    """Fit mean and covariance as functions of the numbers of a condition, at the degree of least AIC.

    The criterion is corrected for the comparison on some of the rows: twice the negative log-likelihood a row is too
    small by `k / n` for a fit to `n` rows with `k` parameters, and above the least by `k / N` for a fit to all `N`.

    Args:
        points: `(n, d)` points.
        numbers: `(n, q)` numbers from -1 to 1.
        spread: `(d,)` what one unit of each column is, for directions without variance.
        weights: `(n,)` weights of the rows; equal ones by default. Degrees are then chosen for their effective number.
    """
    dim = points.shape[1]
    shares = np.full(len(points), 1.0 / len(points)) if weights is None else weights / weights.sum()
    count = len(points) if weights is None else max(int(effective_size(shares)), 1)
    whole = moments(points, spread, shares)
    colour = np.asarray(np.linalg.cholesky(whole.covariance), np.float64)
    whiten = np.asarray(np.linalg.inv(colour), np.float64)
    standard = (points - whole.mean) @ whiten.T
    distinct = len(np.unique(numbers, axis=0)) if numbers.shape[1] else 1
    most = min(distinct, _MOST_TERMS, count // (_ROWS_A_TERM * max(int(np.sqrt(dim)), 1)))
    step = max(len(points) // _ROWS_TO_CHOOSE, 1)
    some = slice(None, None, step)
    best, lowest, since = 0, np.inf, 0
    largest = min(largest_degree(numbers.shape[1], most), _LARGEST_DEGREE)
    for degree in range(largest + 1 if largest else 0):
        fitted = _fit(standard[some], legendre(numbers[some], degree), shares[some])
        score = fitted.deviance + fitted.parameters * (step / count + 1.0 / count)
        best, lowest, since = (degree, score, 0) if score < lowest else (best, lowest, since + 1)
        if since == _PATIENCE:
            break
    if best == 0:  # the moments as they are, shrunk where that is called for
        zero = np.zeros((1, dim))
        return Dependence(0, whole.mean, whiten, colour, zero, zero, np.zeros((dim, dim, 1)), zero)
    fitted = _fit(standard, legendre(numbers, best), shares)
    return Dependence(best, whole.mean, whiten, colour, fitted.shift, fitted.log_scale, fitted.slopes, fitted.log_noise)


class _Fitted(NamedTuple):
    """A fit with given polynomials: what `Dependence` has, and twice the negative log-likelihood a row."""

    shift: Matrix
    log_scale: Matrix
    slopes: Matrix
    log_noise: Matrix
    deviance: float
    parameters: int


def _fit(e: Matrix, p: Matrix, weights: Matrix) -> _Fitted:
    count, dim = e.shape
    w = weights[:, None] * (count / weights.sum())  # one each where all count alike
    gram = (p * w).T @ p + 1e-9 * count * np.eye(p.shape[1])
    shift = np.linalg.solve(gram, (p * w).T @ e)
    log_scale = np.zeros_like(shift)
    for _ in range(2):  # the second time with the weights that the first one's variances call for
        e_less = e - p @ shift
        log_scale = _log_variances(np.square(e_less), p, gram, w)
        precision = w * np.exp(-p @ log_scale)
        for j in range(dim):
            weighted = p * precision[:, j : j + 1]
            shift[:, j] = np.linalg.solve(weighted.T @ p + 1e-9 * count * np.eye(p.shape[1]), weighted.T @ e[:, j])
    s = (e - p @ shift) * np.exp(-0.5 * p @ log_scale)
    slopes = _slopes(s, p, w)
    noise = s - _predict(s, p, slopes)
    log_noise = _log_variances(np.square(noise), p, gram, w)
    logs = p @ (log_scale + log_noise)
    deviance = float(np.sum(w * (logs + np.square(noise) * np.exp(-p @ log_noise))) / count)
    return _Fitted(shift, log_scale, slopes, log_noise, deviance, p.shape[1] * (2 * dim + dim * (dim - 1) // 2))


def _log_variances(squares: Matrix, p: Matrix, gram: Matrix, w: Matrix) -> Matrix:
    """Coefficients of the logarithms of variances: a gamma model, by Fisher scoring."""
    squares = squares + _FLOOR
    coefficients = np.zeros((p.shape[1], squares.shape[1]))
    coefficients[0] = np.log(np.mean(w * squares, axis=0))
    for _ in range(_SCORING_STEPS):
        score = p.T @ (w * (squares * np.exp(-p @ coefficients) - 1.0))
        step = np.linalg.solve(gram, score)
        size = np.abs(p @ step).max()
        coefficients += step * min(1.0, 1.0 / max(size, 1e-300))
        if size < 1e-5:
            break
    return coefficients


def _slopes(s: Matrix, p: Matrix, w: Matrix) -> Matrix:
    """`(d, d, p)` regression of each coordinate on those before it, with coefficients in the polynomials."""
    dim, width = s.shape[1], p.shape[1]
    gram, cross = np.zeros((dim * width, dim * width)), np.zeros((dim * width, dim))
    for rows, products in _products(s, p):
        weighted = products * w[rows]
        gram += weighted.T @ products
        cross += weighted.T @ s[rows]
    slopes = np.zeros((dim, dim, width))
    for j in range(1, dim):
        before = slice(0, j * width)
        ridge = 1e-9 * len(s) * np.eye(j * width)
        slopes[j, :j] = np.linalg.solve(gram[before, before] + ridge, cross[before, j]).reshape(j, width)
    return slopes


def _predict(s: Matrix, p: Matrix, slopes: Matrix) -> Matrix:
    dim, width = s.shape[1], p.shape[1]
    matrix = slopes.reshape(dim, dim * width).T
    return np.concatenate([products @ matrix for _, products in _products(s, p)])


def _products(s: Matrix, p: Matrix):  # noqa: ANN202
    """Every coordinate times every polynomial, `(rows, d * p)`, some rows at a time."""
    for start in range(0, len(s), _CHUNK):
        rows = slice(start, start + _CHUNK)
        yield rows, (s[rows, :, None] * p[rows, None, :]).reshape(len(s[rows]), -1)
