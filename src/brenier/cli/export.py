"""`brenier export`: write a map as a program that runs where brenier is not installed."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brenier._errors import InputError
from brenier.cli.clouds import check_output
from brenier.cli.console import Json, print_result, reporting
from brenier.cli.opened import At, OpenMap, load_map

if TYPE_CHECKING:
    from brenier.maps import TransportMap

__all__ = ["export"]


class To(StrEnum):
    """Kinds of programs."""

    torch = "torch"
    stablehlo = "stablehlo"


class Precision(StrEnum):
    """Types of points."""

    float32 = "float32"
    float64 = "float64"


def export(
    map_file: Annotated[Path, typer.Argument(metavar="MAP", help="Map file of `brenier fit` or `brenier density`.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Program to write; one for torch is usually a .pt2.")
    ],
    to: Annotated[To, typer.Option("--to", help="A program of torch.export, or of jax.export.")],
    inverse: Annotated[bool, typer.Option("--inverse", help="Export the inverse instead of the map.")] = False,
    dtype: Annotated[Precision, typer.Option("--dtype", help="Type of the points.")] = Precision.float32,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Write a map, or its inverse, as a program that runs without brenier.

    The forward program returns points; the inverse returns points, residuals, which rows converged, and steps. Maps
    with conditions take them as the second argument, the number of the class and then the numbers; with `--at`, the
    program is that of one condition. See `docs/export.md` for how to run either.

    Example: `brenier export effect.brenier -o effect.pt2 --to torch`
    """
    with reporting(as_json, path="--output", map_=map_file):
        check_output(output, map_file)
        if output.suffix.lower() == ".brenier":
            raise InputError(
                f"`{output}` is to hold a program, not a map. Name it `{output.with_suffix(_SUFFIX[to])}`."
            )
        opened = OpenMap.load_one(map_file, at) if at else OpenMap(load_map(map_file))
        record: dict[str, Any] = {"output": str(output), "to": to.value}
        record |= _save(to, opened.map_, output, inverse, dtype.value) | ({"at": opened.at} if at else {})
        print_result(record, [*_lines(record), *opened.lines()], as_json=as_json)


_SUFFIX = {To.torch: ".pt2", To.stablehlo: ".stablehlo.zip"}


def _save(to: To, map_: "TransportMap", output: Path, inverse: bool, dtype: str) -> dict[str, Any]:
    if to is To.torch:
        from brenier.export.torch import save_torch

        return save_torch(map_, output, inverse=inverse, dtype=dtype)
    from brenier.export.stablehlo import save_stablehlo

    return save_stablehlo(map_, output, inverse=inverse, dtype=dtype)


def _lines(record: dict[str, Any]) -> list[tuple[str, str]]:
    way = "from the target to the source" if record["program"] == "inverse" else "from the source to the target"
    takes = f"any number of rows of {record['dim']} columns, {record['dtype']}"
    if record["conditions"] is not None:
        numbers = sum(kind == "number" for _, kind in record["conditions"]["variables"])
        takes += f"; and {1 + numbers} columns of conditions"
    return [
        ("Output", f"{record['output']}   {record['to']}, {way}"),
        ("Takes", takes),
        ("Returns", ", ".join(record["outputs"])),
    ]
