"""What every test may ask for: the CPU, seeded randomness, double precision, data that were handed over.

Most of a run is compilation. Programs that XLA compiled are kept in `.cache/jax` of the checkout, which all workers,
all commands that tests start and the next run share; `JAX_COMPILATION_CACHE_DIR` names another folder.
"""

import os
import re
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

# Before anything imports JAX, and in the environment, from which the processes that tests start inherit it.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).resolve().parents[1] / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import jax
import numpy as np
import pytest
from hypothesis import settings

# Examples are the same in every run, and none is judged by how long it took.
settings.register_profile("tests", deadline=None, derandomize=True, database=None, max_examples=25)
settings.load_profile("tests")

_MOST_MAPPINGS = 20_000
_MOST_PROGRAMS = 1 << 30
"""Bytes of compiled programs that are kept: those of many runs, each of which takes some hundred megabytes at most."""

PROGRAMS = Path(__file__).resolve().parents[1] / ".cache" / "jax"
SLOW = Path(__file__).with_name("slow.txt")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Throw the compiled programs away once they are many, as changed code leaves the old ones behind.

    JAX would bound the folder itself, but reads all of it at every program that it adds.
    """
    worker = hasattr(session.config, "workerinput")
    if not worker and PROGRAMS.is_dir() and sum(file.stat().st_size for file in PROGRAMS.iterdir()) > _MOST_PROGRAMS:
        shutil.rmtree(PROGRAMS)


def slow_tests() -> list[str]:
    """What `slow.txt` names."""
    lines = (line.partition("#")[0].strip() for line in SLOW.read_text().splitlines())
    return [line for line in lines if line]


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is marked
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what `slow.txt` lists: each line names a test, a case of it, or a class of tests."""
    names = (re.escape(name).replace(r"\*", ".*") for name in slow_tests())
    slow = re.compile(rf"tests/({'|'.join(names)})((::|\[).*)?")
    for item in items:
        if slow.fullmatch(item.nodeid):
            item.add_marker("slow")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Randomness of one test: its own stream under a common seed, which a failure shows."""
    seed = int(os.environ.get("BRENIER_TEST_SEED", "0"))
    request.node.add_report_section("setup", "seed", f"BRENIER_TEST_SEED={seed} repeats this test's random numbers")
    return np.random.default_rng([seed, zlib.crc32(request.node.nodeid.encode())])


@pytest.fixture(autouse=True, scope="module")
def _few_programs() -> Iterator[None]:
    """Forget compiled programs before they are too many.

    Each keeps mappings of memory, of which Linux allows a process some 65,000 by default; the compiler crashes beyond.
    """
    yield
    mappings = Path("/proc/self/maps")
    if mappings.exists() and mappings.read_bytes().count(b"\n") > _MOST_MAPPINGS:
        jax.clear_caches()


@pytest.fixture
def x64() -> Iterator[None]:
    """Double precision in JAX, for the length of one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the data that were handed over: too large for the repository, found beside it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the benchmark data in {SHARED_DATA}, which this machine does not have")
    return SHARED_DATA
