"""How each column is distributed before and after the map, and on the target side."""

from dataclasses import dataclass

import numpy as np

from brenier.data.table import Matrix
from brenier.metrics import sliced_w2
from brenier.report.drawing import IMAGE, SOURCE, TARGET, drawing, limits
from brenier.report.page import Figure, Panel, Section, Table
from brenier.report.sides import Sides
from brenier.report.words import listing, number, percent, short, tally

__all__ = ["Marginal", "marginals", "marginals_section"]

_DRAWN, _LISTED = 12, 100
"""Columns with a picture, and with a row in the table: the worst ones."""

_BINS = 40


@dataclass(frozen=True, eq=False)
class Marginal:
    """The distribution of one column in source, image and target.

    Attributes:
        place: Its number, from 0.
        name: Its name.
        before, after: W2 between the column of the source, or of the image, and that of the target, in standard
            deviations of the target.
        mean, deviation: Mean and standard deviation in source, image and target.
        edges: Ends of the bins of the histograms.
        density: Densities of source, image and target in the bins.
        beyond: Shares of source, image and target outside the bins.
    """

    place: int
    name: str
    before: float
    after: float
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    edges: Matrix
    density: tuple[Matrix, Matrix, Matrix]
    beyond: tuple[float, float, float]


def marginals(sides: Sides) -> list[Marginal]:
    """All columns, the one whose image is farthest from the target first."""
    columns = [_marginal(sides, place) for place in range(len(sides.names))]
    return sorted(columns, key=lambda column: (-column.after, column.place))


def _marginal(sides: Sides, place: int) -> Marginal:
    columns = [points[:, place] for points in (sides.x.points, sides.images, sides.y.points)]
    shares = [sides.x.even, sides.x.even, sides.y.even]
    means = [float(share @ column) for column, share in zip(columns, shares, strict=True)]
    deviations = [
        float(np.sqrt(share @ np.square(column - m))) for column, share, m in zip(columns, shares, means, strict=True)
    ]
    unit = deviations[2] or deviations[0] or 1.0
    distances = [
        sliced_w2(column[:, None], columns[2][:, None], projections=1, x_weight=sides.x.even, y_weight=sides.y.even)
        for column in columns[:2]
    ]
    low, high = limits(*(column[:, None] for column in columns))
    edges = np.linspace(float(low[0]), float(high[0]), _BINS + 1)
    width = edges[1] - edges[0]
    masses = [np.histogram(column, edges, weights=share)[0] for column, share in zip(columns, shares, strict=True)]
    beyond = [max(1.0 - float(mass.sum()), 0.0) for mass in masses]
    return Marginal(
        place=place,
        name=sides.names[place],
        before=distances[0] / unit,
        after=distances[1] / unit,
        mean=(means[0], means[1], means[2]),
        deviation=(deviations[0], deviations[1], deviations[2]),
        edges=edges,
        density=(masses[0] / width, masses[1] / width, masses[2] / width),
        beyond=(beyond[0], beyond[1], beyond[2]),
    )


def marginals_section(columns: list[Marginal], sides: Sides) -> Section:
    """The section of the report on single columns."""
    shown = columns[:_DRAWN]
    order = "Columns are in the order of their mismatch after the map, the worst first."
    caption = (
        f"Histograms of each column, with areas of one: {sides.x.name} (blue), its image (orange) and {sides.y.name} "
        "(grey area). Where the map works, the orange line follows the edge of the grey area. Axes leave out at most "
        f"0.2 % of the rows at each end of each histogram ({percent(max(max(entry.beyond) for entry in shown))} of the "
        "weight at most). "
    )
    total = len(columns)
    caption += order if len(shown) == total else f"The {len(shown)} columns with the largest mismatch, of {total}."
    names = [column.name for column in columns[_LISTED:]]
    text = [f"The columns with less mismatch than those in the table: {listing(names, len(names))}."] if names else []
    return Section(
        key="columns",
        title="Columns before and after",
        text=text,
        figures=[Figure([_panel(column) for column in shown], caption, sides.legend)] if shown else [],
        tables=[_table(columns[:_LISTED], total)],
    )


def _panel(column: Marginal) -> Panel:
    before, after = number(column.before, 2), number(column.after, 2)
    alt = (
        f"Histograms of {column.name}. W2 to the target falls from {before} to {after} standard deviations."
        if column.after <= column.before
        else f"Histograms of {column.name}. W2 to the target rises from {before} to {after} standard deviations."
    )
    with drawing(f"column-{column.place}", column.name, alt, 1.75) as figure:
        axes = figure.axes
        axes.stairs(column.density[2], column.edges, fill=True, color=TARGET, alpha=0.4)
        axes.stairs(column.density[2], column.edges, color=TARGET, linewidth=0.9)
        axes.stairs(column.density[0], column.edges, color=SOURCE, linewidth=1.2)
        axes.stairs(column.density[1], column.edges, color=IMAGE, linewidth=1.6)
        axes.set_yticks([])
        axes.grid(False)
        axes.spines["left"].set_visible(False)
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlim(column.edges[0], column.edges[-1])
        axes.set_xlabel(short(column.name, 40))
    return Panel(f"{column.name}: W2 {before} → {after}", alt, figure.markup)


def _table(columns: list[Marginal], total: int) -> Table:
    rows = [
        [column.name, number(column.before, 3), number(column.after, 3)]
        + [number(value, 3) for value in (*column.mean, *column.deviation)]
        for column in columns
    ]
    header = ["Column", "W2 before", "W2 after"]
    header += [f"{what}, {side}" for what in ("mean", "s.d.") for side in ("source", "image", "target")]
    which = tally(total, "column") if total == len(columns) else f"The {len(columns)} worst of {total} columns"
    return Table(
        f"{which}, worst first. W2 is the distance between the column and that of the target, in standard deviations "
        "of the target; mean and standard deviation (s.d.) are in the units of the data.",
        header,
        rows,
    )
