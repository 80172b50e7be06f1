"""The gallery: every example runs, its claims hold, and they fail for maps that have learned nothing."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from anndata import AnnData
from matplotlib.figure import Figure
from PIL import Image
from typer.testing import CliRunner

from brenier import BrenierMap
from brenier.training import Fit, baseline_outcome

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NAMES = sorted(path.stem.removeprefix("plot_") for path in (EXAMPLES / "gallery").glob("plot_*.py"))
FITTED = [name for name in NAMES if name != "hamilton_jacobi"]


@pytest.fixture(autouse=True)
def _no_screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Figures are drawn into memory and forgotten, and settings of matplotlib last for one test."""
    monkeypatch.delenv("DISPLAY", raising=False)
    with mpl.rc_context({"backend": "Agg"}):
        yield
        plt.close("all")


@pytest.fixture
def overview(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    return importlib.import_module("gallery_overview")


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits that end before their first step: the map between two normal distributions, the normal density."""
    monkeypatch.setattr(Fit, "run", lambda self: baseline_outcome(self.objective.coordinates))


@pytest.fixture
def unmoved(untrained: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits whose map moves nothing."""

    def stay(self: BrenierMap, X: Any, *_: float, condition: object = None) -> Any:
        if not isinstance(X, AnnData):
            return np.asarray(X, np.float64)
        moved = X.copy()
        moved.obsm[f"{self.obsm}_transported"] = X.obsm[self.obsm]
        return moved

    monkeypatch.setattr(BrenierMap, "transform", stay)
    monkeypatch.setattr(BrenierMap, "interpolate", stay)


def fails_in_its_claims(run: Callable[[str], dict[int, Figure]], name: str) -> None:
    """Whether an example gets to its last block, with all figures, and one of its assertions stops it."""
    script = EXAMPLES / "gallery" / f"plot_{name}.py"
    with pytest.raises(AssertionError) as failed:
        run(name)
    last, text = failed.traceback[-1], script.read_text()
    assert Path(last.path) == script
    assert last.lineno > text[: text.rindex("# %%")].count("\n")
    assert plt.get_fignums()


def test_every_example_has_a_tile(overview):
    assert len(NAMES) >= 7
    assert sorted(overview.PANELS) == NAMES


def test_claims_fail_for_one_start(overview, monkeypatch):
    """No map is learned where an equation is solved: there the search for the lowest minimum is what counts."""
    formula = importlib.import_module("brenier.hamilton_jacobi.formula")
    full = formula.hopf_lax
    monkeypatch.setattr(formula, "hopf_lax", lambda g, x, t, **_: full(g, x, t, starts=1))
    fails_in_its_claims(overview.run_example, "hamilton_jacobi")


@pytest.mark.parametrize("name", FITTED)
def test_claims_fail_for_linear_maps(name, overview, untrained):
    fails_in_its_claims(overview.run_example, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FITTED if name != "density"])
def test_claims_fail_for_the_identity(name, overview, unmoved):
    fails_in_its_claims(overview.run_example, name)


@pytest.mark.slow
def test_overview_shows_examples_whose_claims_hold(overview, tmp_path):
    path = tmp_path / "gallery.png"
    done = CliRunner().invoke(overview.app, ["--output", str(path)])
    assert done.exit_code == 0, done.output
    assert path.stat().st_size < 300_000
    with Image.open(path) as picture:
        columns = -(-len(NAMES) // 2)
        assert picture.size == (288 * columns, 486)
        pixels = np.asarray(picture.convert("L"), np.float64)
    tiles = [tile for row in np.array_split(pixels, 2) for tile in np.array_split(row, columns, axis=1)]
    assert all(tile.std() > 5 for tile in tiles[: len(NAMES)])
