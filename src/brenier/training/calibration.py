"""Batches with the moments of their pool: the noise of means and covariances taken out of each step.

The gradient of the dual is a difference of two means, and both batches miss the mean and the covariance of the pool
that they come from, each in its own way. Both are therefore moved by an affine map, near the identity, to those
moments. In many dimensions, where no point of one batch has a near one in the other, that is most of what coupling
cannot cancel.

Where both clouds have one distribution, at the optimum, both are moved in the same way: the mean of their difference
stays zero. The maps come from the preimages as they were before the steps, so that what the steps change is not
calibrated away. What the two pools differ by stays, too.

References: Deville and Särndal 1992, "Calibration estimators in survey sampling", for the idea, with weights.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from brenier._products import contract, product
from brenier._types import Array, Float, Int, Points

__all__ = ["Affine", "Calibration", "calibration"]

_RIDGE = 1e-3
"""Added to variances, in those of the pool's coordinates: directions with far less are left as they are."""

_FARTHEST = 0.5
"""Entry of a map, less the identity, above which a batch is left as it is: in heavy tails a few points decide."""

MeanAndRoot = tuple[Array, Array]
"""A mean, and the lower Cholesky factor of a covariance."""


class Affine(NamedTuple):
    """Maps of rows, `x @ matrix + shift`, one leading entry a batch."""

    matrix: Float[Array, "... d d"]
    shift: Float[Array, "... d"]

    def __call__(self, x: Points) -> Points:
        """The images of rows under one map."""
        return product(x, self.matrix) + self.shift


class Calibration(NamedTuple):
    """What moves source points, and what moves the preimages of target points."""

    source: Affine
    target: Affine


@eqx.filter_jit
def calibration(
    x: Float[Array, "p d"],
    z: Float[Array, "p d"],
    source: Int[Array, "k b"],
    target: Int[Array, "k b"],
    scale: Float[Array, " d"],
) -> Calibration:
    """Maps that give each batch the mean and the covariance of the pool that it comes from.

    Args:
        x: Pool of source points.
        z: Pool of preimages of target points.
        source: Slots of each batch in `x`.
        target: Slots of each batch in `z`.
        scale: Standard deviation of each coordinate.

    Note: Cost: a covariance a batch, `2 b d^2` products on each side; compiled once for each shape.
    """
    dim = x.shape[1]

    def between(whole: MeanAndRoot, own: MeanAndRoot) -> Affine:
        (mean, root), (own_mean, own_root) = whole, own
        matrix = solve_triangular(own_root.T, root.T, lower=False)
        return Affine(matrix, mean - product(own_mean, matrix))

    def one(picks: tuple[Array, Array]) -> Calibration:
        parts = [
            between(whole, _moments(points[pick])) for whole, points, pick in zip(wholes, clouds, picks, strict=True)
        ]
        near = [jnp.max(jnp.abs(part.matrix - jnp.eye(dim))) <= _FARTHEST for part in parts]
        # Both or none: only the same treatment leaves the mean of the difference at zero.
        parts = [jax.tree.map(lambda a, b: jnp.where(near[0] & near[1], a, b), part, same) for part in parts]
        return Calibration(*(Affine(matrix / scale[:, None] * scale, shift * scale) for matrix, shift in parts))

    same = Affine(jnp.eye(dim), jnp.zeros(dim))
    clouds = x / scale, z / scale
    wholes = [_moments(points) for points in clouds]
    return jax.lax.map(one, (source, target))


def _moments(points: Points) -> MeanAndRoot:
    """Those of a cloud, with the ridge."""
    mean = jnp.mean(points, axis=0)
    centred = points - mean
    covariance = contract("ni,nj->ij", centred, centred) / len(points)
    return mean, jnp.linalg.cholesky(covariance + _RIDGE * jnp.eye(points.shape[1]))
