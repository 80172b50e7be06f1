"""`brenier bench ablation`: what its cells change, what its rows say, and that failures are rows."""

import dataclasses
import json

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

from asserts import assert_at_most, assert_close, assert_same
from brenier._errors import InputError
from brenier.cli.app import app
from brenier.geometry import Moments
from brenier.potentials import Quadratic
from brenier.solvers import BFGS
from brenier.training import HistoryRow, Outcome, Stop, choose_config
from brenier.training.step import Batches, Context, run_steps, start
from brenier_bench import ablation as module
from brenier_bench import statements
from brenier_bench.ablation import CELLS, ablate, cells, centred_coordinates, load_problem
from brenier_bench.ablation_figure import write_ablation
from brenier_bench.smooth_max import random_pair
from commands import as_json, run
from networks import fresh, perturb
from problems import covariance

NAMES = ("default", "1 round", "Picard", "cold start", "no Bures")
STATEMENTS = {
    "gap": [],
    "envelope": {name: [1.0, 2.0] for name in ("residual", "bias", "bound", "unrolled_bias")},
    "sgd": {"epsilon": [0.1, 1.0], "bound": [1.0, 10.0], "distance": {}, "slope": {}},
}
"""Stand-ins: `test_statements.py` measures and draws the true ones, which take longer."""

NUMBERS = ("l2_uvp_forward", "l2_uvp_inverse", "gap", "gap_relative", "gap_inference", "evaluations", "seconds")


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """Five cells of eight steps on a random pair, as the command prints them, and their figure."""
    figure = tmp_path_factory.mktemp("figure") / "ablation.png"
    chosen = [part for name in NAMES for part in ("--cell", name)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statements, "measure", lambda: STATEMENTS)
        found = as_json("bench", "ablation", "--dim", 2, "--steps", 8, *chosen, "--figure", figure)
    return found | {"figure": figure.read_bytes()}


def test_every_cell_is_a_row_of_numbers(record):
    assert [row["cell"] for row in record["rows"]] == list(NAMES)
    for row in record["rows"]:
        assert all(np.isfinite(row[name]) and row[name] >= 0 for name in NUMBERS), row
        assert row["dim"] == 2
        assert row["steps"] == 8
        assert row["diverged"] is False
        assert row["gap_relative"] == pytest.approx(row["gap"] / row["half_squared_w2"])
        # What is left after the solves of the finished map is rounding; a training step stops long before.
        assert_at_most(row["gap_inference"], 1e-4 * row["half_squared_w2"], "gap of the finished map")


def test_the_cells_change_what_they_say(record):
    rows = {row["cell"]: row for row in record["rows"]}
    assert rows["1 round"]["evaluations"] == 2.0  # the guess, and one step
    assert rows["1 round"]["rounds"] == [1, 1]
    assert rows["default"]["rounds"] == [1, 4]
    assert rows["Picard"]["solver"] == "Picard"
    assert rows["default"]["solver"] == "BFGS"
    # Eight steps hardly move a fit from where it starts: the Gaussian map, or a translation.
    assert rows["no Bures"]["l2_uvp_forward"] > 1.2 * rows["default"]["l2_uvp_forward"]


def test_the_statements_are_in_the_record_and_the_figure_is_a_picture(record):
    assert record["statements"] == STATEMENTS
    assert record["figure"].startswith(b"\x89PNG")


def test_settings_of_the_cells():
    usual = choose_config(16, None, max_steps=512, holdout=2048)
    changed = {
        cell.name: {
            field.name
            for field in dataclasses.fields(usual)
            if getattr(cell.config(16, 512), field.name) != getattr(usual, field.name)
        }
        - {"validation"}
        for cell in CELLS
    }
    assert changed["default"] == changed["no Bures"] == set()
    assert changed["cold start"] == {"warm"}
    assert changed["3 rounds"] == {"rounds"}
    assert changed["to tolerance"] == {"rounds", "unconverged"}
    assert changed["Spectral"] == {"solver"}
    assert changed["plain"] == {"solver", "warm"}
    few = CELLS[0].config(2, 8)
    assert (few.cycle, few.validation, few.max_steps) == (2, 2, 8)


def test_the_solver_that_is_the_default_is_not_run_twice():
    assert "BFGS" not in [cell.name for cell in cells(None, 2)]
    assert "LBFGS" not in [cell.name for cell in cells(None, 64)]
    assert len(cells(None, 2)) == len(cells(None, 64)) == len(CELLS) - 1
    with pytest.raises(InputError, match=r"`cell` must be one of .*; got 'Broyden'"):
        cells(["Broyden"], 2)


def test_a_cell_that_fails_is_a_row_that_says_how(monkeypatch, tmp_path):
    work = module._run

    def fail(cell, *rest):
        if cell.name == "Picard":
            raise FloatingPointError("out of range")
        return work(cell, *rest)

    monkeypatch.setattr(module, "_run", fail)
    result = run("bench", "ablation", "--dim", 2, "--steps", 8, "--cell", "default", "--cell", "Picard")
    assert "failed" in result.output
    assert "…" not in result.output  # nothing is cut off at 80 columns
    assert "FloatingPointError: out of range" in result.output
    problem = load_problem(2, None, 0)
    (row,) = ablate(problem, 8, ["Picard"])
    assert row["failed"] == "FloatingPointError: out of range"
    write_ablation(tmp_path / "failed.png", {"rows": [row], "statements": STATEMENTS})
    assert (tmp_path / "failed.png").read_bytes().startswith(b"\x89PNG")


