"""Peak memory of processes that work on sparse files, as the operating system measures it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from made import transport_map

_PROGRAM = """
import resource, sys
from brenier.files import open_points
from brenier.data.shuffled import ShuffledStream
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
source = ShuffledStream(open_points(sys.argv[1], memory=50_000_000), 0, 1000)
for _ in range(40):
    source.draw(50_000)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def sparse(path: Path, rows: int, dim: int) -> Path:
    with open(path, "wb") as handle:
        np.lib.format.write_array_header_1_0(handle, {"descr": "<f8", "fortran_order": False, "shape": (rows, dim)})
        handle.truncate(handle.tell() + rows * dim * 8)
    return path


def test_a_source_keeps_its_limit(tmp_path: Path) -> None:
    """A gigabyte, of which 128 MB are drawn in rounds of 20 MB."""
    path = sparse(tmp_path / "a.npy", 1 << 24, 8)
    done = subprocess.run([sys.executable, "-c", _PROGRAM, path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 60_000_000


@pytest.mark.slow
def test_transform_takes_as_much_for_two_gigabytes_as_for_a_tenth(tmp_path: Path) -> None:
    transport_map("icnn-ramp", 8).save(tmp_path / "m.brenier")
    peaks = []
    for rows in (1_600_000, 32_000_000):
        sparse(tmp_path / "x.npy", rows, 8)
        command = [sys.executable, "-m", "brenier", "transform", "m.brenier", "x.npy", "-o", "y.npy"]
        process = subprocess.Popen([*command, "--memory", "100MB"], cwd=tmp_path)
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0
        peaks.append(usage.ru_maxrss * 1024)
    assert peaks[1] < 1.1 * peaks[0] < 1.1e9
