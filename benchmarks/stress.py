"""Two hundred hard problems: whether all numbers are numbers, bounds hold, and what is not solved says so.

Each problem is a mixture of heavy tails, covariances of any condition or rank, near-copies of rows, supports far apart
or far from the origin, and tiny or huge units, drawn from its seed; see `brenier_bench.stress`. Problems that the
results file has are not run again, so that a run can be interrupted, and several processes can share the work.

    python benchmarks/stress.py --seeds 0 200
    python benchmarks/stress.py --only 17
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

from brenier_bench.stress import StressProblem
from brenier_bench.stress_checks import ERRORS, FAILURES, examine

MOST_MAPPINGS = 20_000
"""Mappings of memory, some for each compiled program, of which Linux allows a process some 65,000."""

HEAD = (
    "kind",
    "problems",
    "refused",
    "Gaussian map",
    "certified",
    "rows flagged",
    "worst residual",
    "copies",
    "failed",
)


def table(records: list[dict]) -> str:
    """Markdown: a line for each kind of trouble, then the failures."""
    kinds = sorted({kind for record in records for kind in record["kinds"]})
    lines = ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
    for kind in [*kinds, "all"]:
        rows = [record for record in records if kind == "all" or kind in record["kinds"]]
        used = [row for row in rows if row["refused"] is None and row["crashed"] is None]
        counts = (
            len(rows),
            sum(row["refused"] is not None for row in rows),
            sum(row["gaussian"] for row in used),
            sum(row.get("certified", False) for row in used),
            sum(row.get("unconverged", 0) for row in used),
            f"{max((row.get('worst_converged', 0.0) for row in used), default=0.0):.2g}",
            sum(row["gain"] < -ERRORS * row["gain_error"] and not row[FAILURES] for row in used),
            sum(bool(row[FAILURES]) for row in rows),
        )
        lines.append(f"| {kind} | " + " | ".join(map(str, counts)) + " |")
    refused = [row for row in records if row["refused"] is not None]
    if refused:
        lines.append("\nRefused: " + ", ".join(f"{row['seed']} ({row['refused'][:40]}...)" for row in refused))
    lines += [f"\n- {row['problem']}: " + "; ".join(row[FAILURES]) for row in records if row[FAILURES]]
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 200], help="first, and end")
    parser.add_argument("--part", type=int, nargs=2, default=[0, 1], help="which part of how many that share the work")
    parser.add_argument("--only", type=int, help="one problem; prints its record")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/stress.jsonl"))
    parser.add_argument("--table", action="store_true", help="only print the table of what there is")
    options = parser.parse_args()
    if options.only is not None:
        print(json.dumps(examine(StressProblem.drawn(options.only)), indent=1))
        return
    done = {}
    if options.out.exists():
        done = {row["seed"]: row for row in map(json.loads, options.out.read_text().splitlines())}
    # One number of columns after another: they share programs.
    problems = sorted(map(StressProblem.drawn, range(*options.seeds)), key=lambda own: (own.dim, own.seed))
    part, parts = options.part
    dims = sorted({problem.dim for problem in problems})[part::parts]
    for problem in problems:
        seed = problem.seed
        if seed not in done and problem.dim in dims and not options.table:
            done[seed] = examine(problem)
            with options.out.open("a") as file:
                file.write(json.dumps(done[seed]) + "\n")
            if Path("/proc/self/maps").read_bytes().count(b"\n") > MOST_MAPPINGS:
                jax.clear_caches()
    print(table([done[seed] for seed in sorted(done)]))


if __name__ == "__main__":
    main()
