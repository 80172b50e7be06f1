"""The picture: images, where they were moved, and what is nearest to them there."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from brenier.files.atomic import atomic_write
from latent_images.domains import Cloud

__all__ = ["nearest", "write_figure"]

_SHOWN = 4
"""Images of each class."""

_SIDE = 0.62
"""Height and width of an image, in inches."""

_ROWS = ("source", "moved", "nearest")


def nearest(images: NDArray, others: NDArray) -> NDArray[np.intp]:
    """For each image the one among others that differs least from it, in squared differences of pixels."""
    a, b = (np.asarray(part, np.float64).reshape(len(part), -1) for part in (images, others))
    return np.argmin(np.sum(b**2, axis=1) - 2.0 * a @ b.T, axis=1)


def write_figure(
    path: Path, title: str, source: Cloud, moved: Cloud, target: Cloud, classes: tuple[tuple[str, str], ...]
) -> None:
    """Draw some images of each class with what became of them; PNG.

    Args:
        path: The file.
        title: Above all.
        source: Images as they were.
        moved: The same, row by row, after the map.
        target: Images of the target, in which the nearest of the same class is looked for.
        classes: Name of each class in the source and in the target.
    """
    shown = [number for number in range(len(classes)) if (source.labels == number).any()]
    across = min(len(shown), 5)
    down = -(-len(shown) // across)
    left, gap, top, head = 0.85, 0.22, 0.65, 0.42
    wide, tall = _SHOWN * _SIDE + gap, len(_ROWS) * _SIDE + head + gap
    width, height = left + across * wide, top + down * tall
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(left / width, 1 - 0.28 / height, title, size=17, weight="bold", va="center")
    for place, number in enumerate(shown):
        chosen = np.flatnonzero(source.labels == number)[:_SHOWN]
        own = np.flatnonzero(target.labels == number)
        found = own[nearest(moved.images[chosen], target.images[own])]
        x, y = left + place % across * wide, top + place // across * tall + head
        name, other = classes[number]
        heading = name if name == other else f"{name} \N{RIGHTWARDS ARROW} {other}"
        figure.text(x / width, 1 - (y - 0.17) / height, heading, size=12, va="center")
        for row, images in enumerate((source.images[chosen], moved.images[chosen], target.images[found])):
            above = y + row * _SIDE
            if place % across == 0:
                figure.text(
                    (left - 0.1) / width, 1 - (above + _SIDE / 2) / height, _ROWS[row], size=11, ha="right", va="center"
                )
            for column, image in enumerate(images):
                corner = ((x + column * _SIDE) / width, 1 - (above + _SIDE) / height)
                axes = figure.add_axes((*corner, 0.96 * _SIDE / width, 0.96 * _SIDE / height))
                axes.set_axis_off()
                axes.imshow(image, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=100)
