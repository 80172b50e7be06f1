"""The page on fits that fail: each message that it lists is provoked, and none that the library has is missing."""

import ast
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier import BrenierMap, InputError, MapFileError, SolveError, TransportMap
from brenier.certificates import couplings
from brenier.data import as_points, check_pair
from brenier.data.units import cost_units
from brenier.data.weights import weighted_table
from brenier.estimators.brenier_density import BrenierDensity
from brenier.estimators.intake import Given, intake
from brenier.estimators.parameters import warn_outcome
from brenier.files import read_points
from brenier.geometry import Moments, QuadraticGeometry
from brenier.potentials import MLP, Quadratic
from brenier.training import Outcome, Stop

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()

Provoke = Callable[[np.random.Generator, Path], object]


def listed(section: str) -> list[tuple[str, ...]]:
    """Pieces of messages in the first column of a section's table."""
    body = PAGE.split(f"## {section}")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \|", body, flags=re.MULTILINE)
    return [tuple(re.findall("`(.*?)`", row)) for row in rows if "`" in row]


DATA, CONDITIONS = listed("What is said of the data"), listed("What is said of conditions")
FIT, NOTES = listed("What is said of the fit"), listed("What a distance notes")


def pair(x: np.ndarray, y: np.ndarray | None = None) -> None:
    check_pair(as_points(x, "X"), as_points(x if y is None else y, "Y"))


def units(rng: np.random.Generator) -> None:
    x = rng.normal(size=(100, 2)) * [1.0, 1e3]
    cost_units("auto", x.std(axis=0), as_points(x, "X"))


def frames(rng: np.random.Generator, left: list[str], right: list[str]) -> None:
    import pandas as pd

    x = rng.normal(size=(100, 2))
    pair(pd.DataFrame(x, columns=left), pd.DataFrame(x + 1.0, columns=right))  # pyright: ignore


def counting(folder: Path) -> None:
    (folder / "a.csv").write_text("0,1,2\n1.5,2,3\n4,5,6\n")
    read_points(folder / "a.csv")


def outcome(stop: Stop, restarts: int) -> None:
    warn_outcome(Outcome(Quadratic.identity(2), [], stop, False, restarts))


def conditional(x_condition: np.ndarray, y_condition: np.ndarray, rng: np.random.Generator, dim: int = 2) -> BrenierMap:
    X, Y = (rng.normal(size=(len(c), dim)) for c in (x_condition, y_condition))
    ot = BrenierMap(max_steps=128, refit=False, random_state=0)
    return ot.fit(X, Y, x_condition=x_condition, y_condition=y_condition)


def plain(rng: np.random.Generator, potential: object = None) -> TransportMap:
    """The Gaussian map of two isotropic clouds one apart, or another potential in its coordinates."""
    source, target = Moments(np.zeros(2), np.eye(2), 1000), Moments(np.array([1.0, 0.0]), np.eye(2), 1000)
    return TransportMap(QuadraticGeometry.between(source, target), potential or Quadratic.identity(2))  # pyright: ignore


class Bounded(Quadratic):
    """Gradients between 0 and 1, whatever it claims of its convexity: other targets have no preimage."""

    def __call__(self, x):
        return jnp.sum(jax.nn.softplus(x), axis=1)


class Modest(Quadratic):
    """Claims so little of its convexity that the residuals of single precision cost much."""

    def convexity_floor(self):
        return jnp.asarray(1e-14)


def bounded() -> Quadratic:
    return Bounded(jnp.eye(2))


def notes(map_: TransportMap, rng: np.random.Generator, *, n: int = 400, shift: float = 1.0, **options) -> str:
    X, Y = rng.normal(size=(n, 2)), rng.normal((shift, 0.0), size=(n, 2))
    return " ".join(map_.distance(X, Y, **options).notes())


def in_cells(rng: np.random.Generator) -> str:
    map_ = plain(rng)
    return notes(eqx.tree_at(lambda m: m.geometry.mean_y, map_, np.array([-1.0, 2.0])), rng, n=2400)


