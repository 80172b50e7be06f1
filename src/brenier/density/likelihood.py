r"""Maximum likelihood for convex potentials: the log density of data whose image is to be normal.

In Bures coordinates the base has the variances `spread^2`, and the log density of a point is, up to a constant,
:math:`-\tfrac12 |\nabla u(x) / \text{spread}|^2 + \log\det \nabla^2 u(x)`. The gradient of a convex potential that
moves the data to the base is the optimal map between the two, so that its maximum and that of the dual are one
potential, where the network can be it; the likelihood sees errors that cost little to transport.

References: Huang, Chen, Tsirigotis, Courville 2021, "Convex potential flows: universal probability distributions with
optimal transport and convex optimization", sections 3 and 4.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from brenier._types import Array, Float, Points, Scalar, Values
from brenier.density.log_det import cholesky_log_det
from brenier.potentials import AbstractPotential

__all__ = ["OPTIMIZER", "WHOLE_HESSIANS", "log_base", "log_likelihood", "negative_log_likelihood"]

WHOLE_HESSIANS = 32
"""Most dimensions in which training differentiates whole Hessians; beyond, products with them."""

_CONJUGATE_GRADIENTS = 24
"""Steps for products with inverse Hessians."""

_LARGEST_GRADIENT = 5.0
"""Norm to which gradients are cut: those of log determinants have heavy tails."""

OPTIMIZER = optax.chain(optax.clip_by_global_norm(_LARGEST_GRADIENT), optax.scale_by_adam(b1=0.9, b2=0.99))
"""Turns gradients into directions."""


def log_likelihood(u: AbstractPotential, spread: Float[Array, " d"], x: Points) -> Values:
    """Log densities at points in Bures coordinates, without the constants of the base and of the coordinates."""
    return log_base(u, spread, x) + cholesky_log_det(u.hessian(x))


def log_base(u: AbstractPotential, spread: Float[Array, " d"], x: Points) -> Values:
    """Log density of the base at the images of points, without its constant."""
    return -0.5 * jnp.sum(jnp.square(u.gradient(x) / spread), axis=1)


def negative_log_likelihood(
    u: AbstractPotential, spread: Float[Array, " d"], batch: tuple[Points, Points | None]
) -> Scalar:
    """The loss of a density: the mean of the negative log likelihood.

    Args:
        u: Potential.
        spread: Standard deviation of each coordinate.
        batch: Points in Bures coordinates; and random signs for the gradient of the log determinant, which the value
            then leaves out. None where Hessians are whole.
    """
    x, sign = batch
    if sign is None:
        return -jnp.mean(log_likelihood(u, spread, x))
    slope = jnp.mean(_log_det_surrogate(u, x, sign))
    return -jnp.mean(log_base(u, spread, x)) - (slope - jax.lax.stop_gradient(slope))


def _log_det_surrogate(u: AbstractPotential, x: Points, sign: Points) -> Values:
    r"""A number whose gradient in the parameters is an unbiased one of the log determinant; its value means nothing.

    :math:`\partial \log\det H = E\, (H^{-1} v)^\top (\partial H)\, v` for random signs v.
    """
    frozen = jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_array(leaf) else leaf, u)
    _, product = jax.linearize(frozen.gradient, x)
    solved = jax.lax.stop_gradient(_solve(product, sign))
    image = jax.jvp(u.gradient, (x,), (sign,))[1]
    return jnp.sum(solved * image, axis=1)


def _solve(product, right: Points) -> Points:  # noqa: ANN001
    """`H^-1 v` row by row, by conjugate gradients (Hestenes and Stiefel 1952)."""

    def step(_: int, carry: tuple[Points, Points, Points, Values]) -> tuple[Points, Points, Points, Values]:
        solution, residual, direction, square = carry
        image = product(direction)
        curvature = jnp.sum(direction * image, axis=1)
        length = jnp.where(curvature > 0, square / jnp.maximum(curvature, 1e-30), 0.0)[:, None]
        solution, residual = solution + length * direction, residual - length * image
        new = jnp.sum(jnp.square(residual), axis=1)
        ratio = jnp.where(square > 1e-12, new / jnp.maximum(square, 1e-30), 0.0)[:, None]
        return solution, residual, residual + ratio * direction, new

    square = jnp.sum(jnp.square(right), axis=1)
    return jax.lax.fori_loop(0, _CONJUGATE_GRADIENTS, step, (jnp.zeros_like(right), right, right, square))[0]
