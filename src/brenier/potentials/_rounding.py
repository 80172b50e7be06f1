r"""Bounds on the rounding errors of a convex network: of its value and of its gradient.

Forward, every quantity comes with a bound of its size, taken over all partial sums, and a bound of its error; a sum of
k products is off by at most :math:`k\epsilon` times the sum of their sizes, and what a Lipschitz function is given
wrongly it passes on by its constant. Backward likewise, where slopes are at most one and are themselves off by what the
curvature makes of the error of their argument.

References: Higham 2002, "Accuracy and Stability of Numerical Algorithms", chapter 3; bounds to first order, with
operations counted generously.
"""

from collections.abc import Sequence
from typing import Protocol

import jax.numpy as jnp

from brenier._types import Array, Points, Values
from brenier.potentials.activations import STEEPEST_SQUARE

__all__ = ["Layer", "network_rounding"]

_ELEMENTWISE = 16
"""Operations in one evaluation of an activation, of `soft_square`, or of the slope of either."""


class Layer(Protocol):
    """What the bounds read of a layer.

    Its activation has slopes in [0, 1], curvatures of at most one, and values at most one larger than their argument.
    """

    quadratic: Array
    linear: Array
    bias: Array
    root_mix: Array | None
    root_output: Array


def network_rounding(x: Points, layers: Sequence[Layer]) -> tuple[Values, Values]:
    """Bounds on the errors of `sum_i w_i . z_i` and of its gradient in x, for the layers of an input-convex network.

    Args:
        x: `(n, d)` points, in the precision whose errors are asked for.
        layers: From the first to the last.

    Returns:
        `(n,)` for the value, `(n,)` for the Euclidean norm of the gradient's error. Cost: about two gradients.
    """
    eps, size_x = jnp.finfo(x.dtype).eps, jnp.abs(x)
    value = total = jnp.zeros(x.shape[0], x.dtype)
    hidden = wrong = None
    kept = []
    for layer in layers:
        forms = size_x @ jnp.abs(layer.quadratic)
        terms = x.shape[1] + _ELEMENTWISE + (0 if hidden is None else hidden.shape[1])
        size = STEEPEST_SQUARE * forms + size_x @ jnp.abs(layer.linear) + jnp.abs(layer.bias)
        error = 2.0 * terms * eps * STEEPEST_SQUARE * forms
        if hidden is not None and wrong is not None and layer.root_mix is not None:
            mix = jnp.square(layer.root_mix)
            size, error = size + hidden @ mix, error + wrong @ mix
        error = error + terms * eps * size
        kept.append((forms, error, terms))
        hidden, wrong = size + 1.0, error + _ELEMENTWISE * eps * (size + 1.0)
        weights = jnp.square(layer.root_output)
        value = value + wrong @ weights
        total = total + (hidden.shape[1] + _ELEMENTWISE + len(layers)) * eps * (hidden @ weights)
    return value + total, _gradient_rounding(x, layers, kept)


def _gradient_rounding(x: Points, layers: Sequence[Layer], kept: list[tuple[Array, Array, int]]) -> Values:
    eps = jnp.finfo(x.dtype).eps
    slope = wrong = jnp.zeros((x.shape[0], 0), x.dtype)
    errors = jnp.zeros_like(x)
    above: Layer | None = None
    for layer, (forms, error, terms) in zip(reversed(layers), reversed(kept), strict=True):
        weights = jnp.square(layer.root_output)
        size = jnp.broadcast_to(weights, forms.shape)
        bad = 4.0 * eps * size
        if above is not None and above.root_mix is not None:
            mix = jnp.square(above.root_mix).T
            size = size + slope @ mix
            bad = bad + wrong @ mix + (slope.shape[1] + _ELEMENTWISE) * eps * (slope @ mix)
        bad = bad + size * (error + _ELEMENTWISE * eps)  # the activation's slope
        bent = bad * STEEPEST_SQUARE + size * (2.0 * terms * eps * forms + _ELEMENTWISE * eps * STEEPEST_SQUARE)
        sums = (forms.shape[1] + _ELEMENTWISE + len(layers)) * eps * size
        errors = errors + (bad + sums) @ jnp.abs(layer.linear).T
        errors = errors + (bent + STEEPEST_SQUARE * sums) @ jnp.abs(layer.quadratic).T
        slope, wrong, above = size, bad, layer
    return jnp.linalg.norm(errors, axis=1)
