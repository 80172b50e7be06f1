"""Where the points go: displacements in the plane that shows most of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brenier.data.table import Matrix
from brenier.report.drawing import IMAGE, INK, SOURCE, TARGET, drawing, limits, scatter
from brenier.report.page import Figure, Panel, Section
from brenier.report.sides import Sides
from brenier.report.units import units
from brenier.report.words import number, percent, short

__all__ = ["Projection", "projection", "projection_section"]

_ARROWS = 120

_THIN = 0.01
"""Share of the squared displacement in a second direction below which it is not worth an axis."""


@dataclass(frozen=True, eq=False)
class Projection:
    """The points of a report, projected to one plane.

    Attributes:
        source, image, target: `(n, 2)` coordinates.
        labels: Labels of the two axes.
        rule: How the axes were chosen, a sentence or two.
        share: Share of the mean squared displacement that lies in the plane.
        arrows: Numbers of the rows of the source that are drawn with an arrow.
    """

    source: Matrix
    image: Matrix
    target: Matrix
    labels: tuple[str, str]
    rule: str
    share: float
    arrows: NDArray[np.intp]


def projection(sides: Sides) -> Projection:
    """Choose two axes and project source, image and target to them.

    One column: the source against its image. Two: the columns themselves. More: the two directions in which the mean
    squared displacement is largest; where the second has next to none, the widest direction of the target instead.
    """
    rng = np.random.default_rng(0)
    count = len(sides.images)
    arrows = rng.choice(count, min(_ARROWS, np.count_nonzero(sides.x.even)), replace=False, p=sides.x.even)
    points = [sides.measure(cloud) for cloud in (sides.x.points, sides.images, sides.y.points)]
    moves, shares, dim = sides.moves, sides.x.even, len(sides.names)
    if dim <= 2:
        source, image, target = sides.x.points, sides.images, sides.y.points
        labels = (sides.names[0], sides.names[-1])
        return Projection(source, image, target, labels, "The axes are the columns themselves.", 1.0, arrows)
    second_moment = (moves * shares[:, None]).T @ moves
    values, vectors = np.linalg.eigh(second_moment)
    total = max(float(values.sum()), np.finfo(float).tiny)
    plane = [vectors[:, -1], vectors[:, -2]]
    rule = "The axes are the two directions, at right angles, in which the mean squared displacement is largest"
    names = ["1st direction of displacement", "2nd direction of displacement"]
    if values[-2] < _THIN * total:
        plane[1] = _widest(points[2], sides.y.even, plane[0])
        rule = (
            "The first axis is the direction in which the mean squared displacement is largest. No other has 1 % of "
            "it, so the second axis is the direction at right angles in which the target is widest"
        )
        names[1] = "widest other direction"
    plane = [axis * np.sign(axis[np.argmax(np.abs(axis))]) for axis in plane]
    share = float(sum(axis @ second_moment @ axis for axis in plane)) / total
    parts = "; ".join(
        f"the {word} one is {_mix(sides.map_.geometry.column_weights(axis), sides.names)}"
        for word, axis in zip(("first", "second"), plane, strict=True)
    )
    words = units(sides.map_)
    words = "" if words == "in the units of the data" else f", {words}"
    both = np.column_stack(plane)
    source, image, target = (cloud @ both for cloud in points)
    return Projection(source, image, target, (names[0], names[1]), f"{rule}{words}: {parts}.", share, arrows)


def _widest(points: Matrix, shares: Matrix, direction: Matrix) -> Matrix:
    """The direction at right angles to another in which a cloud has the largest variance."""
    centred = points - shares @ points
    flat = centred - np.outer(centred @ direction, direction)
    return np.linalg.eigh((flat * shares[:, None]).T @ flat)[1][:, -1]


def _mix(direction: Matrix, names: list[str]) -> str:
    """The largest parts of a direction."""
    order = np.argsort(-np.abs(direction), kind="stable")[:3]
    text = " ".join(
        f"{'+' if direction[k] >= 0 else '−'} {number(float(abs(direction[k])), 2)} {names[k]}" for k in order
    )
    return text.removeprefix("+ ") + (", and less of others" if len(direction) > 3 else "")


def projection_section(view: Projection, sides: Sides) -> Section:
    """The section of the report with the displacements in a plane."""
    if len(sides.names) == 1:
        return _curve(view, sides)
    low, high = limits(view.source, view.image, view.target, share=0.005)
    first = f"{sides.x.name} (blue) and where the map sends {len(view.arrows)} of its rows: arrows to orange points."
    second = f"The image of {sides.x.name} (orange) over {sides.y.name} (grey)."
    with drawing("arrows", "Displacements", first, 3.2) as moved:
        axes = moved.axes
        scatter(axes, view.source, SOURCE, alpha=0.3)
        start, end = view.source[view.arrows], view.image[view.arrows]
        axes.quiver(
            *start.T,
            *(end - start).T,
            angles="xy",
            scale_units="xy",
            scale=1,
            color=INK,
            alpha=0.55,
            width=0.0035,
            zorder=3,
        )
        axes.scatter(*end.T, s=9, color=IMAGE, linewidths=0, zorder=4)
        _frame(axes, low, high, view.labels)
    with drawing("clouds", "Image and target", second, 3.2) as over:
        scatter(over.axes, view.target, TARGET, alpha=0.55)
        scatter(over.axes, view.image, IMAGE, alpha=0.35)
        _frame(over.axes, low, high, view.labels)
    caption = (
        f"Displacements: {first} Image and target: {second} Where the map works, these two cover the same places. "
        f"{view.rule} "
    )
    if len(sides.names) > 2:
        caption += f"This plane holds {percent(view.share)} of the mean squared displacement. "
    caption += "Rows of larger weight have an arrow more often. " if sides.x.weighted else ""
    caption += "At most 0.5 % of each cloud lies beyond each end of an axis."
    panels = [Panel("Displacements", first, moved.markup), Panel("Image and target", second, over.markup)]
    return Section("displacements", "Where points go", figures=[Figure(panels, caption, sides.legend, wide=True)])


def _curve(view: Projection, sides: Sides) -> Section:
    """One column: the graph of the map."""
    order = np.argsort(view.source[:, 0], kind="stable")
    x, t = view.source[order, 0], view.image[order, 0]
    # On a line, maps that are optimal for convex costs of the displacement never fall.
    falls = "It never falls." if (np.diff(t) >= 0).all() else "It falls somewhere, which no optimal map does."
    alt = f"Images of {sides.x.name} against the points themselves, and the line of points that stay."
    with drawing("curve", "The map", alt, 2.6) as figure:
        ends = np.array([x[0], x[-1]])
        figure.axes.plot(ends, ends, color=TARGET, linewidth=1.0, linestyle=(0, (4, 3)))
        figure.axes.plot(x, t, color=IMAGE, linewidth=1.6)
        figure.axes.set_xlabel(short(f"{view.labels[0]}, source", 40))
        figure.axes.set_ylabel(short(f"{view.labels[0]}, image", 30))
    caption = f"{alt} Above the dashed line points move up, below it they move down. {falls}"
    return Section(
        "displacements", "Where points go", figures=[Figure([Panel("The map", alt, figure.markup)], caption)]
    )


def _frame(axes, low: Matrix, high: Matrix, labels: tuple[str, str]) -> None:  # noqa: ANN001 - Axes of matplotlib
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_xlabel(short(labels[0], 40))
    axes.set_ylabel(short(labels[1], 36))
    axes.locator_params(nbins=6)
