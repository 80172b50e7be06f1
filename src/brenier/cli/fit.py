"""`brenier fit`: learn a map from two files."""

import time
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brenier._errors import DataWarning
from brenier.cli.cells import Layer, Obsm, part, part_record
from brenier.cli.checkpoint import Checkpoint, ending_on_sigterm, resumed_lines, resumed_record
from brenier.cli.clouds import (
    FORMATS,
    Cloud,
    Key,
    TargetKey,
    check_map_output,
    check_names,
    check_weight,
    read_cloud,
    read_pair,
    weight_lines,
)
from brenier.cli.conditions import condition_types, describe_space, space_lines
from brenier.cli.console import INTERRUPTED, Json, carried_line, number, print_result, reporting, widths_line
from brenier.cli.costs import CostOption, cost_line, cost_record, read_cost, unit_of
from brenier.cli.options import Dequantize, MaxSeconds, Refit, Seed, dequantize_widths
from brenier.cli.processes import Coordinator, Distributed, Process, Processes, Shards, join, leaving_together
from brenier.cli.progress import Interrupts
from brenier.cli.report import check_report, report_lines, write_page
from brenier.cli.streamed import Memory, check_streamed, open_side, streamed_line, streamed_record

if TYPE_CHECKING:
    from brenier.estimators.brenier_map import BrenierMap

__all__ = ["fit"]


