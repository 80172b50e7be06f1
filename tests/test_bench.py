"""`brenier bench`: the fields that others rely on, truthful numbers, and errors that say what to do."""

import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from brenier.cli.app import app

FIELDS = {
    "dim",
    "seconds",
    "steps",
    "l2_uvp_forward",
    "l2_uvp_inverse",
    "cosine_forward",
    "cosine_inverse",
    "w2",
    "unconverged_fraction",
    "linear_uvp_forward",
    "params",
    "versions",
}


def bench(*arguments: str) -> tuple[int, dict]:
    """Exit code and JSON object of `brenier bench`."""
    result = CliRunner().invoke(app, ["bench", *arguments, "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_gaussian_pair_is_solved() -> None:
    # The budget counts from the import of the program, which in one process with other tests lies minutes back.
    code, record = bench("gaussian", "--dim", "3", "--seconds", "100000", "--seed", "1", "--max-steps", "128")
    assert code == 0
    assert record.keys() >= FIELDS
    assert record["dim"] == 3
    assert record["l2_uvp_forward"] < 0.02
    assert record["l2_uvp_inverse"] < 0.02
    assert record["w2"] == pytest.approx(record["w2_exact"], rel=0.05)
    assert record["unconverged_fraction"] == 0


def test_w2_pair_beats_its_linear_map(shared_data) -> None:
    pair = str(shared_data / "w2bench" / "2.npz")
    code, record = bench("w2", "--pair", pair, "--seconds", "100000", "--max-steps", "512")
    assert code == 0
    assert record.keys() >= FIELDS
    # The best linear map scores 14 %; the network is at a few tenths of a percent after a few hundred steps.
    assert record["linear_uvp_forward"] == pytest.approx(14.0, abs=0.5)
    assert record["l2_uvp_forward"] < 2.0
    assert record["l2_uvp_inverse"] < 2.0
    assert record["steps"] == 512


def test_errors(tmp_path) -> None:
    np.savez(tmp_path / "other.npz", x=np.eye(2))
    code, record = bench("w2", "--pair", str(tmp_path / "other.npz"))
    assert code == 2
    assert "has no arrays" in record["error"]
    code, record = bench("gaussian")
    assert code == 2
    assert "either `--pair FILE.npz` or `--dim D`" in record["error"]
    code, record = bench("gaussian", "--dim", "2", "--seconds", "0.01")
    assert code == 2
    assert "`seconds` must leave time to train" in record["error"]


def test_unknown_device() -> None:
    """In a process of its own: JAX looks for devices once."""
    command = [sys.executable, "-m", "brenier", "bench", "gaussian", "--dim", "2", "--device", "abacus", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "`--device` 'abacus' cannot be used here" in json.loads(done.stdout)["error"]
