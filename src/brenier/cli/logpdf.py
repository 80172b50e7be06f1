"""`brenier logpdf`: log densities at the points of a file."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from brenier.cli.cells import Layer, Obsm, key_of, part
from brenier.cli.clouds import FORMATS, Key, check_columns, check_output, check_table, weight_lines
from brenier.cli.console import Json, number, print_result, reporting
from brenier.cli.opened import At, OpenMap
from brenier.cli.options import Base, Side
from brenier.cli.status import status_line, status_record

__all__ = ["logpdf"]


def logpdf(
    map_file: Annotated[Path, typer.Argument(metavar="MAP", help="Map file of `brenier density` or `brenier fit`.")],
    source: Annotated[Path, typer.Argument(metavar="INPUT", help=f"Points: {FORMATS}.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUTPUT", help="Table to write, of one column.")],
    side: Side = None,
    base: Base = None,
    at: At = None,
    obsm: Obsm = None,
    layer: Layer = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Evaluate the density of a map at the points in INPUT, and write its natural logarithms.

    OUTPUT has one column, `log_density`, and a row for each of INPUT; volumes are in the units of the data. The mean is
    a score, on rows that the fit has not seen: larger is better. Rows are weighted in it where INPUT has the column of
    weights that the fit had.

    On the target side, each row takes a numerical solve: the status says how many missed the tolerance, and which
    (counted from 0); their densities are those at points nearby.

    Example: `brenier logpdf events.brenier new.csv -o densities.csv`

    With a map of `brenier fit`: `brenier logpdf effect.brenier new.csv -o densities.csv --base normal`
    """
    with reporting(as_json, points=source, base="--base", side="--side", weight=f"{source}, weights"):
        check_table(output)
        check_output(output, source, map_file)
        import numpy as np

        from brenier.files import write_points

        opened = OpenMap.load_density(map_file, at)
        cloud = opened.read(source, key_of(source, key, part(obsm, layer, source)))
        check_columns(cloud, opened.map_)
        densities = opened.map_.log_density_with_status(cloud.table, base, side=side)
        where = side or opened.map_.density_side
        record: dict[str, Any] = {"output": str(output), "rows": len(densities.value), "side": where}
        record |= opened.record() | _score(densities.value, cloud.weights) | {"weighted": cloud.weight is not None}
        record["largest_error"] = float(densities.error.max())
        if where == "target":
            record |= status_record(np.flatnonzero(~densities.converged))
        write_points(output, densities.value[:, None], ["log_density"])
        print_result(record, [*_lines(record), *opened.lines(), *weight_lines([cloud])], as_json=as_json)


def _score(values: Any, weights: Any) -> dict[str, float]:  # noqa: ANN401
    """Mean log density and its standard error, which one row alone does not have."""
    from brenier.data.weights import as_weights
    from brenier.training.holdout import mean_and_error

    mean, error = mean_and_error(values, as_weights(weights, len(values), "weight"))
    return {"mean": mean, "standard_error": error if len(values) > 1 else math.nan}


def _lines(record: dict[str, Any]) -> list[tuple[str, str]]:
    rows = "row" if record["rows"] == 1 else "rows"
    error = f" +- {number(record['standard_error'], 2)}" if math.isfinite(record["standard_error"]) else ""
    lines = [
        ("Output", f"{record['output']}   {record['rows']} {rows}, points on the {record['side']} side"),
        ("Mean", f"{number(record['mean'])}{error} nats   log density, for volumes in the units of the data"),
    ]
    if record["largest_error"] > 0:
        error = number(record["largest_error"], 2)
        lines.append(("Estimated", f"log determinants, with standard errors of up to {error} nats"))
    return [*lines, status_line(record)] if "unconverged" in record else lines
