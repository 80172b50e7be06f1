"""Quadratic costs, whose maps are gradients of convex functions after a linear change of variables."""

from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from brenier._errors import InputError
from brenier._products import product
from brenier._types import Points, Values
from brenier.costs._base import AbstractDisplacementCost

__all__ = ["Mahalanobis", "SquaredEuclidean"]

_ASYMMETRY = 1e-8
"""Difference between a matrix and its transpose, relative to its largest entry, that counts as rounding."""


class SquaredEuclidean(AbstractDisplacementCost):
    """Half the squared Euclidean distance, `|x - y|^2 / 2`.

    Example:
        >>> import jax.numpy as jnp
        >>> from brenier.costs import SquaredEuclidean
        >>> SquaredEuclidean()(jnp.array([[3.0, 4.0]]), jnp.zeros((1, 2))).tolist()
        [12.5]
    """

    name: ClassVar[str] = "squared"
    smooth: bool = eqx.field(static=True)

    def __init__(self) -> None:
        self.smooth = True

    def value(self, z: Points) -> Values:
        return 0.5 * jnp.sum(jnp.square(z), axis=1)

    def gradient(self, z: Points) -> Points:
        return z

    def conjugate_gradient(self, p: Points) -> Points:
        return p

    def strong_convexity(self) -> float:
        return 1.0

    def arguments(self) -> Mapping[str, Any]:
        return {}


class Mahalanobis(AbstractDisplacementCost):
    """Half a squared Mahalanobis distance, `(x - y)^T A (x - y) / 2`.

    The fit is that of the squared Euclidean cost after the linear change of variables that makes `A` the identity, so
    everything that is known of that one holds, certificates included. `W2` is in units of the Mahalanobis distance.

    Args:
        A: `(d, d)` symmetric positive definite matrix; the inverse of a covariance for Mahalanobis's own distance.

    Example:
        >>> import jax.numpy as jnp
        >>> from brenier.costs import Mahalanobis
        >>> Mahalanobis([[4.0, 0.0], [0.0, 1.0]])(jnp.array([[1.0, 1.0]]), jnp.zeros((1, 2))).tolist()
        [2.5]
    """

    name: ClassVar[str] = "mahalanobis"
    A: tuple[tuple[float, ...], ...] = eqx.field(static=True)  # hashable, so that compiled functions can take a cost
    smooth: bool = eqx.field(static=True)

    def __init__(self, A: ArrayLike) -> None:
        try:
            matrix = np.asarray(A, np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"`A` must be a matrix of numbers; got {A!r}.") from error
        if matrix.ndim != 2 or len(matrix) == 0 or matrix.shape[0] != matrix.shape[1]:
            raise InputError(f"`A` must be a square matrix, (d, d); got an array of shape {matrix.shape}.")
        if not np.isfinite(matrix).all():
            raise InputError("`A` has entries that are not finite. Replace them.")
        if np.abs(matrix - matrix.T).max() > _ASYMMETRY * np.abs(matrix).max():
            raise InputError("`A` must be symmetric. Pass `(A + A.T) / 2`, which gives the same cost.")
        matrix = (matrix + matrix.T) / 2
        least = float(np.linalg.eigvalsh(matrix)[0])
        if not least > len(matrix) * np.finfo(np.float64).eps * np.abs(matrix).max():
            raise InputError(
                f"`A` must be positive definite; its least eigenvalue is {least:.3g}. Add a multiple of the identity."
            )
        self.A = tuple(map(tuple, matrix.tolist()))
        self.smooth = True

    @property
    def matrix(self) -> NDArray[np.float64]:
        """`A` as an array."""
        return np.array(self.A)

    def value(self, z: Points) -> Values:
        return 0.5 * jnp.sum(z * self.gradient(z), axis=1)

    def gradient(self, z: Points) -> Points:
        return self._weigh(z, self.matrix)

    def conjugate_gradient(self, p: Points) -> Points:
        return self._weigh(p, np.linalg.inv(self.matrix))

    def strong_convexity(self) -> float:
        return float(np.linalg.eigvalsh(self.matrix)[0])

    def arguments(self) -> Mapping[str, Any]:
        return {"A": [list(row) for row in self.A]}

    def __str__(self) -> str:
        return super().__str__() if len(self.A) <= 4 else f"Mahalanobis(A of {len(self.A)} columns)"

    def _weigh(self, z: Points, matrix: NDArray[np.floating]) -> Points:
        if z.shape[1] != len(matrix):
            raise InputError(
                f"`A` of the Mahalanobis cost is for points of {len(matrix)} columns; these have {z.shape[1]}. Pass a "
                "matrix with a row and a column for each column of the points."
            )
        return product(z, jnp.asarray(matrix, z.dtype))
