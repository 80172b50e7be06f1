"""The site: every page is reachable, no link or picture is missing, nothing generated is stale, and it builds."""

import importlib
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import brenier
from brenier.cli.app import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if not {"_build", "generated", "gallery"} & set(path.parts))
SOURCES = [ROOT / "README.md", *PAGES, *sorted((ROOT / "benchmarks").glob("*.md"))]
MODULES = (
    "callbacks",
    "certificates",
    "conjugate",
    "costs",
    "data",
    "datasets",
    "files",
    "metrics",
    "potentials",
    "solvers",
    "training",
)

sys.path.insert(0, str(DOCS / "_extensions"))
import brenier_pages  # noqa: E402 # pyright: ignore


def entries() -> list[str]:
    """What the tables of contents list, patterns among them."""
    tables = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), flags=re.DOTALL)
    return [line for table in tables for line in table.splitlines() if line and not line.startswith(":")]


def prose(path: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The anchors that viewers make from headings."""
    words = re.findall(r"^#+ (.*)$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", word.lower()).replace(" ", "-") for word in words}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_every_page_is_in_a_table_of_contents(page: Path) -> None:
    name = page.relative_to(DOCS).with_suffix("").as_posix()
    assert name == "index" or any(Path(name).match(entry) for entry in entries())


def test_what_the_tables_of_contents_list_is_there() -> None:
    generated = {Path(page).with_suffix("").as_posix() for page in brenier_pages.COPIES.values()} | {
        "generated/commands"
    }
    missing = [entry for entry in entries() if not (DOCS / f"{entry}.md").exists() and entry not in generated]
    assert [entry for entry in missing if "*" not in entry] == []


@pytest.mark.parametrize("page", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    dead = []
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("name", brenier.__all__)
def test_every_public_name_is_on_the_first_page_of_the_api(name: str) -> None:
    assert re.search(
        rf"\.\. auto(class|exception|function):: {name}$", (DOCS / "api/brenier.md").read_text(), re.MULTILINE
    )


@pytest.mark.parametrize("name", MODULES)
def test_every_public_module_is_in_the_api(name: str) -> None:
    assert f".. automodule:: brenier.{name}\n   :members:" in (DOCS / f"api/{name}.md").read_text()
    module = importlib.import_module(f"brenier.{name}")
    public = [getattr(module, own) for own in module.__all__]
    bare = [own for own in public if (inspect.isclass(own) or inspect.isfunction(own)) and not own.__doc__]
    assert bare == []


def test_every_command_and_option_is_on_the_page_of_commands() -> None:
    text = brenier_pages.commands()
    sections = dict(zip(*[iter(re.split(r"^## `brenier (.*)`$", text, flags=re.MULTILINE)[1:])] * 2, strict=True))
    seen = 0
    for path, command in brenier_pages._walk(typer.main.get_command(app), ()):
        for parameter in command.params:
            seen += 1
            shown = parameter.metavar or parameter.name.upper()
            for word in parameter.opts if parameter.param_type_name == "option" else [shown]:
                assert word.replace("|", r"\|") in sections[" ".join(path)]
            help_text = (parameter.help or "").replace("|", "").replace("`", "")
            assert help_text in sections[" ".join(path)].replace(r"\|", "").replace("`", "")
    assert seen > 50
    assert "brenier bench peers [OPTIONS]" in sections["bench peers"]
    assert "brenier fit SOURCE TARGET [OPTIONS]" in sections["fit"]
    assert "| `--max-steps N` | Budget in training steps; 4096 unless `--max-seconds` is given. |" in sections["fit"]


def test_links_are_those_of_the_page_that_they_are_on(tmp_path: Path) -> None:
    text = "[a](../docs/tables.md#heavy-tails) [b](NOTES.md) ![c](../docs/demo.png) [d](https://x.y) [e](../examples)"
    found = brenier_pages.linked(text, ROOT / "benchmarks", DOCS / "generated")
    assert found == "[a](../tables.md#heavy-tails) [b](notes.md) ![c](../demo.png) [d](https://x.y) `e`"


def test_pages_that_did_not_change_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "generated"
    brenier_pages.write_pages(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    brenier_pages.write_pages(folder)
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert {path.name for path in folder.iterdir()} == {"ablation.md", "benchmarks.md", "commands.md", "notes.md"}


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Of a copy, without the gallery, whose scripts have tests of their own."""
    pytest.importorskip("sphinx")
    ignored = shutil.ignore_patterns("_build", "generated", "gallery", "sg_execution_times.rst", "__pycache__")
    for folder in ("docs", "benchmarks", "src"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    examples = shutil.ignore_patterns("gallery", "__pycache__")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=examples)
    shutil.copy(ROOT / "README.md", tmp_path)
    built = tmp_path / "html"
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--nitpicky", "--quiet"]
    done = subprocess.run([*command, tmp_path / "docs", built], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (built / "api" / "brenier.html").read_text()
    assert 'id="brenier.BrenierMap.fit"' in page
    assert "<strong>map_</strong>" in page
    assert (
        "Learn the optimal-transport map from SOURCE to TARGET" in (built / "generated" / "commands.html").read_text()
    )
