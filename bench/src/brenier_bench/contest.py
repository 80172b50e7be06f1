"""Methods side by side: each in its own process, one after another, on the same problem and budget."""

import json
import math
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from brenier_bench.methods import LIMIT, METHODS, OURS

__all__ = ["Contest", "compare", "summary"]

_GRACE = 120.0
"""Seconds after which a method that ignores its budget is stopped."""

Row = dict[str, Any]


class Contest(NamedTuple):
    """The problem and the budget of a comparison of methods.

    Attributes:
        kind: A key of `PAIRS`.
        path: File of the pair; its dimension, if it is random.
        seconds: Wall-clock budget of each process, everything counted.
        seeds: Each method runs once a seed, on samples that depend on it.
        size: Samples a side; `None` for samplers.
        max_steps: Training steps of brenier at most, for runs that should not depend on the machine's speed.
        device: Where JAX runs in each process; POT's methods always run on the CPU.
    """

    kind: str
    path: Path | str
    seconds: float
    seeds: Sequence[int]
    size: int | None = None
    max_steps: int | None = None
    device: str = "cpu"


def compare(contest: Contest, methods: Sequence[str], report: Callable[[Row], None] | None = None) -> list[Row]:
    """Run every method on every seed; a method that fails is a row that says how.

    Args:
        contest: What is compared.
        methods: Names from `METHODS`, brenier before the limit.
        report: Called with each row as it comes.
    """
    rows: list[Row] = []
    for seed in contest.seeds:
        steps: int | None = None
        for name in methods:
            if name == LIMIT and steps is None:
                row: Row = {"failed": f"needs the number of steps of {OURS}, which failed"}
            else:
                row = _process(contest, name, seed, steps)
            if name == OURS:
                steps = row.get("steps") or None
            rows.append({"method": name, "seed": seed, **row})
            if report is not None:
                report(rows[-1])
    return rows


def _process(contest: Contest, name: str, seed: int, steps: int | None) -> Row:
    task = {
        "method": name,
        "kind": contest.kind,
        "path": str(contest.path),
        "size": contest.size,
        "seed": seed,
        "seconds": contest.seconds,
        "steps": steps,
        "max_steps": contest.max_steps,
        "device": contest.device,
        "asked": time.time(),
    }
    command = [sys.executable, "-m", "brenier_bench.worker", json.dumps(task)]
    # The limit takes as many steps as brenier did, however long they last.
    patience = contest.seconds * (10.0 if name == LIMIT else 1.0) + _GRACE
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {patience:.0f} s"}
    if done.returncode < 0:
        return {"failed": f"killed by {signal.Signals(-done.returncode).name}, perhaps for want of memory"}
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        return {"failed": f"exit code {done.returncode}: {done.stderr.strip()[-500:]}"}


def summary(rows: Sequence[Row]) -> list[Row]:
    """One line a method: medians over seeds, their spread, ratios to brenier, and how many runs went wrong."""
    ours = _medians([row for row in rows if row["method"] == OURS])
    table = []
    for name in dict.fromkeys(row["method"] for row in rows):
        of_method = [row for row in rows if row["method"] == name]
        finished = [row for row in of_method if "failed" not in row]
        line: Row = {"method": name, "label": METHODS[name].label, "runs": len(of_method)}
        line["failed"] = next((row["failed"] for row in of_method if "failed" in row), None)
        line["diverged"] = sum(bool(row.get("diverged")) for row in finished) + len(of_method) - len(finished)
        for side, median in _medians(of_method).items():
            values = _values(finished, side)
            line[side], line[f"{side}_spread"] = median, (max(values) - min(values)) if values else None
            line[f"{side}_ratio"] = _ratio(median, ours[side])
        for field in ("seconds", "steps", "peak_memory_mb"):
            values = [row[field] for row in finished if row.get(field) is not None]
            line[field] = statistics.median(values) if values else None
        table.append(line)
    return table


def _ratio(value: float | None, reference: float | None) -> float | None:
    return value / reference if value is not None and reference else None


def _medians(rows: Sequence[Row]) -> dict[str, float | None]:
    sides = {}
    for side in ("forward", "inverse"):
        values = _values(rows, side)
        sides[side] = statistics.median(values) if values else None
    return sides


def _values(rows: Sequence[Row], side: str) -> list[float]:
    """Errors of a side; those that are not finite count as infinite, so that they cannot improve a median."""
    errors = [row.get(f"l2_uvp_{side}") for row in rows if "failed" not in row]
    return [error if math.isfinite(error) else math.inf for error in errors if error is not None]
