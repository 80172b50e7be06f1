"""What is shipped: contents and metadata of the wheels and of the sdists. `make smoke` installs and uses them."""

import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BENCH = tomllib.loads((ROOT / "bench" / "pyproject.toml").read_text())["project"]

Archives = tuple[zipfile.ZipFile, tarfile.TarFile]


def build(folder: Path, source: Path) -> Archives:
    """A wheel, built from the sdist, as `python -m build` does."""
    pytest.importorskip("build")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source]
    subprocess.run(command, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl"))), tarfile.open(next(folder.glob("*.tar.gz")))


def shipped(package: Path) -> set[str]:
    """The files of a `src` folder as a wheel names them."""
    files = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    return {path.relative_to(package).as_posix() for path in files if path.parent != package}


def contents(wheel: zipfile.ZipFile) -> set[str]:
    return {name for name in wheel.namelist() if ".dist-info/" not in name}


def text_of(wheel: zipfile.ZipFile, ending: str) -> str:
    """The one file of a wheel with such a name."""
    (name,) = [name for name in wheel.namelist() if name.endswith(ending)]
    return wheel.read(name).decode()


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> Archives:
    return build(tmp_path_factory.mktemp("dist"), ROOT)


@pytest.fixture(scope="module")
def bench_archives(tmp_path_factory) -> Archives:
    return build(tmp_path_factory.mktemp("bench"), ROOT / "bench")


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(archives):
    names = contents(archives[0])
    assert names == shipped(ROOT / "src")
    assert "brenier/py.typed" in names


def test_the_metadata_are_those_of_the_project(archives):
    wheel = archives[0]
    metadata = email.message_from_string(text_of(wheel, ".dist-info/METADATA"))
    assert (metadata["Name"], metadata["Version"]) == (PROJECT["name"], PROJECT["version"])
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Classifier")) == set(PROJECT["classifiers"])
    assert set(metadata.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])
    lines = metadata.get_all("Requires-Dist")
    needed = {re.split(r"[<>=\[; ]", line)[0].lower() for line in lines if "extra" not in line}
    assert needed == {re.split(r"[<>=\[; ]", line)[0].lower() for line in PROJECT["dependencies"]}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())
    assert "brenier = brenier.cli:main" in text_of(wheel, "entry_points.txt")


def test_the_benchmarks_are_shipped_apart_for_the_same_version(bench_archives):
    wheel, sdist = bench_archives
    assert contents(wheel) == shipped(ROOT / "bench" / "src")
    assert BENCH["version"] == PROJECT["version"]
    metadata = email.message_from_string(text_of(wheel, ".dist-info/METADATA"))
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == PROJECT["requires-python"]
    lines = metadata.get_all("Requires-Dist")
    assert [line for line in lines if "extra" not in line] == [f"brenier=={PROJECT['version']}"]
    (peers,) = [line for line in lines if "extra == 'peers'" in line]
    assert peers.startswith("ott-jax[neural]<0.7,>=0.6")
    assert text_of(wheel, "entry_points.txt").split() == [
        "[brenier.commands]",
        "bench",
        "=",
        "brenier_bench.cli.app:bench",
    ]
    assert text_of(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text()
    names = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    assert {"pyproject.toml", "README.md", "LICENSE", "src/brenier_bench/__init__.py"} <= names


def test_the_sdist_has_what_building_and_testing_need(archives):
    names = {name.split("/", 1)[1] for name in archives[1].getnames() if "/" in name}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "Makefile"} <= names
    assert {"src/brenier/py.typed", "tests/conftest.py", "requirements/oldest.txt", "requirements/pinned.txt"} <= names
    assert "tests/formats/1-gaussian.brenier" in names
    assert {"bench/pyproject.toml", "bench/src/brenier_bench/__init__.py"} <= names
    assert not any(part in name for name in names for part in ("__pycache__", ".venv", ".egg-info"))


def test_the_oldest_versions_are_the_lower_bounds():
    pins = dict(
        line.lower().split("==") for line in (ROOT / "requirements" / "oldest.txt").read_text().split() if "==" in line
    )
    for line in PROJECT["dependencies"]:
        name, bound = re.match(r"([\w-]+)>=([\d.]+)", line).groups()
        pinned = [int(part) for part in pins[name.lower()].split(".")]
        wanted = [int(part) for part in bound.split(".")]
        assert pinned[: len(wanted)] == wanted, line
        assert not any(pinned[len(wanted) :]), line


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {PROJECT['version']}\n" in text
    assert f"\nlicense: {PROJECT['license']}\n" in text
    assert "cff-version: 1.2.0" in text
