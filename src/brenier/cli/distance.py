"""`brenier distance`: the Wasserstein-2 distance between two files by a map, or the least mean cost."""

from pathlib import Path
from typing import Annotated

import typer

from brenier.cli.cells import Layer, Obsm, part
from brenier.cli.clouds import (
    FORMATS,
    Key,
    TargetKey,
    check_columns,
    check_weight,
    read_pair,
    weight_lines,
)
from brenier.cli.console import Json, print_result, reporting
from brenier.cli.costs import cost_line, unit_of
from brenier.cli.opened import At, OpenMap

__all__ = ["distance"]


def distance(
    map_file: Annotated[Path, typer.Argument(metavar="MAP", help="Map file of `brenier fit`.")],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help=f"Held-out points of the source: {FORMATS}.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Held-out points of the target.")],
    at: At = None,
    weight: Annotated[
        str | None,
        typer.Option(metavar="COL", help="Column with the weight of each row; by default the one that the fit had."),
    ] = None,
    obsm: Obsm = None,
    layer: Layer = None,
    key: Key = None,
    target_key: TargetKey = None,
    confidence: Annotated[float, typer.Option(help="Level of the bound on the populations, between 0 and 1.")] = 0.95,
    empirical: Annotated[
        bool, typer.Option(help="Enclose the distance of these very samples, too, and test the image.")
    ] = True,
    as_json: Json = False,
) -> None:
    """The Wasserstein-2 distance between SOURCE and TARGET by a map between them: an estimate, and what is certain.

    The distance is W2, neither squared nor halved, in the units of the cost. Use held-out points: on the points of its
    own fit a flexible map flatters itself, and the bound on the populations does not hold.

    By maps for other costs than squared distances: the least mean cost, of which no root is taken.

    Of maps with conditions: the distance of each class and the mean over the conditions of SOURCE, which are read from
    the columns that the fit had; or, with `--at`, the distance between all rows of both files under one condition.

    Example: `brenier distance effect.brenier control-test.csv treated-test.csv`

    With a condition for all rows: `brenier distance effect.brenier old-men.csv new-men.csv --at men`
    """
    with reporting(
        as_json,
        X=source,
        Y=target,
        x_condition=source,
        y_condition=target,
        condition="--at",
        x_weight=f"{source}, weights",
        y_weight=f"{target}, weights",
    ):
        opened = OpenMap.load(map_file, at, weight)
        clouds = read_pair(source, target, key, target_key, opened.read, part(obsm, layer, source, target))
        check_weight(weight, clouds)
        for cloud in clouds:
            check_columns(cloud, opened.map_)
        conditions = [opened.condition(cloud.conditions) for cloud in clouds]
        estimate = opened.map_.distance(
            *(cloud.table for cloud in clouds),
            x_condition=conditions[0],
            y_condition=conditions[1],
            x_weight=clouds[0].weights,
            y_weight=clouds[1].weights,
            confidence=confidence,
            empirical=empirical,
        )
        rows = [len(cloud.table.values) for cloud in clouds]
        lines = [*estimate.lines(), *opened.lines(), *weight_lines(clouds), *cost_line(opened.map_)]
        lines.append(("Measured", unit_of(opened.map_)))
        weighted = [cloud.weight is not None for cloud in clouds]
        record = {"rows": rows, "weighted": weighted} | opened.record() | estimate.record()
        print_result(record, lines, as_json=as_json)
