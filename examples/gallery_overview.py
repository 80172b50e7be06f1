"""The examples of the gallery in one picture: a panel or two of each.

python examples/gallery_overview.py --output gallery.png
"""

import io
import os
import runpy
from pathlib import Path
from typing import Annotated

import matplotlib as mpl
import matplotlib.pyplot as plt
import typer
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image, ImageOps

from brenier.cli.console import reporting, stderr
from brenier.files import atomic_write

__all__ = ["PANELS", "app", "run_example"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

GALLERY = Path(__file__).resolve().parent / "gallery"

PANELS = {
    "colour_transfer": ("Colour transfer", 1, (3,)),
    "shapes": ("Two shapes", 2, (0,)),
    "perturbation": ("Single cells under a drug", 2, (0,)),
    "calibration": ("Detector calibration", 2, (0,)),
    "digits": ("Even digits to odd ones", 1, tuple(row * 13 + column for row in range(5) for column in range(6))),
    "density": ("Densities", 1, (1,)),
    "hamilton_jacobi": ("A Hamilton-Jacobi equation in 50-D", 1, (2,)),
    "sphere": ("Storms on the globe", 2, (0, 2)),
    "sparse_displacement": ("Which genes moved", 1, (0,)),
}
"""Example by example: its title, the number of the figure, and the panels of it that are shown together."""

_TILE = (800, 600)
"""Width and height of all tiles before they are reduced, in pixels."""


def run_example(name: str) -> dict[int, Figure]:
    """Run one example, which fails where its claims do, and return its figures by number."""
    plt.close("all")
    with mpl.rc_context():
        runpy.run_path(str(GALLERY / f"plot_{name}.py"), run_name="__main__")
    return {number: plt.figure(number) for number in plt.get_fignums()}


@app.command()
def main(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The picture, a PNG.")] = Path(
        "gallery.png"
    ),
) -> None:
    """Run all examples, which takes some minutes, and draw the overview."""
    os.environ.pop("DISPLAY", None)  # nothing is shown, also where there is a screen
    mpl.use("Agg")
    with reporting(False):
        tiles = {}
        for name, (title, number, panels) in PANELS.items():
            stderr.print(f"running plot_{name}.py")
            tiles[title] = _cut(run_example(name)[number], panels)
        plt.close("all")
        _write(output, tiles)
        stderr.print(f"wrote {output}")


def _cut(figure: Figure, panels: tuple[int, ...]) -> Image.Image:
    """Some panels of a figure with their labels, without titles and legends."""
    chosen = [figure.axes[place] for place in panels]
    for legend in figure.legends:
        legend.remove()
    for axes in chosen:
        for place in ("left", "center"):
            axes.set_title("", loc=place)
    figure.canvas.draw()
    box = Bbox.union([axes.get_tightbbox() for axes in chosen]).transformed(figure.dpi_scale_trans.inverted())
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=200, bbox_inches=box.padded(0.03))
    return Image.open(buffer).convert("RGB")


def _write(path: Path, tiles: dict[str, Image.Image]) -> None:
    """Two rows of tiles of one shape, each under its title; the last place may stay empty."""
    columns = -(-len(tiles) // 2)
    figure, panels = plt.subplots(2, columns, figsize=(3.2 * columns, 5.4), layout="constrained")
    for axes in panels.flat[len(tiles) :]:
        axes.set_axis_off()
    for axes, (title, tile) in zip(panels.flat, tiles.items(), strict=False):
        axes.imshow(ImageOps.pad(tile, _TILE, color="white"), interpolation="lanczos")
        axes.set_title(title, size=11)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=90)
    plt.close(figure)
    with atomic_write(path) as handle:
        Image.open(buffer).convert("RGB").save(handle, format="PNG", optimize=True)


if __name__ == "__main__":
    app()
