"""Where the time of a run goes: a table of its files, from the output of pytest, and of an older run beside it.

    python -m pytest --numprocesses 2 --durations=0 --durations-min=0 > run.log
    python tests/seconds.py run.log [older.log]

Seconds are those of all workers together, fixtures included. Without `--durations-min=0` pytest leaves out what took
less than five milliseconds, and tests of that kind are not counted.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

_LINE = re.compile(r"^([0-9.]+)s (?:call|setup|teardown) +(\S+?\.py)::(.*)$", re.MULTILINE)


def seconds(log: str) -> dict[str, tuple[float, int]]:
    """Seconds and number of tests of every file."""
    spent: dict[str, float] = defaultdict(float)
    names: dict[str, set[str]] = defaultdict(set)
    for took, file, name in _LINE.findall(log):
        spent[file] += float(took)
        names[file].add(name)
    return {file: (spent[file], len(names[file])) for file in spent}


def table(*logs: str) -> str:
    """Rows from the longest file of the first run to the shortest, and their sum, in Markdown."""
    runs = [seconds(log) for log in logs]
    files = sorted({file for run in runs for file in run}, key=lambda file: (-runs[0].get(file, (0.0, 0))[0], file))
    rows = [(file, [run.get(file, (0.0, 0)) for run in runs]) for file in files]
    whole = [(sum(run[file][0] for file in run), sum(run[file][1] for file in run)) for run in runs]
    heads = [("seconds", "tests"), ("seconds before", "tests before")]
    lines = ["| file | " + " | ".join(name for head in heads[: len(runs)] for name in head) + " |"]
    lines.append("|---|" + "---|" * 2 * len(runs))
    for file, cells in [*rows, ("all", whole)]:
        lines.append(f"| {file} | " + " | ".join(f"{took:.0f} | {count}" for took, count in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table(*(Path(name).read_text() for name in sys.argv[1:3])) + "\n")