def test_a_cell_that_diverges_is_a_row_that_says_so():
    history = [HistoryRow(step, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, False) for step in (64, 128)]
    lost = Outcome(Quadratic.identity(2), history, Stop.budget, True, 2)
    words = module._note(lost, next(cell for cell in CELLS if cell.name == "no Bures"))
    assert words == (
        "diverged 2 times, each time back to the best state at half the rate; "
        "no better than the translation that it started from, which is what is measured"
    )
    early = Outcome(Quadratic.identity(2), history, Stop.budget, False, 0, best_step=64)
    assert module._note(early, CELLS[0]) == "best on held-out points after 64 steps, and measured there"
    assert module._note(early._replace(best_step=128), CELLS[0]) is None


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_random_pairs(dim):
    pair = random_pair(dim, 3)
    x = pair.sample_source(jnp.asarray([1, 2], jnp.uint32), 500)
    y = pair.transport(x)
    assert_same(pair.transport(pair.test_x), pair.test_y)
    assert_close(pair.var_y, pair.test_y.var(axis=0, dtype=np.float64).sum(), rtol=1e-6)
    # The gradient of a convex function is monotone; a map of two points is that of a Gaussian only if it is affine.
    moved, apart = y[:250] - y[250:], x[:250] - x[250:]
    assert_at_most(0.39 * np.sum(apart**2, axis=1), np.sum(moved * apart, axis=1) + 1e-4, "monotonicity")
    design = np.column_stack([pair.test_x, np.ones(len(pair.test_x))]).astype(float)
    left = pair.test_y - design @ np.linalg.lstsq(design, pair.test_y.astype(float), rcond=None)[0]
    assert np.sum(left**2) / len(left) > 0.03 * pair.var_y
    assert_same(random_pair(dim, 3).test_y, pair.test_y)


def test_centred_coordinates(rng):
    source = Moments(rng.standard_normal(3), covariance(3, 4, 0), 0)
    target = Moments(rng.standard_normal(3), 2 * covariance(3, 9, 1), 0)
    c = centred_coordinates(source, target)
    assert_close(c.to_x.T @ c.to_y, np.eye(3) / c.unit**2, atol=1e-12)
    x, y = rng.standard_normal((2, 20, 3))
    assert_close(c.leave_x(c.enter_x(x)), x, atol=1e-5)
    assert_close(c.leave_y(c.enter_y(y)), y, atol=1e-5)
    assert_close(c.linear_map, np.eye(3), atol=1e-12)
    inner = c.dual_offset(x, y) - c.unit**2 * np.mean(np.sum(c.enter_x(x) * c.enter_y(y), axis=1))
    assert_close(inner, 0.5 * np.mean(np.sum((x - y) ** 2, axis=1)), rtol=1e-5)


@pytest.mark.parametrize("warm", [True, False])
def test_a_cold_start_forgets_where_the_last_step_ended(warm, rng):
    u = perturb(fresh("icnn-ramp", 2), 1, 0.3)
    x, y = rng.standard_normal((2, 8, 2)).astype(np.float32)
    static = eqx.filter(u, eqx.is_inexact_array, inverse=True)
    pools = jnp.asarray(x), jnp.asarray(y)
    context = Context(BFGS(), (2, 2), 0.0, np.inf, jnp.ones(2), static, *pools, warm=warm)
    found = []
    for place in (0.0, 0.3):
        state = start(u, jnp.asarray(y), BFGS())
        state = eqx.tree_at(lambda s: s.conjugates, state, state.conjugates + place)
        rows = (jnp.arange(8)[None] for _ in range(2))
        after, _ = run_steps(context, state, Batches(*rows, jnp.full(1, 0.01), jnp.full(1, 0.0)))
        found.append(np.asarray(after.conjugates))
    assert np.array_equal(*found) is not warm


def test_benchmark_pairs(shared_data, monkeypatch):
    monkeypatch.setattr(statements, "measure", lambda: STATEMENTS)
    folder = shared_data / "w2bench"
    found = as_json("bench", "ablation", "--data", folder, "--dim", 2, "--steps", 8, "--cell", "default")
    (row,) = found["rows"]
    assert row["half_squared_w2"] == pytest.approx(0.3256, rel=0.01)
    # The best affine map scores 14 %, and eight steps are hardly more.
    assert 10 < row["l2_uvp_forward"] < 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dim", "2", "--cell", "Broyden"), "`cell` must be one of"),
        (("--dim", "2", "--dim", "3", "--steps", "1", "--steps", "2", "--steps", "3"), "`--steps` takes one number"),
        (("--dim", "2", "--dim", "2"), "`--dim` must not repeat"),
        (("--dim", "2", "--figure", "no/such/folder/a.png"), "cannot be written"),
        (("--dim", "2", "--data", "no-such-folder"), "`data` has no file for 2 dimensions"),
    ],
)
def test_errors_come_before_the_work(arguments, message):
    result = CliRunner().invoke(app, ["bench", "ablation", *arguments, "--json"])
    assert result.exit_code == 2
    assert message in json.loads(result.stdout)["error"]