def fit(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help=f"Points to move: {FORMATS}, whose pixels are its points.")
    ],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Points of the distribution to reach.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="MAP", help="Map file to write.")],
    seed: Seed = 0,
    max_steps: Annotated[
        int | None, typer.Option(metavar="N", help="Budget in training steps; 4096 unless --max-seconds is given.")
    ] = None,
    max_seconds: MaxSeconds = None,
    cost: CostOption = "squared",
    scale: Annotated[
        str,
        typer.Option(help="Units of the columns in the cost: none (those of the data), pooled (their spread), auto."),
    ] = "auto",
    refit: Refit = True,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            metavar="COL",
            help="Column of both files (array of .npz archives) with the condition of each row. May be repeated.",
        ),
    ] = None,
    condition_type: Annotated[
        list[str] | None,
        typer.Option(
            "--condition-type",
            metavar="COL=KIND",
            help="What a condition is, label or number; by default text and up to 20 different integers are labels.",
        ),
    ] = None,
    weight: Annotated[
        str | None,
        typer.Option(
            metavar="COL",
            help="Column with the weight of each row, in one file or both; rows of a file without it count alike.",
        ),
    ] = None,
    dequantize: Dequantize = None,
    trim: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Share of the rows farthest out to leave aside on both sides: heavy tails."),
    ] = 0.0,
    obsm: Obsm = None,
    layer: Layer = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="HTML", help="Write a page about the map, too, on the rows of its fit; see `brenier report`."
        ),
    ] = None,
    shards: Shards = None,
    distributed: Distributed = False,
    coordinator: Coordinator = None,
    processes: Processes = None,
    process: Process = None,
    checkpoint: Checkpoint = None,
    key: Key = None,
    target_key: TargetKey = None,
    memory: Memory = None,
    as_json: Json = False,
) -> None:
    """Learn the optimal-transport map from SOURCE to TARGET, and save it.

    Both files hold one point a row, with the same columns; rows are not paired, and the numbers of rows may differ.
    Ctrl-C ends the training and saves the best map so far (exit code 130); a second Ctrl-C saves nothing. With
    --checkpoint, SIGTERM saves a checkpoint before it ends the command (exit code 143).

    With conditions, one map is learned for every value of them, all in one file. Their columns are no part of the
    points; several columns are one condition together. Each value should occur in both files.

    Example: `brenier fit control.csv treated.csv -o effect.brenier --max-seconds 60`

    Of .h5ad files, a part is taken: that of `--obsm` or `--layer`, or X. Conditions and weights are columns of obs.

    With conditions: `brenier fit control.csv treated.csv -o effect.brenier --condition sex --condition age
    --condition-type age=number`

    Files of .npy, .parquet, .zarr and .h5ad whose points would take more than `--memory` are read in parts, in random
    order, while the map is trained.

    Other costs: `brenier fit control.csv treated.csv -o effect.brenier --cost pnorm:1.5`. With them `auto` leaves the
    columns in the units of the data, and what is found is the least mean cost, of which no root is taken.

    On four devices: `brenier fit control.npy treated.npy -o effect.brenier --shards 4`; on those of all processes that
    `srun` or `mpirun` start: `brenier fit control.npy treated.npy -o effect.brenier --distributed`. The first process
    writes.

    Single cells: `brenier fit control.h5ad treated.h5ad --obsm X_pca --condition cell_type -o effect.brenier`
    """
    with (
        leaving_together(distributed),
        reporting(
            as_json,
            X=source,
            Y=target,
            x_condition=source,
            y_condition=target,
            cost="--cost",
            checkpoint="--checkpoint",
            condition_types="--condition-type",
            dequantize="--dequantize",
            trim="--trim",
            x_weight=f"{source}, column {weight}",
            y_weight=f"{target}, column {weight}",
        ),
    ):
        leads = join(distributed, coordinator, processes, process)
        check_map_output(output, source, target)
        if report is not None:
            check_report(report, source, target, output)
        widths, own_cost = dequantize_widths(dequantize), read_cost(cost)
        if not condition:
            condition_types(condition_type, ())  # before columns of conditions are read as points
        whole = partial(read_cloud, conditions=condition or (), weight=weight)

        def read(path: Path, part_or_key: str | None) -> Cloud:
            # Columns of conditions and weights would be taken for points: the check of a table that has some says so.
            streamed = open_side(path, part_or_key, memory)
            if streamed is not None:
                check_streamed([streamed], condition=condition, weight=weight)
            return whole(path, part_or_key) if streamed is None else streamed

        clouds = read_pair(source, target, key, target_key, read, part(obsm, layer, source, target))
        check_streamed(clouds, dequantize=dequantize, trim=trim, report=report)
        check_weight(weight, clouds)
        check_names(clouds[1], clouds[0].table.columns, f"`{source}`")
        if any(cloud.image for cloud in clouds):
            # Pixels of 8 bits repeat by nature.
            warnings.filterwarnings("ignore", ".*(of the rows of .* repeat|has discrete columns)", DataWarning)
        kinds = condition_types(condition_type, clouds[0].conditions)
        conditions = {}
        if condition:
            from brenier.data.conditions import Conditions

            conditions = {
                "x_condition": Conditions(clouds[0].conditions),
                "y_condition": Conditions(clouds[1].conditions),
            }
        from brenier.estimators.brenier_map import BrenierMap
        from brenier.training import Stop

        with ending_on_sigterm(checkpoint, as_json), Interrupts() as interrupts:
            ot = BrenierMap(
                cost=own_cost,
                scale=scale,
                refit=refit,
                condition_types=kinds,
                dequantize=widths,
                trim=trim,
                random_state=seed,
                verbose=1,
                max_steps=max_steps,
                max_seconds=max_seconds,
            )
            started = time.perf_counter()
            weights = {"x_weight": clouds[0].weights, "y_weight": clouds[1].weights}
            ot.fit(*(cloud.table for cloud in clouds), **conditions, **weights, checkpoint=checkpoint, shards=shards)
            seconds = time.perf_counter() - started
            if interrupts.count > 1:
                raise KeyboardInterrupt
            map_ = ot.map_
            known = part_record(clouds) | ({} if weight is None else {"weight": weight})
            map_ = replace(map_, info={**map_.info, **known})
            if leads:
                map_.save(output)
        interrupted = ot.stop_ == Stop.interrupted.value
        if not leads:
            raise typer.Exit(INTERRUPTED if interrupted else 0)
        record = {"map": str(output), "rows": [cloud.rows for cloud in clouds]}
        record |= summary(ot) | cost_record(own_cost) | {"seconds": seconds, "interrupted": interrupted}
        record["dequantized"] = ot.map_.info.get("dequantized")
        record["carried"] = ot.map_.info.get("carried")
        record["conditions"] = describe_space(ot.map_.conditions) if condition else None
        record["weight"] = weight
        record["trimmed"] = trim
        record["resumed_from"] = resumed_record(ot)
        record["streamed"] = streamed_record(clouds)
        lines = [*_lines(record, map_, cost_line(map_)), *weight_lines(clouds), *streamed_line(clouds)]
        lines += resumed_lines(ot)
        if report is not None:
            page = write_page(map_, list(clouds), report, conditions=list(conditions.values()), map_path=str(output))
            record["report"] = str(report)
            lines += report_lines(report, page)
        print_result(record, lines, as_json=as_json)
        if interrupted:
            raise typer.Exit(INTERRUPTED)


