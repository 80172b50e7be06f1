"""`brenier fit --checkpoint` as a process: killed, asked to end, and started again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from brenier.checkpoint import Terminated, keeping, saved_on_sigterm
from brenier.cli.checkpoint import ending_on_sigterm
from brenier.files.points import write_points
from checkpointing import clouds, content, fit, result

CODE = """
import brenier.checkpoint.keeping
from brenier.cli import main
brenier.checkpoint.keeping.COST = float("inf")
main()
"""
"""The program, with a checkpoint after every chunk of steps."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("points")
    paths = [folder / "x.csv", folder / "y.csv"]
    for path, side in zip(paths, clouds(), strict=True):
        write_points(path, side)
    return paths


def start(files: list[Path], output: Path, steps: int, *more: object) -> "subprocess.Popen[str]":
    command = ["fit", *files, "-o", output, "--max-steps", steps, "--json", *more]
    arguments = [sys.executable, "-c", CODE, *map(str, command)]
    return subprocess.Popen(arguments, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(folder: Path, process: "subprocess.Popen[str]", number: int = 1) -> None:
    """Until a checkpoint is there, at least so old."""
    until = time.monotonic() + 120.0
    while not any(own.stem.isdecimal() and int(own.stem) >= number for own in folder.glob("*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


def finish(process: "subprocess.Popen[str]") -> tuple[dict, str]:
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    return json.loads(stdout), stderr


def test_kill(files: list[Path], tmp_path: Path) -> None:
    with start(files, tmp_path / "whole", 512) as process:
        record, _ = finish(process)
    assert record["resumed_from"] is None
    more = ("--checkpoint", tmp_path / "work")
    with start(files, tmp_path / "map", 512, *more) as process:
        wait_for(tmp_path / "work", process)
        time.sleep(float(np.random.default_rng().uniform(0.0, 0.3)))
        process.kill()
        process.communicate()
    assert not (tmp_path / "map").exists()
    with start(files, tmp_path / "map", 512, *more) as process:
        record, stderr = finish(process)
    at = record["resumed_from"]
    assert at["step"] > 0
    assert f"resumed from step {at['step']}" in stderr.splitlines()[0]
    assert content(tmp_path / "map") == content(tmp_path / "whole")


def test_sigterm_saves_and_says_how_to_go_on(files: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "work"
    with start(files, tmp_path / "map", 10**7, "--checkpoint", folder) as process:
        wait_for(folder, process)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 143
    last = stderr.splitlines()[-1]
    said = json.loads(stdout)["error"]
    assert said.startswith("ended by SIGTERM; the checkpoint of step ")
    assert said.endswith(f"is in {folder}. Run the same again to go on.")
    assert last.split()[-1] == said.split()[-1]
    assert "Traceback" not in stderr
    assert not (tmp_path / "map").exists()


class TestInOneProcess:
    def test_the_fit_ends_with_a_checkpoint_and_goes_on(self, tmp_path: Path) -> None:
        before = signal.getsignal(signal.SIGTERM)
        with saved_on_sigterm(), pytest.raises(Terminated, match="checkpoint of step 128") as caught:
            fit(tmp_path, callbacks=lambda _: signal.raise_signal(signal.SIGTERM))
        assert caught.value.code == 143
        assert signal.getsignal(signal.SIGTERM) is before
        fitted = fit(tmp_path)
        assert fitted.resumed_.step == 128
        assert result(fitted) == result(fit(None))

    def test_in_the_second_fit(self, tmp_path: Path) -> None:
        def ask(row) -> None:
            if row.refit:
                signal.raise_signal(signal.SIGTERM)

        with saved_on_sigterm(), pytest.raises(Terminated, match="step 128 of the second fit"):
            fit(tmp_path, callbacks=ask)
        assert fit(tmp_path).resumed_ == keeping.Resumed(128, True, False)

    def test_a_checkpoint_that_cannot_be_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError("No space left on device")

        monkeypatch.setattr("brenier.checkpoint.folder.Folder.save", full)
        with saved_on_sigterm(), pytest.raises(Terminated, match="at step 128, without a checkpoint of it"):
            with pytest.warns(match="No space left on device. There is none yet"):
                fit(tmp_path, callbacks=lambda _: signal.raise_signal(signal.SIGTERM))

    def test_the_second_ends_at_once(self) -> None:
        code = (
            "import os, signal, time\n"
            "from brenier.checkpoint.termination import saved_on_sigterm, was_asked\n"
            "with saved_on_sigterm():\n"
            "    os.kill(os.getpid(), signal.SIGTERM)\n"
            "    print(was_asked(), flush=True)\n"
            "    os.kill(os.getpid(), signal.SIGTERM)\n"
            "    time.sleep(60)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (-signal.SIGTERM, "True\n")

    def test_without_checkpoints_it_ends_at_once_as_ever(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        with ending_on_sigterm(None, False):
            assert signal.getsignal(signal.SIGTERM) is before
        with ending_on_sigterm(Path("work"), False):
            assert signal.getsignal(signal.SIGTERM) is not before
        assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
def test_fifty_random_moments() -> None:
    program = Path(__file__).parents[1] / "benchmarks" / "kills.py"
    done = subprocess.run(
        [sys.executable, program, "--json"], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    found = json.loads(done.stdout)
    assert (found["kills"], found["same"]) == (50, 50)
