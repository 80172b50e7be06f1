"""The distance with what is certain about it, each number with its meaning; and the verdict in a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from brenier.certificates import Distance
from brenier.conditional.distance import ConditionalDistance
from brenier.data.remembered import Recognised, recognised
from brenier.general.distance import CostDistance
from brenier.metrics import sliced_w2
from brenier.report.costs import cost_facts, cost_words
from brenier.report.page import Fact, Section, Table
from brenier.report.sides import Cloud, Sides
from brenier.report.units import units
from brenier.report.words import clean, counted, number, percent

__all__ = ["AnyDistance", "Certificate", "certificate", "certificate_section", "verdict"]

AnyDistance: TypeAlias = Distance | ConditionalDistance | CostDistance

_SEEN = 0.1
"""Share of the rows of a side that are rows of the fit from which on the fit has seen them: fewer may be repeats."""

_SMALL_P = 0.01
_TESTED = 1000
_ROUNDING = 1e-6
"""Relative width of an interval up to which its ends differ by rounding alone."""


@dataclass(frozen=True, eq=False)
class Certificate:
    """What is known of the distance.

    Attributes:
        distance: As `map_.distance` finds it on the rows of the page.
        sliced: Sliced W2 of source and target, and of image and target, of points as the cost takes them.
        known: For each side, which rows of the fit are among those of the page's input; None where the map remembers
            nothing that could be compared.
        base: Side that is draws from the base of a density, if there is one.
    """

    distance: AnyDistance
    sliced: tuple[float, float]
    known: Mapping[str, Recognised | None]
    base: str | None

    @property
    def seen(self) -> bool | None:
        """Whether a tenth of the rows of a side, or more, are rows of the fit; None where nobody knows."""
        found = [own for side, own in self.known.items() if side != self.base]
        if any(own is not None and own.share >= _SEEN for own in found):
            return True
        return None if any(own is None or own.largest_share >= _SEEN for own in found) else False

    @property
    def populations(self) -> bool:
        """Whether a bound on the populations can hold as far as anyone knows."""
        return self.seen is not True


def certificate(sides: Sides, whole: Mapping[str, Any], confidence: float, seed: int, base: str | None) -> Certificate:
    """Measure.

    Args:
        sides: The rows.
        whole: All points that were handed in, by side, to be compared with those of the fit.
        confidence: Level of the bound on the populations.
        seed: Of the random directions and relabellings.
        base: Side that is draws from the base of a density.
    """
    x, y, map_ = sides.x, sides.y, sides.map_
    options = {"x_weight": x.weights, "y_weight": y.weights, "confidence": confidence, "seed": seed}
    distance = map_.distance(x.points, y.points, x_condition=x.condition, y_condition=y.condition, **options)
    sliced = [
        sliced_w2(sides.measured(own), sides.measured(y.points), seed=seed, x_weight=x.even, y_weight=y.even)
        for own in (x.points, sides.images)
    ]
    noisy = any(map_.info.get("dequantized") or ())
    remembered = {} if noisy else map_.info.get("data", {})
    known = {
        side: recognised(remembered[side], values) if side in remembered else None for side, values in whole.items()
    }
    return Certificate(distance, (sliced[0], sliced[1]), known, base)


def verdict(found: Certificate, sides: Sides) -> str:
    """The answer in one sentence."""
    x, y, distance = sides.x, sides.y, found.distance
    before, after = (number(own, 3) for own in found.sliced)
    way = "falls" if found.sliced[1] < found.sliced[0] else "rises"
    start = "On rows that its fit has seen, the" if found.seen else "The"
    text = f"{start} map takes {x.name} to an image whose sliced W2 to {y.name} {way} from {before} to {after}; "
    if isinstance(distance, ConditionalDistance):
        tests = [part.mismatch for part in distance.parts.values() if part.mismatch is not None]
        far = sum(test.p_value < _SMALL_P for test in tests)
        if len(tests) == 1:
            text += _tested(tests[0].p_value, y)
        else:
            text += f"a two-sample test finds a difference (p < {_SMALL_P}) in {far} of {len(tests)} classes"
        mean = " in the mean over conditions"
    else:
        text += _tested(distance.mismatch.p_value, y) if distance.mismatch is not None else "no test was done"
        mean = ""
    if isinstance(distance, CostDistance):
        text += f"; the least mean cost between the two, {clean(distance.name)}, is estimated as "
        text += number(distance.value)
    else:
        text += f"; W2 between the two is estimated as {number(distance.w2)}{mean}"
    lower = distance.population_lower
    if lower is not None and found.populations:
        text += f", and is at least {number(lower)} with {_level(distance)} confidence for their populations"
        text += ", if its fit has not seen these rows" if found.seen is None else ""
    return text + "."


def _tested(p: float, y: Cloud) -> str:
    if p < _SMALL_P:
        return f"a two-sample test still tells the image from {y.name} (p = {number(p, 2)})"
    return f"a two-sample test does not tell the image from {y.name} (p = {number(p, 2)})"


def _level(distance: AnyDistance) -> str:
    parts = distance.parts.values() if isinstance(distance, ConditionalDistance) else [distance]
    return f"{100 * next(iter(parts)).confidence:g} %"


def certificate_section(found: Certificate, sides: Sides) -> Section:
    """The section of the page."""
    distance = found.distance
    record, own = distance.record(), units(sides.map_)
    words = f"All distances are W2, neither squared nor halved, {own}."
    text = [cost_words(distance, own) if isinstance(distance, CostDistance) else words, _evidence(found, sides)]
    if isinstance(distance, ConditionalDistance):
        text.append(
            "Distances are between source and target under the same condition; means over conditions are of squared "
            "distances, with the conditions of the source."
        )
    several = isinstance(distance, ConditionalDistance) and len(distance.parts) > 1
    notes = [] if several else _notes(distance, found)
    facts = _facts(record, found, distance)
    tables = []
    if isinstance(distance, ConditionalDistance) and several:
        tables = [_parts(distance, found), *_part_notes(distance, found)]
    return Section("certificate", "Certificate", text, facts, notes, tables=tables)


def _evidence(found: Certificate, sides: Sides) -> str:
    """What is known of whether the fit has seen the rows."""
    texts = []
    for cloud, side in ((sides.x, "source"), (sides.y, "target")):
        own = found.known[side]
        if side == found.base:
            continue
        if own is None:
            texts.append(f"Nothing is known of whether the fit has seen rows of {cloud.name}.")
            continue
        text = f"Of {counted(own.marks, 'row')} that the map remembers from its fit, {cloud.name} has {own.found}"
        if own.share < _SEEN:
            most = percent(own.largest_share)
            text += f", so at most {most} of its rows are rows of the fit, with 95 % confidence"
        texts.append(f"{text}.")
    end = {
        True: "The fit has seen rows of this page: the estimate flatters the map, and there is no valid bound on the "
        "populations.",
        False: "These rows pass for held-out ones.",
        None: "The estimate and the bound on the populations are meant for rows that the fit has not seen.",
    }[found.seen]
    return " ".join([*texts, end])


def _facts(record: Mapping[str, Any], found: Certificate, distance: AnyDistance) -> list[Fact]:
    if isinstance(distance, CostDistance):
        low, high = distance.lower, distance.upper
        interval = None if low is None or high is None else _between(low, high)
        return [*cost_facts(distance, found.populations, interval), *_shared(record, found, distance)]
    conditional = isinstance(distance, ConditionalDistance)
    facts = [
        Fact(
            "W2, estimate",
            number(record["w2"]),
            "Root of twice the dual value of the map's potential on these rows"
            + ("; the mean of that value is at most the truth." if found.populations else ", which the fit has seen."),
        )
    ]
    lower = record["population_lower"]
    if not found.populations:
        facts.append(
            Fact("W2 of the populations", "no bound", "A bound needs rows that the fit has not seen.", poor=True)
        )
    elif lower is None:
        facts.append(Fact("W2 of the populations", "no bound", "The potential certifies nothing.", poor=True))
    else:
        gap = percent((record["w2"] - lower) / record["w2"]) if record["w2"] > 0 else "0 %"
        facts.append(
            Fact(
                "W2 of the populations",
                f"at least {number(lower)}",
                f"With {_level(distance)} confidence, for the distributions behind rows that are independent and "
                f"that the fit has not seen; {gap} below the estimate.",
            )
        )
    if record["lower"] is not None:
        low, high = record["lower"], record["upper"]
        width = percent((high - low) / high) if high > 0 else "0 %"
        exact = record.get("method") == "exact" or high - low <= _ROUNDING * high
        sure = "computed exactly" if exact else f"an interval {width} wide"
        facts.append(Fact("W2 of these rows", _between(low, high), f"Certain for these very rows as they are; {sure}."))
    facts.append(
        Fact(
            "Cost of the map",
            number(record["cost"]),
            "Root mean squared displacement"
            + ("." if conditional else ": W2 from the source to its image, where the potential is convex."),
        )
    )
    return [*facts, *_shared(record, found, distance)]


def _shared(record: Mapping[str, Any], found: Certificate, distance: AnyDistance) -> list[Fact]:
    """What is said alike whatever the cost."""
    before, after = found.sliced
    facts = [
        Fact(
            "Sliced W2 to target",
            f"{number(before, 3)} → {number(after, 3)}",
            "Of the source, then of its image, over 256 random directions; sampling error alone keeps it above zero.",
            poor=after > before,
        )
    ]
    only = next(iter(distance.parts.values())) if isinstance(distance, ConditionalDistance) else distance
    if only.mismatch is not None and (only is distance or len(record["parts"]) == 1):
        facts.append(_test(only.mismatch._asdict(), only.counts))
    facts.append(
        Fact(
            "Unconverged conjugates",
            percent(record["unconverged"]),
            "Share of the target rows whose conjugate missed its tolerance; what they miss raises the estimate.",
            poor=record["unconverged"] > 0.01,
        )
    )
    return facts


def _between(low: float, high: float) -> str:
    first, second = number(low, 5), number(high, 5)
    return first if first == second else f"{first} to {second}"


def _test(test: Mapping[str, float], counts: tuple[int, int]) -> Fact:
    sizes = " and ".join(f"{min(count, _TESTED):,}" for count in counts)
    far = test["p_value"] < _SMALL_P
    meaning = (
        "Image and target differ by more than chance." if far else "Chance explains the difference on so many rows."
    )
    return Fact(
        "MMD, image to target",
        f"{number(test['mmd'], 3)}, p = {number(test['p_value'], 2)}",
        f"Maximum mean discrepancy on at most {sizes} rows; p is the share of 500 labellings, the true one among "
        "them, that are at least as far apart. " + meaning,
        poor=far,
    )


def _part_notes(distance: ConditionalDistance, found: Certificate) -> list[Table]:
    """What a reader should know of single classes."""
    rows = [[clean(name), note] for name, part in distance.parts.items() for note in _notes(part, found)]
    return [Table("What to know of single classes.", ["Class", "Note"], rows, wide=(0, 1))] if rows else []


def _notes(distance: AnyDistance, found: Certificate) -> list[str]:
    """The notes of a distance, without those about a bound that the page does not give."""
    notes = [clean(note) for note in distance.notes()]
    return notes if found.populations else [note for note in notes if "bound on the populations" not in note]


def _parts(distance: ConditionalDistance, found: Certificate) -> Table:
    header = ["Class", "Share", "Rows", "W2"]
    header += ["populations at least"] if found.populations else []
    header += ["of these rows", "sliced W2 of image", "MMD", "p", "unconverged"]
    rows = []
    for name, part in distance.parts.items():
        cells = [
            clean(name),
            percent(distance.shares[name]),
            " / ".join(f"{n:,}" for n in part.counts),
            number(part.w2),
        ]
        if found.populations:
            cells.append(number(part.population_lower))
        interval = "–" if part.lower is None or part.upper is None else _between(part.lower, part.upper)
        test = part.mismatch
        cells += [interval, *("–" if test is None else number(own, 3) for own in test or (None,) * 3)]
        rows.append([*cells, percent(part.unconverged)])
    return Table("Each class; p below 0.01 means that image and target differ by more than chance.", header, rows)
