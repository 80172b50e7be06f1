"""Correlations between columns before and after the map, and on the target side."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brenier.data.table import Matrix
from brenier.report.drawing import INK, QUIET, drawing
from brenier.report.page import Figure, Panel, Section
from brenier.report.sides import Sides
from brenier.report.words import number, short

__all__ = ["Correlations", "correlations", "correlations_section"]

_DRAWN = 12
_WRITTEN = 7
"""Columns up to which the numbers are written into the matrices."""

_DEEPEST = 0.6
"""Opacity of a correlation of one: text stays readable on it, on light and dark paper."""

_POSITIVE, _NEGATIVE = (0.239, 0.522, 0.816), (0.851, 0.443, 0.110)


@dataclass(frozen=True, eq=False)
class Correlations:
    """Correlation matrices of the columns that are shown.

    Attributes:
        names: Names of these columns.
        source, image, target: `(k, k)`; NaN where a column does not vary.
        before, after: Root mean squared difference to the target, over all pairs of columns.
        total: Number of all columns.
    """

    names: list[str]
    source: Matrix
    image: Matrix
    target: Matrix
    before: float
    after: float
    total: int


def correlations(sides: Sides) -> Correlations | None:
    """Weighted correlations between the columns of source, image and target; None for a single column."""
    total = len(sides.names)
    if total < 2:
        return None
    clouds = ((sides.x.points, sides.x.even), (sides.images, sides.x.even), (sides.y.points, sides.y.even))
    matrices = [_correlation(points, shares) for points, shares in clouds]
    pairs = np.triu_indices(total, 1)
    before, after = (_rms((matrix - matrices[2])[pairs]) for matrix in matrices[:2])
    worst = np.nan_to_num(np.abs(matrices[1] - matrices[2])).max(axis=1)
    shown = np.sort(np.argsort(-worst, kind="stable")[:_DRAWN])
    source, image, target = (matrix[np.ix_(shown, shown)] for matrix in matrices)
    return Correlations([sides.names[k] for k in shown], source, image, target, before, after, total)


def _correlation(points: Matrix, shares: Matrix) -> Matrix:
    centred = points - shares @ points
    covariance = (centred * shares[:, None]).T @ centred
    deviation = np.sqrt(np.diag(covariance))
    deviation = np.where(deviation > 0, deviation, np.nan)
    return np.clip(covariance / np.outer(deviation, deviation), -1.0, 1.0)


def _rms(values: Matrix) -> float:
    known = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(np.square(known)))) if len(known) else float("nan")


def correlations_section(result: Correlations, sides: Sides) -> Section:
    """The section of the report with the correlation matrices."""
    titles = (("Before", "source"), ("After", "image"), ("Target", "target"))
    panels = [
        _panel(title, matrix, result)
        for (title, _), matrix in zip(titles, (result.source, result.image, result.target), strict=True)
    ]
    change = f"from {number(result.before, 2)} to {number(result.after, 2)}"
    caption = (
        f"Pearson correlations of the columns of {sides.x.name} (before), of its image (after) and of {sides.y.name} "
        "(target): blue is positive, orange negative, and the deeper the colour, the closer to one. Where the map "
        "works, the second matrix is the third. "
        f"Over all pairs of columns, the root mean squared difference to the target goes {change}. "
    )
    if result.total > len(result.names):
        caption += (
            f"Shown are the {len(result.names)} of {result.total} columns whose correlations after the map differ most "
            "from the target, in the order of the data. "
        )
    if not all(np.isfinite(matrix).all() for matrix in (result.source, result.image, result.target)):
        caption += "Columns that do not vary have no correlation (–)."
    return Section("correlations", "Correlations", figures=[Figure(panels, caption.rstrip())])


def _panel(title: str, matrix: Matrix, result: Correlations) -> Panel:
    size = len(result.names)
    alt = f"{title}: matrix of correlations of {size} columns."
    with drawing(f"correlation-{title.lower()}", f"Correlations, {title.lower()}", alt, 3.3) as figure:
        axes = figure.axes
        axes.grid(False)
        axes.imshow(_colours(matrix), aspect="equal", interpolation="nearest")
        labels = [short(name, 11) for name in result.names]
        axes.set_xticks(range(size), labels, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(size), labels)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        for i, j in np.ndindex(size, size):
            value = matrix[i, j]
            if not np.isfinite(value):
                axes.text(j, i, "–", ha="center", va="center", color=QUIET)
            elif size <= _WRITTEN:
                axes.text(j, i, f"{value:.2f}".replace("-", "−"), ha="center", va="center", color=INK)
    return Panel(title, alt, figure.markup)


def _colours(matrix: Matrix) -> NDArray[np.float64]:
    """Opacity for size, hue for sign: no white that would glare on dark paper."""
    known = np.nan_to_num(matrix)
    hues = np.where((known >= 0)[..., None], _POSITIVE, _NEGATIVE)
    return np.concatenate([hues, _DEEPEST * np.abs(known)[..., None]], axis=2)
