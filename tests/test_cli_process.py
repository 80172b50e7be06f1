"""The command line as a program: help, processes, terminals, Ctrl-C."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from brenier import TransportMap
from brenier.cli import app
from brenier.files import write_points

COMMANDS = ["fit", "transform", "distance", "density", "logpdf", "sample", "inspect", "export", "demo"]
CODE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from brenier.cli import main; main()"
"""The program, with Ctrl-C as it is on a terminal, whatever the tests were started from."""


@pytest.fixture
def files(tmp_path: Path, rng: np.random.Generator) -> tuple[Path, Path]:
    paths = tmp_path / "x.csv", tmp_path / "y.csv"
    for path in paths:
        write_points(path, rng.normal(size=(600, 2)))
    return paths


def start(*args: object, **pipes: int) -> "subprocess.Popen[str]":
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"}
    return subprocess.Popen([sys.executable, "-c", CODE, *map(str, args)], text=True, env=environment, **pipes)


class TestHelp:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_shows_an_example(self, command: str) -> None:
        text = CliRunner().invoke(app, [command, "--help"]).stdout
        assert f"Example: brenier {command} " in text
        assert "--json" in text

    @pytest.mark.parametrize("args", [["--help"], ["--version"], ["fit", "--help"], ["cache", "info", "--json"]])
    def test_help_loads_nothing_heavy(self, args: list[str], tmp_path: Path) -> None:
        code = f"""
import sys
from brenier.cli import app
try:
    app({args!r}, prog_name="brenier")
finally:
    heavy = ("jax", "jaxlib", "equinox", "numpy", "scipy", "sklearn", "matplotlib")
    print([name for name in heavy if name in sys.modules], file=sys.stderr)
"""
        environment = os.environ | {"BRENIER_CACHE_DIR": str(tmp_path)}
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
        assert (ended.returncode, ended.stderr) == (0, "[]\n")

    def test_module_and_version(self) -> None:
        said = subprocess.check_output([sys.executable, "-m", "brenier", "--version"], text=True)
        assert said == CliRunner().invoke(app, ["--version"]).stdout
        assert said.startswith("brenier 0.")


def test_interrupt_keeps_the_best_map(files: tuple[Path, Path], tmp_path: Path) -> None:
    output = tmp_path / "m.brenier"
    args = ["fit", *files, "-o", output, "--max-steps", 10**7, "--json"]
    with start(*args, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert "dual" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    record = json.loads(stdout)
    assert record["interrupted"]
    assert "Interrupted" in record["stop"]
    assert f"warning: {record['stop']}" in stderr
    assert TransportMap.load(output).info["steps"] == record["steps"] > 0


def test_bar_on_a_terminal(files: tuple[Path, Path], tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    args = ["fit", *files, "-o", tmp_path / "m", "--max-steps", 128, "--json"]
    with start(*args, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # how Linux ends a terminal that nobody holds open
            pass
        stdout, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0
    for part in ("━━━", "\x1b[", "50 %", "compiling", "done"):
        assert part in shown.decode()
    assert json.loads(stdout)["steps"] == 128
