"""`brenier density`: learn a density from a file."""

import math
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brenier._errors import DataWarning
from brenier.cli.cells import Layer, Obsm, key_of, part, part_record
from brenier.cli.checkpoint import Checkpoint, ending_on_sigterm, resumed_lines, resumed_record
from brenier.cli.clouds import (
    FORMATS,
    Key,
    check_map_output,
    check_weight,
    read_cloud,
    weight_lines,
)
from brenier.cli.console import INTERRUPTED, Json, number, print_result, reporting, widths_line
from brenier.cli.options import Dequantize, MaxSeconds, Refit, Seed, dequantize_widths
from brenier.cli.progress import Interrupts

if TYPE_CHECKING:
    from brenier.estimators.brenier_density import BrenierDensity

__all__ = ["density"]


def density(
    data: Annotated[Path, typer.Argument(metavar="DATA", help=f"Points: {FORMATS}, whose pixels are its points.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="MAP", help="Map file to write.")],
    seed: Seed = 0,
    max_steps: Annotated[
        int | None, typer.Option(metavar="N", help="Budget in training steps; 3072 unless --max-seconds is given.")
    ] = None,
    max_seconds: MaxSeconds = None,
    refit: Refit = True,
    weight: Annotated[str | None, typer.Option(metavar="COL", help="Column with the weight of each row.")] = None,
    dequantize: Dequantize = None,
    obsm: Obsm = None,
    layer: Layer = None,
    checkpoint: Checkpoint = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Learn the density of the distribution that DATA is a sample of, and save it.

    The file holds one point a row. What is saved is the optimal-transport map that makes the data normal, learned by
    maximum likelihood: `brenier logpdf` evaluates its density, `brenier sample` draws from it. It starts at the normal
    distribution with the moments of the data, and stays there if no network is better on held-out rows by more than
    chance.

    Ctrl-C ends the training and saves the best density so far (exit code 130); a second Ctrl-C saves nothing. With
    --checkpoint, SIGTERM saves a checkpoint before it ends the command (exit code 143).

    Example: `brenier density events.csv -o events.brenier --max-seconds 60`
    """
    with reporting(
        as_json, X=data, checkpoint="--checkpoint", dequantize="--dequantize", sample_weight=f"{data}, column {weight}"
    ):
        check_map_output(output, data)
        widths = dequantize_widths(dequantize)
        cloud = read_cloud(data, key_of(data, key, part(obsm, layer, data)), weight=weight)
        check_weight(weight, [cloud])
        if cloud.image:
            # Pixels of 8 bits repeat by nature.
            warnings.filterwarnings("ignore", ".*of the rows of .* repeat", DataWarning)
        from brenier.estimators.brenier_density import BrenierDensity
        from brenier.training import Stop

        with ending_on_sigterm(checkpoint, as_json), Interrupts() as interrupts:
            fitted = BrenierDensity(
                max_steps=max_steps,
                max_seconds=max_seconds,
                refit=refit,
                dequantize=widths,
                random_state=seed,
                verbose=1,
            )
            started = time.perf_counter()
            fitted.fit(cloud.table, sample_weight=cloud.weights, checkpoint=checkpoint)
            seconds = time.perf_counter() - started
            if interrupts.count > 1:
                raise KeyboardInterrupt
            map_ = fitted.map_
            known = part_record([cloud]) | ({} if weight is None else {"weight": weight})
            replace(map_, info={**map_.info, **known}).save(output)
        interrupted = fitted.stop_ == Stop.interrupted.value
        record = {"map": str(output), "rows": len(cloud.table.values)} | _summary(fitted)
        record |= {"seconds": seconds, "interrupted": interrupted, "weight": weight}
        record["dequantized"] = fitted.map_.info.get("dequantized")
        record["resumed_from"] = resumed_record(fitted)
        lines = [*_lines(record), *weight_lines([cloud]), *resumed_lines(fitted)]
        print_result(record, lines, as_json=as_json)
        if interrupted:
            raise typer.Exit(INTERRUPTED)


def _summary(fitted: "BrenierDensity") -> dict[str, Any]:
    """The result of a fit as JSON values; log likelihood and gain are null if no network was evaluated."""
    rows = [row for row in fitted.history_ if math.isfinite(row.log_likelihood)]
    kept = next((row for row in reversed(rows) if row.best), None)
    value = gain = error = None
    if kept is not None and not fitted.baseline_:
        value, gain, error = kept.log_likelihood, kept.gain, kept.error
    elif rows:
        value, gain, error = rows[-1].log_likelihood - rows[-1].gain, 0.0, 0.0
    return {
        "dim": fitted.n_features_in_,
        "columns": fitted.map_.columns,
        "log_likelihood": value,
        "gain": gain,
        "gain_error": error,
        "baseline": fitted.baseline_,
        "steps": fitted.n_iter_,
        "stop": fitted.stop_,
    }


def _lines(record: dict[str, Any]) -> list[tuple[str, str]]:
    columns = "columns" if record["dim"] > 1 else "column"
    kind = ", the normal distribution" if record["baseline"] else ""
    gain = f"{number(record['gain'], 3)} +- {number(record['gain_error'], 2)} nats a row above the normal distribution"
    if record["baseline"]:
        gain = "none: no network beat the normal distribution by more than chance"
    value = f"{number(record['log_likelihood'])} nats a row   on held-out rows, for volumes in the units of the data"
    lines = [
        ("Map", f"{record['map']}   {record['dim']} {columns}{kind}"),
        ("Log-likelihood", value),
        ("Gain", gain),
        ("Steps", f"{record['steps']} in {record['seconds']:.1f} s"),
        ("Stop", record["stop"]),
    ]
    if record["dequantized"] is not None:
        lines.append(("Noise", widths_line(record["dequantized"], record["columns"])))
    return lines if record["log_likelihood"] is not None else [lines[0], *lines[3:]]
