"""`brenier report`: one HTML page about a map."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brenier._errors import InputError
from brenier.cli.clouds import (
    FORMATS,
    Cloud,
    Key,
    TargetKey,
    check_columns,
    check_output,
    check_weight,
    read_pair,
    weight_lines,
)
from brenier.cli.console import Json, print_result, reporting
from brenier.cli.opened import At, OpenMap

if TYPE_CHECKING:
    from brenier.data.conditions import Conditions
    from brenier.report import Report

__all__ = ["check_report", "report", "report_lines", "write_page"]

_SUFFIXES = (".html", ".htm")


def report(
    map_file: Annotated[Path, typer.Argument(metavar="MAP", help="Map file of `brenier fit` or `brenier density`.")],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help=f"Held-out points of the source: {FORMATS}.")],
    target: Annotated[
        Path | None,
        typer.Argument(metavar="TARGET", help="Held-out points of the target; leave it out for a density."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="HTML", help="Page to write.")] = Path(
        "report.html"
    ),
    at: At = None,
    weight: Annotated[
        str | None,
        typer.Option(metavar="COL", help="Column with the weight of each row; by default the one that the fit had."),
    ] = None,
    key: Key = None,
    target_key: TargetKey = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Title of the page.")] = None,
    rows: Annotated[
        int, typer.Option(metavar="N", min=2, help="Most rows of each file to use; of more, so many are drawn.")
    ] = 2236,
    confidence: Annotated[float, typer.Option(help="Level of the bound on the populations, between 0 and 1.")] = 0.95,
    seed: Annotated[int, typer.Option(metavar="K", min=0, help="Of the draws and tests on the page.")] = 0,
    as_json: Json = False,
) -> None:
    """Write one HTML page about a map: distance and certificate, training, inverse, columns, displacements, settings.

    The page is one file that loads nothing from elsewhere, for light and dark screens, telephones and paper. Use
    held-out points; the page says so where it recognises rows of the fit. Of maps between the colours of images it
    shows the pictures, too; of densities, whose base is drawn, log densities.

    Example: `brenier report effect.brenier control-test.csv treated-test.csv -o effect.html`
    """
    with reporting(
        as_json,
        X=source,
        Y=target or source,
        x_condition=source,
        y_condition=target or source,
        condition="--at",
        max_rows="--rows",
        x_weight=f"{source}, weights",
        y_weight=f"{target}, weights",
    ):
        check_report(output, *(path for path in (map_file, source, target) if path is not None))
        opened = OpenMap.load(map_file, at, weight)
        if target is None:
            clouds = _single(opened, source, map_file, key)
        else:
            clouds = list(read_pair(source, target, key, target_key, opened.read))
        check_weight(weight, clouds)
        for cloud in clouds:
            check_columns(cloud, opened.map_)
        conditions = [opened.condition(cloud.conditions) for cloud in clouds]
        page = write_page(
            opened.map_,
            clouds,
            output,
            conditions=conditions,
            map_path=" at ".join([str(map_file), *(f"{name} = {value}" for name, value in (opened.at or {}).items())]),
            title=title,
            max_rows=rows,
            confidence=confidence,
            seed=seed,
        )
        record = {"rows": [len(cloud.table.values) for cloud in clouds]} | opened.record() | _record(output, page)
        print_result(record, [*report_lines(output, page), *opened.lines(), *weight_lines(clouds)], as_json=as_json)


def check_report(path: Path, *inputs: Path) -> None:
    """Check that a page can be written, and that its name ends in `.html` or `.htm`.

    Raises:
        InputError: One of the two fails.
    """
    check_output(path, *inputs)
    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(f"`{path}` is to hold a page. Name it `{path.with_suffix('.html')}`.")


def write_page(map_: Any, clouds: "list[Cloud]", output: Path, **options: Any) -> "Report":  # noqa: ANN401
    """Write a page about a map and the points of one or two files.

    Args:
        map_: The map.
        clouds: Points of source and target; of the data alone for a density.
        output: The page.
        options: As for `write_report`; `conditions` are those of the clouds.
    """
    from brenier.files import read_image
    from brenier.report import write_report

    names = [cloud.path.name for cloud in clouds]
    tables = [cloud.table for cloud in clouds]
    weights = [cloud.weights for cloud in clouds]
    conditions: list[Conditions | None] = options.pop("conditions", None) or [None] * len(clouds)
    images = None
    if len(clouds) == 2 and all(cloud.image for cloud in clouds):
        images = (read_image(clouds[0].path), read_image(clouds[1].path))
    if len(clouds) == 1:
        first = map_.density_side == "source"
        pairs = [[values[0], None] if first else [None, values[0]] for values in (tables, weights, conditions)]
        tables, weights, conditions = pairs
        names = [names[0], "normal base"] if first else ["normal base", names[0]]
    return write_report(
        map_,
        tables[0],
        tables[1],
        output,
        x_condition=conditions[0],
        y_condition=conditions[1],
        x_weight=weights[0],
        y_weight=weights[1],
        names=(names[0], names[1]),
        images=images,
        command=shlex.join(["brenier", *sys.argv[1:]]),
        **options,
    )


def report_lines(output: Path, page: "Report") -> list[tuple[str, str]]:
    """The path, size and verdict of a page that was written, for people: a label and a text each."""
    seen = [("Note", "the fit has seen rows of these files; the page says what that means")] if page.seen else []
    return [("Report", f"{output}   {page.bytes / 1e3:,.0f} kB"), ("Verdict", page.verdict), *seen]


def _record(output: Path, page: "Report") -> dict[str, Any]:
    return {
        "report": os.fspath(output),
        "bytes": page.bytes,
        "rows_used": list(page.rows),
        "seen": page.seen,
        "verdict": page.verdict,
        "distance": page.distance.record(),
    }


def _single(opened: OpenMap, source: Path, map_file: Path, key: str | None) -> list[Cloud]:
    if opened.map_.info.get("base") is None:
        raise InputError(f"`TARGET` is missing: `{map_file}` is no density. Give the points of the target, too.")
    return [opened.read(source, key)]
