"""One fit, a map for every number: a ring grows into a clover and turns, and the maps follow it where no data were.

python examples/condition_sweep.py --output sweep
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from numpy.typing import NDArray
from scipy.special import softmax

from brenier import BrenierMap
from brenier.cli.console import number, print_table, reporting, stderr
from brenier.files import atomic_write, claim_files
from brenier.metrics import sliced_w2, unexplained_variance

__all__ = ["GAP", "SHOWN", "app", "conditions", "exact_map", "outline"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

Array = NDArray[np.float64]

SHOWN = (0.05, 0.23, 0.41, 0.59, 0.77, 0.95)
"""Conditions to judge by."""

GAP = 0.02
"""No point to learn from has a condition this close to one of them."""

TESTED = 4000
"""Points to judge by."""

_FLOOR, _WIDTH = 0.1, 0.06
"""Strong convexity of the exact potential, and how far it blends neighbouring points of the outline."""

_RADIUS = 2.4
"""Of the grid, and of the source points that are drawn: 94 % of them."""


def outline(c: float | Array) -> Array:
    """Points on a curve that is a circle at 0 and a clover at 1, turned by 60 degrees; `(..., 96, 2)`."""
    c = np.asarray(c, np.float64)[..., None]
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    radius = 1.3 + 0.78 * c * np.cos(3 * angle)
    turned = angle + np.pi / 3 * c
    return np.stack([radius * np.cos(turned), radius * np.sin(turned)], axis=-1)


def exact_map(x: Array, c: float | Array) -> Array:
    """Images of points, `(n, 2)`, under the condition of all or of each: about the nearest point of the outline.

    The gradient in `x` of `_FLOOR |x|^2 / 2 + _WIDTH log sum_k exp((a_k @ x - |a_k|^2 / 2) / _WIDTH)` with the points
    `a_k` of the outline. That is convex in `x`, so the map is optimal from any source to its image, for every `c`.
    """
    points = outline(c)
    heights = (points @ x[:, :, None])[..., 0] - 0.5 * np.sum(points**2, axis=-1)
    weights = softmax(heights / _WIDTH, axis=-1)
    return _FLOOR * x + (weights[:, None, :] @ points)[:, 0]


def conditions(count: int, rng: np.random.Generator) -> Array:
    """Numbers from 0 to 1, uniform outside the gaps."""
    drawn = rng.uniform(size=2 * count)  # enough: the gaps take a quarter
    near = np.abs(drawn[:, None] - SHOWN).min(axis=1) < GAP
    return drawn[~near][:count]


@app.command()
def main(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder; made if missing.")] = Path(
        "sweep"
    ),
    max_steps: Annotated[int, typer.Option(metavar="N", min=1, help="Budget of the fit.")] = 2048,
    points: Annotated[int, typer.Option(metavar="N", min=100, help="Points a side to learn from.")] = 20_000,
    seed: Annotated[int, typer.Option(metavar="K", min=0, max=2**32 - 1, help="One seed, one result.")] = 0,
) -> None:
    """Learn all maps from a Gaussian to a shape that changes with a number, and show some between the data."""
    with reporting(False):
        path = claim_files(output, {"figure": "condition-sweep.png"})["figure"]
        rng = np.random.default_rng(seed)
        cx, cy = conditions(points, rng), conditions(points, rng)
        x, y = rng.normal(size=(points, 2)), exact_map(rng.normal(size=(points, 2)), cy)

        stderr.print("fitting")
        ot = BrenierMap(max_steps=max_steps, random_state=seed).fit(x, y, x_condition=cx, y_condition=cy)

        stderr.print("drawing")
        test, *targets = rng.normal(size=(3, TESTED, 2))
        write_figure(path, ot, test, targets[0])
        print_table(
            ("c", "L2-UVP, %", "affine map", "exact map of 0.5", "sliced W2", "target to itself"),
            [
                (
                    f"{c:.2f}",
                    *(number(value, 3) for value in (*_errors(ot, c, test), *_distances(ot, c, test, *targets))),
                )
                for c in SHOWN
            ],
        )
        stderr.print(f"wrote {path}")


def _errors(ot: BrenierMap, c: float, test: Array) -> list[float]:
    """L2-UVP of the learned map, of the affine one that it started from, and of the exact one of another condition."""
    affine = ot.map_.at(c).geometry
    images = (ot.transform(test, condition=c), affine.leave_y(affine.enter_x(test)), exact_map(test, 0.5))
    return [unexplained_variance(image, exact_map(test, c)) for image in images]


def _distances(ot: BrenierMap, c: float, test: Array, first: Array, second: Array) -> list[float]:
    """Sliced W2 to a sample of the target: of the images, and of a second sample."""
    target = exact_map(first, c)
    return [sliced_w2(cloud, target) for cloud in (ot.transform(test, condition=c), exact_map(second, c))]


def write_figure(path: Path, ot: BrenierMap, test: Array, target: Array) -> None:
    """Draw points and a polar grid, and their images under each of the conditions; PNG.

    Args:
        path: Where to write.
        ot: The fit.
        test: Points to move.
        target: Points whose exact images are shown in grey.
    """
    width, margin, space, top, line = 15.4, 0.3, 0.7, 1.65, 0.15  # inches
    side = (width - 2 * margin - space) / (1 + len(SHOWN))
    height = top + 2 * side + line + margin
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(margin / width, 1 - 0.55 / height, "One fit, a map for every number", size=23, weight="bold")
    text = f"No training point has a number c within {GAP} of these. Colour: angle at the source. Grey: target."
    figure.text(margin / width, 1 - 0.95 / height, text, size=15)
    lines, angles = _polar_grid()
    for column, c in enumerate((None, *SHOWN)):
        left = margin + column * side + (space if column else 0.0)
        figure.text((left + side / 2) / width, 1 - (top - 0.12) / height, _title(c), size=16, ha="center")
        for row in range(2):
            below = height - top - side - row * (side + line)
            axes = figure.add_axes((left / width, below / height, side / width, side / height))
            axes.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), aspect="equal")
            axes.set_axis_off()
            if row:
                _draw_lines(axes, [_moved(ot, own, c) for own in lines], angles)
            else:
                if c is not None:
                    axes.scatter(*exact_map(target, c).T, s=8, c="#c4c4c4", linewidths=0)
                # Cut off by the grid's outer circle at the source, else by the square panel; all of them in the images.
                own = test[np.linalg.norm(test, axis=1) < _RADIUS] if c is None else test
                axes.scatter(*_moved(ot, own, c).T, s=3, c=_colours(np.arctan2(own[:, 1], own[:, 0])), linewidths=0)
    for row in range(2):
        middle = 1 - (top + side / 2 + row * (side + line)) / height
        ends = ((margin + side + 0.1) / width, middle), ((margin + side + space - 0.1) / width, middle)
        figure.add_artist(FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=22, lw=2, color="#6e6e6e"))
    with atomic_write(path) as handle:
        figure.savefig(handle, format="png", dpi=100)


def _title(c: float | None) -> str:
    return "source" if c is None else f"c = {c:.2f}"


def _moved(ot: BrenierMap, points: Array, c: float | None) -> Array:
    return points if c is None else ot.transform(points, condition=c)


def _polar_grid() -> tuple[list[Array], list[Array]]:
    """Rays and circles, each `(n, 2)`, and the angles of their points."""
    turns, radii = np.linspace(0, 2 * np.pi, 361), np.linspace(0, _RADIUS, 121)
    rays = [(radii, np.full_like(radii, angle)) for angle in turns[:-1:15]]
    circles = [(np.full_like(turns, radius), turns) for radius in radii[20::20]]
    lines = [np.column_stack([r * np.cos(t), r * np.sin(t)]) for r, t in rays + circles]
    return lines, [t for _, t in rays + circles]


def _draw_lines(axes: Axes, lines: list[Array], angles: list[Array]) -> None:
    for points, own in zip(lines, angles, strict=True):
        pieces = np.stack([points[:-1], points[1:]], axis=1)
        axes.add_collection(LineCollection(list(pieces), colors=_colours(own[:-1]), linewidths=1.0, capstyle="round"))


def _colours(angles: Array) -> Array:
    """Red, green and blue, a third of a turn apart."""
    return 0.06 + 0.86 * np.sin(angles[:, None] / 2 + np.pi * np.array([0.5, 5 / 6, 1 / 6])) ** 2


if __name__ == "__main__":
    app()
