"""From samples of two sides, with their conditions, to the coordinates of every condition."""

import numpy as np
from numpy.typing import NDArray

from brenier.conditions.basis import largest_degree, legendre, terms
from brenier.geometry.conditional import ConditionalGeometry
from brenier.geometry.dependence import Dependence, dependence
from brenier.geometry.moments import carry_flat, moments

__all__ = ["conditional_between"]

Matrix = NDArray[np.float64]

_PLACES = 512
"""Most conditions of each class at which Gaussian maps are computed."""

_CHECKED = 4
"""One in so many of them judges polynomials that were fitted to the others."""

_MOST_TERMS = 96
_LARGEST_DEGREE = 24

_ACCURATE = 1e-4
"""Mean relative error of a factor below which no larger degree is tried."""

_MOST_ROWS = 1 << 18
"""Rows of a class that its moments are fitted to."""

_OUTERMOST = 0.01
_FEWEST_OUTERMOST = 20
"""Share, and least number, of the rows of a class that lie beyond an end of a number's range while it is judged."""

_THIN = 0.1
"""Share of the range that the outermost rows may span; what they spread wider is too thin to follow a polynomial."""


def conditional_between(
    x: Matrix,
    y: Matrix,
    low: Matrix,
    high: Matrix,
    scale: Matrix,
    seed: int,
    weights: tuple[Matrix | None, Matrix | None] = (None, None),
) -> ConditionalGeometry:
    """Choose coordinates for every condition, from means and covariances that vary smoothly with it.

    Args:
        x: `(n, d + 1 + q)` rows of the source: points, the number of their class, numbers.
        y: `(m, d + 1 + q)` rows of the target; every class has rows on both sides.
        low: `(classes, q)` lower ends of the ranges of the numbers.
        high: `(classes, q)` upper ends.
        scale: `(d,)` units of the columns in the cost.
        seed: Seed of the choice of rows and conditions, where there are many.
        weights: Weights of the rows of both sides; equal ones by default.
    """
    rng = np.random.default_rng(seed)
    dim = len(scale)
    shares = [None if given is None else given / given.sum() for given in weights]
    whole = carry_flat(*(moments(s[:, :dim] / scale, weights=share) for s, share in zip((x, y), shares, strict=True)))
    flat = np.zeros(dim, bool) if whole[0].flat is None else whole[0].flat
    added = np.where(flat, np.diag(whole[0].covariance), 0.0)
    spread = [np.where(flat, 1.0, side[:, :dim].std(axis=0) / scale) for side in (x, y)]
    low, high = _supported(x[:, dim:], y[:, dim:], low, high)
    parts = []
    for number in range(len(low)):
        sides, places = [], []
        for side, unit, given in zip((x, y), spread, weights, strict=True):
            rows = np.flatnonzero(side[:, dim] == number)
            rows = rng.choice(rows, _MOST_ROWS, replace=False) if len(rows) > _MOST_ROWS else rows
            width = np.where(high[number] > low[number], high[number] - low[number], 1.0)
            inside = np.clip(side[rows, dim + 1 :], low[number], high[number])
            numbers = (2.0 * inside - low[number] - high[number]) / width
            sides.append(dependence(side[rows, :dim] / scale, numbers, unit, None if given is None else given[rows]))
            places.append(numbers)
        parts.append(_class_part(sides[0], sides[1], _places(np.concatenate(places), rng), added))
    mean = np.mean([covariance for *_, covariance in parts], axis=0)
    variances, vectors = np.linalg.eigh((mean + mean.T) / 2)
    unit = float(np.sqrt(variances.mean()))
    count = max(factor.shape[0] for _, _, factor, _ in parts)
    mean_x, mean_y, factor = (np.stack([_pad(part[k], count) for part in parts]) for k in range(3))
    return ConditionalGeometry(
        mean_x=mean_x * scale,
        mean_y=mean_y * scale,
        factor=factor,
        low=low,
        high=high,
        rotation=vectors.T,
        unit=unit,
        spread=np.sqrt(variances) / unit,
        scale=scale,
        degree=largest_degree(low.shape[1], count),
    )


def _supported(x: Matrix, y: Matrix, low: Matrix, high: Matrix) -> tuple[Matrix, Matrix]:
    """Ranges of the numbers of each class, without ends so thin that moments there would be extrapolated.

    Beyond such an end the moments are those at it, so that a few far conditions get its linear map.

    Args:
        x: `(n, 1 + q)` codes of the conditions of the source.
        y: Those of the target.
        low: `(classes, q)` lower ends of the ranges of all rows.
        high: `(classes, q)` upper ends.
    """
    codes = np.concatenate([x, y])
    low, high = low.copy(), high.copy()
    for number in range(len(low)):
        rows = codes[codes[:, 0] == number, 1:]
        share = min(max(_OUTERMOST, _FEWEST_OUTERMOST / len(rows)), 0.25)
        for column, values in enumerate(rows.T):
            first, last = np.quantile(values, [share, 1.0 - share])
            most = _THIN * (high[number, column] - low[number, column])
            if last > first:
                low[number, column] = first if first - low[number, column] > most else low[number, column]
                high[number, column] = last if high[number, column] - last > most else high[number, column]
    return low, high


