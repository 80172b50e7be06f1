"""Distances under a condition: of each class, and the mean over the conditions of the source."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier._summary import summary
from brenier.certificates import Distance
from brenier.certificates.population import MeanBound, lower_bound

__all__ = ["ConditionalDistance", "averaged"]

Array = NDArray[np.float64]

_SHOWN = 12
"""Classes that a printed answer lists."""


@dataclass(frozen=True, repr=False)
class ConditionalDistance:
    """Wasserstein-2 distances between source and target under the same condition: `W2`, neither squared nor halved.

    The mean over conditions is of *squared* distances, `W2^2 = E_c W2(source | c, target | c)^2`, with c distributed
    as in the source points.

    Attributes:
        parts: The distance of each class; a single entry, `"all"`, where conditions are numbers only.
        shares: Share of each class among the source points, by weight where they have some.
        w2: The mean over conditions, from the dual values.
        dual: Mean dual value, an estimate of half the mean of the squares.
        cost: Root mean squared displacement.
        unconverged: Share of the conjugates that missed their tolerance.
        population: Lower confidence bound on half the mean of the squares, for the populations; None where the
            potentials certify nothing.
        lower: Bound for these very samples; None where conditions are numbers, where no two points share one, or where
            it was not asked for.
        upper: The same from above.

    Example:
        >>> import numpy as np
        >>> from brenier import BrenierMap
        >>> rng = np.random.default_rng(0)
        >>> kind = np.arange(2000) % 2
        >>> X, Y = rng.normal(size=(2000, 2)), rng.normal(size=(2000, 2)) + np.where(kind, 3.0, 4.0)[:, None]
        >>> ot = BrenierMap(max_steps=128, random_state=0).fit(X, Y, x_condition=kind, y_condition=kind)
        >>> d = ot.distance(X, Y, x_condition=kind, y_condition=kind)
        >>> exact = {"0": 4.0 * 2**0.5, "1": 3.0 * 2**0.5}
        >>> all(abs(d.parts[name].w2 - exact[name]) < 0.2 for name in d.parts), bool(abs(d.w2 - 5.0) < 0.2)
        (True, True)
    """

    parts: Mapping[str, Distance]
    shares: Mapping[str, float]
    w2: float
    dual: float
    cost: float
    unconverged: float
    population: MeanBound | None
    lower: float | None
    upper: float | None

    @property
    def population_lower(self) -> float | None:
        """The mean over conditions, for the two populations, is at least this, with the confidence asked for."""
        return None if self.population is None else _root(self.population.value)

    def notes(self) -> list[str]:
        """What a reader of the numbers should know, class by class."""
        single = len(self.parts) == 1
        return [note if single else f"{name}: {note}" for name, part in self.parts.items() for note in part.notes()]

    def record(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "w2": self.w2,
            "dual": self.dual,
            "cost": self.cost,
            "unconverged": self.unconverged,
            "population_lower": self.population_lower,
            "lower": self.lower,
            "upper": self.upper,
            "parts": {name: {"share": self.shares[name]} | part.record() for name, part in self.parts.items()},
        }

    def lines(self) -> list[tuple[str, str]]:
        """Labels and texts of a printed answer."""
        rows = [("W2", f"{self.w2:.5g}   mean over conditions; neither squared nor halved")]
        if self.population_lower is not None:
            level = f"{100 * next(iter(self.parts.values())).confidence:g} %"
            rows.append(("Populations", f"at least {self.population_lower:.5g} with {level} confidence"))
        if self.lower is not None and self.upper is not None:
            rows.append(("These samples", f"between {self.lower:.7g} and {self.upper:.7g}"))
        rows.append(("Cost of the maps", f"{self.cost:.5g}   root mean squared displacement"))
        rows.append(("Unconverged", f"{100 * self.unconverged:.2g} % of the conjugates"))
        if len(self.parts) > 1:
            rows += [(name, _part_text(part)) for name, part in list(self.parts.items())[:_SHOWN]]
            if len(self.parts) > _SHOWN:
                rows.append(("...", f"{len(self.parts) - _SHOWN} more classes"))
        return rows + [("Note", note) for note in self.notes()[:_SHOWN]]

    def __repr__(self) -> str:
        return summary(self.lines())


def averaged(names: Sequence[str], parts: Sequence[Distance], shares: Array) -> ConditionalDistance:
    """The mean over classes.

    Args:
        names: Of the classes.
        parts: Their distances.
        shares: Share of the source that each has, summing to one.
    """
    bounds = [part.population for part in parts]
    population = None
    if all(bound is not None for bound in bounds):
        found = [bound for bound in bounds if bound is not None]
        population = lower_bound(
            float(sum(p * (b.value + b.margin) for p, b in zip(shares, found, strict=True))),
            np.array([p**2 * b.variance for p, b in zip(shares, found, strict=True)]),
            np.array([b.freedom for b in found]),
            parts[0].confidence,
        )
    dual = float(shares @ [part.dual for part in parts])
    targets = np.array([part.counts[1] for part in parts], np.float64)
    intervals = [part.empirical for part in parts]
    ends = [(i.lower, i.upper) for i in intervals if i is not None]
    low, high = shares @ np.array(ends) if len(ends) == len(parts) else (None, None)
    return ConditionalDistance(
        parts=dict(zip(names, parts, strict=True)),
        shares=dict(zip(names, map(float, shares), strict=True)),
        w2=_root(dual),
        dual=dual,
        cost=float(np.sqrt(shares @ np.square([part.cost for part in parts]))),
        unconverged=float(targets @ [part.unconverged for part in parts] / targets.sum()),
        population=population,
        lower=None if low is None else _root(float(low)),
        upper=None if high is None else _root(float(high)),
    )


def _part_text(part: Distance) -> str:
    texts = [f"W2 {part.w2:.5g}"]
    if part.population_lower is not None:
        texts.append(f"populations at least {part.population_lower:.5g}")
    if part.mismatch is not None:
        texts.append(f"image to target p = {part.mismatch.p_value:.3g}")
    return ", ".join(texts)


def _root(half_square: float) -> float:
    return math.sqrt(max(2.0 * half_square, 0.0))
