"""Reproduce the tables of README.md beside this file that compare brenier with other solvers.

Each cell is one command, `brenier bench peers ... --json`, pinned to one core where the system can do that; nothing
else should run on it meanwhile. Results are appended to a file as JSON lines, and cells that are there already are not
run again.

    python benchmarks/peers.py --data ../shared/data --seeds 3 --method brenier --method enot
    python benchmarks/peers.py --data ../shared/data --finite 500 2000 10000 --seconds 120
    python benchmarks/peers.py --short
"""

import argparse
from pathlib import Path

from cells import cells

BUDGETS = {2: 60, 4: 60, 8: 60, 16: 60, 64: 120}
FINITE = (2, 8, 16, 64)
SHORT = {2: 30, 16: 30}


def command(data: Path, dim: int, seconds: float, options: argparse.Namespace, size: int | None) -> list[str]:
    """The command of one cell."""
    words = ["bench", "peers", "--pair", str(data / "w2bench" / f"{dim}.npz"), "--seconds", f"{seconds:g}"]
    words += ["--seed", str(options.seed), "--seeds", str(options.seeds), "--json"]
    words += [] if size is None else ["--finite", str(size)]
    return [*words, *(word for name in options.method for word in ("--method", name))]


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """A name and a command for every cell."""
    if options.finite:
        return {
            f"d = {dim}, n = {size}": command(options.data, dim, options.seconds or 120, options, size)
            for dim in options.dims or FINITE
            for size in options.finite
        }
    budgets = SHORT if options.short else BUDGETS
    return {
        f"d = {dim}, {options.seconds or budgets[dim]:g} s": command(
            options.data, dim, options.seconds or budgets[dim], options, None
        )
        for dim in options.dims or budgets
    }


def text(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}g}" if value < 1000 else f"{value:.0f}"


def table(results: dict[str, dict]) -> str:
    """Markdown: a line a method and cell, errors as medians over seeds."""
    lines = [
        "| pair | method | forward % | of brenier's | inverse % | of brenier's | spread | diverged | steps | s | MB |",
        "|---" * 11 + "|",
    ]
    for name, record in results.items():
        for row in record.get("table", []):
            forward, inverse = text(row["forward"]), text(row["inverse"])
            if row["failed"] and row["forward"] is None:
                forward = row["failed"].replace("|", "/").replace("\n", " ")[:80]
            fields = [name, row["method"], forward, text(row["forward_ratio"]), inverse, text(row["inverse_ratio"])]
            fields += [text(row["forward_spread"], 2), f"{row['diverged']}/{row['runs']}"]
            fields += [text(row["steps"], 6), text(row["seconds"]), text(row["peak_memory_mb"])]
            lines.append("| " + " | ".join(fields) + " |")
        if "table" not in record:
            lines.append(f"| {name} | {record.get('error', 'failed')} |" + " |" * 9)
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="instead of 60, and 120 in 64 dimensions")
    parser.add_argument("--dims", type=int, nargs="+")
    parser.add_argument("--finite", type=int, nargs="+", help="samples a side")
    parser.add_argument("--method", action="append", default=[], help="may be repeated; all by default")
    parser.add_argument("--short", action="store_true", help="two pairs, 30 s each")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/peers.jsonl"))
    options = parser.parse_args()
    results = {}
    for name, record in cells(commands(options), options.out, options.core):
        results[name] = record
        print(name, flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
