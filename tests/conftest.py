"""What every test may ask for: the CPU, seeded randomness, double precision, data that were handed over."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # before anything imports JAX

import zlib
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import settings

# Examples are the same in every run, and none is judged by how long it took.
settings.register_profile("tests", deadline=None, derandomize=True, database=None, max_examples=25)
settings.load_profile("tests")

_MOST_MAPPINGS = 20_000

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


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
