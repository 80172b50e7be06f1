"""How well the map can be inverted: residuals, status and rounds of every target row."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brenier.data.table import Matrix
from brenier.report.drawing import INK, SOURCE, drawing
from brenier.report.page import Fact, Figure, Panel, Section
from brenier.report.sides import Sides
from brenier.report.words import number, tally

__all__ = ["InverseQuality", "inverse_quality", "inverse_section"]

_FLOOR = 1e-12
"""Residuals, as shares of the spread of the target, that are drawn no smaller."""

_FAILED = "#c43b5b"


@dataclass(frozen=True, eq=False)
class InverseQuality:
    """Residuals and status of the preimages of all target rows.

    Attributes:
        residual: `(m,)` norms of `T(x) - y`, in units of the target; NaN where an iterate was not finite.
        relative: `(m,)` shares of the spread of the target: its root mean squared distance from its mean.
        converged: `(m,)` whether each met its tolerance.
        steps: `(m,)` rounds of the inner solvers.
        error: `(m,)` bounds on the distance to the exact preimage, in units of the source; None if not computed.
        width: Spread of the source: its root mean squared distance from its mean.
    """

    residual: Matrix
    relative: Matrix
    converged: NDArray[np.bool_]
    steps: NDArray[np.int32]
    error: Matrix | None
    width: float


def inverse_quality(sides: Sides) -> InverseQuality:
    """Collect residuals, status and error bounds of the preimages of a report."""
    preimages = sides.inverse
    relative = preimages.residual / max(_spread(sides.y.points, sides.y.shares), np.finfo(float).tiny)
    error = preimages.error if preimages.error is not None and np.isfinite(preimages.error).any() else None
    width = _spread(sides.x.points, sides.x.shares)
    return InverseQuality(preimages.residual, relative, preimages.converged, preimages.steps, error, width)


def _spread(points: Matrix, shares: Matrix) -> float:
    return float(np.sqrt(shares @ np.sum(np.square(points - shares @ points), axis=1)))


def inverse_section(quality: InverseQuality, sides: Sides) -> Section:
    """The section of the report on the inverse."""
    count = len(quality.residual)
    failed = int((~quality.converged).sum())
    finite = quality.relative[np.isfinite(quality.relative)]
    lost, general = count - len(finite), not sides.map_.geometry.quadratic
    bound = ": a residual of at most 3 × 10⁻⁶ (1 + |y|), root mean squares over coordinates in standard deviations"
    if general:
        bound = ", from at least one of two starts; of several solutions, the one with the larger dual value is taken"
    facts = [
        Fact(
            "Converged",
            f"{count - failed:,} of {count:,}",
            f"Rows of {sides.y.name} whose preimage was found to tolerance{bound}.",
            poor=failed > 0,
        ),
    ]
    if len(finite):
        middle, most = np.quantile(finite, [0.5, 1.0])
        facts.append(
            Fact(
                "Residual",
                f"median {number(middle, 2)}, largest {number(most, 2)}",
                "Distance from T(x) to y as a share of the target's spread (root mean squared distance from its mean).",
            )
        )
    facts.append(
        Fact(
            "Rounds",
            f"median {np.median(quality.steps):g}, most {int(quality.steps.max()):,}",
            "Of the inner solvers, a gradient of the potential each.",
        )
    )
    facts += [
        Fact(f"Not converged, {tally(rows, 'row')}", status.name.replace("_", " "), status.value, poor=True)
        for status, rows in sides.inverse.reasons().items()
    ]
    if sides.inverse.disagree is not None:
        several = int(sides.inverse.disagree.sum())
        facts.append(
            Fact("Several solutions", f"{several:,} of {count:,}", "Rows for which two starts led to different points.")
        )
    if quality.error is not None:
        bounded = np.isfinite(quality.error)
        most, which = quality.error[bounded].max(), "every row" if bounded.all() else f"{bounded.sum():,} rows"
        facts.append(
            Fact(
                "Error of preimages",
                f"at most {number(float(most), 2)}",
                f"Certified for {which}, in the units of the data; the spread of {sides.x.name} is "
                f"{number(quality.width, 3)}.",
            )
        )
    elif general:
        facts.append(Fact("Error of preimages", "no bound", "None is known for this cost."))
    elif sides.map_.conditions is not None and sides.map_.conditions.numbers:
        facts.append(
            Fact("Error of preimages", "not computed", "Where every row has its own condition, it takes long.")
        )
    notes = (
        [f"{tally(lost, 'row')} of {sides.y.name} have no finite residual; they count as not converged."]
        if lost
        else []
    )
    figures = [Figure([_residuals(quality), _rounds(quality)], _caption(failed), wide=True)] if len(finite) else []
    return Section("inverse", "The inverse", facts=facts, notes=notes, figures=figures)


def _caption(failed: int) -> str:
    return (
        "Residuals of the preimages, on a logarithmic axis, and rounds of the inner solvers. One entry for "
        "each target row. "
        + ("Blue: converged; red: not converged, with the best points found." if failed else "All converged.")
    )


def _residuals(quality: InverseQuality) -> Panel:
    values = np.maximum(quality.relative, _FLOOR)
    known = np.isfinite(values)
    low, high = np.log10(values[known].min()), np.log10(values[known].max())
    edges = np.logspace(low - 0.1, high + 0.1, 41)
    alt = f"Histogram of residuals from {number(10**low, 2)} to {number(10**high, 2)} of the spread of the target."
    with drawing("residuals", "Residuals of the inverse", alt, 2.2) as figure:
        axes = figure.axes
        for chosen, colour in ((quality.converged, SOURCE), (~quality.converged, _FAILED)):
            counts, _ = np.histogram(values[known & chosen], edges)
            if counts.any():
                axes.stairs(counts, edges, fill=True, color=colour, alpha=0.75)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(
            lambda value, _: number(value, 1).replace("1 × ", "") if value < 1e-3 else f"{value:g}"
        )
        axes.set_xlabel("residual / spread of the target")
        axes.set_ylabel("rows")
        axes.locator_params(axis="y", integer=True)
    return Panel("Residuals", alt, figure.markup)


def _rounds(quality: InverseQuality) -> Panel:
    most = int(quality.steps.max())
    edges = np.arange(0, most + 2, max(1, -(-(most + 1) // 50))) - 0.5
    edges = edges if edges[-1] > most else np.r_[edges, most + 0.5]
    alt = f"Histogram of rounds, up to {most}."
    with drawing("rounds", "Rounds of the inner solvers", alt, 2.2) as figure:
        axes = figure.axes
        for chosen, colour in ((quality.converged, SOURCE), (~quality.converged, _FAILED)):
            counts, _ = np.histogram(quality.steps[chosen], edges)
            if counts.any():
                axes.stairs(counts, edges, fill=True, color=colour, alpha=0.75)
        axes.axvline(float(np.median(quality.steps)), color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.set_xlabel("rounds (dashed: median)")
        axes.set_ylabel("rows")
        axes.locator_params(axis="x", integer=True)
        axes.locator_params(axis="y", integer=True)
    return Panel("Rounds", alt, figure.markup)
