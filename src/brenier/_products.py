"""Matrix products in the precision of their numbers, also on hardware that has a faster and coarser one.

GPUs multiply matrices of 32-bit numbers in TF32 unless told otherwise. It keeps three digits: fewer than the tolerance
of a conjugate, so that no point would ever converge.
"""

from typing import Any

import jax
import jax.numpy as jnp

from brenier._types import Array

__all__ = ["contract", "product"]


def product(a: Array, b: Array) -> Array:
    """`a @ b`, in full precision, or in that of `jax.default_matmul_precision` where it is set."""
    return jnp.matmul(a, b, precision=_precision())


def contract(subscripts: str, *arrays: Array) -> Array:
    """`jnp.einsum`, in full precision, or in that of `jax.default_matmul_precision` where it is set."""
    return jnp.einsum(subscripts, *arrays, precision=_precision())


def _precision() -> Any:  # noqa: ANN401 - JAX's own type of it is private
    asked = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    return "highest" if asked is None else asked
