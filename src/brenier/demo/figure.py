"""The picture of the demonstration."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from brenier.files.atomic import atomic_write
from brenier.files.images import Image, to_colours

__all__ = ["write_figure"]

_WIDTH, _MARGIN, _GAP, _TOP = 12.0, 0.45, 0.26, 1.3
"""Inches: the page, its margin, the space between panels, and the space above the first."""

_LINE = 0.42
"""Inches from one panel to the next, with a caption between."""

_DPI = 200
_INK, _QUIET, _GREY, _EDGE = "#1c1c1c", "#6e6e6e", "#9b9b9b", "#c4c4c4"

_POINTS = 100_000
"""Pixels drawn of each cloud."""


def write_figure(path: Path, china: Image, forward: Image, flower: Image, inverse: Image, *, w2: float) -> None:
    """Draw both photographs in both palettes, and the four clouds of colours.

    A row is one picture, a column one palette: the two clouds under a column should be the same.

    Args:
        path: Where to write, as PNG.
        china: First photograph.
        forward: The first in the colours of the second.
        flower: Second photograph.
        inverse: The second in the colours of the first.
        w2: Distance to show.
    """
    labels = ("china.jpg", "flower.jpg moved by the inverse $T^{-1}$", "china.jpg moved by the map $T$", "flower.jpg")
    photo = (_WIDTH - 2 * _MARGIN - _GAP) / 2
    tall = photo * china.shape[0] / china.shape[1]
    page = _Page(_TOP + 2 * (tall + _LINE) + _GAP + photo / 2 + _LINE + _MARGIN / 2)
    page.write(_MARGIN, 0.62, "One optimal-transport map, there and back", 21, weight="bold")
    page.write(_MARGIN, 0.98, "A row is one picture, a column one palette.", 12, color=_QUIET)
    distance = f"$W_2$ = {w2:.3f} between the palettes (RGB from 0 to 1, held-out pixels)"
    page.write(_WIDTH - _MARGIN, 0.98, distance, 12, color=_QUIET, ha="right")
    left, right = _MARGIN, _MARGIN + photo + _GAP
    panels = ((left, 0, china), (left, 1, inverse), (right, 0, forward), (right, 1, flower))
    for (start, row, image), label in zip(panels, labels, strict=True):
        above = _TOP + row * (tall + _LINE)
        page.panel(start, above, photo, tall).imshow(image, aspect="auto", interpolation="lanczos")
        page.write(start, above + tall + 0.24, label, 12)
    above = _TOP + 2 * (tall + _LINE) + _GAP
    for number, (start, row, image) in enumerate(panels):
        _draw_cloud(page.panel(start + row * photo / 2, above, photo / 2, photo / 2), to_colours(image))
        label = labels[number].replace("the inverse ", "").replace("the map ", "")
        page.write(start + (row + 0.5) * photo / 2, above + photo / 2 + 0.2, label, 12, ha="center")
    page.save(path)


class _Page:
    """A white page with panels and text, placed in inches from its upper left corner."""

    def __init__(self, height: float) -> None:
        self._height = height
        self._figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(self._figure)

    def panel(self, left: float, above: float, width: float, tall: float) -> Axes:
        below = self._height - above - tall
        box = (left / _WIDTH, below / self._height, width / _WIDTH, tall / self._height)
        axes = self._figure.add_axes(box)
        axes.set_axis_off()
        return axes

    def write(
        self, x: float, y: float, text: str, size: float, *, color: str = _INK, weight: str = "normal", ha: str = "left"
    ) -> None:
        """Text whose baseline is `y` inches below the upper edge."""
        self._figure.text(x / _WIDTH, 1 - y / self._height, text, size=size, color=color, weight=weight, ha=ha)

    def save(self, path: Path) -> None:
        with atomic_write(path) as handle:
            self._figure.savefig(handle, format="png", dpi=_DPI)


def _draw_cloud(axes: Axes, colours: NDArray[np.float64]) -> None:
    """Draw colours in the cube they live in, which stands on its black corner."""
    rng = np.random.default_rng(0)
    chosen = colours[rng.permutation(len(colours))[:_POINTS]]
    spread = chosen + rng.uniform(-0.5, 0.5, chosen.shape) / 255.0  # else the 8-bit grid shows
    view = _view()
    flat = (spread - 0.5) @ view.T
    order = np.argsort(flat[:, 2])
    corners = np.indices((2, 2, 2)).reshape(3, 8).T
    placed = (corners - 0.5) @ view.T[:, :2]
    nearest = int(np.argmax(corners @ view[2]))  # its edges would cross the cloud
    others = [i for i in range(8) if i != nearest]
    edges = [(placed[i], placed[j]) for i in others for j in others if i < j and np.ptp(corners[[i, j]], 0).sum() == 1]
    axes.add_patch(Polygon(placed[ConvexHull(placed).vertices], facecolor=_GREY, linewidth=0, zorder=0))
    axes.add_collection(LineCollection(edges, colors=_EDGE, linewidths=0.7, zorder=1))
    axes.scatter(flat[order, 0], flat[order, 1], s=0.5, c=chosen[order], linewidths=0, zorder=2)
    half = 1.02 * np.abs(placed).max()
    axes.set_xlim(-half, half)
    axes.set_ylim(-half, half)


def _view() -> NDArray[np.float64]:
    """Rows: right (orange), up, and towards an eye that is a little above the middle of the grey axis."""
    grey = np.ones(3) / np.sqrt(3.0)
    orange = np.array([1.0, 0.5, 0.15])
    right = orange - grey * (orange @ grey)
    right /= np.linalg.norm(right)
    near = np.cross(right, grey)
    tilt = np.deg2rad(18.0)
    return np.stack([right, np.cos(tilt) * grey - np.sin(tilt) * near, np.cos(tilt) * near + np.sin(tilt) * grey])
