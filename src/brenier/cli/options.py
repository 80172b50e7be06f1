"""Options that mean the same in several commands."""

import math
from typing import Annotated, TypeAlias

import typer

from brenier._errors import InputError

__all__ = ["Base", "Dequantize", "MaxSeconds", "Refit", "Seed", "Side", "dequantize_widths"]

Seed: TypeAlias = Annotated[
    int, typer.Option(metavar="K", min=0, max=2**32 - 1, help="One seed, one result on one machine.")
]
MaxSeconds: TypeAlias = Annotated[
    float | None, typer.Option(metavar="S", help="Budget in seconds, all included; results then vary a little.")
]
Refit: TypeAlias = Annotated[
    bool,
    typer.Option(help="Train again on all rows, up to 16,384, once those held out have chosen; takes twice as long."),
]
Base: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="normal",
        help="Distribution on the other side: the standard normal one. Needed for maps of `brenier fit`; those of "
        "`brenier density` know theirs.",
    ),
]
Side: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="source|target",
        help="Side that the points are on; by default the one without the base, or target where the map knows no base.",
    ),
]
Dequantize: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="auto|WIDTH",
        help="Add noise within one step of counts or rounded numbers, of so wide a step or as wide as it is found.",
    ),
]


def dequantize_widths(text: str | None) -> str | float | None:
    """The text of `--dequantize` as the argument `dequantize` of the estimators."""
    if text is None or text == "auto":
        return text
    try:
        width = float(text)
    except ValueError:
        width = math.nan
    if not 0.0 < width < math.inf:
        raise InputError(f"`--dequantize` must be auto or a positive width; got {text!r}.")
    return width
