"""The outer loop of every fit: chunks of steps, and between them validation, selection, restart and snapshots."""

import enum
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._states import State
from brenier.geometry import AbstractGeometry
from brenier.potentials import AbstractFamily
from brenier.training.config import TrainingConfig
from brenier.training.history import OnRow
from brenier.training.objective import AbstractObjective, Chunk, Statistics
from brenier.training.placement import LOCAL, Placement, placement_for
from brenier.training.snapshot import Keeper, leaves_of, refill

__all__ = ["SIGNIFICANT", "Fit", "Outcome", "Stop", "baseline_outcome", "train"]

SIGNIFICANT = 2.0
"""Standard errors by which a network must beat the Gaussian map on held-out points to be returned instead of it."""


class Stop(enum.Enum):
    """Why a fit ended. The value is the sentence shown to the user."""

    budget = "The budget was used."
    patience = "The held-out value stopped improving."
    untrained = "Too few samples to train a network."
    callback = "A callback asked for the end."
    reached = "The number of steps that was best on held-out points was reached."
    interrupted = "Interrupted from the keyboard; the best map so far is kept."


class Outcome(NamedTuple):
    """The end of a fit.

    Attributes:
        potential: The best potential on held-out points, in the new coordinates.
        history: A row for each validation.
        stop: Why it ended.
        baseline: Whether the Gaussian map was returned because no network beat it significantly.
        restarts: How often a diverged state was replaced by the best one.
        best_step: Steps behind the potential.
    """

    potential: AbstractFamily
    history: list[Any]
    stop: Stop
    baseline: bool
    restarts: int
    best_step: int = 0


def baseline_outcome(coordinates: AbstractGeometry) -> Outcome:
    """The end of a fit that had nothing to train on: the baseline, for the quadratic cost the Gaussian map."""
    return Outcome(coordinates.surplus.baseline(), [], Stop.untrained, True, 0)


def train(
    objective: AbstractObjective,
    config: TrainingConfig,
    *,
    on_row: OnRow | None = None,
    started: float | None = None,
    until: int | None = None,
    keeper: Keeper | None = None,
) -> Outcome:
    """Fit a potential to an objective, in as many parts as the settings say; arguments as for `Fit`."""
    return Fit(
        objective, config, placement_for(config), on_row=on_row, started=started, until=until, keeper=keeper
    ).run()


