"""Stochastic gradients with truncated conjugates on a problem whose optimum is known: Gaussians, affine maps."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from brenier._types import Array, Float, Points, Scalar
from brenier.conjugates import conjugate
from brenier.potentials import Quadratic
from brenier.solvers import Picard

__all__ = ["Gaussians", "distance", "gradient"]

_SAMPLES = 512
_STEPS = 1024
_WATCHED = 256
"""Last steps, over which the distance is averaged."""


class Gaussians(NamedTuple):
    """Samples `x` and their images `y = A* x`: the dual over matrices is convex and has its optimum at `A*`.

    The objective is `F(A) = E u_A(x) + E u_A*(y) = tr(A Sx) / 2 + tr(A^-1 Sy) / 2` with the second moments of the
    samples, minimised over the symmetric matrices with eigenvalues between two numbers.

    Attributes:
        x, y: `(n, d)` samples; row `i` of one is the partner of row `i` of the other.
        matrix: `A*`, symmetric, its eigenvalues between `lowest` and `highest`.
        lowest, highest: Limits of the eigenvalues of all iterates.
    """

    x: Points
    y: Points
    matrix: Float[Array, "d d"]
    lowest: float
    highest: float

    @classmethod
    def example(cls, seed: int = 0, dim: int = 3) -> "Gaussians":
        """Standard normal samples and a matrix with eigenvalues from 0.8 to 1.25, in float64."""
        rng = np.random.default_rng(seed)
        axes = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
        matrix = (axes * np.geomspace(0.8, 1.25, dim)) @ axes.T
        x = rng.standard_normal((_SAMPLES, dim))
        return cls(jnp.asarray(x), jnp.asarray(x @ matrix), jnp.asarray((matrix + matrix.T) / 2), 0.6, 1.6)

    @property
    def curvature(self) -> tuple[float, float]:
        """Bounds of the eigenvalues of the objective's second derivative between the limits.

        It takes `D` to `tr(A^-1 D A^-1 D A^-1 Sy)`.
        """
        moments = np.linalg.eigvalsh(np.asarray(self.y.T @ self.y) / len(self.y))
        return float(moments[0] / self.highest**3), float(moments[-1] / self.lowest**3)

    def bias(self, epsilon: float) -> float:
        """Bound of the gradient's bias: `E |x x^T - x* x*^T| / 2`, where `|x - x*| <= epsilon / m`, `m` the lowest."""
        roots = float(jnp.mean(jnp.linalg.norm(self.y, axis=1))) / self.lowest
        return (roots + 0.5 * epsilon / self.lowest) * epsilon / self.lowest

    def noise(self, epsilon: float, batch: int) -> float:
        """Bound of the standard deviation of a gradient from `batch` independent points a side.

        Of one pair it is at most the root of `E |x x^T|^2 / 4 + E |z z^T|^2 / 4`, with the truncated root `z`.
        """
        roots = jnp.linalg.norm(self.y, axis=1) / self.lowest + epsilon / self.lowest
        fourth = jnp.mean(jnp.sum(jnp.square(self.x), axis=1) ** 2) + jnp.mean(roots**4)
        return float(jnp.sqrt(0.25 * fourth / batch))


def gradient(matrix: Float[Array, "d d"], x: Points, y: Points, epsilon: Scalar | float) -> Float[Array, "d d"]:
    """Envelope gradient of the objective on a batch, each conjugate solved to a residual of at most `epsilon`.

    The solves start at `y` and stop as soon as they may, so that their errors all point back there: a bias.
    """
    dim = matrix.shape[0]
    tolerance = jnp.full(len(y), epsilon / np.sqrt(dim))
    root = conjugate(Quadratic(matrix), y, Picard(relaxation=0.3), tolerance=tolerance, max_steps=2000).value
    root = jax.lax.stop_gradient(root)

    def loss(matrix: Float[Array, "d d"]) -> Scalar:
        u = Quadratic(matrix)
        return jnp.mean(u(x)) - jnp.mean(u(root))

    return jax.grad(loss)(matrix)


def distance(
    problem: Gaussians,
    epsilon: float,
    *,
    batch: int | None,
    matched: bool,
    rate: float | None = None,
    steps: int = _STEPS,
    seed: int = 0,
) -> Scalar:
    """Distance to the optimum after projected stochastic gradient steps from the identity.

    Args:
        problem: Samples and optimum.
        epsilon: Residual of each solve, Euclidean.
        batch: Points a side and step; all of them by default.
        matched: Whether batches hold partners, whose noise cancels at the optimum, or independent points.
        rate: Length of the steps; by default that of the theorem, two over the sum of the curvature's bounds.
        steps: How many.
        seed: Randomness of the batches.

    Returns:
        Root mean squared Frobenius distance to `A*` over the last 256 steps.
    """
    rate = 2.0 / sum(problem.curvature) if rate is None else rate
    rng = np.random.default_rng(seed)
    count = len(problem.x)
    if batch is None:
        rows = np.zeros((2, steps, 1), np.int32)
    else:
        rows = rng.integers(count, size=(2, steps, batch))
        rows[1] = rows[0] if matched else rows[1]
    kind = problem.x.dtype
    limits = jnp.asarray([problem.lowest, problem.highest], kind)
    samples = problem.x, problem.y, problem.matrix
    return _descend(samples, limits, jnp.asarray(epsilon, kind), jnp.asarray(rate, kind), rows, batch is None)


@partial(jax.jit, static_argnames="whole")
def _descend(
    samples: tuple[Points, Points, Array], limits: Array, epsilon: Scalar, rate: Scalar, rows: Array, whole: bool
) -> Scalar:
    x, y, optimum = samples

    def step(matrix: Array, chosen: Array) -> tuple[Array, Scalar]:
        batch = (x, y) if whole else (x[chosen[0]], y[chosen[1]])
        # A gradient step, and back to the nearest matrix whose eigenvalues keep the limits.
        values, axes = jnp.linalg.eigh(matrix - rate * gradient(matrix, *batch, epsilon))
        matrix = (axes * jnp.clip(values, limits[0], limits[1])) @ axes.T
        return matrix, jnp.sum(jnp.square(matrix - optimum))

    start = jnp.eye(len(optimum), dtype=x.dtype)
    _, squares = jax.lax.scan(step, start, jnp.swapaxes(rows, 0, 1))
    return jnp.sqrt(jnp.mean(squares[-_WATCHED:]))
