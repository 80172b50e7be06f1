"""`brenier bench peers`: brenier beside other solvers, each in its own process with the same budget."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brenier.cli.console import Json, number, print_record, print_table, reporting, stderr
from brenier_bench.cli.shared import Device, print_run, use_device

if TYPE_CHECKING:
    from brenier_bench.contest import Row

__all__ = ["peers"]


def peers(
    pair: Annotated[Path | None, typer.Option("--pair", help="The .npz file of a benchmark pair.")] = None,
    gaussian: Annotated[Path | None, typer.Option("--gaussian", help="The .npz file of a pair of Gaussians.")] = None,
    random: Annotated[int | None, typer.Option("--random", help="Columns of a pair that is made up.", min=2)] = None,
    finite: Annotated[
        int | None, typer.Option("--finite", help="Samples a side, instead of samplers without end.", min=20)
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="Wall-clock budget of each method; imports, compilation and sampling count.", min=1.0)
    ] = 60.0,
    seed: Annotated[int, typer.Option(help="First seed of the fits and of the samples.", min=0)] = 0,
    seeds: Annotated[int, typer.Option(help="Number of seeds: medians and spreads are over them.", min=1)] = 1,
    method: Annotated[
        list[str] | None, typer.Option("--method", help="Run this method; may be repeated. All by default.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(help="Training steps of brenier at most.", min=1)] = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Compare with other solvers on a pair whose optimal map is known.

    Each method runs alone, on the cores that this command may use, with the same samples, test points and seconds.
    Errors are L2-UVP in percent; a ratio above one means that brenier's error is smaller. The method `limit` is
    brenier's own network, fitted to the exact map for as many steps. A method that fails is a row that says how.

    With `--finite`, methods get that many samples a side, and brenier its defaults, whatever the seconds.

    Example: `brenier bench peers --pair 16.npz --seconds 60 --seed 0 --json`
    """
    with reporting(as_json):
        from brenier._errors import InputError
        from brenier_bench.contest import Contest, compare, summary
        from brenier_bench.methods import choose_methods
        from brenier_bench.problem import PAIRS

        given = {kind: value for kind, value in (("w2", pair), ("gaussian", gaussian), ("random", random)) if value}
        if len(given) != 1:
            raise InputError("give one of `--pair FILE.npz`, `--gaussian FILE.npz` and `--random DIM`.")
        (kind, value) = given.popitem()
        use_device("cpu")  # what is asked for is left to the processes of the methods
        dim = PAIRS[kind](str(value)).dim
        names = choose_methods(method, finite=finite is not None)
        contest = Contest(kind, str(value), seconds, range(seed, seed + seeds), finite, max_steps, device)
        rows = compare(contest, names, _report)
        table = summary(rows)
        problem = {"kind": kind, "dim": dim, "finite": finite, "seconds": seconds, "seeds": list(contest.seeds)}
        if as_json:
            print_record({"problem": problem, "table": table, "runs": rows})
            return
        print_table(
            ("method", "forward %", "ratio", "inverse %", "ratio", "spread", "diverged", "steps", "seconds", "MB"),
            [_line(line) for line in table],
        )
        for line in table:
            if line["failed"] is not None:
                stderr.print(f"{line['method']}: {line['failed']}")


def _report(row: "Row") -> None:
    print_run(f"{row['method']}, seed {row['seed']}", row, "seconds")


def _line(line: dict[str, Any]) -> list[str]:
    def text(field: str, digits: int = 3) -> str:
        return "-" if line[field] is None else number(line[field], digits)

    def whole(field: str) -> str:
        return "-" if line[field] is None else f"{line[field]:.0f}"

    return [
        line["label"],
        text("forward"),
        text("forward_ratio"),
        text("inverse"),
        text("inverse_ratio"),
        text("forward_spread", 2),
        f"{line['diverged']}/{line['runs']}",
        whole("steps"),
        whole("seconds"),
        whole("peak_memory_mb"),
    ]
