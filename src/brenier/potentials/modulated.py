"""Input-convex networks under a condition: one set of units, whose strengths and places the condition moves."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from brenier._products import product
from brenier._types import Array, Float, Points, Scalar, Values
from brenier.potentials._base import AbstractFamily, AbstractFunction, float32
from brenier.potentials.activations import ACTIVATIONS, soft_square
from brenier.potentials.icnn import ICNN

__all__ = ["ModulatedICNN"]

_HIDDEN = 32
"""Units of each of the two layers that read the numbers of a condition."""

_CLASS_NUMBERS = 8
"""Numbers that stand for a class where there are other numbers beside it."""


class _Changes(NamedTuple):
    """What a condition changes in one layer, a row a condition: factors of its parts, and a shift of its units.

    Factors of non-negative weights are squared, as the weights are; those inside quadratic and linear forms may have
    any sign. So every unit stays a convex function of the points.
    """

    quadratic: Float[Array, "n w"]
    linear: Float[Array, "n w"]
    shift: Float[Array, "n w"]
    output: Float[Array, "n w"]
    mix: Float[Array, "n v"]


class ModulatedICNN(AbstractFamily):
    r"""Convex potentials :math:`u(\cdot\,; c)` for conditions of one class and any number of numbers.

    An `ICNN` whose units the condition changes: each has factors for its quadratic form, its linear form, what it takes
    from the layer below and what it adds to the value, and a shift. These are a row of a table for the class, plus a
    smooth function of the numbers. For a fixed condition this *is* an `ICNN` (`at`), convex with the same floor
    whatever the condition, so that inverse and certificates hold for every one. At the start no condition changes
    anything.

    The condition of a row stands behind its point: the number of its class, then the numbers, about -1 to 1.

    Args:
        dim: Number of columns.
        classes: Number of classes, at least one.
        numbers: Numbers in a condition.
        widths, rng, floor, activation, sharpness: Those of an `ICNN`.

    References:
        Amos, Xu, Kolter 2017, "Input convex neural networks", section 3.2, for networks convex in some inputs; Perez
        et al. 2018, "FiLM: visual reasoning with a general conditioning layer", for the factors and shifts.
    """

    core: ICNN
    table: Float[Array, "classes m"]
    classes_as_numbers: Float[Array, "classes e"]
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    dim: int = eqx.field(static=True)
    classes: int = eqx.field(static=True)
    numbers: int = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        classes: int,
        numbers: int,
        widths: Sequence[int] = (64, 64, 32),
        *,
        rng: np.random.Generator,
        floor: float = 0.02,
        activation: str = "ramp",
        sharpness: float = 4.0,
    ) -> None:
        if classes < 1 or numbers < 0:
            raise ValueError(f"a condition has at least 1 class and 0 numbers; got {classes} and {numbers}.")
        self.dim, self.classes, self.numbers = dim, classes, numbers
        self.core = ICNN(dim, widths, rng=rng, floor=floor, activation=activation, sharpness=sharpness)
        count = sum(_sizes(self.core)) + dim
        self.table = float32(np.zeros((classes, count)))
        if not numbers:
            self.classes_as_numbers, self.weights, self.biases = float32(np.zeros((classes, 0))), (), ()
            return
        extra = _CLASS_NUMBERS if classes > 1 else 0
        self.classes_as_numbers = float32(rng.standard_normal((classes, extra)))
        sizes = (numbers + extra, _HIDDEN, _HIDDEN)
        hidden = (float32(rng.standard_normal((v, w)) * (2.0 / np.sqrt(v))) for v, w in pairwise(sizes))
        self.weights = (*hidden, float32(np.zeros((_HIDDEN, count))))
        self.biases = tuple(float32(rng.standard_normal(width)) for width in sizes[1:])

    def under(self, changes: tuple[list[_Changes], Float[Array, "n d"]]) -> "_Conditioned":
        return _Conditioned(dim=self.dim, core=self.core, layers=changes[0], curvature=changes[1])

    def at(self, code: Float[Array, " k"]) -> ICNN:
        """The potential of one condition, as an ordinary network."""
        changes, curvature = self.changes(jnp.asarray(code)[None])
        layers = []
        for layer, change in zip(self.core.layers, changes, strict=True):
            mix = None if layer.root_mix is None else layer.root_mix * change.mix[0][:, None]
            parts = (
                layer.quadratic * change.quadratic[0],
                layer.linear * change.linear[0],
                layer.bias + change.shift[0],
                mix,
                layer.root_output * change.output[0],
            )
            layers.append(
                eqx.tree_at(
                    lambda part: (part.quadratic, part.linear, part.bias, part.root_mix, part.root_output),
                    layer,
                    parts,
                    is_leaf=lambda node: node is None,
                )
            )
        return eqx.tree_at(
            lambda core: (core.layers, core.diagonal),
            self.core,
            (tuple(layers), self.core.diagonal + curvature[0]),
        )

    def convexity_floor(self) -> Scalar:
        return self.core.convexity_floor()

    def hyperparameters(self) -> Mapping[str, Any]:
        core = self.core.hyperparameters()
        return {"classes": self.classes, "numbers": self.numbers} | {
            name: core[name] for name in ("dim", "widths", "floor", "activation")
        }

    @classmethod
    def skeleton(
        cls, dim: int, classes: int, numbers: int, widths: Sequence[int], floor: float, activation: str
    ) -> "ModulatedICNN":
        rng = np.random.default_rng(0)
        return cls(dim, classes, numbers, widths, rng=rng, floor=floor, activation=activation)

    def changes(self, codes: Float[Array, "n k"]) -> tuple[list[_Changes], Float[Array, "n d"]]:
        number = codes[:, 0].astype(jnp.int32)
        changes = self.table[number]
        if self.numbers:
            hidden = jnp.concatenate([codes[:, 1:], self.classes_as_numbers[number]], axis=1)
            for weight, bias in zip(self.weights, self.biases, strict=False):
                hidden = jnp.tanh(product(hidden, weight) + bias)
            changes = changes + product(hidden, self.weights[-1])
        sizes = _sizes(self.core)
        parts = jnp.split(changes, np.cumsum(sizes), axis=1)
        layers = []
        for first in range(0, len(sizes), len(_Changes._fields)):
            quadratic, linear, shift, output, mix = parts[first : first + len(_Changes._fields)]
            layers.append(_Changes(1.0 + quadratic, 1.0 + linear, shift, 1.0 + output, 1.0 + mix))
        return layers, parts[-1]


class _Conditioned(AbstractFunction):
    """A network in which every row has its own condition."""

    core: ICNN
    layers: list[_Changes]
    curvature: Float[Array, "n d"]
    dim: int = eqx.field(static=True)

    def __call__(self, x: Points) -> Values:
        value = 0.5 * jnp.sum(jnp.square(x) * self.core.curvatures(self.curvature), axis=1)
        activate, hidden = ACTIVATIONS[self.core.activation], None
        for layer, change in zip(self.core.layers, self.layers, strict=True):
            before = soft_square(product(x, layer.quadratic) * change.quadratic)
            before = before + product(x, layer.linear) * change.linear + (layer.bias + change.shift)
            if hidden is not None and layer.root_mix is not None:
                before = before + product(hidden * jnp.square(change.mix), jnp.square(layer.root_mix))
            hidden = activate(before)
            value = value + product(hidden * jnp.square(change.output), jnp.square(layer.root_output))
        return value


def _sizes(core: ICNN) -> list[int]:
    """How many numbers each of the changes takes, layer by layer."""
    sizes: list[int] = []
    for below, width in zip((0, *core.widths[:-1]), core.widths, strict=True):
        sizes += [width, width, width, width, below]
    return sizes
