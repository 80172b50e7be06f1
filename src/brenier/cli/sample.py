"""`brenier sample`: draw points from the density of a map."""

from pathlib import Path
from typing import Annotated

import typer

from brenier.cli.clouds import check_output, check_table
from brenier.cli.console import Json, print_result, reporting
from brenier.cli.opened import At, OpenMap
from brenier.cli.options import Base, Seed, Side

__all__ = ["sample"]


def sample(
    map_file: Annotated[Path, typer.Argument(metavar="MAP", help="Map file of `brenier density` or `brenier fit`.")],
    count: Annotated[int, typer.Option("-n", metavar="N", help="How many points to draw.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUTPUT", help="Table to write.")],
    seed: Seed = 0,
    side: Side = None,
    base: Base = None,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Draw points from the density of a map, and write them under the names of its columns.

    Points of the base are moved to the other side. Back to the source, each takes a numerical solve; a warning says
    which rows missed the tolerance (counted from 0), and these hold the best points found.

    Example: `brenier sample events.brenier -n 10000 -o drawn.csv`
    """
    with reporting(as_json, n="-n", base="--base", side="--side"):
        check_table(output)
        check_output(output, map_file)
        from brenier.files import write_points

        opened = OpenMap.load_density(map_file, at)
        drawn = opened.map_.sample(count, base, side=side, seed=seed)
        write_points(output, drawn, opened.map_.columns)
        record = {"output": str(output), "rows": len(drawn), "columns": opened.map_.columns, "seed": seed}
        record |= opened.record()
        rows = "row" if len(drawn) == 1 else "rows"
        print_result(record, [("Output", f"{output}   {len(drawn)} {rows}"), *opened.lines()], as_json=as_json)
