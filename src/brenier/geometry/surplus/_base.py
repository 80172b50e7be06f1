"""What every surplus offers."""

import abc
from typing import ClassVar, TypeAlias

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._types import Mask, Points, Scalar, Values
from brenier.potentials import AbstractFunction, AbstractPotential

Matrix: TypeAlias = NDArray[np.float64]

__all__ = ["AbstractSurplus", "Matrix"]


class AbstractSurplus(eqx.Module):
    """A function `k` of pairs of points, row by row, in the coordinates of training.

    Attributes:
        baseline_name: Name of the map that needs no network, in words.
    """

    baseline_name: ClassVar[str]

    @abc.abstractmethod
    def __call__(self, x: Points, y: Points) -> Values:
        """`k` of each row of `x` and the same row of `y`."""

    @abc.abstractmethod
    def image(self, x: Points, slope: Points) -> Points:
        """The `y` with `grad_x k(x, y) = slope`: where a potential with this gradient sends `x`."""

    def too_steep(self, x: Points, slope: Points) -> Mask:
        """Which rows have a slope that no `y` has; their image is that of the nearest slope that some `y` has."""
        return jnp.zeros(x.shape[0], bool)

    @abc.abstractmethod
    def residual(self, x: Points, slope: Points, y: Points) -> Points:
        """Zero where the image of `x` is `y`; nearby, about their difference, in units of `y`."""

    @abc.abstractmethod
    def x0(self, y: Points) -> Points:
        """Where to start looking for the `x` whose image is `y`: exact for the baseline."""

    @abc.abstractmethod
    def baseline(self) -> AbstractPotential:
        """The potential of the map that needs no network: what a network has to beat."""

    @abc.abstractmethod
    def baseline_values(self, x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
        """Values of the potential `baseline` at the rows of `x`, and of its conjugate at `y`, in double precision."""

    def floor(self, floor: Scalar | None) -> Scalar | None:
        """Strong convexity of `u(x) - k(x, y)` in x, for a potential with the floor given; None if it is not known.

        Where there is one, inner problems have one solution, and the error of a conjugate is bounded by its residual.
        """
        return None

    def dual_values(self, u: AbstractFunction, y: Points, x: Points) -> tuple[Values, Values]:
        r"""Values `k(x, y) - u(x)`, at most the conjugate's, and the residual norms that bound the rest.

        If `u - k` is `m`-strongly convex, the conjugate at y exceeds the value by at most `residual^2 / (2 m)`.
        """
        values, slope = u.value_and_gradient(x)
        return self(x, y) - values, jnp.linalg.norm(self.residual(x, slope, y), axis=1)
