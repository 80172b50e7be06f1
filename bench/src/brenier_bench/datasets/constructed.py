r"""Pairs of distributions whose optimal map for a given cost is known, because the potential comes first.

With `G` smooth and convex, :math:`f = -G` is concave, so that :math:`h(\cdot - y) - f` is convex for every y: each x is
its minimiser for :math:`y = T(x) = x - \nabla h^*(-\nabla G(x))`, which makes f c-concave and T optimal between any
distribution and its image (Gangbo and McCann 1996, theorem 1.2). T moves points apart. With the roles exchanged,
:math:`S(y) = y + \nabla h^*(\nabla G(y))` is known instead, and its inverse moves points together. For separable costs
one half of the columns can do one thing and the other half the other: the potential is then neither convex nor concave.
"""

from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from brenier._errors import InputError
from brenier.costs import AbstractDisplacementCost

__all__ = ["ConstructedPair", "Kind"]

Matrix: TypeAlias = NDArray[np.float64]
Kind: TypeAlias = Literal["apart", "together", "mixed"]

_UNITS = 16
_CENTRES = 3
_STEEPEST = 0.95
"""Largest slope of the potential, as a share of the steepest that the cost knows."""

_LARGEST = 1e6


class _Bend(NamedTuple):
    """Gradient of a convex log-sum-exp of linear functions, on some columns."""

    columns: slice
    slopes: Matrix
    offsets: Matrix
    size: float

    def gradient(self, points: Matrix) -> Matrix:
        part = points[:, self.columns]
        return self.size * softmax(part @ self.slopes.T + self.offsets, axis=1) @ self.slopes


class ConstructedPair:
    """A source and a target in `dim` columns with their optimal map for a cost `h(x - y)`.

    One side is a mixture of three Gaussians, the other its image or preimage.

    Args:
        cost: The cost; separable for `"mixed"`, as all in `brenier.costs` but `Mahalanobis` are.
        dim: Number of columns.
        kind: `"apart"`, `"together"`, or `"mixed"`: which way the map moves points.
        seed: Of the potential and of the mixture.
        move: Root mean square displacement of a coordinate, in standard deviations of the mixture's; less where the
            cost knows no slopes so steep.

    Example:
        >>> from brenier.costs import PNorm
        >>> from brenier_bench.datasets import ConstructedPair
        >>> x, y = ConstructedPair(PNorm(1.5), 2).pairs(1000, seed=0)
        >>> x.shape, y.shape
        ((1000, 2), (1000, 2))
    """

    def __init__(
        self, cost: AbstractDisplacementCost, dim: int, kind: Kind = "mixed", *, seed: int = 0, move: float = 1.0
    ) -> None:
        if kind not in ("apart", "together", "mixed"):
            raise InputError(f"`kind` must be 'apart', 'together' or 'mixed'; got {kind!r}.")
        if dim < (2 if kind == "mixed" else 1):
            raise InputError(f"`dim` must be at least {2 if kind == 'mixed' else 1} for {kind!r}; got {dim!r}.")
        self.cost, self.dim, self.kind = cost, dim, kind
        rng = np.random.default_rng(seed)
        self._centres = rng.standard_normal((_CENTRES, dim))
        half = {"apart": dim, "together": 0, "mixed": dim // 2}[kind]
        self._bends = [
            (apart, self._bend(columns, rng, -1.0 if apart else 1.0, move))
            for apart, columns in ((True, slice(0, half)), (False, slice(half, dim)))
            if columns.stop > columns.start
        ]

    def pairs(self, n: int, seed: ArrayLike) -> tuple[Matrix, Matrix]:
        """Draw `n` source points `(n, dim)` and their images under the optimal map."""
        rng = np.random.default_rng(np.atleast_1d(seed))
        known = self._centres[rng.integers(_CENTRES, size=n)] + 0.5 * rng.standard_normal((n, self.dim))
        source, target = known.copy(), known.copy()
        for apart, bend in self._bends:
            slopes = bend.gradient(known)
            if apart:
                target[:, bend.columns] -= self._displacement(-slopes, bend.columns)
            else:
                source[:, bend.columns] += self._displacement(slopes, bend.columns)
        return source, target

    def source(self, key: ArrayLike, n: int) -> Matrix:
        """Sampler of the source, for `BrenierMap.fit`."""
        return self.pairs(n, np.append(np.asarray(key), 1))[0]

    def target(self, key: ArrayLike, n: int) -> Matrix:
        """Sampler of the target, independent of that of the source."""
        return self.pairs(n, np.append(np.asarray(key), 2))[1]

    def _displacement(self, slopes: Matrix, columns: slice) -> Matrix:
        """The displacement that the cost gives to slopes of the potential in some columns, and none in the others."""
        whole = np.zeros((len(slopes), self.dim))
        whole[:, columns] = slopes
        with jax.enable_x64(True):
            return np.asarray(self.cost.conjugate_gradient(jnp.asarray(whole)))[:, columns]

    def _bend(self, columns: slice, rng: np.random.Generator, sign: float, move: float) -> _Bend:
        """A random potential of the size that moves points as far as asked."""
        width = columns.stop - columns.start
        slopes = 2.0 * rng.standard_normal((_UNITS, width)) / np.sqrt(width)
        bend = _Bend(columns, slopes, 0.5 * rng.standard_normal(_UNITS), 1.0)
        points = self._centres[rng.integers(_CENTRES, size=4096)] + 0.5 * rng.standard_normal((4096, self.dim))
        gradient = sign * bend.gradient(points)
        # No gradient is larger than the largest slope of all units, wherever the point.
        steepest = np.abs(slopes).max()
        low, high = 0.0, min(_LARGEST, _STEEPEST * self._steepest() / steepest)
        wanted = move * points.std()
        for _ in range(60):
            middle = 0.5 * (low + high)
            reached = np.sqrt(np.mean(self._displacement(middle * gradient, columns) ** 2))
            low, high = (middle, high) if reached < wanted else (low, middle)
        return bend._replace(size=low)

    def _steepest(self) -> float:
        """The steepest slope of the cost in a coordinate."""
        with jax.enable_x64(True):
            far = jnp.full((1, self.dim), _LARGEST**2)
            return float(np.abs(self.cost.within_domain(far)).min())
