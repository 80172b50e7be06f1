"""Small quadratic programs over the simplex, one a row: the shortest convex combination of vectors."""

import jax
import jax.numpy as jnp

from brenier._types import Array, Float, Mask

__all__ = ["combine"]

_ROUNDS = 30
"""Newton steps at most."""

_PRODUCT = 1e-28
"""Mean product of a weight and its slack at which a row is solved, with K scaled to one: combinations as short as 1e-13
are told from zero."""

_ROUNDING = 1e-15
"""Added to the matrix of a Newton step, as a share of its largest entry; it slows steps down, and moves no solution."""


def combine(gram: Float[Array, "n k k"], price: Float[Array, "n k"], usable: Mask) -> Float[Array, "n k"]:
    r"""Weights :math:`\lambda \ge 0` of sum one that minimise :math:`\tfrac12 \lambda^\top K \lambda + a^\top\lambda`.

    Args:
        gram: Positive semidefinite K, one a row.
        price: Prices a.
        usable: `(n, k)` which entries may have weight; at least one a row.

    Note: Cost: at most 30 factorisations of a `k x k` matrix a row, typically 15.

    References: Nocedal and Wright 2006, algorithm 16.4: Mehrotra's predictor and corrector.
    """
    pair = usable[:, :, None] & usable[:, None, :]
    eye = jnp.eye(gram.shape[1], dtype=gram.dtype)
    size = jnp.maximum(jnp.max(jnp.where(pair, jnp.abs(gram), 0.0), axis=(1, 2)), 1e-300)
    matrix = jnp.where(pair, gram / size[:, None, None], 0.0)
    cost = jnp.where(usable, price / size[:, None], 0.0)
    ones = usable.astype(gram.dtype)
    count = jnp.sum(ones, axis=1)

    def solve(factor: Array, right: Array) -> Array:
        return jax.scipy.linalg.cho_solve((factor, True), right[..., None])[..., 0]

    def share(value: Array, step: Array) -> Array:
        """How far a step may go until the first entry is zero, at most one."""
        ratio = jnp.where(usable & (step < 0), -value / jnp.where(step < 0, step, -1.0), jnp.inf)
        return jnp.minimum(1.0, jnp.min(ratio, axis=1))[:, None]

    def turn(state: tuple[Array, Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array, Array]:
        weight, slack, level, moving, rounds = state
        ratio = jnp.where(usable, slack / weight, 1.0)
        factor = jnp.linalg.cholesky(matrix + (ratio + _ROUNDING)[:, :, None] * eye)
        column = solve(factor, ones)
        total = jnp.sum(ones * column, axis=1)
        dual = (jnp.einsum("nij,nj->ni", matrix, weight) + cost - level[:, None] - slack) * ones
        missing = 1.0 - jnp.sum(weight, axis=1)

        def newton(product: Array) -> tuple[Array, Array, Array]:
            """Step towards `weight * slack = product`."""
            right = -dual - slack + jnp.where(usable, product / weight, 0.0)
            first = solve(factor, right * ones)
            rise = (missing - jnp.sum(ones * first, axis=1)) / total
            moved = (first + rise[:, None] * column) * ones
            return moved, (-slack + jnp.where(usable, product / weight, 0.0) - ratio * moved) * ones, rise

        mean = (jnp.sum(weight * slack, axis=1) / count)[:, None]
        zero = jnp.zeros_like(weight)
        moved, changed, _ = newton(zero)
        a, b = share(weight, moved), share(slack, changed)
        ahead = jnp.sum((weight + a * moved) * (slack + b * changed) * ones, axis=1, keepdims=True) / count[:, None]
        centre = mean * jnp.clip(ahead / mean, 0.0, 1.0) ** 3
        moved, changed, rise = newton((centre - moved * changed) * ones)
        pace = 0.995 * jnp.minimum(share(weight, moved), share(slack, changed))
        new = (weight + pace * moved, slack + pace * changed, level + pace[:, 0] * rise)
        moving &= jnp.isfinite(new[0]).all(axis=1) & jnp.isfinite(new[1]).all(axis=1) & (mean[:, 0] > _PRODUCT)
        return (
            jnp.where(moving[:, None], new[0], weight),
            jnp.where(moving[:, None], new[1], slack),
            jnp.where(moving, new[2], level),
            moving,
            rounds + 1,
        )

    rows = len(gram)
    start = (ones / count[:, None], ones, jnp.zeros(rows, gram.dtype), jnp.ones(rows, bool), jnp.zeros((), jnp.int32))
    weight = jax.lax.while_loop(lambda state: jnp.any(state[3]) & (state[4] < _ROUNDS), turn, start)[0]
    return weight / jnp.sum(weight, axis=1, keepdims=True)
