"""Potentials with random parameters, as they are after training rather than before."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier.potentials import ICNN, MLP, AbstractPotential, Quadratic
from brenier.potentials.activations import ACTIVATIONS


def fresh(kind: str, dim: int, widths: tuple[int, ...] = (6, 5, 4), seed: int = 0, **options: Any) -> AbstractPotential:
    """A potential at its start: `quadratic`, or the class and the activation, such as `icnn-ramp`."""
    if kind == "quadratic":
        return Quadratic.identity(dim)
    family, activation = kind.split("-")
    classes = {"icnn": ICNN, "mlp": MLP}
    return classes[family](dim, widths, rng=np.random.default_rng(seed), activation=activation, **options)


def perturb(potential: AbstractPotential, seed: int, size: float = 0.5) -> AbstractPotential:
    """Add random numbers to every array."""
    rng = np.random.default_rng(seed)
    arrays, static = eqx.partition(potential, eqx.is_array)
    arrays = jax.tree.map(np.asarray, arrays)
    return eqx.combine(jax.tree.map(lambda a: _cast(a + size * rng.standard_normal(a.shape), a.dtype), arrays), static)


def double(potential: AbstractPotential) -> AbstractPotential:
    """The same potential in float64; needs double precision switched on."""
    return jax.tree.map(lambda leaf: _cast(leaf, np.float64) if eqx.is_inexact_array(leaf) else leaf, potential)


def _cast(array: Any, kind: Any) -> jax.Array:
    """By NumPy, which compiles nothing."""
    return jnp.asarray(np.asarray(array, kind))


def quadratic(matrix: Any, shift: Any = None) -> Quadratic:
    """`Quadratic` from NumPy, in the precision that is switched on."""
    kind = jnp.result_type(float)
    return Quadratic(jnp.asarray(matrix, kind), None if shift is None else jnp.asarray(shift, kind))


ICNNS = [f"icnn-{activation}" for activation in ACTIVATIONS]
KINDS = ["quadratic", *ICNNS, "mlp-celu"]
