"""Peak memory of a fit and a transform of data that are larger than memory.

    python benchmarks/memory.py --gigabytes 20

Writes two sparse .npy files of so many gigabytes each: rows of zeros, and blocks of random rows in between, evenly
spread, so that the points have a spread. Each command runs in a process of its own, whose peak of resident memory the
operating system tells; `--limit` is compared with it, and the script fails if it is exceeded.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

DIM = 8


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory of fit and transform.")
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--limit", type=float, default=1.0, help="gigabytes of resident memory")
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--memory", default="256MB")
    parser.add_argument("--transform", type=float, default=None, help="gigabytes to transform; all by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="brenier-memory-") as name:
        folder = Path(name)
        for seed, side in enumerate(("x", "y")):
            sparse(folder / f"{side}.npy", options.gigabytes, seed)
        moved = folder / "x.npy"
        if options.transform is not None:
            moved = folder / "part.npy"
            sparse(moved, options.transform, 0)
        memory = ["--memory", options.memory]
        fit = ["fit", "x.npy", "y.npy", "-o", "m.brenier", "--max-steps", str(options.steps), *memory]
        peaks = [
            measure("fit", folder, fit, 2 * options.gigabytes),
            measure("transform", folder, ["transform", "m.brenier", moved.name, "-o", "out.npy", *memory], size(moved)),
        ]
    if max(peaks) > options.limit:
        sys.exit(f"more than {options.limit} GB")


def sparse(path: Path, gigabytes: float, seed: int) -> None:
    """A file of zeros that takes no room on the disk, but for 256 blocks of random rows."""
    rows = int(gigabytes * 1e9) // (8 * DIM)
    rng = np.random.default_rng(seed)
    with open(path, "wb") as handle:
        np.lib.format.write_array_header_1_0(handle, {"descr": "<f8", "fortran_order": False, "shape": (rows, DIM)})
        offset = handle.tell()
        handle.truncate(offset + rows * DIM * 8)
        count = max(rows // 256 // 50, 1)  # two in a hundred rows
        for start in np.linspace(0, rows - count, 256).astype(int):
            handle.seek(offset + int(start) * DIM * 8)
            handle.write((rng.normal(size=(count, DIM)) * (1 + seed) + seed).tobytes())


def size(path: Path) -> float:
    return path.stat().st_size / 1e9


def measure(what: str, folder: Path, arguments: list[str], gigabytes: float) -> float:
    """Run a command, and return its peak of resident memory in gigabytes."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "brenier", *arguments], cwd=folder)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{what} failed")
    peak = usage.ru_maxrss * 1024 / 1e9
    print(f"{what}: {gigabytes:.1f} GB of data, peak {peak:.2f} GB, {time.perf_counter() - started:.0f} s", flush=True)
    return peak


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
