"""What is shipped: contents and metadata of the wheel and of the sdist. `make smoke` installs and uses them."""

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


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> tuple[zipfile.ZipFile, tarfile.TarFile]:
    """A wheel, built from the sdist, as `python -m build` does."""
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT], check=True, capture_output=True
    )
    return zipfile.ZipFile(next(folder.glob("*.whl"))), tarfile.open(next(folder.glob("*.tar.gz")))


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(archives):
    names = {name for name in archives[0].namelist() if ".dist-info/" not in name}
    package = ROOT / "src"
    own = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert names == {path.relative_to(package).as_posix() for path in own if path.parent != package}
    assert "brenier/py.typed" in names


def test_the_metadata_are_those_of_the_project(archives):
    wheel = archives[0]
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    found = email.message_from_string(wheel.read(name).decode())
    assert (found["Name"], found["Version"]) == (PROJECT["name"], PROJECT["version"])
    assert found["License-Expression"] == "Apache-2.0"
    assert found["Requires-Python"] == ">=3.11"
    assert set(found.get_all("Classifier")) == set(PROJECT["classifiers"])
    assert set(found.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])
    needed = {re.split(r"[<>=\[; ]", line)[0].lower() for line in found.get_all("Requires-Dist") if "extra" not in line}
    assert needed == {re.split(r"[<>=\[; ]", line)[0].lower() for line in PROJECT["dependencies"]}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())
    (points,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "brenier = brenier.cli:main" in wheel.read(points).decode()


def test_the_sdist_has_what_building_and_testing_need(archives):
    names = {name.split("/", 1)[1] for name in archives[1].getnames() if "/" in name}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "Makefile"} <= names
    assert {"src/brenier/py.typed", "tests/conftest.py", "requirements/oldest.txt", "requirements/pinned.txt"} <= names
    assert "tests/formats/1-gaussian.brenier" in names
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