def summary(ot: "BrenierMap") -> dict[str, Any]:
    """The result of a fit as JSON values; `w2`, `dual` and the gain are null if no network was trained.

    For costs other than squared distances, `w2` is null and `dual` is the least mean cost.
    """
    last = ot.history_[-1] if ot.history_ else None
    kept = next((row for row in reversed(ot.history_) if row.best), None)
    w2 = dual = gain = error = None
    if last is not None:
        dual, gain, error = last.dual - last.gain, 0.0, 0.0
        if kept is not None and not ot.baseline_:
            dual, gain, error = kept.dual, kept.gain, kept.error
        w2 = max(2.0 * dual, 0.0) ** 0.5 if ot.map_.geometry.quadratic else None
    return {
        "dim": ot.n_features_in_,
        "columns": ot.map_.columns,
        "w2": w2,
        "dual": dual,
        "gain": gain,
        "gain_error": error,
        "baseline": ot.baseline_,
        "unconverged": None if last is None else last.unconverged,
        "steps": ot.n_iter_,
        "stop": ot.stop_,
    }


def _lines(record: dict[str, Any], map_: Any, cost: list[tuple[str, str]]) -> list[tuple[str, str]]:  # noqa: ANN401
    columns, baseline = "columns" if record["dim"] > 1 else "column", map_.geometry.baseline_name
    gaussian, mean = ("Gaussian maps", ", mean over conditions") if record["conditions"] else (baseline, "")
    gain = f"{number(record['gain'], 3)} +- {number(record['gain_error'], 2)} above that of the {gaussian}"
    if record["baseline"]:
        gain = f"no network beat the {gaussian} by more than chance"
    kind, estimates = ", Gaussian", []
    if not map_.geometry.quadratic:
        kind = f", the {baseline}"
        text = f"{number(record['dual'])}   on held-out points; {gain}"
        estimates = [("Least mean cost", text)] if record["dual"] is not None else []
    elif record["w2"] is not None:
        text = f"{number(record['w2'])}   on held-out points{mean}, {unit_of(map_)}; neither squared nor halved"
        estimates = [("W2", text), ("Dual", f"{number(record['dual'])}   estimate of W2^2 / 2; {gain}")]
    lines = [
        ("Map", f"{record['map']}   {record['dim']} {columns}{kind if record['baseline'] else ''}"),
        *space_lines(record["conditions"]),
        *cost,
        *estimates,
        ("Steps", f"{record['steps']} in {record['seconds']:.1f} s"),
        ("Stop", record["stop"]),
    ]
    if record["dequantized"]:
        lines.append(("Noise", widths_line(record["dequantized"], record["columns"])))
    if record["carried"]:
        lines.append(("Constant", carried_line(record["carried"], record["columns"])))
    return lines
