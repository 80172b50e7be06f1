"""What each part of the training is worth: the default settings, and one of them changed at a time."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from brenier._errors import InputError
from brenier.conjugates import conjugate_points
from brenier.geometry import Moments, QuadraticGeometry, accumulate_moments
from brenier.maps import TransportMap
from brenier.potentials import AbstractPotential
from brenier.solvers import BFGS, LBFGS, AbstractSolver, Anderson, Newton, Picard, Spectral
from brenier.training import DualObjective, Outcome, TrainingConfig, choose_config, train
from brenier_bench.datasets import Wasserstein2Pair
from brenier_bench.method import Fitted, Preimages, score
from brenier_bench.problem import Problem
from brenier_bench.smooth_max import random_pair
from brenier_bench.visits import Visits

__all__ = ["CELLS", "DEFAULT", "Cell", "Row", "ablate", "cells", "centred_coordinates", "load_problem"]

DEFAULT = "default"

_HELD_OUT = 2048
_MOMENT_BATCH, _MOMENT_BATCHES = 1 << 14, 8
_FEWEST_CYCLES = 4
"""Compiled chunks of a cell: the first two contain compilations, so that the others tell the time of a step."""

_ENOUGH = 200
"""Most rounds a step of the cell that solves to tolerance."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One row of the table: the default settings with one of them changed.

    Attributes:
        name: What is different, for people and for `--cell`.
        group: `"rounds"`, `"solver"` or `"start"`; empty for the default.
        rounds: Fewest and most rounds of the inner solver a step; the default's where `None`.
        exact: Whether no point of a batch may miss the tolerance.
        solver: Inner solver; the default's where `None`.
        warm: Whether conjugates start where the last step with the same points left them.
        bures: Whether training happens in Bures coordinates; otherwise in centred ones with one common unit.
    """

    name: str
    group: str = ""
    rounds: tuple[int, int] | None = None
    exact: bool = False
    solver: AbstractSolver | None = None
    warm: bool = True
    bures: bool = True

    def config(self, dim: int, steps: int) -> TrainingConfig:
        """Settings of the cell."""
        config = choose_config(dim, None, max_steps=steps, holdout=_HELD_OUT, warm=self.warm)
        cycle = max(min(config.cycle, steps // _FEWEST_CYCLES), 1)
        config = config.replace(cycle=cycle, validation=cycle)
        if self.rounds is not None:
            config = config.replace(rounds=self.rounds)
        if self.exact:
            config = config.replace(unconverged=0.0)
        return config if self.solver is None else config.replace(solver=self.solver)


_SOLVERS: dict[str, AbstractSolver] = {
    "Picard": Picard(),
    "damped Picard": Picard(relaxation=0.5),
    "Spectral": Spectral(),
    "Anderson": Anderson(),
    "LBFGS": LBFGS(memory=3),
    "BFGS": BFGS(),
    "Newton": Newton(),
}

CELLS: tuple[Cell, ...] = (
    Cell(DEFAULT),
    *(Cell(f"{count} rounds" if count > 1 else "1 round", "rounds", (count, count)) for count in (1, 2, 3, 5, 10)),
    Cell("to tolerance", "rounds", (1, _ENOUGH), exact=True),
    *(Cell(name, "solver", solver=solver) for name, solver in _SOLVERS.items()),
    Cell("cold start", "start", warm=False),
    Cell("no Bures", "start", bures=False),
    Cell("plain", "start", solver=Picard(), warm=False, bures=False),
)
"""All rows. The last one changes three settings at once: the fixed point as it stands, without what helps it."""


def cells(names: Sequence[str] | None, dim: int) -> list[Cell]:
    """The chosen rows, all of them by default, without the solver that is the default in this dimension anyway.

    Raises:
        InputError: There is no such row.
    """
    known = {cell.name: cell for cell in CELLS}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise InputError(f"`cell` must be one of {list(known)}; got {unknown[0]!r}.")
    usual = choose_config(dim, None).solver
    chosen = [known[name] for name in names] if names else list(CELLS)
    return [cell for cell in chosen if type(cell.solver) is not type(usual)]


def load_problem(dim: int, folder: Path | None, seed: int) -> Problem:
    """The benchmark pair `<dim>.npz` of a folder; without a folder a random pair, which needs no file.

    Raises:
        InputError: The file is missing, is not such a pair, or has another dimension.
    """
    if folder is None:
        return Problem.of(random_pair(dim, seed), seed)
    path = folder / f"{dim}.npz"
    if not path.is_file():
        raise InputError(f"`data` has no file for {dim} dimensions: {path}. Name another folder, or leave `dim` out.")
    pair = Wasserstein2Pair.load(path)
    if pair.dim != dim:
        raise InputError(f"{path} holds a pair of {pair.dim} dimensions, not {dim}.")
    return Problem.of(pair, seed)


def ablate(
    problem: Problem, steps: int, names: Sequence[str] | None = None, report: Callable[[Row], None] | None = None
) -> list[Row]:
    """Train every cell for as many steps on one pair; a cell that fails is a row that says how.

    Args:
        problem: The pair.
        steps: Training steps of each cell.
        names: Rows to run, all by default.
        report: Called with each row as it comes.

    Returns:
        A row a cell, JSON values. `l2_uvp_forward` and `l2_uvp_inverse` are errors in percent. `gap` is the mean of
        `r^2 / (2 m)` over held-out targets that are treated as a training step treats its own, see `Visits`: by how
        much the conjugates' truncation can have raised the dual value, in its units, squared units of the data.
        `gap_relative` is its share of `W2^2 / 2`; `gap_inference` is `gap` after the solves of the finished map.
        `evaluations` are gradients of the potential a step, and `left_out` is the share of targets too far from their
        roots to be used. `step_seconds` is the processor time of a step, the median over chunks without compilation,
        sampling included and looks at the held-out points not; `seconds` is that of all steps, and `wall_seconds` the
        whole training, with the compilation that no earlier cell has done.
    """
    chosen = cells(names, problem.dim)
    # Other points than those of the training, as many as the estimator takes.
    sources = replace(problem, seed=problem.seed + 1).sources()
    draws = max(_MOMENT_BATCHES, problem.dim // 2)
    source, target = (accumulate_moments(side.draw(_MOMENT_BATCH) for _ in range(draws)) for side in sources)
    rows: list[Row] = []
    for cell in chosen:
        place = CELLS.index(cell)
        row: Row = {"cell": cell.name, "place": place, "group": cell.group, "dim": problem.dim, "steps": steps}
        try:
            row |= _run(cell, problem, (source, target), steps)
        except Exception as error:  # noqa: BLE001 - a row says how its cell failed
            row |= {"failed": f"{type(error).__name__}: {error}"}
        rows.append(row)
        if report is not None:
            report(rows[-1])
    return rows


def centred_coordinates(source: Moments, target: Moments) -> QuadraticGeometry:
    """Coordinates that only centre both sides and divide both by one number: the root mean variance.

    The identity stands between the two sides in place of the Gaussian map, so a fit starts at a translation.
    """
    dim = len(source.mean)
    unit = math.sqrt((np.trace(source.covariance) + np.trace(target.covariance)) / (2 * dim))
    enter, leave = np.eye(dim) / unit, np.eye(dim) * unit
    parts: dict[str, Any] = {"to_x": enter, "to_y": enter, "from_x": leave, "from_y": leave, "unit": unit}
    return QuadraticGeometry(**parts, mean_x=source.mean, mean_y=target.mean, spread=np.ones(dim), scale=np.ones(dim))


def _run(cell: Cell, problem: Problem, moments: tuple[Moments, Moments], steps: int) -> Row:
    """Train one cell and measure it."""
    config = cell.config(problem.dim, steps)
    coordinates = (QuadraticGeometry.between if cell.bures else centred_coordinates)(*moments)
    source, target = problem.sources()
    x, y = source.draw(config.holdout), target.draw(config.holdout)
    holdout = Visits(x, y, coordinates, config)
    started = time.perf_counter()
    outcome = train(DualObjective(source, target, coordinates, holdout, config, seed=problem.seed), config)
    trained = time.perf_counter() - started
    map_ = TransportMap(coordinates, cast(AbstractPotential, outcome.potential))
    inverse = Preimages(map_)
    fitted = Fitted(map_.forward, inverse, outcome.history[-1].step)
    measured = {name: value for name, value in score(problem, fitted).items() if name.startswith(("l2", "div"))}
    half = 0.5 * float(np.mean(np.sum(np.square(problem.test_x - problem.test_y, dtype=np.float64), axis=1)))
    gap = holdout.gap * coordinates.unit**2
    solved = conjugate_points(outcome.potential, coordinates.enter_y(y), scale=coordinates.spread)
    floor = outcome.potential.convexity_floor()
    final = math.inf if floor is None else float(np.mean(np.square(solved.residual, dtype=np.float64)) / (2 * floor))
    pace = holdout.step_seconds(config.cycle)
    return measured | {
        "gap": gap,
        "gap_relative": gap / half,
        "gap_inference": final * coordinates.unit**2,
        "half_squared_w2": half,
        "evaluations": float(np.mean([row.evaluations for row in outcome.history])),
        "left_out": float(np.mean([row.unconverged for row in outcome.history])),
        "unconverged_fraction": inverse.unconverged,
        "step_seconds": pace,
        "seconds": None if pace is None else pace * outcome.history[-1].step,
        "wall_seconds": round(trained, 3),
        "dual": max(row.dual for row in outcome.history),
        "solver": type(config.solver).__name__,
        "rounds": list(config.rounds),
        "note": _note(outcome, cell),
    }


def _note(outcome: Outcome, cell: Cell) -> str | None:
    """What a reader needs to know about the numbers."""
    notes = []
    if outcome.restarts:
        notes.append(f"diverged {outcome.restarts} times, each time back to the best state at half the rate")
    if cell.name == "Newton":
        notes.append("every evaluation but the first of a step also takes as many Jacobian products as dimensions")
    if outcome.baseline:
        start = "the Gaussian map" if cell.bures else "the translation that it started from"
        notes.append(f"no better than {start}, which is what is measured")
    elif outcome.best_step < outcome.history[-1].step:
        notes.append(f"best on held-out points after {outcome.best_step} steps, and measured there")
    return "; ".join(notes) or None
