"""The best of many given points as conjugates: a view of the whole, where inner problems may have several solutions."""

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._types import Array, Counts, Points, Values
from brenier.potentials import AbstractFunction
from brenier.surplus import AbstractSurplus

__all__ = ["best_anchors"]

_BLOCK = 1 << 14
"""Pairs at a time: few enough for the processor's cache."""


@eqx.filter_jit
def best_anchors(u: AbstractFunction, surplus: AbstractSurplus, y: Points, anchors: Points) -> tuple[Counts, Values]:
    """For each row of `y`, which anchor `x` makes `k(x, y) - u(x)` largest, and that value, a bound of the conjugate.

    Note: Cost: the surplus of every pair, and the potential of every anchor.
    """
    values, count = u(anchors), len(anchors)

    def best(rows: Points) -> tuple[Array, Array]:
        pairs = surplus(jnp.tile(anchors, (len(rows), 1)), jnp.repeat(rows, count, axis=0))
        found = pairs.reshape(len(rows), count) - values
        places = jnp.argmax(found, axis=1)
        return places.astype(jnp.int32), jnp.take_along_axis(found, places[:, None], axis=1)[:, 0]

    block = max(_BLOCK // count, 1)
    missing = -len(y) % block
    blocks = jnp.concatenate([y, jnp.repeat(y[-1:], missing, axis=0)]).reshape(-1, block, y.shape[1])
    places, largest = jax.lax.map(best, blocks)
    return places.reshape(-1)[: len(y)], largest.reshape(-1)[: len(y)]
