"""The demonstration from photographs to files."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_sample_images

from brenier.callbacks import Callbacks
from brenier.certificates import Distance
from brenier.data.table import Matrix
from brenier.demo.figure import write_figure
from brenier.demo.paint import paint, preimages
from brenier.estimators.brenier_map import BrenierMap
from brenier.files.atomic import claim_files
from brenier.files.images import Image, to_colours, write_image

__all__ = ["Demo", "run_demo"]

_HELD_OUT = 1 << 12
"""Pixels of each photograph on which the distance is estimated."""

NAMES = {
    "forward": "china-in-flower-colours.png",
    "inverse": "flower-in-china-colours.png",
    "figure": "demo.png",
    "map": "demo.brenier",
}


class Demo(NamedTuple):
    """The result of the demonstration.

    Attributes:
        ot: The fitted estimator.
        distance: Distance between the two clouds of colours, on pixels that the fit has not seen.
        files: Files written, by role: `forward`, `inverse`, `figure`, `map`.
        clipped: Share of values of the forward and the inverse picture that had to be clipped.
        unconverged: Share of the inverse picture's pixels that missed the tolerance.
    """

    ot: BrenierMap
    distance: Distance
    files: dict[str, Path]
    clipped: tuple[float, float]
    unconverged: float


def run_demo(
    folder: Path,
    *,
    seed: int = 0,
    max_seconds: float = 25.0,
    max_steps: int | None = None,
    callbacks: Callbacks | None = None,
    say: Callable[[str], None] | None = None,
) -> Demo:
    """Exchange the colours of two photographs, there by the map and back by its inverse.

    Args:
        folder: Where the files go; made if it is missing.
        seed: Randomness of the split, the dither and the fit.
        max_seconds: Budget of the fit; the rest of the work takes about fifteen seconds more.
        max_steps: Budget in steps as well; no limit by default.
        callbacks: Callbacks of the fit, as for `BrenierMap`.
        say: Called with a few words at the start of each part of the work after the fit.

    Raises:
        InputError: The folder cannot be written.
    """
    say = say or (lambda words: None)
    files = claim_files(folder, NAMES)
    china, flower = load_sample_images().images
    rng = np.random.default_rng(seed)
    (x, x_test), (y, y_test) = _split(china, rng), _split(flower, rng)
    ot = BrenierMap(max_steps=max_steps, max_seconds=max_seconds, random_state=seed, callbacks=callbacks).fit(x, y)
    say("estimating W2 on held-out pixels")
    distance = ot.map_.distance(x_test, y_test)
    unconverged: list[float] = []

    def back(colours: Matrix) -> Matrix:
        points, share = preimages(ot.map_, colours)
        unconverged.append(share)
        return points

    say(f"painting {NAMES['forward']}")
    forward, clipped_forward = paint(china, ot.map_.forward)
    say(f"painting {NAMES['inverse']}")
    inverse, clipped_inverse = paint(flower, back)
    say(f"drawing {NAMES['figure']}")
    ot.map_.save(files["map"])
    write_image(files["forward"], forward)
    write_image(files["inverse"], inverse)
    write_figure(files["figure"], china, forward, flower, inverse, w2=distance.w2)
    return Demo(ot, distance, files, (clipped_forward, clipped_inverse), unconverged[0])


def _split(image: Image, rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    """Colours to train on and colours kept aside.

    Uniform dither of one level undoes the rounding to 8 bits, which makes most rows repeat others.
    """
    colours = rng.permutation(to_colours(image))
    colours += rng.uniform(-0.5 / 255.0, 0.5 / 255.0, colours.shape)
    return colours[_HELD_OUT:], colours[:_HELD_OUT]
