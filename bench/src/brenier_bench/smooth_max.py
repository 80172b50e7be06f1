r"""A potential whose every constant is known: a quadratic plus a soft maximum of affine functions."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._types import Array, Float, Points, Scalar, Values
from brenier.datasets import Wasserstein2Pair
from brenier.potentials import AbstractPotential

__all__ = ["SmoothMax", "random_pair"]

_TEST_POINTS = 4096
_FLOOR, _SLOPES = 0.4, 2.5
"""Of random pairs: least stretch of the map, and standard deviation of the slopes over a root of the dimension."""


class SmoothMax(AbstractPotential):
    r""":math:`u(x) = \tfrac m2 |x|^2 + \log \sum_i \exp(c_i \cdot x + b_i)`.

    Its Hessian is `m` plus the covariance of the slopes `c_i` under weights that depend on `x`. The variance of numbers
    in an interval is at most a quarter of its squared length (Popoviciu), so the largest eigenvalue is at most `m` plus
    a quarter of the largest squared distance between slopes.

    Args:
        slopes: `(k, d)`.
        offsets: `(k,)`.
        floor: `m > 0`.
    """

    slopes: Float[Array, "k d"]
    offsets: Float[Array, " k"]
    floor: float = eqx.field(static=True)
    dim: int = eqx.field(static=True)

    def __init__(self, slopes: Float[Array, "k d"], offsets: Float[Array, " k"], floor: float) -> None:
        self.slopes, self.offsets, self.floor, self.dim = slopes, offsets, float(floor), slopes.shape[1]

    def __call__(self, x: Points) -> Values:
        forms = x @ self.slopes.T + self.offsets
        return 0.5 * self.floor * jnp.sum(jnp.square(x), axis=1) + jax.nn.logsumexp(forms, axis=1)

    def convexity_floor(self) -> Scalar:
        return jnp.asarray(self.floor)

    def steepest(self) -> Scalar:
        """Upper bound of the Hessian's eigenvalues, everywhere."""
        between = self.slopes[:, None] - self.slopes[None]
        return self.floor + 0.25 * jnp.max(jnp.sum(jnp.square(between), axis=2))

    def parameter_lipschitz(self, radius: Values) -> Values:
        r"""Lipschitz constants in `x` of the gradient in the parameters, in balls around the origin.

        With the weights :math:`p`, the gradient is :math:`(p \otimes x, p)`. As :math:`|p| \le 1`, and the derivative
        of :math:`p` is at most :math:`|C| / 2`, both parts are Lipschitz: :math:`1 + |C| R / 2` and :math:`|C| / 2`.
        """
        half = 0.5 * jnp.linalg.norm(self.slopes, ord=2)
        return jnp.hypot(1.0 + half * radius, half)

    def hyperparameters(self) -> Mapping[str, Any]:
        return {"shape": self.slopes.shape, "floor": self.floor}

    @classmethod
    def skeleton(cls, shape: tuple[int, int], floor: float) -> "SmoothMax":
        return cls(jnp.zeros(shape), jnp.zeros(shape[0]), floor)

    @classmethod
    def random(
        cls, dim: int, seed: int, *, count: int = 6, floor: float = _FLOOR, size: float = _SLOPES
    ) -> "SmoothMax":
        """Normal slopes of typical length `size`, in the precision that is switched on.

        Their mean is zero, and each offset makes up for the length of its slope, so that all pieces of the maximum
        are met near the origin.
        """
        rng = np.random.default_rng(seed)
        slopes = size / np.sqrt(dim) * rng.standard_normal((count, dim))
        slopes -= slopes.mean(axis=0)
        offsets = -0.5 * np.sum(slopes**2, axis=1)
        kind = jnp.result_type(float)
        return cls(jnp.asarray(slopes, kind), jnp.asarray(offsets, kind), floor)


def random_pair(dim: int, seed: int) -> Wasserstein2Pair:
    """A pair with a known map that needs no file: a mixture of three Gaussians and its image under a soft maximum.

    The map draws its points towards as many places as there are slopes, twice the dimension plus four, at most 16.

    Args:
        dim: Number of columns.
        seed: Seed of the mixture, the map and the test points.
    """
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((3, dim)).astype(np.float32)
    maps = np.eye(dim, dtype=np.float32) + 0.3 * rng.standard_normal((3, dim, dim)).astype(np.float32) / np.sqrt(dim)
    none = np.zeros((0, dim), np.float32)
    truth: Any = SmoothMax.random(dim, seed, count=min(2 * dim + 4, 16), size=_SLOPES * np.sqrt(dim))
    pair = Wasserstein2Pair(truth, centers, maps.astype(np.float32), 1.0, none, none, 0.0, 0.0)
    x = pair.sample_source(jnp.asarray([seed, 2**32 - 1], jnp.uint32), _TEST_POINTS)
    y = pair.transport(x)
    variances = (float(points.var(axis=0, dtype=np.float64).sum()) for points in (x, y))
    return pair._replace(test_x=x, test_y=y, var_x=next(variances), var_y=next(variances))
