"""What all fits share: chunks of steps until the budget, a callback, the keyboard or the lack of progress ends them."""

import abc
import enum
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brenier.geometry import AbstractGeometry
from brenier.potentials import AbstractFamily
from brenier.training.config import TrainingConfig
from brenier.training.schedule import Schedule
from brenier.training.snapshot import FitState, Keeper

__all__ = ["SIGNIFICANT", "AbstractFit", "Outcome", "Stop", "gaussian_outcome"]

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
        history: A row for each look at the held-out points.
        stop: Why it ended.
        gaussian: Whether the Gaussian map was returned because no network beat it significantly.
        restarts: How often a diverged state was replaced by the best one.
        best_step: Steps behind the potential.
    """

    potential: AbstractFamily
    history: list[Any]
    stop: Stop
    gaussian: bool
    restarts: int
    best_step: int = 0


def gaussian_outcome(coordinates: AbstractGeometry) -> Outcome:
    """The end of a fit that had nothing to train on: the Gaussian map, or what else the baseline is."""
    return Outcome(coordinates.surplus.baseline(), [], Stop.untrained, True, 0)


class AbstractFit(abc.ABC):
    """One fit, from its first chunk of steps to its end; subclasses take the steps and look at held-out points.

    Args:
        config: Settings.
        on_look: Called with every row of the history; a true result ends the fit.
        started: `time.perf_counter()` from which a budget in seconds counts.
        until: Steps after which the fit ends, whatever the held-out points say.
        keeper: Where the state is left for a later process, and where that of an earlier one is; nowhere by default.

    Attributes:
        history: A row for each look.
        steps: Steps taken.
        best_progress: Share of the budget after which the best state was found.
        restarts: How often a diverged state was replaced.
    """

    row: ClassVar[Callable[..., Any]]
    """Makes a row of the history from its values."""

    clock: ClassVar[type[Schedule]] = Schedule
    """Where the fit stands in its budget."""

    def __init__(
        self,
        config: TrainingConfig,
        on_look: Any,  # noqa: ANN401
        started: float | None,
        until: int | None,
        keeper: Keeper | None = None,
    ) -> None:
        self.config, self.on_look, self.until, self.keeper = config, on_look, until, keeper
        self.schedule = self.clock(config, started)
        self.history: list[Any] = []
        self.best_progress = 0.0
        self.steps = self.restarts = 0

    def run(self) -> Outcome:
        """The fit, from its start or from where its keeper has it.

        A fit that ended in an earlier process is only read; one that was interrupted from the keyboard has not ended.
        """
        found = None if self.keeper is None else self.keeper.found()
        ended = None if found is None else self._restore(found)
        if ended is None:
            ended = self._until_stopped()
            if self.keeper is not None and ended is not Stop.interrupted:
                self.keeper.save(self._state(ended))
        return self._outcome(ended)

    @abc.abstractmethod
    def _outcome(self, stop: Stop) -> Outcome:
        """What the fit has found."""

    @abc.abstractmethod
    def _lasting(self) -> FitState:
        """What the outcome needs of the state."""

    @abc.abstractmethod
    def _restore_lasting(self, saved: FitState) -> None:
        """Take up what `_lasting` gave."""

    @abc.abstractmethod
    def _passing(self) -> FitState:
        """What further steps need beyond that."""

    @abc.abstractmethod
    def _restore_passing(self, saved: FitState) -> None:
        """Take up what `_passing` gave."""

    def _state(self, ended: Stop | None = None) -> FitState:
        """All that changes in a fit; of one that has ended, what its outcome needs."""
        return {
            "ended": None if ended is None else ended.name,
            "steps": self.steps,
            "restarts": self.restarts,
            "best_progress": self.best_progress,
            "history": [list(row) for row in self.history],
            "schedule": self.schedule.state(),
            "lasting": self._lasting(),
            "passing": self._passing() if ended is None else None,
        }

    def _restore(self, saved: FitState) -> Stop | None:
        """Take up a state; why the fit ended, if it has."""
        self.steps, self.restarts, self.best_progress = saved["steps"], saved["restarts"], saved["best_progress"]
        self.history = [self.row(*row) for row in saved["history"]]
        self.schedule.restore(saved["schedule"], self.steps)
        self._restore_lasting(saved["lasting"])
        if saved["ended"] is not None:
            return Stop[saved["ended"]]
        self._restore_passing(saved["passing"])
        return None

    @abc.abstractmethod
    def _advance(self, rates: NDArray[np.float32], tolerances: NDArray[np.float32]) -> None:
        """Take one step for each rate."""

    @abc.abstractmethod
    def _look(self, progress: float, rate: float) -> Any:  # noqa: ANN401
        """Evaluate the present state, keep it if it is the best, and add a row to the history."""

    @property
    @abc.abstractmethod
    def _unseen(self) -> bool:
        """Whether steps were taken since the last look."""

    def _until_stopped(self) -> Stop:
        """Take steps until there is a reason to stop."""
        try:
            while (end := self._cycle()) is None:
                self._keep_state()
        except KeyboardInterrupt:
            return Stop.interrupted
        return end

    def _keep_state(self) -> None:
        """Leave the state with the keeper, if it wants it now."""
        if self.keeper is not None and self.keeper.between(self.steps):
            self.keeper.save(self._state())

    def _cycle(self) -> Stop | None:
        """One chunk of steps, then a look where one is due; a reason once there is one to stop."""
        rates, tolerances = self.schedule.next_cycle(self.steps)
        if not len(rates):
            if self._unseen:
                row = self._look(self.schedule.progress(self.steps), 0.0)
                self._told(row)
            return Stop.budget
        self._advance(rates, tolerances)
        self.steps += len(rates)
        progress = self.schedule.progress(self.steps)
        if self.until is not None and self.steps >= self.until:
            return Stop.reached
        if self.schedule.ended or not self.history or self.steps % self.config.look == 0:
            row = self._look(progress, float(rates[-1]))
            if self._told(row):
                return Stop.callback
            if self.config.patience is not None and progress - self.best_progress > self.config.patience:
                return Stop.patience
        return None

    def _told(self, row: Any) -> bool:  # noqa: ANN401
        """Tell the callback of a row; whether it asks for the end."""
        return bool(self.on_look is not None and self.on_look(row))

    def _reserve(self, took: float) -> None:
        """Keep time for the last look: the first one contains its compilation, which the last one will not."""
        self.schedule.reserve = min(took, self.schedule.reserve) if self.history else took
