"""Whether images follow conditions that are numbers: means along each of them, before, after and on the target side."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brenier.data.table import Matrix
from brenier.report.drawing import IMAGE, SOURCE, TARGET, drawing
from brenier.report.marginals import Marginal
from brenier.report.page import Figure, Panel, Section
from brenier.report.sides import Sides
from brenier.report.words import clean, short

__all__ = ["Sweep", "sweep_section", "sweeps"]

_BINS, _FEWEST, _COLUMNS = 8, 8, 4


@dataclass(frozen=True, eq=False)
class Sweep:
    """Means of the columns along one condition that is a number.

    Attributes:
        variable: Name of the condition.
        centre: `(k,)` middles of the bins, which hold equally many rows of the source.
        mean: Means of source, image and target, `(k, d)` each; NaN in bins with fewer than 8 rows.
        error: Standard errors of the means.
    """

    variable: str
    centre: Matrix
    mean: tuple[Matrix, Matrix, Matrix]
    error: tuple[Matrix, Matrix, Matrix]


def sweeps(sides: Sides) -> list[Sweep]:
    """Means along every condition that is a number; empty for maps without such conditions."""
    map_ = sides.map_
    if map_.conditions is None or not map_.conditions.numbers:
        return []
    curves = []
    for place, variable in enumerate(map_.conditions.variables):
        if variable.kind != "number":
            continue
        values = [
            cloud.condition[:, place].astype(float) for cloud in (sides.x, sides.y) if cloud.condition is not None
        ]
        edges = np.unique(np.quantile(values[0], np.linspace(0.0, 1.0, _BINS + 1)))
        bins = [np.searchsorted(edges[1:-1], column, side="right") for column in values]
        inside = (values[1] >= edges[0]) & (values[1] <= edges[-1])
        clouds = (
            (sides.x.points, sides.x.even, bins[0]),
            (sides.images, sides.x.even, bins[0]),
            (sides.y.points, sides.y.even * inside, bins[1]),
        )
        parts = [_means(*cloud, len(edges) - 1) for cloud in clouds]
        name = "the condition" if variable.name is None else clean(variable.name)
        means, errors = zip(*parts, strict=True)
        curves.append(Sweep(name, (edges[1:] + edges[:-1]) / 2, means, errors))
    return curves


def _means(points: Matrix, shares: Matrix, number: NDArray[np.intp], count: int) -> tuple[Matrix, Matrix]:
    means, errors = np.full((2, count, points.shape[1]), np.nan)
    for place in range(count):
        rows = (number == place) & (shares > 0)
        if rows.sum() < _FEWEST:
            continue
        weights = shares[rows] / shares[rows].sum()
        means[place] = weights @ points[rows]
        errors[place] = np.sqrt(np.square(weights) @ np.square(points[rows] - means[place]))
    return means, errors


def sweep_section(curves: list[Sweep], marginals: list[Marginal], sides: Sides) -> Section:
    """The section of the report with means along the conditions."""
    shown = marginals[:_COLUMNS]
    panels = [_panel(curve, column, number) for number, curve in enumerate(curves) for column in shown]
    caption = (
        f"Means of columns along the numbers of the conditions, in up to {_BINS} bins with equally many rows of "
        f"{sides.x.name}: source (blue), image (orange) and target (grey), with bars of two standard errors to "
        f"either side. Where the map works, orange follows grey at every value. Bins with fewer than {_FEWEST} rows "
        "are left out."
    )
    if len(marginals) > len(shown):
        caption += f" Shown are the {len(shown)} columns with the largest mismatch after the map."
    return Section("conditions", "Along the conditions", figures=[Figure(panels, caption, sides.legend)])


def _panel(curve: Sweep, column: Marginal, number: int) -> Panel:
    title = f"{column.name} by {curve.variable}"
    alt = f"Mean of {column.name} along {curve.variable}, of source, image and target."
    with drawing(f"sweep-{number}-{column.place}", title, alt, 2.1) as figure:
        for mean, error, colour, width in zip(
            curve.mean, curve.error, (SOURCE, IMAGE, TARGET), (1.2, 1.6, 1.2), strict=True
        ):
            figure.axes.errorbar(
                curve.centre,
                mean[:, column.place],
                2.0 * error[:, column.place],
                color=colour,
                linewidth=width,
                marker="o",
                markersize=3,
            )
        figure.axes.set_xlabel(short(curve.variable, 40))
        figure.axes.set_ylabel(short(f"mean of {column.name}", 30))
        figure.axes.locator_params(nbins=5)
    return Panel(title, alt, figure.markup)
