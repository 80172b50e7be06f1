"""One method on one problem in a process of its own: `python -m brenier_bench.worker '{...}'` prints one JSON line."""

import json
import sys
import time
import traceback
from typing import Any

_AHEAD = 1.0
"""Seconds kept for what follows training, compiled before it."""


def run(task: dict[str, Any], started: float) -> dict[str, Any]:
    """Fit and score.

    Args:
        task: `method`, `kind` and `path` of the pair, `seed`, `size`, `seconds`, `max_steps`, `steps` and `device`.
        started: `time.perf_counter()` at which the process was asked for.
    """
    import jax

    jax.config.update("jax_platforms", task.get("device", "cpu"))
    from brenier_bench.exact import bench_problem
    from brenier_bench.method import peak_memory, score
    from brenier_bench.methods import LIMIT, METHODS, OURS
    from brenier_bench.problem import PAIRS, Clock, Problem

    problem = Problem.of(PAIRS[task["kind"]](task["path"]), task["seed"], task.get("size"))
    seconds, name = task["seconds"], task["method"]
    if name == OURS and problem.size is None:
        return bench_problem(problem, seconds=seconds, started=started, max_steps=task.get("max_steps"))
    fit = METHODS[name].load()
    options = {"max_steps": task.get("max_steps")} if name in (OURS, LIMIT) else {}
    options |= {"steps": task.get("steps")} if name == LIMIT else {}
    record = score(problem, fit(problem, Clock(seconds, started, _AHEAD), **options))
    return record | {"seconds": round(time.perf_counter() - started, 3), "peak_memory_mb": peak_memory()}


def main() -> None:
    """Read the task from the command line; whatever happens, print one line that says so."""
    # The process was asked for a moment before its own clock began.
    task = json.loads(sys.argv[1])
    started = time.perf_counter() - max(time.time() - task["asked"], 0.0)
    try:
        record = run(task, started)
    except Exception as error:  # noqa: BLE001 - a row says how its method failed
        traceback.print_exc()
        record = {"failed": f"{type(error).__name__}: {error}"}
    print(json.dumps(record))  # noqa: T201 - this is the process's answer


if __name__ == "__main__":
    main()
