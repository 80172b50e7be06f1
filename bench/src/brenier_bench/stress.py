"""Hard problems from a seed: what real data can do to a fit, in any mixture and over the whole range of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["HEAVY", "SHAPES", "Cloud", "StressProblem"]

Array = NDArray[np.float64]

SHAPES: dict[str, Callable[[np.random.Generator, tuple[int, int]], Array]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "uniform": lambda rng, shape: rng.uniform(-1.0, 1.0, shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "two clumps": lambda rng, shape: rng.choice([-1.0, 1.0], shape) + 0.1 * rng.standard_normal(shape),
    "log-normal 1": lambda rng, shape: np.exp(rng.standard_normal(shape)),
    "log-normal 2": lambda rng, shape: np.exp(2.0 * rng.standard_normal(shape)),
    "Student 3": lambda rng, shape: rng.standard_t(3.0, shape),
    "Student 2": lambda rng, shape: rng.standard_t(2.0, shape),
    "Cauchy": lambda rng, shape: rng.standard_cauchy(shape),
}
"""Distributions of one coordinate before the coordinates are mixed."""

HEAVY = frozenset({"log-normal 2", "Student 2", "Cauchy"})
"""Those whose variance is infinite, or decided by a few rows."""

_DIMS = (1, 2, 3, 4, 6, 8, 12, 16, 17, 24, 32, 48, 64, 65, 100, 144, 200)
"""Numbers of columns: few, so that compiled programs serve several problems, and both sides of every change of rule."""

_ROWS = (20, 100_000)
_LARGEST_CONDITION = 1e8
_FARTHEST = 1e6
_LARGEST_UNIT = 1e12
_LARGEST_RATIO = 1e3


@dataclass(frozen=True)
class Cloud:
    """One side of a problem.

    Attributes:
        rows: Points of a fit.
        shape: Key of `SHAPES`.
        condition: Largest eigenvalue of the covariance over the smallest one.
        rotated: Whether the principal axes are random ones rather than the columns.
        rank: Directions that have the variance they should; the others have `noise` times their standard deviation.
        noise: In [0, 1); 0 for exactly dependent columns.
        repeated: Share of the rows that are near-copies of other rows.
        jitter: How far those lie apart, in standard deviations.
        spread: Length of one unit before `unit`.
        place: Distance of the centre from the origin, in the same units.
    """

    rows: int
    shape: str
    condition: float
    rotated: bool
    rank: int
    noise: float
    repeated: float
    jitter: float
    spread: float
    place: float

    def draw(self, dim: int, rows: int, axes: Array, direction: Array, rng: np.random.Generator) -> Array:
        """Points of this cloud, before the common unit.

        Args:
            dim: Number of columns.
            rows: How many.
            axes: `(dim, dim)` rotation that is taken if `rotated`.
            direction: `(dim,)` unit vector from the origin to the centre.
            rng: Randomness of the points.
        """
        scales = np.geomspace(self.condition**-0.5, 1.0, dim)[::-1] if dim > 1 else np.ones(1)
        scales = np.where(np.arange(dim) < self.rank, scales, self.noise * scales)
        points = SHAPES[self.shape](rng, (rows, dim)) * scales
        if self.rotated:
            points = points @ axes.T
        copies = min(int(self.repeated * rows), rows - 1)
        if copies:
            chosen = rng.integers(copies, rows, copies)
            points[:copies] = points[chosen] + self.jitter * points.std(axis=0) * rng.standard_normal((copies, dim))
        return self.spread * points + self.place * direction


@dataclass(frozen=True)
class StressProblem:
    """Two clouds to fit, from one seed.

    Attributes:
        seed: What the problem was drawn from.
        dim: Number of columns, 1 to 200.
        source, target: The clouds.
        unit: Length that everything is multiplied by, from 1e-12 to 1e12.

    Example:
        >>> problem = StressProblem.drawn(3)
        >>> x, y = problem.points(problem.rows)
        >>> x.shape == (problem.source.rows, problem.dim), y.shape == (problem.target.rows, problem.dim)
        (True, True)
    """

    seed: int
    dim: int
    source: Cloud
    target: Cloud
    unit: float

    @classmethod
    def drawn(cls, seed: int, *, most_rows: int = _ROWS[1], dims: Sequence[int] = _DIMS) -> "StressProblem":
        """The problem of a seed: each trouble is there or not by chance, and as large as chance has it.

        Args:
            seed: Any number that is not negative.
            most_rows: Most rows a side; fewer for quick tests.
            dims: Numbers of columns to draw from.
        """
        rng = np.random.default_rng([seed, 0])
        dim = int(rng.choice(list(dims)))
        apart = _between(rng, 1.0, _FARTHEST) if rng.uniform() < 0.4 else 0.0
        place = _between(rng, 1.0, _FARTHEST) if rng.uniform() < 0.3 else 0.0
        clouds = [_cloud(rng, dim, most_rows, centre) for centre in (place, place + apart)]
        unit = _between(rng, 1.0 / _LARGEST_UNIT, _LARGEST_UNIT) if rng.uniform() < 0.5 else 1.0
        return cls(seed, dim, clouds[0], clouds[1], unit)

    @property
    def rows(self) -> tuple[int, int]:
        """Numbers of points of the two sides."""
        return self.source.rows, self.target.rows

    def points(self, rows: tuple[int, int], draw: int = 0) -> tuple[Array, Array]:
        """Samples of the two sides.

        Args:
            rows: Points of each.
            draw: Which sample: 0 for that of the fit, others for points that it has not seen.
        """
        fixed = np.random.default_rng([self.seed, 1])
        direction = fixed.standard_normal(self.dim)
        direction /= np.linalg.norm(direction)
        sides = []
        for number, (cloud, count) in enumerate(zip((self.source, self.target), rows, strict=True)):
            axes = np.linalg.qr(fixed.standard_normal((self.dim, self.dim)))[0]
            rng = np.random.default_rng([self.seed, 2 + draw, number])
            sides.append(self.unit * cloud.draw(self.dim, count, axes, direction, rng))
        return sides[0], sides[1]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The troubles of the problem, as tables name them."""
        clouds = (self.source, self.target)
        troubles = {
            "heavy tails": any(cloud.shape in HEAVY for cloud in clouds),
            "condition over 1e4": any(cloud.condition > 1e4 for cloud in clouds) and self.dim > 1,
            "low rank": any(cloud.rank < self.dim for cloud in clouds),
            "near-duplicates": any(cloud.repeated for cloud in clouds),
            "disjoint supports": self.target.place - self.source.place > 100.0,
            "far from the origin": self.source.place > 100.0,
            "tiny units": self.unit < 1e-3,
            "huge units": self.unit > 1e3,
            "other spread": not 0.03 < self.target.spread / self.source.spread < 30.0,
            "fewer rows than 10 a column": min(self.rows) < 10 * self.dim,
        }
        return tuple(name for name, there in troubles.items() if there) or ("none of these",)

    def __str__(self) -> str:
        sides = " to ".join(_words(cloud, self.dim) for cloud in (self.source, self.target))
        return f"seed {self.seed}: {self.dim} columns, unit {self.unit:.2g}, {sides}"


