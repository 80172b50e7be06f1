"""A cost given by its functions."""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import equinox as eqx

from brenier._errors import InputError
from brenier._types import Points, Values
from brenier.costs._base import AbstractDisplacementCost
from brenier.costs._numbers import as_number

__all__ = ["Convex"]


class Convex(AbstractDisplacementCost):
    """Any strictly convex `h(x - y)`, given as three functions of JAX arrays whose rows are displacements.

    A fit checks them against each other at random displacements. Maps with such a cost cannot be saved, because a file
    holds no code: derive a class from `AbstractDisplacementCost` and enter it in `COSTS` for that.

    Args:
        h: `(n, d)` displacements to `(n,)` costs.
        gradient: `(n, d)` to `(n, d)`.
        conjugate_gradient: `(n, d)` slopes to the `(n, d)` displacements at which `h` has them.
        smooth: Whether `gradient` is Lipschitz on bounded sets. If not, as where `h` has kinks or grows with a power
            below 2, `conjugate_gradient` has to be.
        strong_convexity: An `m` such that `h(z) - m |z|^2 / 2` is convex, if there is one: a promise, for certificates.

    Example:
        The squared distance, but longer moves in the second column are cheaper:

        >>> import jax.numpy as jnp
        >>> from brenier.costs import Convex
        >>> w = jnp.array([1.0, 0.25])
        >>> cost = Convex(lambda z: 0.5 * (z**2) @ w, lambda z: w * z, lambda p: p / w, strong_convexity=0.25)
        >>> cost(jnp.array([[2.0, 2.0]]), jnp.zeros((1, 2))).tolist(), cost.conjugate(jnp.array([[1.0, 1.0]])).tolist()
        ([2.5], [2.5])
    """

    name: ClassVar[str] = "own"
    h: Callable[[Points], Values] = eqx.field(static=True)
    h_gradient: Callable[[Points], Points] = eqx.field(static=True)
    h_conjugate_gradient: Callable[[Points], Points] = eqx.field(static=True)
    smooth: bool = eqx.field(static=True)
    promised: float = eqx.field(static=True)

    def __init__(
        self,
        h: Callable[[Points], Values],
        gradient: Callable[[Points], Points],
        conjugate_gradient: Callable[[Points], Points],
        *,
        smooth: bool = True,
        strong_convexity: float = 0.0,
    ) -> None:
        for argument, function in (("h", h), ("gradient", gradient), ("conjugate_gradient", conjugate_gradient)):
            if not callable(function):
                raise InputError(f"`{argument}` must be a function of displacements; got {function!r}.")
        if not 0 <= as_number(strong_convexity) < math.inf:
            raise InputError(f"`strong_convexity` must be a number, at least 0; got {strong_convexity!r}.")
        self.h, self.h_gradient, self.h_conjugate_gradient = h, gradient, conjugate_gradient
        self.smooth, self.promised = bool(smooth), float(strong_convexity)

    def value(self, z: Points) -> Values:
        return self.h(z)

    def gradient(self, z: Points) -> Points:
        return self.h_gradient(z)

    def conjugate_gradient(self, p: Points) -> Points:
        return self.h_conjugate_gradient(p)

    def strong_convexity(self) -> float:
        return self.promised

    def arguments(self) -> Mapping[str, Any]:
        raise InputError(
            "a cost given by functions cannot be saved: a file holds no code. Derive a class from "
            "`brenier.costs.AbstractDisplacementCost`, and enter it in `brenier.costs.COSTS` here and before `load`."
        )

    def __str__(self) -> str:
        return f"Convex(h={getattr(self.h, '__qualname__', self.h)!s})"
