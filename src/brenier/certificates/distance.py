"""The answer to "how far apart are they": an estimate, what is certain about it, and what it could be better for."""

import math
from dataclasses import dataclass
from typing import Any

from brenier._summary import summary
from brenier.certificates.empirical import Interval
from brenier.certificates.mismatch import Mismatch
from brenier.certificates.population import MeanBound

__all__ = ["Distance"]

_WIDE = 0.05
"""Relative gap from which on it is said where the gap comes from."""

_SMALL_P = 0.01
"""Chance below which a difference between image and target is called one."""

_APART = 1.005
"""Distance of the samples, relative to the estimate, from which on it is said that samples lie apart."""


@dataclass(frozen=True, repr=False)
class Distance:
    """Wasserstein-2 distance between two clouds, by a map between them: `W2`, neither squared nor halved.

    All distances are in the units of the cost. Use points that the fit has not seen: of its own points a flexible
    potential knows more than of the populations, and `population_lower` would not hold.

    Attributes:
        w2: Estimate from the dual value; 0 where the estimate of its square is negative.
        dual: The dual value itself, an estimate of `W2^2 / 2`. In expectation it is at most the truth, whatever the
            map.
        cost: Root mean squared displacement of the source points. As the map is the gradient of a convex function,
            this *is* W2 between the source points and their images; only `mismatch` separates it from the target.
        unconverged: Share of the target points whose conjugate missed its tolerance.
        dim: Number of columns.
        counts: Points of the two clouds.
        confidence: Level of `population_lower`.
        population: Lower confidence bound on `W2^2 / 2` of the two populations, with its margin; None where the
            potential certifies nothing.
        inexact: What `population` was lowered by because conjugates and arithmetic are inexact.
        empirical: Interval around `W2^2 / 2` of the two samples as they are; None if it was not asked for.
        mismatch: Difference between image and target; None if it was not asked for.

    Example:
        >>> import numpy as np
        >>> from brenier import BrenierMap
        >>> rng = np.random.default_rng(0)
        >>> X, Y = rng.normal(size=(2000, 2)), rng.normal(size=(2000, 2)) + [3.0, 4.0]  # five apart
        >>> ot = BrenierMap(max_steps=128, random_state=0).fit(X[:1000], Y[:1000])
        >>> d = ot.distance(X[1000:], Y[1000:])
        >>> bool(abs(d.w2 - 5.0) < 0.2 and d.population_lower < 5.0 and d.upper - d.lower < 1e-6)
        True
    """

    w2: float
    dual: float
    cost: float
    unconverged: float
    dim: int
    counts: tuple[int, int]
    confidence: float
    population: MeanBound | None
    inexact: float | None
    empirical: Interval | None
    mismatch: Mismatch | None

    @property
    def population_lower(self) -> float | None:
        """W2 of the two *populations* is at least this, with probability `confidence`; see `population`."""
        return None if self.population is None else _root(self.population.value)

    @property
    def lower(self) -> float | None:
        """W2 of the two *samples* is at least this, whatever the training did."""
        return None if self.empirical is None else _root(self.empirical.lower)

    @property
    def upper(self) -> float | None:
        """W2 of the two *samples* is at most this."""
        return None if self.empirical is None else _root(self.empirical.upper)

    @property
    def population_gap(self) -> tuple[float, float] | None:
        """`w2 - population_lower`, and as a share of `w2`."""
        return None if self.population_lower is None else _gap(self.population_lower, self.w2)

    @property
    def empirical_gap(self) -> tuple[float, float] | None:
        """`upper - lower`, and as a share of `upper`."""
        return None if self.lower is None or self.upper is None else _gap(self.lower, self.upper)

    def notes(self) -> list[str]:
        """What a reader of the numbers should know: which part is at fault where a gap is wide, and what to do."""
        found = []
        if self.dual < 0:
            found.append("The dual value is negative: the map does not belong to these points.")
        if self.population is None:
            found.append(
                "The potential is not known to be convex, or its rounding errors are not bounded: nothing is certified "
                "about the populations, and the cost need not be optimal for the image."
            )
        elif (gap := self.population_gap) is not None and gap[1] > _WIDE:
            found.append(self._population_fault(self.population, self.inexact or 0.0))
        if 0.5 * self.cost**2 - max(self.dual, 0.0) > 2.0 * _WIDE * 0.5 * self.cost**2 + self._margin:
            found.append(
                f"Displacements cost {self.cost:.4g}, more than the estimate: the image differs from the target. "
                "Train longer, or on more samples."
            )
        if self.mismatch is not None and self.mismatch.p_value < _SMALL_P:
            found.append(
                f"Image and target differ by more than chance (p = {self.mismatch.p_value:.3g}): train longer, or on "
                "more samples."
            )
        elif self.lower is not None and self.lower > _APART * self.w2:
            found.append(
                f"These samples are farther apart than the estimate for their populations: {min(self.counts):,} points "
                f"in {self.dim} dimensions lie of the order n^(-1/d) beside their own population. That is no fault of "
                "the map."
            )
        if (
            self.empirical is not None
            and (gap := self.empirical_gap) is not None
            and gap[1] > _WIDE
            and self.empirical.method != "exact"
        ):
            found.append(
                "The interval of the samples is wide because the coupling follows the map in cells; up to 5,000,000 "
                "pairs of points it is exact."
            )
        return found

    def record(self) -> dict[str, Any]:
        """All of it as JSON values."""
        gaps = {"population_gap": self.population_gap, "empirical_gap": self.empirical_gap}
        return {
            "w2": self.w2,
            "dual": self.dual,
            "cost": self.cost,
            "unconverged": self.unconverged,
            "confidence": self.confidence,
            "population_lower": self.population_lower,
            "lower": self.lower,
            "upper": self.upper,
            "method": None if self.empirical is None else self.empirical.method,
            "sampling_margin": None if self.population is None else self.population.margin,
            "inexact": self.inexact,
            "mismatch": None if self.mismatch is None else self.mismatch._asdict(),
            **{name: None if gap is None else {"absolute": gap[0], "relative": gap[1]} for name, gap in gaps.items()},
            "notes": self.notes(),
        }

    def __repr__(self) -> str:
        return summary(self.lines())

    def lines(self) -> list[tuple[str, str]]:
        """Labels and texts of a printed answer."""
        rows = [("W2", f"{self.w2:.5g}   estimate; neither squared nor halved")]
        if self.population_lower is not None and self.population_gap is not None:
            share, level = _percent(self.population_gap[1]), f"{100 * self.confidence:g} %"
            rows.append(
                (
                    "Populations",
                    f"at least {self.population_lower:.5g} with {level} confidence, {share} below W2",
                )
            )
        if self.empirical is not None and self.empirical_gap is not None:
            width = "exact" if self.empirical.method == "exact" else f"{_percent(self.empirical_gap[1])} wide"
            rows.append(("These samples", f"between {self.lower:.7g} and {self.upper:.7g}, {width}"))
        rows.append(("Cost of the map", f"{self.cost:.5g}   W2 from the source to its image, for a convex potential"))
        if self.mismatch is not None:
            m = self.mismatch
            rows.append(
                (
                    "Image to target",
                    f"sliced W2 {m.sliced_w2:.4g}, MMD {m.mmd:.3g}, p = {m.p_value:.3g} if equal",
                )
            )
        rows.append(("Unconverged", f"{_percent(self.unconverged)} of the conjugates"))
        return rows + [("Note", note) for note in self.notes()]

    @property
    def _margin(self) -> float:
        return 0.0 if self.population is None else self.population.margin

    def _population_fault(self, bound: MeanBound, inexact: float) -> str:
        if inexact > bound.margin:
            return (
                f"The bound on the populations is low because of inexact conjugates ({_percent(self.unconverged)} "
                "unconverged): points far outside the data of the fit cannot be solved; leave them out, or fit on data "
                "that cover them."
            )
        return (
            f"The bound on the populations is low because of sampling error with {min(self.counts):,} points: use more "
            "held-out points."
        )


def _root(half_square: float) -> float:
    return math.sqrt(max(2.0 * half_square, 0.0))


def _gap(low: float, high: float) -> tuple[float, float]:
    return high - low, (high - low) / high if high > 0 else 0.0


def _percent(value: float) -> str:
    return f"{100 * value:.2g} %"
