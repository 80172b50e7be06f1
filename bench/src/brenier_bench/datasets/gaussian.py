"""Pairs of centred Gaussians, whose map and distance have closed forms."""

from os import PathLike
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier._types import Array
from brenier_bench.datasets._arrays import read_arrays

__all__ = ["GaussianPair"]

Matrix = NDArray[np.float64]


class GaussianPair(NamedTuple):
    """Two centred Gaussians with their optimal map.

    Attributes:
        source, target: Their covariances.
        roots: Cholesky factors, for sampling.
        matrix: The exact map, `T(x) = matrix @ x`.

    Example:
        >>> import numpy as np
        >>> pair = GaussianPair.of(np.diag([1.0, 4.0]), np.diag([4.0, 1.0]))
        >>> pair.matrix.round(6).tolist()
        [[2.0, 0.0], [0.0, 0.5]]
    """

    source: Matrix
    target: Matrix
    roots: tuple[Matrix, ...]
    matrix: Matrix

    @classmethod
    def of(cls, source: Matrix, target: Matrix) -> "GaussianPair":
        """The pair with these covariances.

        Raises:
            InputError: One is not symmetric positive definite, or the shapes differ.
        """
        if source.shape != target.shape or source.ndim != 2 or source.shape[0] != source.shape[1]:
            raise InputError(f"covariances must be square and of one size; got {source.shape} and {target.shape}.")
        for name, matrix in (("source", source), ("target", target)):
            if not np.allclose(matrix, matrix.T, rtol=1e-6) or np.linalg.eigvalsh(matrix)[0] <= 0:
                raise InputError(f"the {name} covariance must be symmetric positive definite.")
        source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
        roots = tuple(np.linalg.cholesky(matrix).astype(np.float64) for matrix in (source, target))
        return cls(source, target, roots, bures_map(source, target))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "GaussianPair":
        """Read `Sigma0` and `Sigma1` from an .npz file."""
        arrays = read_arrays(path, ("Sigma0", "Sigma1"))
        return cls.of(arrays["Sigma0"].astype(np.float64), arrays["Sigma1"].astype(np.float64))

    @classmethod
    def random(cls, dim: int, seed: int) -> "GaussianPair":
        """A pair with random axes and standard deviations between 1/2 and 2."""
        rng = np.random.default_rng(seed)

        def covariance() -> Matrix:
            axes = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
            return (axes * 4.0 ** rng.uniform(-1.0, 1.0, dim)) @ axes.T

        return cls.of(covariance(), covariance())

    @property
    def dim(self) -> int:
        """Number of columns."""
        return len(self.source)

    @property
    def w2(self) -> float:
        """The exact Wasserstein-2 distance.

        References: Peyre and Cuturi 2019, "Computational Optimal Transport", equation 2.41.
        """
        squared = np.trace(self.source) + np.trace(self.target) - 2.0 * np.trace(self.matrix @ self.source)
        return float(np.sqrt(max(squared, 0.0)))

    def sample_source(self, key: Array, n: int) -> NDArray[np.float32]:
        """`n` source points."""
        return _sample(self.roots[0], key, n)

    def sample_target(self, key: Array, n: int) -> NDArray[np.float32]:
        """`n` target points."""
        return _sample(self.roots[1], key, n)

    def transport(self, x: Matrix) -> Matrix:
        """Images under the exact map."""
        return x @ self.matrix.T


def _sample(root: Matrix, key: Array, n: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(np.asarray(key))
    return rng.standard_normal((n, len(root)), dtype=np.float32) @ root.T.astype(np.float32)


def bures_map(source: Matrix, target: Matrix) -> Matrix:
    r"""Matrix of the optimal map between centred Gaussians with covariances `source` and `target`.

    It is the symmetric positive definite solution `A` of `A source A = target`.

    References: Olkin and Pukelsheim 1982; Peyre and Cuturi 2019, "Computational Optimal Transport", equation 2.40.

    Example:
        >>> import numpy as np
        >>> bures_map(np.diag([1.0, 4.0]), np.diag([4.0, 1.0])).round(6).tolist()
        [[2.0, 0.0], [0.0, 0.5]]
    """
    half, inverse_half = _powers(source)
    middle, _ = _powers(half @ target @ half)
    result = inverse_half @ middle @ inverse_half
    return (result + result.T) / 2


def _powers(matrix: Matrix) -> tuple[Matrix, Matrix]:
    """Square root of a positive definite matrix, and its inverse."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    roots = np.sqrt(np.maximum(values, np.finfo(np.float64).tiny))
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
