"""What the tables share: cells that are one command each, run one after another, and never twice."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

Name = TypeVar("Name")


def cells(commands: dict[Name, list[str]], out: Path, core: int) -> Iterator[tuple[Name, dict]]:
    """The record of every command of `brenier`, by name; those that `out` has are not run again.

    Args:
        commands: Words after `brenier`, by the name of the cell.
        out: JSON lines, appended to after each command, so that an interrupted run can be continued.
        core: The core that commands are pinned to, where the system can do that.
    """
    done: dict[str, dict] = {}
    if out.exists():
        done = {row["command"]: row for row in map(json.loads, out.read_text().splitlines())}
    for name, words in commands.items():
        key = " ".join(words)
        if key not in done:
            done[key] = {"command": key, **_run(words, core)}
            with out.open("a") as file:
                file.write(json.dumps(done[key]) + "\n")
        yield name, done[key]


def _run(command: list[str], core: int) -> dict:
    """One cell; a failure is a record that says how."""
    pinned = ["taskset", "-c", str(core)] if shutil.which("taskset") else []
    done = subprocess.run(
        [*pinned, sys.executable, "-m", "brenier", *command], capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout) if done.returncode == 0 else {"failed": done.returncode, "error": done.stderr[-500:]}
