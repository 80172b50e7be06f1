"""The least mean cost with what is certain about it, for maps whose cost is no squared distance."""

from brenier.general.distance import CostDistance
from brenier.report.page import Fact
from brenier.report.words import clean, number, percent

__all__ = ["cost_facts", "cost_words"]


def cost_words(distance: CostDistance, units: str) -> str:
    """What the numbers of the certificate are."""
    return (
        f"The cost is {clean(distance.name)}, of points {units}; what is measured is the least mean cost, of which no "
        "root is taken. Sliced W2 and the two-sample test compare clouds, and do not depend on the cost."
    )


def cost_facts(distance: CostDistance, populations: bool, interval: str | None) -> list[Fact]:
    """Numbers of the certificate.

    Args:
        distance: What is known.
        populations: Whether a bound on the populations can hold as far as anyone knows.
        interval: How the cost between the rows is written; None where it is not known.
    """
    facts = [
        Fact(
            "Least mean cost, estimate",
            number(distance.value),
            "Dual value of the map's potential on these rows"
            + (
                "; where the inner problems are solved, its mean is at most the truth."
                if populations
                else ", which the fit has seen."
            ),
        )
    ]
    lower = distance.population_lower
    if not populations:
        bound = Fact("Cost of the populations", "no bound", "A bound needs rows that the fit has not seen.", poor=True)
    elif lower is None:
        why = "The potential is not convex, or the cost not strongly convex, so that nothing is certified."
        bound = Fact("Cost of the populations", "no bound", why)
    else:
        bound = Fact(
            "Cost of the populations",
            f"at least {number(lower)}",
            f"With {100 * distance.confidence:g} % confidence, for the distributions behind rows that are independent "
            "and that the fit has not seen.",
        )
    facts.append(bound)
    if interval is not None and distance.empirical is not None:
        sure = "computed exactly" if distance.empirical.method == "exact" else "an interval"
        facts.append(Fact("Cost of these rows", interval, f"The least one, certain for these very rows; {sure}."))
    facts.append(Fact("Cost of the map", number(distance.cost), "Mean cost of moving the source rows to their images."))
    if distance.disagree > 0:
        facts.append(
            Fact(
                "Several solutions",
                percent(distance.disagree),
                "Share of the target rows for which two starts of the inner problem led to different solutions; the "
                "better one was taken.",
            )
        )
    return facts
