"""What every transport cost offers."""

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp

from brenier._types import Points, Values

__all__ = ["AbstractCost", "AbstractDisplacementCost"]


class AbstractCost(eqx.Module):
    """A cost `c(x, y)` of moving a unit of mass from `x` to `y`. Rows are points.

    Attributes:
        name: Its name in map files and on the command line.
    """

    name: ClassVar[str]

    @abc.abstractmethod
    def __call__(self, x: Points, y: Points) -> Values:
        """Cost of each row of `x` to the same row of `y`."""

    @abc.abstractmethod
    def arguments(self) -> Mapping[str, Any]:
        """Keyword arguments of the class that make the same cost again, as JSON values."""

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments().items())
        return f"{type(self).__name__}({given})"


class AbstractDisplacementCost(AbstractCost):
    r"""A cost of the displacement alone, :math:`c(x, y) = h(x - y)` with `h` strictly convex.

    A subclass gives `h` (`value`), its gradient, and the gradient of its convex conjugate, which undoes it. These
    three make it a Lagrangian for `brenier.hopf_lax`, whose Hamiltonian is the conjugate.

    Attributes:
        smooth: Whether `gradient` is Lipschitz on bounded sets. If not, `conjugate_gradient` should be: the equation
            for preimages is then solved in a form that needs that one.
    """

    smooth: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def value(self, z: Points) -> Values:
        """`h` of each row."""

    @abc.abstractmethod
    def gradient(self, z: Points) -> Points:
        """Gradient of `h` at each row; the subgradient nearest to zero where `h` has a kink."""

    @abc.abstractmethod
    def conjugate_gradient(self, p: Points) -> Points:
        """The `z` at which `p` is the gradient of `h`, or a subgradient; not finite where there is none."""

    def within_domain(self, p: Points) -> Points:
        """The slopes, with those that no displacement has moved to the nearest that one has; as they are by default."""
        return p

    def conjugate(self, p: Points) -> Values:
        r"""The convex conjugate, :math:`h^*(p) = \max_z \langle p, z\rangle - h(z)`, by Fenchel's equality."""
        z = self.conjugate_gradient(p)
        return jnp.sum(p * z, axis=1) - self.value(z)

    def strong_convexity(self) -> float:
        """Largest known `m` such that `h(z) - m |z|^2 / 2` is convex; zero if there is none. Certificates need it."""
        return 0.0

    def __call__(self, x: Points, y: Points) -> Values:
        return self.value(x - y)
