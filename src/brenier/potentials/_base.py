"""What every potential offers, and every family of them."""

import abc
from collections.abc import Mapping
from typing import Any, Self, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from brenier._types import Array, Float, Points, Scalar, Values

__all__ = ["AbstractFamily", "AbstractFunction", "AbstractPotential", "double", "float32"]

Family = TypeVar("Family", bound="AbstractFamily")


class AbstractFunction(eqx.Module):
    """A function of points, value by row; values of different rows never influence each other."""

    dim: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(self, x: Points) -> Values:
        """Value at each row of `x`."""

    def value_and_gradient(self, x: Points) -> tuple[Values, Points]:
        """Value and gradient at each row, in one forward and one backward pass."""
        values, pullback = jax.vjp(self, x)
        (gradient,) = pullback(jnp.ones_like(values))
        return values, gradient

    def gradient(self, x: Points) -> Points:
        """Gradient at each row: the forward map."""
        return self.value_and_gradient(x)[1]

    def hessian(self, x: Points) -> Float[Array, "n d d"]:
        """Hessian at each row: the Jacobian of the forward map. Cost: `d` forward-over-reverse passes."""

        def column(direction: Array) -> Points:
            return jax.jvp(self.gradient, (x,), (jnp.broadcast_to(direction, x.shape),))[1]

        return jax.vmap(column, out_axes=2)(jnp.eye(self.dim, dtype=x.dtype))


class AbstractFamily(eqx.Module):
    r"""Potentials :math:`u(\cdot\,; c)`, one for each value of a condition; what training moves.

    Rows are points with the numbers of their condition behind them, `(n, dim + k)`; without a condition, k is zero.
    """

    dim: eqx.AbstractVar[int]

    @abc.abstractmethod
    def changes(self, codes: Float[Array, "n k"]) -> Any:  # noqa: ANN401
        """What conditions change: arrays with an entry for each row of `codes`, in a structure of the family's own."""

    @abc.abstractmethod
    def under(self, changes: Any) -> AbstractFunction:  # noqa: ANN401
        """The function that has the changes of row i for its point i; for as many points as the changes have rows."""

    @abc.abstractmethod
    def at(self, code: Float[Array, " k"]) -> "AbstractPotential":
        """The potential of one condition."""

    def condition(self, rows: Float[Array, "n e"]) -> tuple[AbstractFunction, Points]:
        """The function in which row i has its own condition, and the points `(n, dim)` of the rows."""
        return self.under(self.changes(rows[:, self.dim :])), rows[:, : self.dim]

    @abc.abstractmethod
    def convexity_floor(self) -> Scalar | None:
        """Largest known `m > 0` such that the potential is `m`-strongly convex; `None` if not known to be convex.

        Every certificate divides by this number, so it must hold by construction, for every value of the parameters.
        """

    @abc.abstractmethod
    def hyperparameters(self) -> Mapping[str, Any]:
        """What `skeleton` needs, as JSON values: everything but its arrays."""

    @classmethod
    @abc.abstractmethod
    def skeleton(cls, **hyperparameters: Any) -> Self:  # noqa: ANN401
        """A potential of this shape with arbitrary arrays, to be filled from a file."""


class AbstractPotential(AbstractFunction, AbstractFamily):
    r"""A Brenier potential :math:`u`: the forward map is its gradient, :math:`T = \nabla u`.

    A subclass implements `__call__`, `convexity_floor` and the pair that lets maps be saved; everything else follows.
    Nothing here holds data.
    """

    def changes(self, codes: Float[Array, "n k"]) -> None:
        return None

    def under(self, changes: None) -> AbstractFunction:
        return self

    def at(self, code: Float[Array, " k"]) -> "AbstractPotential":
        return self

    def rounding(self, x: Points) -> tuple[Values, Values] | None:
        """Bounds on the errors of floating point, in the precision of `x`: of the value, and of the gradient's norm.

        Certificates add them; without a bound, the default, there are no certificates. A bound may be far too large:
        certificates are computed in double precision, where little is left of it.
        """
        return None


def float32(values: ArrayLike) -> Array:
    """A device array of single precision, without compiling a conversion."""
    return jnp.asarray(np.asarray(values, np.float32))


def double(u: Family) -> Family:
    """A copy of a potential in double precision, where its single-precision parameters are exact."""

    def convert(leaf: object) -> object:
        return jnp.asarray(np.asarray(leaf, np.float64)) if eqx.is_inexact_array(leaf) else leaf

    return jax.tree.map(convert, u)
