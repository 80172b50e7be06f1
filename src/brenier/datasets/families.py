"""Gaussian families whose moments move with a number, and the exact map for each of its values."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import expm, sqrtm

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class GaussianFamily:
    """A Gaussian for each c in [-1, 1]: its axes turn, its scales and its mean move."""

    generator: Array
    scales: Array
    growth: Array
    drift: Array

    @classmethod
    def random(cls, dim: int, seed: int) -> "GaussianFamily":
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
        return len(self.scales)

    def mean(self, c: float) -> Array:
        return self.drift * np.sin(2 * c)

    def factor(self, c: float) -> Array:
        return expm(c * self.generator) * np.sqrt(self.scales * np.exp(self.growth * c))

    def covariance(self, c: float) -> Array:
        return self.factor(c) @ self.factor(c).T

    def sample(self, c: Array, rng: np.random.Generator) -> Array:
        """One point for each of the values."""
        values, number = np.unique(c, return_inverse=True)
        factors, means = np.stack([self.factor(v) for v in values]), np.stack([self.mean(v) for v in values])
        noise = rng.standard_normal((len(c), self.dim))
        points = np.empty((len(c), self.dim))
        for start in range(0, len(c), 4096):
            rows = slice(start, start + 4096)
            points[rows] = np.einsum("nij,nj->ni", factors[number[rows]], noise[rows])
        return points + means[number]


def exact_map(source: GaussianFamily, target: GaussianFamily, c: float, x: Array) -> Array:
    """The optimal map between the two Gaussians at c, by matrix square roots."""
    half = np.real(sqrtm(source.covariance(c)))
    inverse = np.linalg.inv(half)
    matrix = inverse @ np.real(sqrtm(half @ target.covariance(c) @ half)) @ inverse
    return target.mean(c) + (x - source.mean(c)) @ matrix.T


def exact_squared_w2(source: GaussianFamily, target: GaussianFamily, c: float) -> float:
    half = np.real(sqrtm(source.covariance(c)))
    cross = np.real(sqrtm(half @ target.covariance(c) @ half))
    shift = source.mean(c) - target.mean(c)
    return float(shift @ shift + np.trace(source.covariance(c) + target.covariance(c) - 2.0 * cross))
