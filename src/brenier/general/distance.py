"""What is known about the least mean cost between two clouds, for costs other than the quadratic one."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._summary import summary
from brenier._types import Points, Values
from brenier.batches import map_batches
from brenier.certificates.empirical import Interval
from brenier.certificates.general import general_interval
from brenier.certificates.mismatch import Mismatch, mismatch
from brenier.certificates.population import MeanBound, population_bound
from brenier.certificates.terms import double
from brenier.general.conjugates import GlobalConjugates
from brenier.general.sphere import CostCoordinates
from brenier.potentials import AbstractPotential
from brenier.surplus import AbstractSurplus

__all__ = ["CostDistance", "assess_cost"]

Array = NDArray[np.float64]

_SMALL_P = 0.01
"""Chance below which image and target are said to differ."""

_APART = 1.05
"""Cost of the map, relative to the estimate, from which on the image is said to differ."""


@dataclass(frozen=True, repr=False)
class CostDistance:
    """The least mean cost `inf E c(x, y)` between two clouds, by a map between them: no root is taken.

    Use points that the fit has not seen.

    Attributes:
        value: Estimate from the dual; where the inner problems have been solved, in expectation at most the truth.
        cost: Mean cost of moving the source points to their images.
        unconverged: Share of the target points whose conjugate missed its tolerance.
        disagree: Share of the target points for which two starts of the inner problem led to different solutions: the
            estimate rests on the better of the two being the best.
        name: The cost.
        dim: Number of columns.
        counts: Points of the two clouds.
        confidence: Level of `population_lower`.
        population: Lower confidence bound on the cost between the two populations, with its margin, up to rounding in
            double precision; None where inner problems are not known to be concave, so that nothing is certified.
        inexact: What `population` was lowered by because conjugates are inexact.
        empirical: Interval around the least mean cost between the two samples as they are; None if not asked for.
        mismatch: Difference between image and target, columns in units of their scale; None if not asked for.
    """

    value: float
    cost: float
    unconverged: float
    disagree: float
    name: str
    dim: int
    counts: tuple[int, int]
    confidence: float
    population: MeanBound | None
    inexact: float | None
    empirical: Interval | None
    mismatch: Mismatch | None

    @property
    def population_lower(self) -> float | None:
        """With confidence `confidence` the cost between the two *populations* is at least this."""
        return None if self.population is None else self.population.value

    @property
    def lower(self) -> float | None:
        """The least mean cost between the two *samples* is at least this, whatever the training did."""
        return None if self.empirical is None else self.empirical.lower

    @property
    def upper(self) -> float | None:
        """The least mean cost between the two *samples* is at most this."""
        return None if self.empirical is None else self.empirical.upper

    def notes(self) -> list[str]:
        """What a reader of the numbers should know."""
        found = []
        if self.population is None:
            found.append(
                "Nothing is certified about the populations: the potential is not convex, or the cost is not strongly "
                "convex, so that inner problems may have solutions that were not found."
            )
        if self.disagree > 0:
            found.append(
                f"{_percent(self.disagree)} of the inner problems have several solutions; the best one found was taken."
            )
        if self.cost > _APART * max(self.value, 0.0) and self.mismatch is not None:
            found.append(
                f"Displacements cost {self.cost:.4g}, more than the estimate: the image differs from the target. "
                "Train longer, or on more samples."
            )
        if self.mismatch is not None and self.mismatch.p_value < _SMALL_P:
            found.append(
                f"Image and target differ by more than chance (p = {self.mismatch.p_value:.3g}): train longer, or on "
                "more samples."
            )
        return found

    def record(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "cost_function": self.name,
            "value": self.value,
            "cost": self.cost,
            "unconverged": self.unconverged,
            "disagree": self.disagree,
            "confidence": self.confidence,
            "population_lower": self.population_lower,
            "lower": self.lower,
            "upper": self.upper,
            "method": None if self.empirical is None else self.empirical.method,
            "sampling_margin": None if self.population is None else self.population.margin,
            "inexact": self.inexact,
            "mismatch": None if self.mismatch is None else self.mismatch._asdict(),
            "notes": self.notes(),
        }

    def __repr__(self) -> str:
        return summary(self.lines())

    def lines(self) -> list[tuple[str, str]]:
        """Labels and texts of a printed answer."""
        rows = [("Least mean cost", f"{self.value:.5g}   estimate for {self.name}")]
        if self.population_lower is not None:
            level = f"{100 * self.confidence:g} %"
            rows.append(("Populations", f"at least {self.population_lower:.5g} with {level} confidence"))
        if self.empirical is not None:
            width = "exact" if self.empirical.method == "exact" else self.empirical.method
            rows.append(("These samples", f"between {self.lower:.7g} and {self.upper:.7g}, {width}"))
        rows.append(("Cost of the map", f"{self.cost:.5g}   mean over the source points"))
        if self.mismatch is not None:
            m = self.mismatch
            rows.append(
                ("Image to target", f"sliced W2 {m.sliced_w2:.4g}, MMD {m.mmd:.3g}, p = {m.p_value:.3g} if equal")
            )
        rows.append(("Unconverged", f"{_percent(self.unconverged)} of the conjugates"))
        return rows + [("Note", note) for note in self.notes()]


def assess_cost(
    coordinates: CostCoordinates,
    u: AbstractPotential,
    x: Array,
    y: Array,
    *,
    images: Array,
    conjugates: GlobalConjugates,
    confidence: float,
    empirical: bool,
    seed: int,
    a: Array | None = None,
    b: Array | None = None,
) -> CostDistance:
    """The answer of `CostMap.distance`.

    Args:
        coordinates: Coordinates of the potential.
        u: Potential.
        x: `(n, d)` source points in the units of the data.
        y: `(m, d)` target points.
        images: `(n, d)` images of the source points.
        conjugates: Presumed maximisers for the target points.
        confidence: Level of the bound on the populations.
        empirical: Whether to enclose the cost between the samples, and to test the image.
        seed: Of that test.
        a: `(n,)` weights of the source points, summing to one; equal ones by default.
        b: `(m,)` weights of the target points.
    """
    c = coordinates
    with jax.enable_x64(True):
        surplus, precise = c.surplus_in(np.float64), double(u)
        values = map_batches(lambda part: _values(precise, jnp.asarray(part)), c.precise_x(x))
        found, residuals = map_batches(
            lambda y, x: _conjugates(precise, surplus, jnp.asarray(y), jnp.asarray(x)),
            c.precise_y(y),
            conjugates.found.points.astype(np.float64),
        )
        floor = surplus.floor(precise.convexity_floor())
        modulus = None if floor is None or not float(floor) > 0 else float(floor)
    source = c.source_offsets(x) - c.unit**2 * values
    target = c.target_offsets(y) - c.unit**2 * found
    population = inexact = None
    if modulus is not None:
        slack = c.unit**2 * np.square(residuals) / (2.0 * modulus)
        population, inexact = (
            population_bound(source, target - slack, confidence, a, b),
            float(np.average(slack, weights=b)),
        )
    interval = test = None
    if empirical:
        own_x, own_y, own_images = (c.measured(points) for points in (x, y, images))
        interval = general_interval(c.cost, own_x, own_y, own_images, source, a=a, b=b)
        test = mismatch(own_images, own_y, seed, a, b)
    return CostDistance(
        value=float(np.average(source, weights=a) + np.average(target, weights=b)),
        cost=float(np.average(c.costs(x, images), weights=a)),
        unconverged=float(np.average(~conjugates.found.converged, weights=b)),
        disagree=float(np.average(conjugates.disagree, weights=b)),
        name=str(c.cost),
        dim=c.dim,
        counts=(len(x), len(y)),
        confidence=confidence,
        population=population,
        inexact=inexact,
        empirical=interval,
        mismatch=test,
    )


def _percent(value: float) -> str:
    return f"{100 * value:.2g} %"


@eqx.filter_jit
def _values(u: AbstractPotential, x: Points) -> Values:
    return u(x)


@eqx.filter_jit
def _conjugates(u: AbstractPotential, surplus: AbstractSurplus, y: Points, x: Points) -> tuple[Values, Values]:
    return surplus.dual_values(u, y, x)
