"""Repainting a photograph by a map of colours."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from brenier.conjugates import conjugate_points
from brenier.data.table import Matrix
from brenier.files.images import Image, to_colours, to_image
from brenier.maps import TransportMap

__all__ = ["paint", "preimages", "smooth_part"]

Move: TypeAlias = Callable[[Matrix], Matrix]

_LEVEL = 1.0 / 255.0
_KERNEL = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
_STRIDES = (1, 2, 4)
_SIMILAR = 4.0 * _LEVEL
"""Colours this far apart share about half of their weight."""

_COARSE = 8.0 * _LEVEL
"""Grid of colours solved first."""


def paint(image: Image, move: Move) -> tuple[Image, float]:
    """Repaint a photograph: move its smooth part, and let the texture ride along.

    A map that spreads a pale sky over the whole gamut would spread the rounding to 8 bits and the blocks of the JPEG
    file as well. So colours are averaged over similar neighbours before they are moved, and what the averaging took
    away, a level or so, is added back as it was.

    Args:
        image: `(height, width, 3)`, 8 bits.
        move: Map of `(n, 3)` colours in the unit cube.

    Returns:
        The new image, 8 bits, and the share of its values that had to be clipped.
    """
    colours, smooth = to_colours(image), smooth_part(image)
    return to_image(move(smooth) + (colours - smooth), image.shape)


def smooth_part(image: Image) -> Matrix:
    """Colours of an image, `(n, 3)`, averaged over similar colours up to fourteen pixels away. Edges stay.

    References: Dammertz, Sewtz, Hanika, Lensch 2010, "Edge-avoiding a-trous wavelet transform".
    """
    colours = (image * np.float32(_LEVEL)).astype(np.float32)
    for stride in _STRIDES:
        colours = _average(colours, stride)
    return colours.reshape(-1, 3).astype(np.float64)


def _average(colours: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """One pass of the bilateral filter over five by five pixels, `stride` apart."""
    height, width, _ = colours.shape
    reach = 2 * stride
    padded = np.pad(colours, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    total = np.zeros_like(colours)
    weights = np.zeros((height, width, 1), np.float32)
    for i, row in enumerate(_KERNEL):
        for j, column in enumerate(_KERNEL):
            neighbours = padded[i * stride : i * stride + height, j * stride : j * stride + width]
            squares = np.sum(np.square(neighbours - colours), axis=2, keepdims=True)
            weight = np.float32(row * column) * np.exp(np.float32(-0.5 / _SIMILAR**2) * squares)
            total += weight * neighbours
            weights += weight
    return total / weights


def preimages(map_: TransportMap, colours: Matrix) -> tuple[Matrix, float]:
    """Preimages of many similar colours, several times faster than one by one.

    Distinct colours of a coarse grid are solved first; each of the given colours then starts from its grid point's
    solution.

    Args:
        map_: Map of colours.
        colours: `(n, 3)` in the unit cube.

    Returns:
        `(n, 3)` preimages, and the share that missed the tolerance.
    """
    inside = map_.geometry
    grid = np.round(colours / _COARSE).astype(np.int64)
    distinct, number = np.unique(grid @ np.array([1 << 40, 1 << 20, 1]), return_inverse=True)
    first = np.empty((len(distinct), 3))
    first[number] = grid * _COARSE
    start = inside.enter_x(map_.inverse_with_status(first).points[number])
    solved = conjugate_points(map_.potential, inside.enter_y(colours), x0=start, scale=inside.spread)
    return inside.leave_x(solved.points), float(np.mean(~solved.converged))
