"""Problems with exact answers: row-wise root problems for the solvers, and Gaussians for the maps.

Each root problem is `fn(x) = 0` with one target a row, and `fn` is the gradient of a strongly convex function: where
its residual has norm `r`, the root is at most `r / floor` away. That bound is what the tests hold solvers to.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.special

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class RootProblem:
    """A batch of root problems with known roots.

    Attributes:
        name: Shown by pytest.
        system: `system(x, targets)`, row by row: a function, or a module whose arrays may differ from call to call.
        targets: `(n, d)` what each row is solved for.
        guess: `(n, d)` first guesses.
        roots: `(n, d)` exact answers, in float64.
        floor: Least eigenvalue of the Jacobian.
        steepest: Largest eigenvalue between guess and root: how rounding of `x` shows in the residual.
        contracts: Whether the plain fixed point `x - fn(x)` contracts everywhere.
    """

    name: str
    system: Callable[[Any, Any], Any]
    targets: Array
    guess: Array
    roots: Array
    floor: float
    steepest: float
    contracts: bool

    def rows(self, chosen: Any) -> "RootProblem":
        return replace(self, targets=self.targets[chosen], guess=self.guess[chosen], roots=self.roots[chosen])

    def residuals(self, x: Any) -> Array:
        """Residual of every row, in float64 and without the code under test."""
        with jax.enable_x64(True):
            return np.asarray(self.system(np.asarray(x, np.float64), self.targets))

    def rounding(self, x: Any) -> float:
        """Size of the error that single precision leaves in a residual norm at points like these."""
        size = self.steepest * np.abs(x).max() + np.abs(self.targets).max()
        return float(8 * np.finfo(np.float32).eps * size * np.sqrt(self.targets.shape[1]))


class _Affine(eqx.Module):
    matrix: Array
    shift: Array

    def __call__(self, x: Any, targets: Any) -> Any:
        return x @ jnp.asarray(self.matrix, x.dtype) + jnp.asarray(self.shift, x.dtype) - targets


def spectrum(condition: float, dim: int, *, largest: float | None = None) -> Array:
    """Eigenvalues from `largest / condition` to `largest`, evenly spaced in the logarithm, around one by default."""
    largest = np.sqrt(condition) if largest is None else largest
    return largest * np.geomspace(1.0 / condition, 1.0, dim)


def rotation(dim: int, seed: int = 0) -> Array:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, dim)))[0]


def affine(eigenvalues: Array, *, count: int = 17, seed: int = 0) -> RootProblem:
    """`A x + b = y`, with these eigenvalues of the symmetric matrix and random axes."""
    rng, dim = np.random.default_rng(seed), len(eigenvalues)
    axes = rotation(dim, seed)
    matrix = (axes * eigenvalues) @ axes.T
    matrix = (matrix + matrix.T) / 2
    shift, targets = rng.standard_normal(dim), rng.standard_normal((count, dim))
    return RootProblem(
        name=f"affine-{max(eigenvalues) / min(eigenvalues):.0f}",
        system=_Affine(matrix, shift),
        targets=targets,
        guess=targets,
        roots=np.linalg.solve(matrix, (targets - shift).T).T,
        floor=float(min(eigenvalues)),
        steepest=float(max(eigenvalues)),
        contracts=max(eigenvalues) < 2,
    )


def _separable(x: Any, targets: Any) -> Any:
    kink, steep, barrier = x[:, :2], x[:, 2:4], x[:, 4:]
    terms = [0.5 * jnp.sign(kink) * jnp.maximum(jnp.abs(kink) - 1.0, 0.0), jnp.exp(steep), jnp.log(barrier)]
    return x + jnp.concatenate(terms, axis=1) - targets


def separable() -> RootProblem:
    """Prox formulas, two columns each: a soft threshold, `exp`, and `x log x - x`, which ends at zero.

    `x + S(x) / 2 = y` at `(y + sign(y) / 2) / 1.5` beyond the threshold one; with Lambert's function W,
    `x + exp(x) = y` at `y - W(exp(y))`, and `x + log(x) = y` at `W(exp(y))`, a map that is NaN at negative points.
    """
    low, high = np.repeat([[-4.0, -3.0, -1.0], [4.0, 3.0, 4.0]], 2, axis=1)
    targets = np.random.default_rng(1).uniform(low, high, (17, 6))
    kink, lambert = targets[:, :2], scipy.special.lambertw(np.exp(targets[:, 2:])).real
    beyond = np.where(np.abs(kink) <= 1, kink, (kink + 0.5 * np.sign(kink)) / 1.5)
    roots = np.concatenate([beyond, targets[:, 2:4] - lambert[:, :2], lambert[:, 2:]], axis=1)
    guess = np.concatenate([2 * kink, np.minimum(targets[:, 2:4], 2.0), np.full((17, 2), 4.0)], axis=1)
    return RootProblem("separable", _separable, targets, guess, roots, 1.0, 10.0, False)


_SLOPES = np.random.default_rng(4).uniform(-0.7, 0.7, (6, 3))
_OFFSETS = np.linspace(-1, 1, 6)
_LSE_FLOOR = 0.3


def _log_sum_exp(x: Any, targets: Any) -> Any:
    slopes = jnp.asarray(_SLOPES, x.dtype)
    return _LSE_FLOOR * x + jax.nn.softmax(x @ slopes.T + jnp.asarray(_OFFSETS, x.dtype), axis=1) @ slopes - targets


def log_sum_exp() -> RootProblem:
    """Gradient of `log sum exp(C x + b) + 0.15 |x|^2`, solved by scipy in float64."""
    targets = np.random.default_rng(5).standard_normal((17, 3))

    def solve(target: Array) -> Array:
        def fn(x: Array) -> Array:
            return _LSE_FLOOR * x + scipy.special.softmax(_SLOPES @ x + _OFFSETS) @ _SLOPES - target

        answer = scipy.optimize.root(fn, target, tol=1e-12)
        if not answer.success:
            raise RuntimeError(answer.message)
        return answer.x

    roots = np.stack([solve(target) for target in targets])
    steepest = _LSE_FLOOR + 0.5 * float(np.max(np.sum(_SLOPES**2, axis=1)))
    return RootProblem("log-sum-exp", _log_sum_exp, targets, targets, roots, _LSE_FLOOR, steepest, steepest < 2)


def _quantile_map(x: Any, targets: Any) -> Any:
    return jax.scipy.special.log_ndtr(x) - jax.scipy.special.log_ndtr(-x) - targets


def quantile_map() -> RootProblem:
    """One dimension: the monotone map from the normal to the logistic distribution, by both quantile functions."""
    targets = scipy.special.logit((np.arange(17)[:, None] + 0.5) / 17)
    roots = scipy.special.ndtri(scipy.special.expit(targets))
    floor = 4 / np.sqrt(2 * np.pi)  # the ratio of the two densities is least at the medians
    return RootProblem("quantile-map", _quantile_map, targets, 0.5 * targets, roots, floor, 3.5, False)


PROBLEMS = [
    affine(spectrum(1, 6, largest=0.7)),
    affine(spectrum(10, 6, largest=1.5)),
    affine(spectrum(100, 6)),
    affine(spectrum(1000, 6)),
    separable(),
    log_sum_exp(),
    quantile_map(),
]


@dataclass(frozen=True)
class Gaussians:
    """Two Gaussians, their optimal map `y = mean_y + matrix (x - mean_x)` and their distance."""

    mean_x: Array
    mean_y: Array
    covariance_x: Array
    covariance_y: Array

    @property
    def matrix(self) -> Array:
        """By matrix square roots of scipy: `Sx^-1/2 (Sx^1/2 Sy Sx^1/2)^1/2 Sx^-1/2`."""
        half = scipy.linalg.sqrtm(self.covariance_x).real
        middle = scipy.linalg.sqrtm(half @ self.covariance_y @ half).real
        return np.linalg.solve(half, np.linalg.solve(half, middle.T).T)

    @property
    def w2(self) -> float:
        """`|mx - my|^2 + tr(Sx + Sy - 2 (Sx^1/2 Sy Sx^1/2)^1/2)`, under a root (Peyre and Cuturi 2019, eq. 2.41)."""
        half = scipy.linalg.sqrtm(self.covariance_x).real
        middle = scipy.linalg.sqrtm(half @ self.covariance_y @ half).real
        traces = np.trace(self.covariance_x + self.covariance_y - 2 * middle)
        return float(np.sqrt(np.sum((self.mean_x - self.mean_y) ** 2) + traces))


def covariance(dim: int, condition: float, seed: int) -> Array:
    axes = rotation(dim, seed)
    return (axes * spectrum(condition, dim)) @ axes.T


def gaussians(dim: int, condition: float = 10.0, seed: int = 0) -> Gaussians:
    rng = np.random.default_rng(seed)
    return Gaussians(
        mean_x=rng.standard_normal(dim),
        mean_y=3 * rng.standard_normal(dim),
        covariance_x=covariance(dim, condition, seed + 1),
        covariance_y=2 * covariance(dim, condition, seed + 2),
    )


def exact_sample(mean: Array, cov: Array, count: int, rng: np.random.Generator) -> Array:
    """Points whose own mean and covariance (divided by `count`) are exactly these."""
    points = rng.standard_normal((count, len(mean)))
    points -= points.mean(axis=0)
    points = points @ np.linalg.inv(np.linalg.cholesky(points.T @ points / count)).T
    return points @ np.linalg.cholesky(cov).T + mean
