r"""Log determinants of Hessians: exact in moderate dimension, stochastic Lanczos quadrature beyond.

Beyond `EXACT_DIMENSIONS`, :math:`\log\det H = \operatorname{tr}\log H` is estimated from products with H alone: the
mean over random signs v of :math:`v^\top \log(H)\, v`, each by Gauss quadrature from a few Lanczos steps. Its standard
error over the probes is returned with it. Coordinates help twice: where H is the identity the estimate is exact, and
what is left of its variance is twice the squared size of the off-diagonal part of :math:`\log H`.

References: Ubaru, Chen, Saad 2017, "Fast estimation of tr(f(A)) via stochastic Lanczos quadrature", algorithm 1; Golub
and Meurant 2010, "Matrices, moments and quadrature", chapter 6.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._chunks import map_batches
from brenier._products import contract
from brenier._types import Array, Points, Values
from brenier.potentials import AbstractPotential

__all__ = ["EXACT_DIMENSIONS", "LogDet", "cholesky_log_det", "log_dets"]

EXACT_DIMENSIONS = 256
"""Most dimensions in which a Hessian is built whole: up to there that takes no more products than the estimate."""

_PROBES = 16
_LANCZOS_STEPS = 16

_ENTRIES = 1 << 22
"""Numbers in one batch of Hessians, or of Lanczos vectors."""


class LogDet(NamedTuple):
    """Log determinants of the Hessians at points.

    Attributes:
        value: `(n,)`; not finite where a Hessian is not positive definite.
        error: `(n,)` standard errors: zero where values are exact but for rounding.
    """

    value: NDArray[np.float64]
    error: NDArray[np.float64]


def log_dets(u: AbstractPotential, x: NDArray[np.floating], *, exact: bool | None = None, seed: int = 0) -> LogDet:
    """Log determinants of the Hessians of a potential.

    Args:
        u: Potential.
        x: `(n, d)` points, in the coordinates of the potential.
        exact: Whether to build Hessians whole; by default up to 256 dimensions.
        seed: Seed of the random signs of the estimate.

    Note: Cost a point: exact, `d` Hessian-vector products, one Cholesky factor and `d^2` memory; otherwise 256
    products and memory for 16 vectors.
    """
    whole = u.dim <= EXACT_DIMENSIONS if exact is None else exact
    if whole:
        value = map_batches(lambda part: _exact(u, part), x, batch=_batch(u.dim**2))
        value = np.asarray(value, np.float64)
        return LogDet(value, np.zeros_like(value))
    signs = np.random.default_rng(seed).choice(np.array([-1.0, 1.0], x.dtype), size=(_PROBES, u.dim))
    size = _batch(u.dim * _LANCZOS_STEPS)
    value, error = map_batches(lambda part: _estimate(u, part, jnp.asarray(signs)), x, batch=size)
    return LogDet(np.asarray(value, np.float64), np.asarray(error, np.float64))


def cholesky_log_det(hessians: Array) -> Values:
    """Log determinants of symmetric matrices; NaN where one is not positive definite."""
    factors = jnp.linalg.cholesky(hessians)
    return 2.0 * jnp.sum(jnp.log(jnp.diagonal(factors, axis1=1, axis2=2)), axis=1)


def _batch(entries: int) -> int:
    """Rows of one compiled call, a power of two."""
    return min(8192, max(32, 1 << (_ENTRIES // entries).bit_length() - 1))


@eqx.filter_jit
def _exact(u: AbstractPotential, x: Points) -> Values:
    return cholesky_log_det(u.hessian(jnp.asarray(x)))


@eqx.filter_jit
def _estimate(u: AbstractPotential, x: Points, signs: Array) -> tuple[Values, Values]:
    x = jnp.asarray(x)
    _, product = jax.linearize(u.gradient, x)

    def probe(_: None, sign: Array) -> tuple[None, Values]:
        return None, _quadrature(product, jnp.broadcast_to(sign, x.shape))

    estimates = jax.lax.scan(probe, None, signs)[1]
    return jnp.mean(estimates, axis=0), jnp.std(estimates, axis=0, ddof=1) / jnp.sqrt(len(signs))


def _quadrature(product, start: Points) -> Values:  # noqa: ANN001
    """`v^T log(H) v` for each row v of `start`, by Lanczos steps with full orthogonalisation."""
    count, dim = start.shape
    steps = min(_LANCZOS_STEPS, dim)
    length = jnp.linalg.norm(start, axis=1, keepdims=True)
    basis = jnp.zeros((steps, count, dim), start.dtype).at[0].set(start / length)

    def step(carry: tuple[Array, Array], k: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        basis, vector = carry
        image = product(vector)
        diagonal = jnp.sum(image * vector, axis=1)
        for _ in range(2):  # twice is enough (Parlett 1998, section 6.9)
            image = image - contract("knd,kn->nd", basis, contract("knd,nd->kn", basis, image))
        size = jnp.linalg.norm(image, axis=1)
        # A start that spans an invariant space is done: what follows is noise, and gets no weight.
        alive = size > 1e-5 * jnp.abs(diagonal)
        vector = jnp.where(alive[:, None], image / jnp.maximum(size, 1e-30)[:, None], 0.0)
        basis = basis.at[jnp.minimum(k + 1, steps - 1)].set(jnp.where(k + 1 < steps, vector, basis[steps - 1]))
        return (basis, vector), (jnp.where(diagonal == 0.0, 1.0, diagonal), jnp.where(alive, size, 0.0))

    _, (diagonals, sizes) = jax.lax.scan(step, (basis, basis[0]), jnp.arange(steps))
    matrices = jax.vmap(jnp.diag)(diagonals.T)
    rows = jnp.arange(steps - 1)
    beside = sizes.T[:, : steps - 1]
    matrices = matrices.at[:, rows, rows + 1].set(beside).at[:, rows + 1, rows].set(beside)
    values, vectors = jnp.linalg.eigh(matrices)
    return length[:, 0] ** 2 * jnp.sum(jnp.square(vectors[:, 0]) * jnp.log(jnp.maximum(values, 1e-30)), axis=1)
