"""Plain network plus a quadratic: more freedom, no convexity, hence no certificate."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from brenier._products import product
from brenier._types import Array, Float, Points, Values
from brenier.potentials._base import AbstractPotential, float32
from brenier.potentials.activations import ACTIVATIONS

__all__ = ["MLP"]


class _Layer(eqx.Module):
    weight: Float[Array, "v w"]
    bias: Float[Array, " w"]


class MLP(AbstractPotential):
    """Half a weighted squared norm plus a multi-layer perceptron.

    Nothing keeps it convex: the gradient need not be an optimal map, the equation for the inverse may have several
    solutions or none, and `convexity_floor` is `None`, so that nothing computed from it is ever called certified.

    Args:
        dim: Number of columns.
        widths: Units of each hidden layer.
        rng: Randomness of the start, in NumPy, which compiles nothing. At the start the value is exactly half the
            squared norm.
        activation: `"ramp"`, `"celu"` or `"softplus"`.
        start: Weight of the squares to which `diagonal` is added: one, so that parameters that decay lead to half the
            squared norm. Zero in files of older versions.

    Example:
        >>> import jax.numpy as jnp
        >>> import numpy as np
        >>> u = MLP(2, (16,), rng=np.random.default_rng(0))
        >>> u.gradient(jnp.array([[1.0, -2.0]])).tolist(), u.convexity_floor()
        ([[1.0, -2.0]], None)
    """

    layers: tuple[_Layer, ...]
    output: Float[Array, " w"]
    diagonal: Float[Array, " d"]
    dim: int = eqx.field(static=True)
    widths: tuple[int, ...] = eqx.field(static=True)
    activation: str = eqx.field(static=True)
    start: float = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        widths: Sequence[int] = (128, 128),
        *,
        rng: np.random.Generator,
        activation: str = "celu",
        start: float = 1.0,
    ) -> None:
        if activation not in ACTIVATIONS:
            raise ValueError(f"`activation` must be one of {sorted(ACTIVATIONS)}; got {activation!r}.")
        self.dim, self.widths, self.activation, self.start = dim, tuple(widths), activation, float(start)
        layers = []
        for v, w in zip((dim, *self.widths[:-1]), self.widths, strict=True):
            weight = rng.standard_normal((v, w)) / np.sqrt(v)
            layers.append(_Layer(float32(weight), float32(0.3 * rng.standard_normal(w))))
        self.layers = tuple(layers)
        self.output = float32(np.zeros(self.widths[-1]))
        self.diagonal = float32(np.full(dim, 1.0 - self.start))

    def __call__(self, x: Points) -> Values:
        hidden = x
        for layer in self.layers:
            hidden = ACTIVATIONS[self.activation](product(hidden, layer.weight) + layer.bias)
        return product(hidden, self.output) + 0.5 * product(jnp.square(x), self.curvatures())

    def curvatures(self) -> Array:
        """Weights of the squares."""
        return self.start + self.diagonal

    def convexity_floor(self) -> None:
        return None

    def hyperparameters(self) -> Mapping[str, Any]:
        return {"dim": self.dim, "widths": self.widths, "activation": self.activation, "start": self.start}

    @classmethod
    def skeleton(cls, dim: int, widths: Sequence[int], activation: str, start: float = 0.0) -> "MLP":
        return cls(dim, widths, rng=np.random.default_rng(0), activation=activation, start=start)
