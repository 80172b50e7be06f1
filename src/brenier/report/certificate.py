"""The distance with what is certain about it, each number with its meaning; and the verdict in a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from brenier.certificates import Distance
from brenier.data.remembered import Recognised, recognise
from brenier.metrics import sliced_w2
from brenier.report.page import Fact, Section, Table
from brenier.report.sides import Cloud, Sides
from brenier.report.units import units
from brenier.report.words import clean, number, percent, tally

__all__ = ["Certificate", "certificate", "certificate_section", "verdict"]

_SEEN = 0.1
"""Share of the rows of a side that are rows of the fit from which on the fit has seen them: fewer may be repeats."""

_SMALL_P = 0.01
_TESTED = 1000
_ROUNDING = 1e-6
"""Relative width of an interval up to which its ends differ by rounding alone."""


@dataclass(frozen=True, eq=False)
class Certificate:
    """The distance on the rows of a report, and whether it is valid evidence about the populations.

    Attributes:
        distance: As `map_.distance` gives it for the rows of the report.
        sliced: Sliced W2 between source and target, and between image and target, in the coordinates of the cost.
        known: For each side, how many rows of the fit are among those of the input; None where the map has no record
            of them.
        base: Side whose rows are drawn from the base of a density, if there is one.
    """

    distance: Distance
    sliced: tuple[float, float]
    known: Mapping[str, Recognised | None]
    base: str | None

    @property
    def seen(self) -> bool | None:
        """Whether a tenth of the rows of a side, or more, are rows of the fit; None if unknown."""
        compared = [matches for side, matches in self.known.items() if side != self.base]
        if any(matches is not None and matches.share >= _SEEN for matches in compared):
            return True
        return None if any(matches is None or matches.largest_share >= _SEEN for matches in compared) else False

    @property
    def populations(self) -> bool:
        """Whether a bound on the populations may hold: the fit is not known to have seen the rows."""
        return self.seen is not True


def certificate(sides: Sides, whole: Mapping[str, Any], confidence: float, seed: int, base: str | None) -> Certificate:
    """Measure the distance on the rows of a report, and look for rows of the fit among them.

    Args:
        sides: The rows of the report.
        whole: All points that were given, by side, to be compared with those of the fit.
        confidence: Level of the bound on the populations.
        seed: Seed of the random directions and relabellings.
        base: Side whose rows are drawn from the base of a density.
    """
    x, y, map_ = sides.x, sides.y, sides.map_
    options = {"x_weight": x.weights, "y_weight": y.weights, "confidence": confidence, "seed": seed}
    distance = map_.distance(x.points, y.points, x_condition=x.condition, y_condition=y.condition, **options)
    sliced = [
        sliced_w2(sides.measure(points), sides.measure(y.points), seed=seed, x_weight=x.even, y_weight=y.even)
        for points in (x.points, sides.images)
    ]
    noisy = any(map_.info.get("dequantized") or ())
    remembered = {} if noisy else map_.info.get("data", {})
    known = {
        side: recognise(remembered[side], values) if side in remembered else None for side, values in whole.items()
    }
    return Certificate(distance, (sliced[0], sliced[1]), known, base)


def verdict(evidence: Certificate, sides: Sides) -> str:
    """The result of the report in one sentence."""
    x, y, distance = sides.x, sides.y, evidence.distance
    before, after = (number(value, 3) for value in evidence.sliced)
    way = "falls" if evidence.sliced[1] < evidence.sliced[0] else "rises"
    start = "On rows that its fit has seen, the" if evidence.seen else "The"
    text = f"{start} map takes {x.name} to an image whose sliced W2 to {y.name} {way} from {before} to {after}; "
    if len(distance.parts) > 1:
        tests = [part.mismatch for part in distance.parts.values() if part.mismatch is not None]
        far = sum(test.p_value < _SMALL_P for test in tests)
        text += f"a two-sample test finds a difference (p < {_SMALL_P}) in {far} of {len(tests)} classes"
    else:
        text += _say_test(distance.mismatch.p_value, y) if distance.mismatch is not None else "no test was done"
    what = "W2" if distance.quadratic else "the least mean cost"
    of = "" if distance.quadratic else f", {clean(distance.name)},"
    text += f"; {what} between the two{of} is estimated as {number(distance.estimate)}"
    text += " in the mean over conditions" if distance.parts else ""
    lower = distance.population_lower
    if lower is not None and evidence.populations:
        text += f", and is at least {number(lower)} with {distance.level} for their populations"
        text += ", if its fit has not seen these rows" if evidence.seen is None else ""
    return text + "."


def _say_test(p: float, y: Cloud) -> str:
    if p < _SMALL_P:
        return f"a two-sample test still tells the image from {y.name} (p = {number(p, 2)})"
    return f"a two-sample test does not tell the image from {y.name} (p = {number(p, 2)})"


def certificate_section(evidence: Certificate, sides: Sides) -> Section:
    """The section of the report with the distance, its certificate and its parts."""
    distance = evidence.distance
    text = [_words(distance, units(sides.map_)), _evidence(evidence, sides)]
    if distance.parts:
        text.append(
            "Distances are between source and target under the same condition; means over conditions are of squared "
            "distances, with the conditions of the source."
        )
    facts, notes, tables = _facts(evidence), _notes(distance, evidence), []
    if len(distance.parts) > 1:
        notes, tables = [], [_parts(distance, evidence), *_part_notes(distance, evidence)]
    return Section("certificate", "Certificate", text, facts, notes, tables=tables)


def _words(distance: Distance, measured: str) -> str:
    """A sentence on what the numbers of the section are."""
    if distance.quadratic:
        return f"All distances are W2, neither squared nor halved, {measured}."
    return (
        f"The cost is {clean(distance.name)}, of points {measured}; what is measured is the least mean cost, of which "
        "no root is taken. Sliced W2 and the two-sample test compare clouds, and do not depend on the cost."
    )


def _evidence(evidence: Certificate, sides: Sides) -> str:
    """Sentences on whether the fit has seen the rows of the report."""
    texts = []
    for cloud, side in ((sides.x, "source"), (sides.y, "target")):
        match = evidence.known[side]
        if side == evidence.base:
            continue
        if match is None:
            texts.append(f"Nothing is known of whether the fit has seen rows of {cloud.name}.")
            continue
        text = f"Of {tally(match.marks, 'row')} that the map remembers from its fit, {cloud.name} has {match.found}"
        if match.share < _SEEN:
            most = percent(match.largest_share)
            text += f", so at most {most} of its rows are rows of the fit, with 95 % confidence"
        texts.append(f"{text}.")
    end = {
        True: "The fit has seen rows of this page: the estimate flatters the map, and there is no valid bound on the "
        "populations.",
        False: "These rows pass for held-out ones.",
        None: "The estimate and the bound on the populations are meant for rows that the fit has not seen.",
    }[evidence.seen]
    return " ".join([*texts, end])


def _facts(evidence: Certificate) -> list[Fact]:
    distance = evidence.distance
    before, after = evidence.sliced
    facts = [
        Fact(
            "W2, estimate" if distance.quadratic else "Least mean cost, estimate",
            number(distance.estimate),
            f"{'Root of twice the dual' if distance.quadratic else 'Dual'} value of the map's potential on these rows"
            + (_at_most(distance) if evidence.populations else ", which the fit has seen."),
        ),
        _population_fact(evidence),
    ]
    if distance.lower is not None and distance.upper is not None:
        facts.append(_sample_fact(distance, distance.lower, distance.upper))
    facts.append(Fact("Cost of the map", number(distance.cost), _cost_meaning(distance)))
    if distance.disagree > 0:
        facts.append(
            Fact(
                "Several solutions",
                percent(distance.disagree),
                "Share of the target rows for which two starts of the inner problem led to different solutions; the "
                "better one was taken.",
            )
        )
    facts.append(
        Fact(
            "Sliced W2 to target",
            f"{number(before, 3)} → {number(after, 3)}",
            "Of the source, then of its image, over 256 random directions; sampling error alone keeps it above zero.",
            poor=after > before,
        )
    )
    if distance.mismatch is not None:
        facts.append(_test(distance.mismatch._asdict(), distance.counts))
    facts.append(
        Fact(
            "Unconverged conjugates",
            percent(distance.unconverged),
            "Share of the target rows whose conjugate missed its tolerance; what they miss raises the estimate.",
            poor=distance.unconverged > 0.01,
        )
    )
    return facts


def _at_most(distance: Distance) -> str:
    if distance.quadratic:
        return "; the mean of that value is at most the truth."
    return "; where the inner problems are solved, its mean is at most the truth."


def _cost_meaning(distance: Distance) -> str:
    if not distance.quadratic:
        return "Mean cost of moving the source rows to their images."
    if distance.parts:
        return "Root mean squared displacement."
    return "Root mean squared displacement: W2 from the source to its image, where the potential is convex."


def _population_fact(evidence: Certificate) -> Fact:
    """The bound on the populations, or why there is none."""
    distance = evidence.distance
    title = "W2 of the populations" if distance.quadratic else "Cost of the populations"
    if not evidence.populations:
        return Fact(title, "no bound", "A bound needs rows that the fit has not seen.", poor=True)
    if distance.population_lower is None or distance.population_gap is None:
        if distance.quadratic:
            return Fact(title, "no bound", "The potential certifies nothing.", poor=True)
        why = "The potential is not convex, or the cost not strongly convex, so that nothing is certified."
        return Fact(title, "no bound", why)
    rounding = "" if distance.rigorous else ", up to rounding"
    return Fact(
        title,
        f"at least {number(distance.population_lower)}",
        f"With {distance.level}, for the distributions behind rows that are independent and that the fit has not seen"
        f"{rounding}; {percent(distance.population_gap[1])} below the estimate.",
    )


def _sample_fact(distance: Distance, low: float, high: float) -> Fact:
    exact = (distance.empirical is not None and distance.empirical.method == "exact") or high - low <= _ROUNDING * high
    sure = "computed exactly" if exact else f"an interval {percent((high - low) / high) if high > 0 else '0 %'} wide"
    if distance.quadratic:
        return Fact("W2 of these rows", _between(low, high), f"Certain for these very rows as they are; {sure}.")
    return Fact("Cost of these rows", _between(low, high), f"The least one, certain for these very rows; {sure}.")


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


def _part_notes(distance: Distance, evidence: Certificate) -> list[Table]:
    """A table of notes on single classes; none without notes."""
    rows = [[clean(name), note] for name, part in distance.parts.items() for note in _notes(part, evidence)]
    return [Table("What to know of single classes.", ["Class", "Note"], rows, wide=(0, 1))] if rows else []


def _notes(distance: Distance, evidence: Certificate) -> list[str]:
    """The notes of a distance, without those about a bound that the page does not give."""
    notes = [clean(note) for note in distance.notes()]
    return notes if evidence.populations else [note for note in notes if "bound on the populations" not in note]


def _parts(distance: Distance, evidence: Certificate) -> Table:
    header = ["Class", "Share", "Rows", "W2"]
    header += ["populations at least"] if evidence.populations else []
    header += ["of these rows", "sliced W2 of image", "MMD", "p", "unconverged"]
    rows = []
    for name, part in distance.parts.items():
        cells = [
            clean(name),
            percent(distance.shares[name]),
            " / ".join(f"{n:,}" for n in part.counts),
            number(part.w2),
        ]
        if evidence.populations:
            cells.append(number(part.population_lower))
        interval = "–" if part.lower is None or part.upper is None else _between(part.lower, part.upper)
        test = part.mismatch
        cells += [interval, *("–" if test is None else number(entry, 3) for entry in test or (None,) * 3)]
        rows.append([*cells, percent(part.unconverged)])
    return Table("Each class; p below 0.01 means that image and target differ by more than chance.", header, rows)