def _class_part(
    source: Dependence, target: Dependence, places: Matrix, added: Matrix
) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """Coefficients of both means and of the factor, and the mean covariance in the coordinates that they make.

    Args:
        source: The moments of the source.
        target: Those of the target.
        places: Conditions at which to compute Gaussian maps.
        added: `(d,)` variance of columns that are carried, see `carry_flat`; 0 for the others.
    """
    roots, target_roots = (_carry(side.roots(places), added) for side in (source, target))
    factors = _factors(roots, target_roots)
    rows, columns = np.tril_indices(factors.shape[1])
    packed = factors[:, rows, columns]
    on_diagonal = rows == columns
    packed[:, on_diagonal] = np.log(packed[:, on_diagonal])
    coefficients = _polynomials(places, packed, max(source.degree, target.degree))
    count = max(len(coefficients), terms(places.shape[1], max(source.degree, target.degree)))
    seen = factors.transpose(0, 2, 1) @ roots
    mean = np.mean(seen @ seen.transpose(0, 2, 1), axis=0)
    mean_x, mean_y = (_pad(side.mean_coefficients(), count) for side in (source, target))
    return mean_x, mean_y, _pad(coefficients, count), mean


def _carry(roots: Matrix, added: Matrix) -> Matrix:
    """Roots of covariances in which carried columns have the variance `added`, and no correlation."""
    if not added.any():
        return roots
    kept = np.flatnonzero(added == 0)
    carried = np.broadcast_to(np.diag(np.sqrt(added)), roots.shape).copy()
    # A triangular root of the others' covariance, without the covariance, which may have none in double precision.
    upper = np.asarray(np.linalg.qr(roots[:, kept].transpose(0, 2, 1), mode="r"))
    carried[:, kept[:, None], kept] = upper.transpose(0, 2, 1)
    return carried


def _places(numbers: Matrix, rng: np.random.Generator) -> Matrix:
    """Conditions at which to compute Gaussian maps: where polynomials are well determined, out to the ends.

    Chebyshev points of the second kind for one number (Trefethen 2019, chapter 2); for several, some of the data's own,
    with those that are farthest out.
    """
    if not numbers.shape[1]:
        return np.zeros((1, 0))
    distinct = np.unique(np.clip(numbers, -1.0, 1.0), axis=0)
    if len(distinct) <= _PLACES:
        return distinct
    if numbers.shape[1] == 1:
        return -np.cos(np.pi * np.arange(_PLACES) / (_PLACES - 1))[:, None]
    outermost = np.argsort(-np.abs(distinct).max(axis=1), kind="stable")
    half = _PLACES // 2
    return distinct[
        rng.permutation(np.concatenate([outermost[:half], rng.choice(outermost[half:], half, replace=False)]))
    ]


def _factors(source: Matrix, target: Matrix) -> Matrix:
    """Cholesky factors L of the Bures maps between covariances, `(n, d, d)` each, from roots of these."""
    # As in `bures_coordinates`: W^T W is the map, and an orthogonal Q with Q W upper triangular has L^T = Q W.
    _, values, right = np.linalg.svd(target.transpose(0, 2, 1) @ source)
    whitened = np.linalg.solve(source.transpose(0, 2, 1), right.transpose(0, 2, 1)).transpose(0, 2, 1)
    upper = np.linalg.qr(np.sqrt(values)[:, :, None] * whitened, mode="r")
    signs = np.sign(np.einsum("nii->ni", upper))
    return (signs[:, :, None] * upper).transpose(0, 2, 1)


def _polynomials(places: Matrix, values: Matrix, degree: int) -> Matrix:
    """Coefficients of polynomials through values at places, at a degree that suffices at places left out."""
    numbers = places.shape[1]
    if not numbers:
        return values
    left_out = np.arange(len(places)) % _CHECKED == 0
    most = min(_MOST_TERMS, int((~left_out).sum()) // 2, len(np.unique(places, axis=0)))
    best, smallest = 0, np.inf
    largest = min(largest_degree(numbers, most), _LARGEST_DEGREE)
    for tried in range(min(degree, largest), largest + 1):
        basis = legendre(places, tried)
        fitted = np.linalg.lstsq(basis[~left_out], values[~left_out], rcond=None)[0]
        error = float(np.sqrt(np.mean(np.square(basis[left_out] @ fitted - values[left_out]))))
        if error < smallest:
            best, smallest = tried, error
        if error < _ACCURATE * np.sqrt(np.mean(np.square(values))):
            break
    return np.asarray(np.linalg.lstsq(legendre(places, best), values, rcond=None)[0], np.float64)


def _pad(coefficients: Matrix, count: int) -> Matrix:
    """Coefficients of polynomials, with zeros for the terms of higher degree."""
    return np.pad(coefficients, ((0, count - len(coefficients)), (0, 0)))
