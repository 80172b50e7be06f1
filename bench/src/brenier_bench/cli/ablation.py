"""`brenier bench ablation`: the default training, and one of its settings changed at a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brenier.cli.console import Json, number, print_record, print_table, reporting, stderr
from brenier_bench.cli.shared import print_run

if TYPE_CHECKING:
    from brenier_bench.ablation import Row

__all__ = ["ablation"]

_COLUMNS = ("cell", "forward", "inverse", "gap", "gap %", "left %", "grads", "ms", "s")
"""Percent: both errors, the gap as a share of `W2^2 / 2`, and the targets left out. Gradients and time are a step's."""


def ablation(
    dim: Annotated[
        list[int] | None, typer.Option("--dim", help="Dimension; may be repeated. 2, 16 and 64 by default.", min=1)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Folder of benchmark pairs, 2.npz and so on; random pairs without."),
    ] = None,
    steps: Annotated[
        list[int] | None,
        typer.Option("--steps", help="Training steps of each cell; repeated, one for each dimension.", min=1),
    ] = None,
    cell: Annotated[
        list[str] | None, typer.Option("--cell", help="Run this cell; may be repeated. All by default.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="PNG", help="Write the figure to this file.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the fits and of the samples.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Measure what each part of the training is worth, on pairs whose map is known.

    A cell is the default training with one setting changed: rounds of the inner solver, the solver, warm starts, Bures
    coordinates. All take as many steps. Errors are L2-UVP in percent. The gap is the mean of r^2 / (2 m) over held-out
    targets that are solved as a training step does: by how much it can raise the dual value; also in % of W2^2 / 2.
    Then come the share of targets left out of the gradient, gradients of the potential and milliseconds a step, and the
    seconds of all steps. A cell that fails is a row that says how.

    With `--json` or `--figure`, three statements about truncated conjugates are measured, too; see `docs/inexact.md`.

    Example: `brenier bench ablation --dim 2 --steps 512 --figure ablation.png --json`
    """
    with reporting(as_json):
        from brenier._errors import InputError
        from brenier.files.atomic import check_writable
        from brenier_bench.ablation import ablate, cells, load_problem
        from brenier_bench.ablation_figure import write_ablation
        from brenier_bench.statements import measure

        dims, counts = dim or [2, 16, 64], steps or [512]
        if len(counts) not in (1, len(dims)):
            raise InputError(f"`--steps` takes one number, or one for each of {len(dims)} dimensions; got {counts}.")
        if len(set(dims)) < len(dims):
            raise InputError(f"`--dim` must not repeat a dimension; got {dims}.")
        if figure is not None:
            check_writable(figure)
        problems = [load_problem(size, data, seed) for size in dims]
        for size in dims:
            cells(cell, size)
        rows: list[Row] = []
        for problem, count in zip(problems, counts * len(dims) if len(counts) == 1 else counts, strict=True):
            rows += ablate(problem, count, cell, _report)
        record: dict[str, Any] = {
            "problem": {"dims": dims, "data": None if data is None else str(data), "seed": seed},
            "rows": rows,
        }
        if as_json or figure is not None:
            record["statements"] = measure()
        if figure is not None:
            write_ablation(figure, record)
        if as_json:
            print_record(record)
            return
        for size in dims:
            stderr.print(f"{size} dimensions")
            print_table(_COLUMNS, [_line(row) for row in rows if row["dim"] == size])
        _remarks(rows)


def _report(row: "Row") -> None:
    print_run(f"d={row['dim']}, {row['cell']}", row, "wall_seconds")


def _remarks(rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        words = row.get("failed") or row["note"]
        if words is not None:
            stderr.print(f"d={row['dim']}, {row['cell']}: {words}")


def _line(row: Mapping[str, Any]) -> list[str]:
    if "failed" in row:
        return [row["cell"], "failed", *["-"] * (len(_COLUMNS) - 2)]
    pace = row["step_seconds"]
    return [
        row["cell"],
        number(row["l2_uvp_forward"], 3),
        number(row["l2_uvp_inverse"], 3),
        number(row["gap"], 2),
        number(100 * row["gap_relative"], 2),
        number(100 * row["left_out"], 2),
        f"{row['evaluations']:.1f}",
        "-" if pace is None else f"{1000 * pace:.1f}",
        "-" if row["seconds"] is None else f"{row['seconds']:.1f}",
    ]