def _cloud(rng: np.random.Generator, dim: int, most_rows: int, place: float) -> Cloud:
    def chance(share: float) -> bool:
        return bool(rng.uniform() < share)

    low = dim > 1 and chance(0.25)
    repeats = chance(0.25)
    return Cloud(
        rows=round(_between(rng, _ROWS[0], most_rows)),
        shape=str(rng.choice(list(SHAPES))),
        condition=_between(rng, 1.0, _LARGEST_CONDITION) if chance(0.6) else 1.0,
        rotated=chance(0.7),
        rank=int(rng.integers(1, dim)) if low else dim,
        noise=(0.0 if chance(0.3) else _between(rng, 1e-12, 1e-2)) if low else 1.0,
        repeated=float(rng.uniform(0.05, 0.9)) if repeats else 0.0,
        jitter=(0.0 if chance(0.3) else _between(rng, 1e-12, 1e-2)) if repeats else 0.0,
        spread=_between(rng, 1.0 / _LARGEST_RATIO, _LARGEST_RATIO) if chance(0.2) else 1.0,
        place=place,
    )


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """A random number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _words(cloud: Cloud, dim: int) -> str:
    words = [f"{cloud.rows} rows {cloud.shape}"]
    if dim > 1:
        words.append(f"condition {cloud.condition:.2g}" + (" rotated" if cloud.rotated else ""))
    if cloud.rank < dim:
        words.append(f"rank {cloud.rank} with noise {cloud.noise:.2g}")
    if cloud.repeated:
        words.append(f"{100 * cloud.repeated:.0f} % copies {cloud.jitter:.2g} apart")
    if cloud.spread != 1.0:
        words.append(f"spread {cloud.spread:.2g}")
    if cloud.place:
        words.append(f"at {cloud.place:.2g}")
    return "[" + ", ".join(words) + "]"