CASES: dict[str, Provoke] = {
    "standard deviations of the columns range from": lambda rng, _: units(rng),
    "has heavy tails": lambda rng, _: pair(rng.standard_cauchy(size=(1000, 2))),
    "No map can spread tied points apart. If they are counts": lambda rng, _: intake(
        BrenierMap(),
        Given("X", rng.poisson(2.0, (500, 1))),
        Given("Y", rng.poisson(3.0, (500, 1))),
        generator=np.random.RandomState(0),
    ),
    "The likelihood of a density has no bound where values are tied": lambda rng, _: BrenierDensity(
        max_steps=64, refit=False
    ).fit(rng.poisson(2.0, (500, 1))),
    "repeat earlier rows": lambda rng, _: pair(np.repeat(rng.normal(size=(50, 2)), 3, axis=0)),
    "times closer to another row than the others do": lambda rng, _: pair(
        np.repeat(rng.normal(size=(50, 2)), 3, axis=0) + 1e-6 * rng.normal(size=(150, 2))
    ),
    "dimensions, so most directions are unknown": lambda rng, _: pair(rng.normal(size=(5, 6))),
    "has linearly dependent columns": lambda rng, _: pair(rng.normal(size=(99, 2)) @ [[1.0, 0.0, 1.0], [0, 1.0, 1.0]]),
    "times as widely as": lambda rng, _: pair(rng.normal(size=(99, 1)), 1e4 * rng.normal(size=(99, 1))),
    "The map moves them by the difference of the two means": lambda rng, _: pair(rng.normal(size=(99, 2)) * [1.0, 0.0]),
    "has several columns of one name": lambda rng, _: frames(rng, ["a", "a"], ["a", "a"]),
    "have other names than those that they are matched with": lambda rng, _: frames(rng, ["a", "b"], ["a", "c"]),
    "significant digits. Pass float32 or more": lambda rng, _: as_points(np.float16(rng.normal(size=(9, 2))), "X"),
    "integers of 2^53 or more": lambda rng, _: as_points(np.array([[2**60], [1]]), "X"),
    "and is taken as a point": lambda _, folder: counting(folder),
    "is so uneven that its": lambda rng, _: weighted_table(
        as_points(rng.normal(size=(99, 2)), "X"), np.exp(9 * rng.normal(size=99)), "x_weight"
    ),
    "has classes that the other side lacks": lambda rng, _: conditional(
        np.repeat(["a", "b"], 200), np.repeat(["a"], 200), rng
    ),
    "lie where the other side has no points": lambda rng, _: conditional(
        rng.uniform(0, 1, 400), rng.uniform(0, 2, 400), rng
    ),
    "Classes have no more points on a side than the": lambda rng, _: conditional(
        np.repeat(["a", "b"], 25), np.repeat(["a", "b"], 25), rng, dim=26
    ),
    "a side is left with few rows in effect": lambda rng, _: conditional(
        rng.uniform(0, 1, 600) ** 4, 1 - rng.uniform(0, 1, 600) ** 4, rng
    ),
    "cannot be weighted to be distributed as those of": lambda rng, _: conditional(
        rng.uniform(0, 1, 400), rng.uniform(0, 1, 400), rng
    ).distance(
        rng.normal(size=(40, 2)),
        rng.normal(size=(40, 2)),
        x_condition=rng.uniform(0.0, 0.1, 40),
        y_condition=rng.uniform(0.9, 1.0, 40),
    ),
    "outside the range of the fit": lambda rng, _: conditional(
        rng.uniform(0, 1, 400), rng.uniform(0, 1, 400), rng
    ).transform([[0.0, 0.0]], condition=3.0),
    "out on each side, so no network was trained": lambda rng, _: BrenierMap(max_steps=128).fit(
        rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    ),
    "training diverged and went back to its best state": lambda *_: outcome(Stop.budget, 2),
    "Interrupted from the keyboard": lambda *_: outcome(Stop.interrupted, 0),
    "preimages are not converged": lambda rng, _: plain(rng, bounded()).inverse([[1e3, 1e3]]),
    "log densities are at points whose preimages are not converged": lambda rng, _: plain(rng, bounded()).log_density(
        [[1e3, 1e3]], "normal"
    ),
    "The dual value is negative": lambda rng, _: notes(plain(rng), rng, shift=-1.0),
    "nothing is certified about the populations": lambda rng, _: notes(plain(rng, MLP(2, (4,), rng=rng)), rng),
    "low because of sampling error": lambda rng, _: notes(plain(rng), rng, n=40),
    "low because of inexact conjugates": lambda rng, _: notes(plain(rng, Modest(jnp.eye(2) * 1.1)), rng),
    "the image differs from the target": lambda rng, _: notes(plain(rng), rng, shift=0.5),
    "Image and target differ by more than chance": lambda rng, _: notes(plain(rng), rng, shift=2.0),
    "These samples are farther apart than the estimate for their populations": lambda rng, _: notes(
        plain(rng), rng, n=40, shift=1.0
    ),
    "because the coupling follows the map in cells": lambda rng, _: in_cells(rng),
}