@final
class Fit:
    """One fit, from its first chunk of steps to its end, whatever the objective and wherever it runs.

    Args:
        objective: What is to be made small, and the points for that.
        config: Settings.
        placement: Where the parts of the fit are.
        on_row: Called with every row of the history; a true result ends the fit.
        started: `time.perf_counter()` from which a budget in seconds counts.
        until: Return the state after this number of steps, whatever the held-out points say.
        keeper: Saves the state for a later process, and has that of an earlier one; nothing is saved by default.

    Attributes:
        history: A row for each validation.
        steps: Steps taken.
        state: The state of the training.
        statistics: What happened in the steps since the last validation, an entry for each chunk.
        best: Averaged parameters of the best state so far; None while that is the baseline.
        best_value: Their held-out value.
        lowest: The best held-out value so far, which may be that of an earlier state.
        best_step: Steps behind the best state.
        best_progress: Share of the budget behind it.
        restarts: How often a diverged state was replaced.
    """

    def __init__(
        self,
        objective: AbstractObjective,
        config: TrainingConfig,
        placement: Placement = LOCAL,
        *,
        on_row: OnRow | None = None,
        started: float | None = None,
        until: int | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self.objective, self.config, self.placement = objective, config, placement
        self.on_row, self.until, self.keeper = on_row, until, keeper
        self.schedule = placement.schedule(config, started)
        self.history: list[Any] = []
        self.statistics: list[Statistics] = []
        self.steps = self.restarts = self.best_step = 0
        self.best_progress = 0.0
        self.best: AbstractFamily | None = None
        objective.place(placement)
        self.initial, self.static = eqx.partition(objective.make_potential(), eqx.is_inexact_array)
        self.state = self._start(self.initial)
        self.baseline = self.lowest = self.best_value = objective.baseline()

    def run(self) -> Outcome:
        """Run the fit, from its start or from the state that its keeper has.

        A fit that ended in an earlier process is only read; one that was interrupted from the keyboard has not ended.
        """
        saved = None if self.keeper is None else self.keeper.load()
        ended = None if saved is None else self._restore(saved)
        if ended is None:
            ended = self._until_stopped()
            if self.keeper is not None and ended is not Stop.interrupted:
                self.keeper.save(self._state(ended))
        return self._outcome(ended)

    def _until_stopped(self) -> Stop:
        """Take steps until there is a reason to stop."""
        with self.placement.interruptible() as pressed:
            while (end := self._cycle()) is None:
                if self.keeper is not None and self.keeper.due(self.steps):
                    self.keeper.save(self._state())
                if pressed():
                    return Stop.interrupted
            return end
        return Stop.interrupted  # Ctrl-C, as an exception that the context has taken

    def _cycle(self) -> Stop | None:
        """Take a chunk of steps, and validate where that is due; returns the reason to stop, if there is one."""
        rates, tolerances = self.schedule.next_cycle(self.steps)
        if not len(rates):
            if self.statistics:
                self._tell(self._validate(self.schedule.progress(self.steps), 0.0))
            return Stop.budget
        self.state, statistics = self.objective.advance(self.state, Chunk(self.steps, rates, tolerances))
        self.statistics.append(statistics)
        self.steps += len(rates)
        progress = self.schedule.progress(self.steps)
        if self.until is not None and self.steps >= self.until:
            return Stop.reached
        if self.schedule.ended or not self.history or self.steps % self.config.validation == 0:
            if self._tell(self._validate(progress, float(rates[-1]))):
                return Stop.callback
            if self.config.patience is not None and progress - self.best_progress > self.config.patience:
                return Stop.patience
        return None

    def _tell(self, row: Any) -> bool:  # noqa: ANN401
        """Show a row to the callback; returns whether it asks for the end."""
        return self.placement.any_of(bool(self.on_row is not None and self.on_row(row)))

    def _validate(self, progress: float, rate: float) -> Any:  # noqa: ANN401
        """Evaluate the averaged state on the held-out points, keep it if it is the best, and return its row."""
        since = self.schedule.seconds
        potential = eqx.combine(self._average, self.static)
        # One process evaluates, the others wait: the same numbers everywhere, and no device computes them twice.
        value = self.placement.on_first(lambda: self.objective.evaluate(potential), self.baseline)
        took = self.schedule.seconds - since
        # Time for the last validation: the first one contains its compilation, which the last one will not.
        self.schedule.reserve = min(took, self.schedule.reserve) if self.history else took
        chunks, self.statistics = self.statistics, []
        statistics = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
        diverged = self.objective.diverged(value, self.baseline, statistics)
        best = not diverged and self._keeps(value, progress)
        gain, error = value.gain_over(self.baseline)
        row = self.objective.row(
            step=self.steps,
            seconds=self.schedule.seconds,
            progress=progress,
            gain=gain * self.objective.unit,
            error=error * self.objective.unit,
            rate=rate,
            best=best,
            **self.objective.figures(value, statistics),
        )
        self.history.append(row)
        if diverged:
            self._restart()
        return row

    def _keeps(self, value: Any, progress: float) -> bool:  # noqa: ANN401
        """Keep a state that is the best, or that the held-out points cannot tell from the best.

        Of two such states the later has the smaller learning rate. But a few points can decide the standard error, and
        one of them hide a state that is much worse: all but a share of the gain has to be there as well.
        """
        gain, error = value.gain_over(self.lowest)
        best, _ = self.lowest.gain_over(self.baseline)
        if not gain > -min(error, self.objective.forgiven * best):
            return False
        self.best_value, self.best = value, jax.tree.map(jnp.copy, self._average)
        self.best_progress, self.best_step = progress, self.steps
        if gain > 0:
            self.lowest = value
        return True

    def _restart(self) -> None:
        """Go back to the best state, or to the start, at half the learning rate."""
        self.restarts += 1
        self.schedule.factor *= 0.5
        self.state = self._start(self.initial if self.best is None else self.best)

    def _start(self, arrays: AbstractFamily) -> Any:  # noqa: ANN401
        # Copies, because the steps give the memory of their state away.
        return self.objective.start(eqx.combine(jax.tree.map(jnp.array, arrays), self.static))

    @property
    def _average(self) -> AbstractFamily:
        return self.placement.localise(self.state.average)

    def _outcome(self, stop: Stop) -> Outcome:
        """The result of the fit."""
        gain, error = self.best_value.gain_over(self.baseline)
        best = self._average if stop is Stop.reached else self.best
        if stop is not Stop.reached and not gain > SIGNIFICANT * error:
            best = None
        if best is None:
            baseline = self.objective.coordinates.surplus.baseline()
            return Outcome(baseline, self.history, stop, True, self.restarts)
        return Outcome(eqx.combine(best, self.static), self.history, stop, False, self.restarts, self.best_step)

    def _state(self, ended: Stop | None = None) -> State:
        """All that changes in a fit; of one that has ended, what its outcome needs."""
        state = {
            "ended": None if ended is None else ended.name,
            "steps": self.steps,
            "restarts": self.restarts,
            "history": [list(row) for row in self.history],
            "schedule": self.schedule.state(),
            "average": leaves_of(self._average),
            "best": None if self.best is None else leaves_of(self.best),
            "best_step": self.best_step,
            "best_progress": self.best_progress,
            "best_value": self.best_value.state(),
            "lowest": self.lowest.state(),
        }
        if ended is None:
            state |= {"statistics": self.statistics, "objective": self.objective.state(self.state)}
        return state

    def _restore(self, saved: State) -> Stop | None:
        """Take up a state; why the fit ended, if it has."""
        self.steps, self.restarts = saved["steps"], saved["restarts"]
        self.history = [self.objective.row(*row) for row in saved["history"]]
        self.schedule.restore(saved["schedule"], self.steps)
        average = self.placement.replicate(refill(self._average, saved["average"]))
        self.state = eqx.tree_at(lambda state: state.average, self.state, average)
        self.best = None if saved["best"] is None else refill(self.initial, saved["best"])
        self.best_step, self.best_progress = saved["best_step"], saved["best_progress"]
        self.best_value, self.lowest = (self.baseline._replace(**saved[name]) for name in ("best_value", "lowest"))
        if saved["ended"] is not None:
            return Stop[saved["ended"]]
        self.statistics = saved["statistics"]
        self.state = self.objective.restore(self.state, saved["objective"])
        return None
