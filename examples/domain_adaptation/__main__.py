"""Gammas and hadrons at a detector that answers otherwise than the simulation, by brenier and by others, in one table.

cd examples
python -m domain_adaptation --data magic04.data --shift warped --seeds 0 1 2 --output domain-adaptation.png
"""

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from brenier import InputError
from brenier.cli.console import print_record, stderr
from brenier.files.atomic import check_writable
from domain_adaptation.events import matched, read, split
from domain_adaptation.figure import write_figure
from domain_adaptation.methods import METHODS
from domain_adaptation.scores import CLASSIFIERS, measure, summary
from domain_adaptation.shifts import SHIFTS

__all__ = ["lines", "main"]

Record = dict[str, Any]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="domain_adaptation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [method.name for method in METHODS]
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="magic04.data of the UCI repository.")
    parser.add_argument("--shift", choices=list(SHIFTS), default="warped", help="How the detector answers.")
    parser.add_argument(
        "--seeds", type=_whole(0), nargs="+", default=[0], metavar="K", help="One cut and fit for each."
    )
    parser.add_argument(
        "--shares", type=_share, metavar="P", help="Share of gammas in the target; as in the source by default."
    )
    parser.add_argument("--classifier", choices=list(CLASSIFIERS), default="boosting")
    parser.add_argument("--methods", choices=names, nargs="+", default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--max-steps", type=_whole(1), default=2048, metavar="N", help="Budget of brenier.")
    parser.add_argument("--events", type=_whole(400), metavar="N", help="Take so many only.")
    parser.add_argument("--json", action="store_true", help="Print one JSON object on stdout, and nothing else.")
    parser.add_argument("--output", "-o", type=Path, metavar="FILE", help="Draw a figure; PNG.")
    return parser


def main(words: list[str] | None = None) -> None:
    """Run the command line."""
    parser = _parser()
    options = parser.parse_args(words)
    if len(set(options.seeds)) < len(options.seeds):
        parser.error("argument --seeds: every seed may be there once only")
    try:
        if options.output is not None:
            check_writable(options.output)
        values, labels = read(options.data)
        # On a busy machine, small fits of trees on several cores can take ten times as long as on one.
        with threadpool_limits(1):
            records, clouds = _run(values, labels, options)
        table = summary(records)
        if options.output is not None:
            write_figure(options.output, table, clouds, options.shift)
    except InputError as error:
        parser.error(str(error))
    if options.json:
        told = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
        print_record({"options": told, "table": table, "records": records})
    else:
        typer.echo("\n".join(lines(table)))


def _run(
    values: NDArray[np.float64], labels: NDArray[np.int_], options: argparse.Namespace
) -> tuple[list[Record], dict[str, NDArray[np.float64]]]:
    """Records of all seeds, and for the figure the events of the first: source, target, and moved by brenier."""
    records, clouds = [], {}
    for seed in options.seeds:
        shift = SHIFTS[options.shift]
        task = split(values, labels, shift, seed=seed, events=options.events, shares=options.shares)
        methods = [(method, task) for method in METHODS if method.name in options.methods]
        if options.shares is not None:
            own = matched(task, options.shares)
            methods += [(method._replace(name=f"{method.name}, shares known"), own) for method, _ in methods[:1]]
        told = {"classifier": options.classifier, "max_steps": options.max_steps, "seed": seed}
        if not clouds:
            clouds = {"source": task.x, "target": task.y}
        for record, moved in measure(task, methods, **told):
            stderr.print(f"seed {seed}: {record['method']}")
            for attempt in record.get("tries", ()):
                _report(attempt)
            records.append(record)
            if record["method"] == "brenier" and moved is not None:
                clouds.setdefault("moved", moved)
    return records, clouds


def _report(attempt: Record) -> None:
    """What a method said of itself with some settings, on stderr."""
    settings = ", ".join(f"{name}={value:g}" for name, value in attempt["settings"].items())
    said = [f"failed: {attempt['failed']}"] if "failed" in attempt else attempt["warnings"]
    for text in said:
        stderr.print(f"  {settings}{': ' if settings else ''}{text}")


def lines(table: list[Record]) -> list[str]:
    """The table for people: medians over seeds, and in parentheses the value for each; where all failed, how."""
    heads = (
        "method",
        "points a side, at most",
        "accuracy %, retrained",
        "restored %",
        "AUC",
        "accuracy %, moved back",
        "AUC",
    )
    out = ["| " + " | ".join((*heads, "processor seconds")) + " |", "|---" * (len(heads) + 1) + "|"]
    for row in table:
        if row["retrained_accuracy"] is None:
            out.append(f"| {row['method']} | {row['points']} | failed: {row['failed']} |" + " |" * 5)
            continue
        failed = f" (of some seeds; failed: {row['failed']})" if row["failed"] else ""
        cells = [row["method"] + failed, f"{row['points']:,}" if row["points"] else ""]
        cells += [_percent(row["retrained_accuracy"]), _plain(row["restored"], 0), _auc(row["retrained_auc"])]
        cells += [_percent(row["back_accuracy"]), _auc(row["back_auc"])]
        cells.append(_plain(row["seconds"] or None, 0 if (row["seconds"] or 0) >= 10 else 1))
        out.append("| " + " | ".join(cells) + " |")
    return out


def _percent(score: Record | None) -> str:
    if score is None:
        return ""
    each = ", ".join(f"{100 * value:.1f}" for value in score["each"])
    return f"{100 * score['median']:.1f} ({each})" if len(score["each"]) > 1 else each


def _auc(score: Record | None) -> str:
    return "" if score is None else f"{score['median']:.3f}"


def _plain(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _whole(least: int) -> Any:  # noqa: ANN401 - what argparse takes as a type
    def whole(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least {least}")
        return int(text)

    return whole


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.05 <= value <= 0.95:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0.05 to 0.95")
    return value


if __name__ == "__main__":
    main()
