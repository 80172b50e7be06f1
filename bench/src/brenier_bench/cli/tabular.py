"""`brenier bench tabular`: a density fit to a table, measured on rows that it has not seen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from brenier.cli.console import Json, number, print_result, print_table, reporting, share, stderr
from brenier_bench.cli.shared import Device, use_device

__all__ = ["tabular"]

_COLUMNS = ("method", "NLL", "error", "rows", "fit s", "settings")


def tabular(
    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="NAME",
            help="power, gas, hepmass, miniboone, bsds300, magic-gamma, magic-hadron, breast-cancer, wine or diabetes.",
        ),
    ],
    path: Annotated[
        Path | None,
        typer.Option("--path", help="The file of the table, or a folder or archive with it; downloaded without."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the fit and of the draws.", min=0)] = 0,
    max_steps: Annotated[int | None, typer.Option(help="Training steps at most.", min=1)] = None,
    max_seconds: Annotated[
        float | None, typer.Option(help="Seconds of training at most; the evaluation comes on top.", min=0.001)
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Fit the mixture and the kernel density of scikit-learn, too.")
    ] = False,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Fit a density to a table, and measure it on the test rows.

    The fit gets the training and the validation rows, and holds out its own. The five tables of the literature are used
    as their papers have them; the others are standardised by their training rows. NLL is the mean negative
    log-likelihood in nats: lower is better. Distances of samples and images stand beside those that sampling alone
    leaves. MMD is squared, with the kernel exp(-|x - y|^2), as OT-Flow reports it.

    With `--compare`, cross-validation, or from 20,000 rows on the validation rows, choose the settings of the others.
    One that fails is a row that says how.

    Example: `brenier bench tabular --data magic-gamma --path magic04.data --seed 0 --json`
    """
    with reporting(as_json, name="--data", data="--data", path="--path"):
        use_device(device)
        from brenier_bench.datasets import load_table
        from brenier_bench.tabular import bench_tabular

        table = load_table(data, path)
        record = bench_tabular(table, seed=seed, max_steps=max_steps, max_seconds=max_seconds, compare=compare)
        print_result(record, _lines(record), as_json=as_json)
        if compare and not as_json:
            print_table(_COLUMNS, [_ours(record), *(_peer(row) for row in record["peers"])])
            for row in record["peers"]:
                if "failed" in row:
                    stderr.print(f"{row['method']}: {row['failed']}")


def _lines(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows, distance, inverse = (record[field] for field in ("rows", "distance", "inverse"))
    seconds = record["seconds"]
    sliced = (
        f"{name} {number(record[f'sliced_w2_{name}'], 3)} "
        f"(sampling alone {number(record[f'sliced_w2_{name}_floor'], 3)})"
        for name in ("samples", "image")
    )
    gaussian = "; no map beat it on held-out rows" if record["gaussian"] else ""
    lines = [
        ("Table", f"{record['name']}, {record['dim']} columns, seed {record['seed']}, on {record['device']}"),
        ("Rows", f"{rows['train']:,} and {rows['validation']:,} to learn from, {rows['test']:,} to test"),
        ("Units", record["units"]),
        (
            "NLL",
            f"{record['nll']:.4f} ± {number(record['nll_error'], 2)} nats (normal distribution "
            f"{record['nll_normal']:.4f}){gaussian}",
        ),
        (
            "MMD",
            f"{number(record['mmd'], 3)} squared, {record['points']:,} points a side (sampling alone "
            f"{number(record['mmd_floor'], 3)})",
        ),
        ("Sliced W2", f"{', '.join(sliced)}, in standard deviations"),
        (
            "W2 to the base",
            f"{number(distance['w2'])}; populations at least {number(distance['population_lower'])}, "
            f"{distance['points']:,} points a side within {number(distance['lower'])} and {number(distance['upper'])}",
        ),
        (
            "Inverse error",
            f"{number(inverse['max'], 2)} at most, {number(inverse['mean'], 2)} on average, in standard deviations; "
            f"{share(inverse['unconverged'])} unconverged",
        ),
        (
            "Cost",
            f"{seconds['fit']:.1f} s to fit, {seconds['evaluation']:.1f} s to evaluate, {record['steps']} steps, "
            f"{record['parameters']:,} parameters, {record['peak_memory_mb']:.0f} MB",
        ),
    ]
    return lines + [("Published", _published(each)) for each in record["published"] or ()]


def _published(result: Mapping[str, Any]) -> str:
    count = result["parameters"]
    parameters = "unknown" if count is None else f"{count:,}"
    return f"{result['method']}: NLL {number(result['nll'])}, MMD {number(result['mmd'])}, parameters {parameters}"


def _ours(record: Mapping[str, Any]) -> list[str]:
    fitted = record["rows"]["train"] + record["rows"]["validation"]
    seconds = f"{record['seconds']['fit']:.1f}"
    return ["brenier", f"{record['nll']:.4f}", number(record["nll_error"], 2), f"{fitted}", seconds, "defaults"]


def _peer(row: Mapping[str, Any]) -> list[str]:
    if "failed" in row:
        return [row["method"], "failed", *["-"] * (len(_COLUMNS) - 2)]
    settings = ", ".join(f"{key} {value:.3g}" for key, value in row["settings"].items())
    return [
        row["method"],
        f"{row['nll']:.4f}",
        number(row["nll_error"], 2),
        f"{row['rows']}",
        f"{row['seconds']['fit']:.1f}",
        settings,
    ]
