"""The code of the README, and of pages with examples, runs as printed; its numbers are checked where it says so."""

import re
from pathlib import Path
from unittest import mock

import pytest

from brenier.costs import COSTS
from brenier.files import registry
from brenier.potentials import POTENTIALS

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    *(f"docs/{path.name}" for path in sorted(ROOT.glob("docs/*.md")) if "```python" in path.read_text()),
)
BLOCKS = [
    (page, number, code)
    for page in PAGES
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL))
]


@pytest.mark.parametrize("page", PAGES)
def test_there_is_code_to_run(page: str) -> None:
    assert any(own == page and "assert" in code for own, _, code in BLOCKS)


@pytest.mark.parametrize(("page", "number", "code"), BLOCKS, ids=[f"{page}-{number}" for page, number, _ in BLOCKS])
def test_block_runs(page: str, number: int, code: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "FORMATS", registry.FORMATS.copy())  # a page adds one to each of the three
    with mock.patch.dict(COSTS), mock.patch.dict(POTENTIALS):
        exec(compile(code, f"{page}, block {number}", "exec"), {})