def text_of(provoke: Provoke, rng: np.random.Generator, folder: Path) -> str:
    """Everything that is said, in warnings, all of them at a line of this file, and in notes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        said = provoke(rng, folder)
    assert {warning.filename for warning in caught} <= {__file__}
    return " ".join([*(str(own.message) for own in caught), said if isinstance(said, str) else ""])


@pytest.mark.parametrize("piece", CASES)
def test_the_message_is_said(piece: str, rng: np.random.Generator, tmp_path: Path) -> None:
    assert piece in text_of(CASES[piece], rng, tmp_path)


def test_the_page_has_the_messages_that_are_provoked() -> None:
    pieces = [part for row in DATA + CONDITIONS + FIT + NOTES for part in row]
    shown = " ".join(pieces)
    assert [case for case in CASES if case not in shown] == []
    assert [piece for piece in pieces if not any(case in piece or piece in case for case in CASES)] == [
        "of the rows of"
    ]


def messages() -> list[str]:
    """The texts of every warning and note in the source, with nothing where a value stands."""
    found = []
    for path in sorted((ROOT / "src" / "brenier").rglob("*.py")):
        if path.parent.name in ("cli", "demo"):
            continue
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef) or function.name == "warn":
                continue
            heads = ("found.append",) if function.name == "notes" else ("warn",)
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and ast.unparse(call.func) in heads:
                    constants = [own.value for own in ast.walk(call) if isinstance(own, ast.Constant)]
                    found.append("\0".join(own for own in constants if isinstance(own, str)) or ast.unparse(call))
    return found


def test_no_message_of_the_library_is_missing() -> None:
    texts = messages()
    assert len(texts) > 25
    known = ("warn(message,", "warn(outcome.stop.value", "found.append(self._population_fault")
    rest = ("These rows were left out, and the map does not know their conditions",)
    # Those of other costs are in docs/costs.md, and provoked in test_general.py.
    rest += ("Nothing is certified about the populations", "of the inner problems have several solutions")
    rest += ("the potential is steeper than the cost of any displacement",)
    # Those of checkpoints are in docs/checkpoints.md, and provoked in test_checkpoint_faults.py.
    rest += ("no checkpoint could be written to", "the fit goes on from the one before", "the checkpoint was written")
    assert [text for text in texts if not any(own in text for own in (*CASES, *known, *rest))] == []


def test_the_exact_coupling_says_when_it_was_not_found(rng: np.random.Generator, monkeypatch) -> None:
    monkeypatch.setattr(couplings, "_MOST_PIVOTS", 1)
    share = np.full(50, 0.02)
    with pytest.warns(UserWarning, match="numItermax"), pytest.raises(SolveError, match="the exact coupling of"):
        couplings.exact_plan(rng.normal(size=(50, 2)), rng.normal(size=(50, 2)), share, share)


ERRORS: dict[str, Provoke] = {
    "contains NaN": lambda *_: as_points(np.array([[np.nan], [1.0]]), "X"),
    "has constant columns": lambda *_: pair(np.ones((9, 1))),
    "has columns of text, dates or lists": lambda *_: frames_of_text(),
    "must have the same number of columns": lambda rng, _: pair(rng.normal(size=(9, 1)), rng.normal(size=(9, 2))),
    "must be 2-D": lambda *_: as_points([1.0, 2.0], "X"),
    "negative": lambda rng, _: weighted_table(as_points(rng.normal(size=(2, 1)), "X"), [1.0, -1.0], "x_weight"),
}


def frames_of_text() -> None:
    import pandas as pd

    as_points(pd.DataFrame({"a": ["x", "y"], "b": [1.0, 2.0]}), "X")


@pytest.mark.parametrize("piece", ERRORS)
def test_the_error_is_raised(piece: str, rng: np.random.Generator, tmp_path: Path) -> None:
    assert (piece,) in listed("Errors")
    with pytest.raises(InputError, match=re.escape(piece)):
        ERRORS[piece](rng, tmp_path)


def test_files_that_are_no_maps_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.brenier").write_bytes(b"not a map")
    with pytest.raises(MapFileError, match="truncated"):
        TransportMap.load(tmp_path / "a.brenier")
