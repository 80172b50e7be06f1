"""Accuracy on the Gaussian pairs of Park et al. 2026, whose map is known in closed form, within 20 seconds.

Each cell is one process, `brenier bench gaussian ... --json`, pinned to one core where the system can do that; nothing
else should run meanwhile. Cells that the results file has are not run again.

    python benchmarks/gaussians.py --data ../shared/data --seeds 0 1 2
"""

import argparse
import statistics
from pathlib import Path

from cells import cells

DIMS = (2, 4, 8, 16, 64)
SECONDS = 20
LINES = (
    ("forward L2-UVP %", "l2_uvp_forward", 4),
    ("inverse L2-UVP %", "l2_uvp_inverse", 4),
    ("unconverged share of the inverse", "unconverged_fraction", 4),
    ("steps", "steps", 0),
    ("seconds", "seconds", 1),
    ("peak memory, MB", "peak_memory_mb", 0),
)


def table(records: dict[tuple[int, int], dict]) -> str:
    """Markdown: median over seeds, and each seed's value in brackets."""
    lines = ["| | " + " | ".join(f"d = {dim}" for dim in DIMS) + " |", "|---" * (len(DIMS) + 1) + "|"]
    for label, field, digits in LINES:
        texts = []
        for dim in DIMS:
            values = [row[field] for (of, _), row in records.items() if of == dim and field in row]
            every = ", ".join(f"{value:.{digits}f}" for value in values)
            texts.append(f"{statistics.median(values):.{digits}f} ({every})" if values else "failed")
        lines.append(f"| {label} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/gaussians.jsonl"))
    options = parser.parse_args()
    commands = {}
    for seed in options.seeds:
        for dim in DIMS:
            pair = str(options.data / "gaussians" / f"{dim}D_Test_Distributions.npz")
            words = ["bench", "gaussian", "--pair", pair, "--seconds", str(SECONDS), "--seed", str(seed), "--json"]
            commands[dim, seed] = words
    print(table(dict(cells(commands, options.out, options.core))))


if __name__ == "__main__":
    main()
