"""The budget of a fit, in steps or in seconds, and the learning rate that follows it."""

import time

import numpy as np
from numpy.typing import NDArray

from brenier.training.config import TrainingConfig

__all__ = ["Schedule"]

_WARM_UP = 100
"""Steps over which the rate rises linearly."""


class Schedule:
    """Where a fit stands in its budget.

    With a budget in seconds the position is the share of wall-clock gone, so the rate still ends at zero on time;
    how many steps that takes depends on the machine and the moment.

    Args:
        config: Budget, rates and tolerances.
        started: `time.perf_counter()` from which seconds count; now by default.
    """

    def __init__(self, config: TrainingConfig, started: float | None = None) -> None:
        self._config = config
        self._started = time.perf_counter() if started is None else started
        self._timed: tuple[float, int] | None = None
        self._seconds_a_step = 0.0
        self.factor = 1.0

    @property
    def seconds(self) -> float:
        """Wall-clock since the start."""
        return time.perf_counter() - self._started

    def progress(self, steps: int) -> float:
        """Share of the budget used, the fuller of the two if both are given."""
        limits = (
            steps / self._config.max_steps if self._config.max_steps else 0.0,
            self.seconds / self._config.max_seconds if self._config.max_seconds else 0.0,
        )
        return max(limits)

    def next_cycle(self, steps: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Rates and tolerances of the next chunk of steps; empty when the budget is used."""
        config = self._config
        count = config.cycle if config.max_steps is None else min(config.cycle, config.max_steps - steps)
        position = self.progress(steps)
        if count <= 0 or position >= 1.0:
            return np.empty(0, np.float32), np.empty(0, np.float32)
        self._measure(steps)
        if config.max_seconds and config.max_seconds - self.seconds < 0.5 * count * self._seconds_a_step:
            return np.empty(0, np.float32), np.empty(0, np.float32)
        share = 1.0 / config.max_steps if config.max_steps else 0.0
        if config.max_seconds:
            share = max(share, self._seconds_a_step / config.max_seconds)
        positions = np.minimum(position + share * np.arange(count), 1.0)
        decay = 0.5 * (1.0 + np.cos(np.pi * positions))
        warm = np.minimum(1.0, (steps + 1 + np.arange(count)) / _WARM_UP)
        first, last = config.tolerance
        rates = self.factor * config.learning_rate * warm * decay
        return rates.astype(np.float32), (last + (first - last) * decay).astype(np.float32)

    def _measure(self, steps: int) -> None:
        """Seconds a step, between chunks, from the second one on: the first contains the compilation."""
        now = time.perf_counter()
        if self._timed is None:
            if steps > 0:
                self._timed = (now, steps)
            return
        since, before = self._timed
        if steps > before:
            self._seconds_a_step = (now - since) / (steps - before)
