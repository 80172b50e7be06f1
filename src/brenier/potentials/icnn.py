"""Input-convex network with quadratic skip connections and a strong-convexity floor."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._products import product
from brenier._types import Array, Float, Points, Scalar, Values
from brenier.potentials._base import AbstractPotential, float32
from brenier.potentials._rounding import network_rounding
from brenier.potentials.activations import ACTIVATIONS, soft_square

__all__ = ["ICNN"]

_OUTPUT_START = 1e-3
"""Weight of each unit in the output at the start: small, so that training begins next to the quadratic."""


class _Layer(eqx.Module):
    """Quadratic forms of the input plus a non-negative combination of the layer below.

    Non-negative weights are squares of free parameters: they reach zero exactly, and gradient steps on the square
    root move large weights faster than small ones.
    """

    quadratic: Float[Array, "d w"]
    linear: Float[Array, "d w"]
    bias: Float[Array, " w"]
    root_mix: Float[Array, "v w"] | None
    root_output: Float[Array, " w"]

    @classmethod
    def random(cls, dim: int, below: int | None, width: int, sharpness: float, rng: np.random.Generator) -> "_Layer":
        scale = 1.0 / np.sqrt(dim)
        mix = None
        if below is not None:
            # Log-normal weights: with equal ones every unit would start as the same average of the layer below.
            mix = np.exp(rng.standard_normal((below, width)))
            mix = float32(np.sqrt(mix / mix.sum(axis=0)))
        return cls(
            quadratic=float32(0.7 * scale * rng.standard_normal((dim, width))),
            linear=float32(sharpness * scale * rng.standard_normal((dim, width))),
            bias=float32(0.5 * rng.standard_normal(width)),
            root_mix=mix,
            root_output=float32(np.full(width, np.sqrt(_OUTPUT_START))),
        )

    def before_activation(self, x: Points, below: Float[Array, "n v"] | None) -> Float[Array, "n w"]:
        forms = soft_square(product(x, self.quadratic)) + product(x, self.linear) + self.bias
        return forms if below is None or self.root_mix is None else forms + product(below, jnp.square(self.root_mix))


class ICNN(AbstractPotential):
    r"""Convex potential: a network whose hidden units are all convex functions of the input.

    Layer i computes :math:`z_i = a(W_i z_{i-1} + b(x Q_i) + x L_i + c_i)` with :math:`W_i \ge 0`, `a` convex and
    non-decreasing, and `b` a square that turns straight far out (`activations.soft_square`). The value is
    :math:`\sum_i w_i \cdot z_i + \tfrac12 x^\top D x` with :math:`w_i \ge 0` and :math:`D \ge m I`, so the potential is
    `m`-strongly convex whatever the parameters: every target then lies in the range of the gradient, and residuals
    bound errors. Far from the data the map is affine. With all parameters zero it is the identity.

    Args:
        dim: Number of columns.
        widths: Units of each hidden layer.
        rng: Randomness of the start, in NumPy, which compiles nothing. At the start the value is half the
            squared norm, up to `0.001` a unit.
        floor: The strong-convexity constant `m`, in (0, 1).
        activation: `"ramp"`, `"celu"` or `"softplus"`.
        sharpness: Typical slope of the linear part of a unit at the start, for inputs of unit variance.
        inert: Columns that the network does not see: the map scales each of them by its entry of `D`, which training
            leaves as it is, at one.

    References:
        Amos, Xu, Kolter 2017, "Input convex neural networks"; Korotin et al. 2021, appendix B.2, for quadratic skips.

    Example:
        >>> import jax.numpy as jnp
        >>> import numpy as np
        >>> u = ICNN(2, (16, 8), rng=np.random.default_rng(0))
        >>> x = jnp.array([[1.0, -2.0]])
        >>> bool(jnp.abs(u.gradient(x) - x).max() < 0.2), bool(jnp.linalg.eigvalsh(u.hessian(x)).min() >= 0.02)
        (True, True)
    """

    layers: tuple[_Layer, ...]
    diagonal: Float[Array, " d"]
    dim: int = eqx.field(static=True)
    widths: tuple[int, ...] = eqx.field(static=True)
    floor: float = eqx.field(static=True)
    activation: str = eqx.field(static=True)
    inert: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        widths: Sequence[int] = (64, 64, 32),
        *,
        rng: np.random.Generator,
        floor: float = 0.02,
        activation: str = "ramp",
        sharpness: float = 4.0,
        inert: Sequence[int] = (),
    ) -> None:
        if not 0 < floor < 1:
            raise ValueError(f"`floor` must lie in (0, 1); got {floor}.")
        if activation not in ACTIVATIONS:
            raise ValueError(f"`activation` must be one of {sorted(ACTIVATIONS)}; got {activation!r}.")
        if not all(0 <= column < dim for column in inert):
            raise ValueError(f"`inert` must list columns from 0 to {dim - 1}; got {list(inert)}.")
        self.dim, self.widths, self.floor, self.activation = dim, tuple(widths), float(floor), activation
        self.inert = tuple(inert)
        below = (None, *self.widths[:-1])
        self.layers = tuple(_Layer.random(dim, v, w, sharpness, rng) for v, w in zip(below, self.widths, strict=True))
        self.diagonal = float32(np.zeros(dim))

    def __call__(self, x: Points) -> Values:
        value = 0.5 * product(jnp.square(x), self.curvatures())
        activate, hidden = ACTIVATIONS[self.activation], None
        if self.inert:
            x = x.at[:, jnp.asarray(self.inert)].set(0.0)
        for layer in self.layers:
            hidden = activate(layer.before_activation(x, hidden))
            value = value + product(hidden, jnp.square(layer.root_output))
        return value

    def curvatures(self, change: Array | float = 0.0) -> Array:
        """The diagonal `D`: one at the start, never below the floor, whatever is added to its parameters."""
        start, diagonal = np.log(np.expm1(1.0 - self.floor)), self.diagonal
        if self.inert:
            # A column that varies on one side alone would be squeezed to nothing, and its inverse torn apart.
            fixed = jnp.asarray(self.inert)
            diagonal = diagonal.at[fixed].set(jax.lax.stop_gradient(diagonal[fixed]))
        return self.floor + jax.nn.softplus(diagonal + change + start)

    def convexity_floor(self) -> Scalar:
        return jnp.asarray(self.floor)

    def rounding(self, x: Points) -> tuple[Values, Values]:
        operations = (self.dim + 24) * jnp.finfo(x.dtype).eps
        slopes = jnp.abs(x) * self.curvatures()
        seen = x.at[:, jnp.asarray(self.inert)].set(0.0) if self.inert else x
        value, gradient = network_rounding(seen, self.layers)
        square = operations * jnp.sum(jnp.abs(x) * slopes, axis=1)
        return value + square, gradient + operations * jnp.linalg.norm(slopes, axis=1)

    def hyperparameters(self) -> Mapping[str, Any]:
        names = ("dim", "widths", "floor", "activation", "inert")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def skeleton(cls, dim: int, widths: Sequence[int], floor: float, activation: str, inert: Sequence[int]) -> "ICNN":
        return cls(dim, widths, rng=np.random.default_rng(0), floor=floor, activation=activation, inert=inert)
