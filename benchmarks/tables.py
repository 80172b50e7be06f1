"""Reproduce the accuracy tables of README.md beside this file.

Each cell is one process, `brenier bench ... --json`, pinned to one core where the system can do that; nothing else
should run meanwhile. Results are appended to a file as JSON lines, so that an interrupted run can be continued:
cells that are there already are not run again.

    python benchmarks/tables.py --data ../shared/data --seeds 0 1 2 --out results.jsonl
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

W2 = {2: 60, 4: 60, 8: 60, 16: 60, 64: 120}
GAUSSIAN = dict.fromkeys((2, 4, 8, 16, 64), 20)


def commands(data: Path, seeds: list[int]) -> list[tuple[str, list[str]]]:
    """A name and a command for every cell."""
    cells = []
    for seed in seeds:
        for dim, seconds in W2.items():
            cells.append(("w2", dim, seconds, seed, data / "w2bench" / f"{dim}.npz"))
    for seed in seeds:
        for dim, seconds in GAUSSIAN.items():
            pair = data / "gaussians" / f"{dim}D_Test_Distributions.npz"
            cells.append(("gaussian", dim, seconds, seed, pair))
    return [
        (
            f"{kind} {dim} {seed}",
            ["bench", kind, "--pair", str(pair), "--seconds", str(seconds), "--seed", str(seed), "--json"],
        )
        for kind, dim, seconds, seed, pair in cells
    ]


def run(command: list[str], core: int) -> dict:
    """One cell; a failure is a row that says how."""
    pinned = ["taskset", "-c", str(core)] if shutil.which("taskset") else []
    done = subprocess.run(
        [*pinned, sys.executable, "-m", "brenier", *command], capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout) if done.returncode == 0 else {"failed": done.returncode, "error": done.stderr[-500:]}


def table(rows: dict[str, dict]) -> str:
    """The Markdown table: median over seeds, and each seed's value in brackets."""
    lines = []
    for kind, dims in (("w2", W2), ("gaussian", GAUSSIAN)):
        lines += [f"| {kind} pair | " + " | ".join(f"d = {dim}, {s} s" for dim, s in dims.items()) + " |"]
        lines += ["|---" * (len(dims) + 1) + "|"]
        for label, field, digits in (
            ("forward L2-UVP %", "l2_uvp_forward", 3),
            ("inverse L2-UVP %", "l2_uvp_inverse", 3),
            ("best Gaussian map, forward %", "linear_uvp_forward", 3),
            ("unconverged share of the inverse", "unconverged_fraction", 4),
            ("steps", "steps", 0),
            ("seconds", "seconds", 1),
            ("peak memory, MB", "peak_memory_mb", 0),
        ):
            cells = []
            for dim in dims:
                values = [
                    row[field] for name, row in rows.items() if name.startswith(f"{kind} {dim} ") and field in row
                ]
                spread = ", ".join(f"{value:.{digits}f}" for value in values)
                cells.append(f"{statistics.median(values):.{digits}f} ({spread})" if values else "-")
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results.jsonl"))
    parser.add_argument("--core", type=int, default=0)
    options = parser.parse_args()
    rows: dict[str, dict] = {}
    if options.out.exists():
        rows = {row["cell"]: row for row in map(json.loads, options.out.read_text().splitlines())}
    for name, command in commands(options.data, options.seeds):
        if name not in rows:
            rows[name] = {"cell": name, **run(command, options.core)}
            with options.out.open("a") as file:
                file.write(json.dumps(rows[name]) + "\n")
            print(
                name,
                {k: rows[name].get(k) for k in ("l2_uvp_forward", "l2_uvp_inverse", "seconds", "error")},
                flush=True,
            )
    print(table(rows))


if __name__ == "__main__":
    main()
