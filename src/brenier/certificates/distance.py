"""The answer to "how far apart are they": an estimate, what is certain about it, and what it could be better for."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from brenier._errors import InputError
from brenier._words import summary
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

_LISTED = 12
"""Classes, and notes on them, that the command line lists."""

_PRINTED = 3
"""Classes, and notes on them, that a summary of at most twelve lines has room for."""


@dataclass(frozen=True, repr=False)
class Distance:
    """How far apart two clouds are, by a map between them.

    For squared distances, Euclidean or Mahalanobis, that is the Wasserstein-2 distance, `W2`, neither squared nor
    halved. For other costs it is the least mean cost `inf E c(x, y)`, of which no root is taken. Distances are in the
    units of the cost. Use points that the fit has not seen: of its own points a flexible potential knows more than of
    the populations, and `population_lower` would not hold.

    Under conditions, distances are between source and target under the same one, and the mean over conditions is of
    costs, hence of *squared* distances: `W2^2 = E_c W2(source | c, target | c)^2`, with c distributed as in the source.

    Attributes:
        value: The dual value, an estimate of the least mean cost; of `W2^2 / 2` for squared distances. Where the inner
            problems have been solved, in expectation at most the truth, whatever the map.
        moved: Mean cost of moving the source points to their images, in the units of `value`.
        unconverged: Share of the target points whose conjugate missed its tolerance, by weight.
        disagree: Share of the target points for which two starts of the inner problem led to different solutions: the
            estimate rests on the better of the two being the best. Zero where there can only be one.
        name: The cost, in words.
        quadratic: Whether the cost is half a squared distance.
        dim: Number of columns.
        counts: Points of the two clouds.
        confidence: Level of `population_lower`.
        population: Lower confidence bound on `value` for the two populations, with its margin; None where the
            potential certifies nothing.
        inexact: What `population` was lowered by because conjugates and arithmetic are inexact.
        rigorous: Whether the rounding errors of `population` are bounded, too; if not, it holds up to rounding in
            double precision. False where there is no bound.
        empirical: Interval around the least mean cost of the two samples as they are; None if it was not asked for, or
            where conditions are numbers, of which no two points share one.
        mismatch: Difference between image and target, columns as the cost measures them; None if it was not asked for,
            or where it is that of several classes.
        parts: The distance of each class, by its name; a single one, `"all"`, where conditions are numbers only. Empty
            without conditions.
        shares: Share of each class among the source points, by weight where they have some.

    Example:
        >>> import numpy as np
        >>> from brenier import BrenierMap
        >>> rng = np.random.default_rng(0)
        >>> X, Y = rng.normal(size=(2000, 2)), rng.normal(size=(2000, 2)) + [3.0, 4.0]  # five apart
        >>> ot = BrenierMap(max_steps=128, random_state=0).fit(X[:1000], Y[:1000])
        >>> d = ot.distance(X[1000:], Y[1000:])
        >>> bool(abs(d.w2 - 5.0) < 0.2 and d.population_lower < 5.0 and d.upper - d.lower < 1e-6)
        True

        Under conditions:

        >>> kind = np.arange(2000) % 2
        >>> Y = rng.normal(size=(2000, 2)) + np.where(kind, 3.0, 4.0)[:, None]
        >>> ot = BrenierMap(max_steps=128, random_state=0).fit(X, Y, x_condition=kind, y_condition=kind)
        >>> d = ot.distance(X, Y, x_condition=kind, y_condition=kind)
        >>> exact = {"0": 4.0 * 2**0.5, "1": 3.0 * 2**0.5}
        >>> all(abs(d.parts[name].w2 - exact[name]) < 0.2 for name in d.parts), bool(abs(d.w2 - 5.0) < 0.2)
        (True, True)
    """

    value: float
    moved: float
    unconverged: float
    name: str
    quadratic: bool
    dim: int
    counts: tuple[int, int]
    confidence: float
    population: MeanBound | None
    inexact: float | None
    rigorous: bool
    empirical: Interval | None
    mismatch: Mismatch | None
    disagree: float = 0.0
    parts: Mapping[str, "Distance"] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def w2(self) -> float:
        """Estimate of the Wasserstein-2 distance, from the dual value; 0 where the estimate of its square is negative.

        Raises:
            InputError: The cost is no squared distance.
        """
        if not self.quadratic:
            raise InputError(
                f"`w2` is known for squared distances only; this map has `cost`={self.name}. Read `value`, the least "
                "mean cost."
            )
        return _root(self.value)

    @property
    def estimate(self) -> float:
        """`w2` where the cost is half a squared distance, else `value`: in the units of the bounds and of `cost`."""
        return self._read(self.value)

    @property
    def cost(self) -> float:
        """What the map itself costs: the root mean squared displacement of the source points, else their mean cost.

        A convex potential's map is optimal between the source points and their images, so that this *is* the distance
        between these two; only `mismatch` separates it from the target.
        """
        return self._read(self.moved)

    @property
    def population_lower(self) -> float | None:
        """The distance of the two *populations* is at least this, with probability `confidence`; see `population`."""
        return None if self.population is None else self._read(self.population.value)

    @property
    def lower(self) -> float | None:
        """The distance of the two *samples* is at least this, whatever the training did."""
        return None if self.empirical is None else self._read(self.empirical.lower)

    @property
    def upper(self) -> float | None:
        """The distance of the two *samples* is at most this."""
        return None if self.empirical is None else self._read(self.empirical.upper)

    @property
    def population_gap(self) -> tuple[float, float] | None:
        """`estimate - population_lower`, and as a share of `estimate`."""
        return None if self.population_lower is None else _gap(self.population_lower, self.estimate)

    @property
    def empirical_gap(self) -> tuple[float, float] | None:
        """`upper - lower`, and as a share of `upper`."""
        return None if self.lower is None or self.upper is None else _gap(self.lower, self.upper)

    def notes(self) -> list[str]:
        """What a reader of the numbers should know: which part is at fault where a gap is wide, and what to do.

        Where there are several classes, this is said of each.
        """
        if len(self.parts) > 1:
            return [f"{name}: {note}" for name, part in self.parts.items() for note in part.notes()]
        notes = []
        if self.quadratic and self.value < 0:
            notes.append("The dual value is negative: the map does not belong to these points.")
        if self.population is None:
            notes.append(
                "The potential is not known to be convex, or its rounding errors are not bounded: nothing is certified "
                "about the populations, and the cost need not be optimal for the image."
                if self.quadratic
                else "Nothing is certified about the populations: the potential is not convex, or the cost is not "
                "strongly convex, so that inner problems may have solutions that were not found."
            )
        elif (gap := self.population_gap) is not None and gap[1] > _WIDE:
            notes.append(self._population_fault(self.population, self.inexact or 0.0))
        if self.disagree > 0:
            notes.append(
                f"{_percent(self.disagree)} of the inner problems have several solutions; the best one found was taken."
            )
        # Half a square differs twice as much as the distance does.
        tolerated = 2.0 * _WIDE * self.moved if self.quadratic else _WIDE * max(self.value, 0.0)
        if self.moved - max(self.value, 0.0) > tolerated + (self.population.margin if self.population else 0.0):
            notes.append(
                f"Displacements cost {self.cost:.4g}, more than the estimate: the image differs from the target. "
                "Train longer, or on more samples."
            )
        if self.mismatch is not None and self.mismatch.p_value < _SMALL_P:
            notes.append(
                f"Image and target differ by more than chance (p = {self.mismatch.p_value:.3g}): train longer, or on "
                "more samples."
            )
        elif self.quadratic and self.lower is not None and self.lower > _APART * self.estimate:
            notes.append(
                f"These samples are farther apart than the estimate for their populations: {min(self.counts):,} points "
                f"in {self.dim} dimensions lie of the order n^(-1/d) beside their own population. That is no fault of "
                "the map."
            )
        if (
            self.empirical is not None
            and (gap := self.empirical_gap) is not None
            and gap[1] > _WIDE
            and self.empirical.method in ("transforms", "potential")
        ):
            notes.append(
                "The interval of the samples is wide because the coupling follows the map in cells; up to 5,000,000 "
                "pairs of points it is exact."
            )
        return notes

    def record(self) -> dict[str, Any]:
        """All fields and bounds as JSON values."""
        gaps = {"population_gap": self.population_gap, "empirical_gap": self.empirical_gap}
        record = {
            "cost_function": self.name,
            "w2": self.w2 if self.quadratic else None,
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
            "rigorous": self.rigorous,
            "mismatch": None if self.mismatch is None else self.mismatch._asdict(),
            **{name: None if gap is None else {"absolute": gap[0], "relative": gap[1]} for name, gap in gaps.items()},
            "notes": self.notes(),
        }
        if self.parts:
            record["parts"] = {name: {"share": self.shares[name]} | part.record() for name, part in self.parts.items()}
        return record

    def lines(self, listed: int = _LISTED) -> list[tuple[str, str]]:
        """Labels and texts of a summary, to be printed.

        Args:
            listed: Classes, and notes on classes, that are listed where there are several.
        """
        several = len(self.parts) > 1
        mean = "mean over conditions" if self.parts else "estimate"
        if self.quadratic:
            rows = [("W2", f"{self.w2:.5g}   {mean}; neither squared nor halved")]
        else:
            rows = [("Least mean cost", f"{self.value:.5g}   {mean} for {self.name}")]
        if self.population_lower is not None and self.population_gap is not None:
            below = f"{_percent(self.population_gap[1])} below {'W2' if self.quadratic else 'the estimate'}"
            rounding = "" if self.rigorous else ", up to rounding"
            rows.append(("Populations", f"at least {self.population_lower:.5g} with {self.level}, {below}{rounding}"))
        if self.empirical is not None and self.empirical_gap is not None:
            width = "exact" if self.empirical.method == "exact" else f"{_percent(self.empirical_gap[1])} wide"
            rows.append(("These samples", f"between {self.lower:.7g} and {self.upper:.7g}, {width}"))
        rows.append((f"Cost of the map{'s' if self.parts else ''}", f"{self.cost:.5g}   {self._cost_meaning}"))
        if self.mismatch is not None:
            m = self.mismatch
            rows.append(
                ("Image to target", f"sliced W2 {m.sliced_w2:.4g}, MMD {m.mmd:.3g}, p = {m.p_value:.3g} if equal")
            )
        rows.append(("Unconverged", f"{_percent(self.unconverged)} of the conjugates"))
        if not several:
            return rows + [("Note", note) for note in self.notes()]
        rows += [(name, part._text()) for name, part in list(self.parts.items())[:listed]]
        if len(self.parts) > listed:
            rows.append(("...", f"{len(self.parts) - listed} more classes"))
        return rows + [("Note", note) for note in self.notes()[:listed]]

    def __repr__(self) -> str:
        return summary(self.lines(_PRINTED))

    @property
    def level(self) -> str:
        """The level of the bound on the populations, in words."""
        return f"{100 * self.confidence:g} % confidence"

    @property
    def _cost_meaning(self) -> str:
        if not self.quadratic:
            return "mean over the source points"
        if self.parts:
            return "root mean squared displacement"
        return "W2 from the source to its image, for a convex potential"

    def _text(self) -> str:
        """One line, in a list of classes."""
        texts = [f"{'W2' if self.quadratic else 'cost'} {self.estimate:.5g}"]
        if self.population_lower is not None:
            texts.append(f"populations at least {self.population_lower:.5g}")
        if self.mismatch is not None:
            texts.append(f"image to target p = {self.mismatch.p_value:.3g}")
        return ", ".join(texts)

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

    def _read(self, value: float) -> float:
        """A mean cost as it is given: W2 where the cost is half a squared distance, else as it is."""
        return _root(value) if self.quadratic else value


def _root(half_square: float) -> float:
    return math.sqrt(max(2.0 * half_square, 0.0))


def _gap(low: float, high: float) -> tuple[float, float]:
    return high - low, (high - low) / high if high > 0 else 0.0


def _percent(value: float) -> str:
    return f"{100 * value:.2g} %"
