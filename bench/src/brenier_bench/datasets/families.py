"""Gaussian families whose moments move with a number, with the exact map for each of its values."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm, sqrtm

__all__ = ["FamilyPair", "GaussianFamily"]

Matrix = NDArray[np.float64]

_ROWS = 4096
"""Rows whose factors are in memory together."""


@dataclass(frozen=True, eq=False)
class GaussianFamily:
    r"""A Gaussian for each number c from -1 to 1: its axes turn, its scales and its mean move.

    .. math:: m(c) = \sin(2 c)\, b, \qquad \Sigma(c) = e^{c G} \operatorname{diag}(s_i e^{c g_i}) e^{-c G}

    Attributes:
        generator: `(d, d)` skew-symmetric `G`.
        scales: `(d,)` variances `s` at zero.
        growth: `(d,)` rates `g`.
        drift: `(d,)` direction `b` of the mean.
    """

    generator: Matrix
    scales: Matrix
    growth: Matrix
    drift: Matrix

    @classmethod
    def random(cls, dim: int, seed: int) -> "GaussianFamily":
        """A random family: variances differ by a factor of four at zero, and by up to e more at the ends."""
        rng = np.random.default_rng(seed)
        skew = rng.standard_normal((dim, dim)) / np.sqrt(dim)
        return cls(
            generator=0.5 * (skew - skew.T),
            scales=np.exp(np.linspace(-0.7, 0.7, dim)),
            growth=rng.uniform(-0.5, 0.5, dim),
            drift=rng.standard_normal(dim),
        )

    @property
    def dim(self) -> int:
        """Number of columns."""
        return len(self.scales)

    def mean(self, c: float) -> Matrix:
        """`(d,)` mean at a number."""
        return self.drift * np.sin(2 * c)

    def factor(self, c: float) -> Matrix:
        """`(d, d)` matrix that makes points from standard normal ones."""
        return np.asarray(expm(c * self.generator), np.float64) * np.sqrt(self.scales * np.exp(self.growth * c))

    def covariance(self, c: float) -> Matrix:
        """`(d, d)` covariance at a number."""
        return self.factor(c) @ self.factor(c).T

    def sample(self, c: Matrix, rng: np.random.Generator) -> Matrix:
        """`(n, d)` points, one for each of `(n,)` numbers."""
        noise = rng.standard_normal((len(c), self.dim))
        # exp(c G) through the eigenvalues of the Hermitian matrix i G: one decomposition for all numbers.
        values, vectors = np.linalg.eigh(1j * self.generator)
        points = np.empty((len(c), self.dim))
        for start in range(0, len(c), _ROWS):
            rows = slice(start, start + _ROWS)
            scaled = noise[rows] * np.sqrt(self.scales * np.exp(np.outer(c[rows], self.growth)))
            turned = np.exp(-1j * np.outer(c[rows], values)) * (scaled @ vectors.conj())
            points[rows] = np.real(turned @ vectors.T)
        return points + np.outer(np.sin(2 * c), self.drift)


class FamilyPair(NamedTuple):
    """Two families, and the optimal map between their Gaussians at every number.

    Attributes:
        source, target: The families.

    References: Dowson and Landau 1982, "The Frechet distance between multivariate normal distributions".
    """

    source: GaussianFamily
    target: GaussianFamily

    @classmethod
    def random(cls, dim: int, seed: int) -> "FamilyPair":
        """A pair of independent random families."""
        return cls(GaussianFamily.random(dim, 2 * seed + 1), GaussianFamily.random(dim, 2 * seed + 2))

    def transport(self, c: float, x: Matrix) -> Matrix:
        """Exact images of source points at a number."""
        return self.target.mean(c) + (x - self.source.mean(c)) @ self._matrix(c).T

    def inverse(self, c: float, y: Matrix) -> Matrix:
        """Exact preimages of target points at a number."""
        return self.source.mean(c) + np.linalg.solve(self._matrix(c), (y - self.target.mean(c)).T).T

    def squared_w2(self, c: float) -> float:
        """Squared distance at a number, not halved."""
        cross = np.real(sqrtm(self._half(c) @ self.target.covariance(c) @ self._half(c)))
        shift = self.source.mean(c) - self.target.mean(c)
        return float(shift @ shift + np.trace(self.source.covariance(c) + self.target.covariance(c) - 2.0 * cross))

    def _half(self, c: float) -> Matrix:
        return np.real(sqrtm(self.source.covariance(c)))

    def _matrix(self, c: float) -> Matrix:
        half = self._half(c)
        inverse = np.linalg.inv(half)
        return inverse @ np.real(sqrtm(half @ self.target.covariance(c) @ half)) @ inverse
