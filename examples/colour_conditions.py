"""Colours of one photograph in those of another, without and with a condition: far goes to far, and near to near.

python examples/colour_conditions.py --output colours
"""

from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.datasets import load_sample_images

from brenier import BrenierMap
from brenier.cli.console import number, print_table, reporting, stderr
from brenier.demo.paint import paint
from brenier.files import atomic_write, claim_files, to_colours
from brenier.metrics import sliced_w2

__all__ = ["Cloud", "app", "clouds", "near_in_china", "near_in_flower"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]

NAMES = {"far": "sky, lake → background", "near": "tower, trees → flower"}
"""Classes of pixels, and what they are in the two photographs."""


def near_in_china(image: Image) -> Mask:
    """Tower and trees: all but sky and lake, which are bright (every channel above 140) and not reddish.

    Blue may be at most 20 less than red there. What is small in sky or lake, such as boats, belongs to it.
    """
    red, blue = image[:, :, 0].astype(int), image[:, :, 2].astype(int)
    far = _large_areas((image.min(axis=2) > 140) & (red <= blue + 20))
    return _large_areas(~far)


def near_in_flower(image: Image) -> Mask:
    """The flowers: areas with red above 140, and the dark hearts of the petals in them."""
    return ndimage.binary_fill_holes(_large_areas(image[:, :, 0] > 140))


def _large_areas(mask: Mask) -> Mask:
    """The connected areas of at least half a percent of the image, without parts of less than three pixels across."""
    areas, _ = ndimage.label(ndimage.binary_opening(mask, np.ones((3, 3))))
    sizes = np.bincount(areas.ravel())
    sizes[0] = 0
    return (sizes >= 0.005 * mask.size)[areas]


class Cloud(NamedTuple):
    """Pixels of a photograph.

    Attributes:
        colours: `(n, 3)`, 0 to 1.
        labels: `(n,)` "far" or "near".
    """

    colours: NDArray[np.float64]
    labels: NDArray[np.str_]


def clouds(image: Image, near: Mask, rng: np.random.Generator) -> tuple[Cloud, Cloud]:
    """Half of the pixels to learn from, and the others to judge by.

    Uniform dither of one level undoes the rounding to 8 bits, which makes most pixels repeat others.
    """
    colours = to_colours(image) + rng.uniform(-0.5 / 255, 0.5 / 255, (near.size, 3))
    halves = np.array_split(rng.permutation(near.size), 2)
    seen, unseen = (Cloud(colours[rows], _labels(near)[rows]) for rows in halves)
    return seen, unseen


def _labels(near: Mask) -> NDArray[np.str_]:
    return np.where(near.ravel(), "near", "far")


@app.command()
def main(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder; made if missing.")] = Path(
        "colours"
    ),
    max_steps: Annotated[int, typer.Option(metavar="N", min=1, help="Budget of each of the two fits.")] = 2048,
    every: Annotated[
        int, typer.Option(metavar="N", min=1, max=8, help="Of rows and columns of pixels, take every N-th only.")
    ] = 1,
    seed: Annotated[int, typer.Option(metavar="K", min=0, max=2**32 - 1, help="One seed, one result.")] = 0,
) -> None:
    """Repaint `china.jpg` in the colours of `flower.jpg`, by one map for all pixels and by one for each class."""
    with reporting(False):
        path = claim_files(output, {"figure": "colour-conditions.png"})["figure"]
        china, flower = load_sample_images().images
        masks = near_in_china(china)[::every, ::every], near_in_flower(flower)[::every, ::every]
        china, flower = china[::every, ::every], flower[::every, ::every]
        rng = np.random.default_rng(seed)
        (x, x_test), (y, y_test) = (clouds(*side, rng) for side in zip((china, flower), masks, strict=True))

        stderr.print("fitting one map")
        plain = BrenierMap(max_steps=max_steps, random_state=seed).fit(x.colours, y.colours)
        stderr.print("fitting one map for each class")
        conditional = BrenierMap(max_steps=max_steps, random_state=seed)
        conditional.fit(x.colours, y.colours, x_condition=x.labels, y_condition=y.labels)

        stderr.print("painting")
        labels = _labels(masks[0])
        without, _ = paint(china, plain.transform)
        with_, _ = paint(china, lambda colours: conditional.transform(colours, condition=labels))
        write_figure(path, (china, flower), masks, (without, with_))

        moved = (
            x_test.colours,
            plain.transform(x_test.colours),
            conditional.transform(x_test.colours, condition=x_test.labels),
        )
        print_table(
            ("sliced W2 to target", "before", "no condition", "condition", "target to itself"),
            [
                (text, *(number(value, 3) for value in _distances(name, moved, x_test.labels, y, y_test)))
                for name, text in NAMES.items()
            ],
        )
        stderr.print(f"wrote {path}")


def _distances(
    name: str, moved: tuple[NDArray[np.float64], ...], labels: NDArray[np.str_], y: Cloud, y_test: Cloud
) -> list[float]:
    """Sliced W2 of the pixels of a class, in several versions, to those of the target, and of these to others."""
    target = y_test.colours[y_test.labels == name]
    versions = (*(colours[labels == name] for colours in moved), y.colours[y.labels == name])
    return [sliced_w2(version, target) for version in versions]


def write_figure(
    path: Path, photographs: tuple[Image, Image], masks: tuple[Mask, Mask], painted: tuple[Image, Image]
) -> None:
    """Draw both photographs with their classes, and the first as painted without and with them; PNG."""
    width, gap, line, top = 12.0, 0.3, 0.42, 1.1  # inches
    photo = (width - 3 * gap) / 2
    tall = photo * photographs[0].shape[0] / photographs[0].shape[1]
    height = top + 2 * (tall + line) + gap / 2
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(gap / width, 1 - 0.5 / height, "Colour transfer with a condition", size=21, weight="bold")
    figure.text(
        gap / width,
        1 - 0.85 / height,
        "The line parts near (tower, trees, flowers) from far (sky, lake, background).",
        size=14,
    )
    panels = (
        (photographs[0], masks[0], "Source: china.jpg"),
        (photographs[1], masks[1], "Target: flower.jpg"),
        (painted[0], None, "Without condition: all colours to all colours"),
        (painted[1], None, "With condition: near to near, far to far"),
    )
    for place, (image, mask, label) in enumerate(panels):
        left, above = gap + place % 2 * (photo + gap), top + place // 2 * (tall + line)
        axes = figure.add_axes((left / width, 1 - (above + tall) / height, photo / width, tall / height))
        axes.set_axis_off()
        axes.imshow(image, aspect="auto", interpolation="lanczos")
        if mask is not None:
            axes.contour(mask, [0.5], colors="#ff2fd0", linewidths=1.2)
        figure.text(left / width, 1 - (above + tall + 0.24) / height, label, size=14)
    with atomic_write(path) as handle:
        figure.savefig(handle, format="png", dpi=130)


if __name__ == "__main__":
    app()
