"""The walk through the package: its picture is that of the imports, its files are there, and it is short."""

import ast
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
SOURCE = DOCS.parent / "src" / "brenier"
PAGE = (DOCS / "internals.md").read_text()

sys.path.insert(0, str(DOCS))
import packages  # noqa: E402 # pyright: ignore

GRAPH = {"top": {"low", "mid", "twin"}, "mid": {"low"}, "twin": {"other"}, "other": {"twin", "low"}, "low": set()}


def test_the_picture_is_current() -> None:
    """Where it is not: `python docs/packages.py`."""
    assert packages.renewed(PAGE, packages.packages(SOURCE)) == PAGE


def test_a_picture_shows_levels_rings_and_what_does_not_follow_from_others() -> None:
    assert packages.picture(GRAPH).splitlines() == [
        "```text",
        " 2  top    mid, other + twin",
        " 1  mid    low",
        " 1  other + twin  low",
        " 0  low",
        "```",
        "",
        "5 packages on 3 levels, with 7 imports between them; those that follow from others are not shown.",
    ]


def test_every_import_counts() -> None:
    tree = ast.parse(
        "from brenier.maps import TransportMap\n"
        "from brenier import files\n"
        "import brenier.costs.sphere\n"
        "import numpy\n"
        "if TYPE_CHECKING:\n    from brenier.cli.app import app\n"
        "def f():\n    from brenier.data.table import Table\n"
    )
    assert sorted(packages.imported(tree, "brenier")) == ["cli", "costs", "data", "files", "maps"]


def test_a_fit_is_walked_through_in_eight_files_and_an_hour() -> None:
    table = re.findall(r"^\| \d \| `(.*?)` \|", PAGE, flags=re.MULTILINE)
    headings = re.findall(r"^## \d\. .*: `(.*?)`$", PAGE, flags=re.MULTILINE)
    assert table == headings
    assert 0 < len(table) <= 8
    assert len(PAGE.splitlines()) <= 250


def test_the_files_that_it_names_are_there() -> None:
    named = set(re.findall(r"`([a-z_]+/[a-z_/]+\.py)`", PAGE))
    roots = SOURCE, DOCS.parent
    assert sorted(path for path in named if not any((root / path).exists() for root in roots)) == []
