"""Base distributions: what a density is measured against by a map."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from brenier._errors import InputError
from brenier.data.table import Matrix, Unchecked

__all__ = ["Base", "Normal", "as_base"]


class Base(Protocol):
    """A distribution whose density is known."""

    def log_density(self, points: Matrix) -> Matrix:
        """Natural logarithms of the density, `(n,)`."""
        ...

    def draw(self, count: int, rng: np.random.Generator) -> Matrix:
        """Independent points, `(count, d)`."""
        ...


@dataclass(frozen=True, eq=False)
class Normal:
    """Independent normal columns.

    Attributes:
        mean: `(d,)`.
        deviation: `(d,)` standard deviations.
    """

    mean: Matrix
    deviation: Matrix

    @classmethod
    def standard(cls, dim: int) -> "Normal":
        """Zero mean, unit variance."""
        return cls(np.zeros(dim), np.ones(dim))

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> "Normal":
        """The distribution that `record` has described."""
        return cls(np.asarray(record["mean"], np.float64), np.asarray(record["deviation"], np.float64))

    def record(self) -> dict[str, Any]:
        """The distribution as JSON values."""
        return {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}

    def log_density(self, points: Matrix) -> Matrix:
        """Natural logarithms of the density, `(n,)`."""
        squares = np.sum(np.square((points - self.mean) / self.deviation), axis=1)
        return -0.5 * squares - float(np.sum(np.log(self.deviation)) + 0.5 * len(self.mean) * np.log(2.0 * np.pi))

    def gradient(self, points: Matrix) -> Matrix:
        """Gradients of `log_density`, `(n, d)`."""
        return (self.mean - points) / np.square(self.deviation)

    def draw(self, count: int, rng: np.random.Generator) -> Matrix:
        """Independent points, `(count, d)`."""
        return self.mean + self.deviation * rng.standard_normal((count, len(self.mean)))


@dataclass(frozen=True, eq=False)
class _Given:
    """A distribution that the user gave, with the methods of SciPy's."""

    logpdf: Callable[[Matrix], Any]
    rvs: Callable[..., Any] | None
    dim: int

    def log_density(self, points: Matrix) -> Matrix:
        values = np.asarray(self.logpdf(points), np.float64)
        if values.shape != (len(points),):
            raise InputError(f"`base` must give one log density for each of {len(points)} points; got {values.shape}.")
        return values

    def draw(self, count: int, rng: np.random.Generator) -> Matrix:
        if self.rvs is None:
            raise InputError("`base` cannot be drawn from: it has no method `rvs(size=n, random_state=generator)`.")
        points = np.asarray(self.rvs(size=count, random_state=rng), np.float64).reshape(count, -1)
        if points.shape[1] != self.dim:
            raise InputError(f"`base` must draw points of {self.dim} columns; got shape {points.shape}.")
        return points


def as_base(value: Unchecked, dim: int) -> Base:
    """Turn an argument `base` into a base distribution.

    Args:
        value: `"normal"` for the standard normal distribution; a distribution with methods `logpdf(points)` and, to be
            drawn from, `rvs(size=n, random_state=generator)`, as SciPy's frozen multivariate ones have; or a function
            from `(n, d)` points to `(n,)` log densities.
        dim: Number of columns.

    Raises:
        InputError: It is none of these.
    """
    if isinstance(value, Normal):
        return value
    if isinstance(value, str):
        if value == "normal":
            return Normal.standard(dim)
    elif hasattr(value, "logpdf"):
        return _Given(value.logpdf, getattr(value, "rvs", None), dim)
    elif callable(value):
        return _Given(value, None, dim)
    raise InputError(
        f"`base` must be 'normal', a distribution with `logpdf`, or a function from points to log densities; got "
        f"{value!r}."
    )
