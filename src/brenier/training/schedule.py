"""The budget of a fit, in steps or in seconds, and the learning rate that follows it."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier.training.config import TrainingConfig

__all__ = ["Schedule"]

_WARM_UP = 100
"""Steps over which the rate rises linearly."""


class Schedule:
    """Where a fit stands in its budget.

    With a budget in seconds, every cycle plans how many more of them fit into the time left, and the rate falls to zero
    over those; how many steps that makes depends on the machine and the moment.

    Args:
        config: Budget, rates and tolerances.
        started: `time.perf_counter()` from which seconds count; now by default.

    Attributes:
        factor: Multiplies the rates; lowered after a divergence.
        reserve: Seconds of the budget to keep for what follows the last step.
    """

    def __init__(self, config: TrainingConfig, started: float | None = None) -> None:
        self._config = config
        self._started = time.perf_counter() if started is None else started
        self._ready: float | None = None
        self._timed: tuple[float, int] | None = None
        self._restored = 0
        self._seconds_a_step = 0.0
        self._position = 0.0
        self.factor = 1.0
        self.reserve = 0.0

    @property
    def seconds(self) -> float:
        """Wall-clock since the start."""
        return time.perf_counter() - self._started

    @property
    def ended(self) -> bool:
        """Whether the rates have come to their end."""
        return self._position >= 1.0

    @property
    def _deadline(self) -> float:
        """Seconds at which this fit ends: its share of what the first chunk, which contains compilation, leaves."""
        whole, share = self._config.max_seconds or np.inf, self._config.share
        spent = 0.0 if self._ready is None else min(self._ready, whole)
        return spent + share * (whole - spent)

    def state(self) -> dict[str, Any]:
        """Where the fit stands, with the seconds used so far, as JSON values."""
        return {
            "seconds": self.seconds,
            "ready": self._ready,
            "seconds_a_step": self._seconds_a_step,
            "position": self._position,
            "factor": self.factor,
            "reserve": self.reserve,
        }

    def restore(self, state: dict[str, Any], steps: int) -> None:
        """Go on from what `state` gave, after so many steps.

        The seconds of both processes count. The first chunk in the new one contains compilation again, so that the
        pace is measured anew behind it.
        """
        self._started -= state["seconds"]
        self._ready, self._restored = state["ready"], steps
        self._seconds_a_step, self._position = state["seconds_a_step"], state["position"]
        self.factor, self.reserve = state["factor"], state["reserve"]

    def progress(self, steps: int) -> float:
        """Share of the budget used, the fuller of the two if both are given."""
        limits = (
            steps / self._config.max_steps if self._config.max_steps else 0.0,
            self.seconds / self._deadline if self._config.max_seconds else 0.0,
        )
        return min(max(limits), 1.0)

    def next_cycle(self, steps: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Rates and tolerances of the next chunk of steps; empty when the budget is used."""
        config = self._config
        count = config.cycle if config.max_steps is None else min(config.cycle, config.max_steps - steps)
        cycles = self._cycles_left(steps, count)
        if count <= 0 or cycles < 1:
            return np.empty(0, np.float32), np.empty(0, np.float32)
        start, end = self._position, self._position
        if np.isfinite(cycles):
            end += (1.0 - start) / cycles
        if config.max_steps:
            end = max(end, (steps + count) / config.max_steps)
        self._position = min(end, 1.0)
        positions = start + (self._position - start) * np.arange(count) / count
        decay = 0.5 * (1.0 + np.cos(np.pi * positions))
        warm = np.minimum(1.0, (steps + 1 + np.arange(count)) / _WARM_UP)
        first, last = config.tolerance
        rates = self.factor * config.learning_rate * warm * decay
        return rates.astype(np.float32), (last + (first - last) * decay).astype(np.float32)

    def _cycles_left(self, steps: int, count: int) -> float:
        """Whole chunks of steps that the seconds left have room for; infinitely many where that is not known.

        The first chunk is always taken, however late it is: a short budget on a busy machine still trains. It
        contains the compilation, so only the second one tells how long they take.
        """
        now = time.perf_counter()
        if self._timed is None:
            if steps > self._restored:
                self._timed = (now, steps)
                self._ready = now - self._started if self._ready is None else self._ready
        elif steps > self._timed[1]:
            self._seconds_a_step = (now - self._timed[0]) / (steps - self._timed[1])
        if self._config.max_seconds is None or steps == 0:
            return np.inf
        left = self._deadline - self.seconds - self.reserve
        if left <= 0 or self.ended:
            return 0
        return left // (count * self._seconds_a_step) if count > 0 and self._seconds_a_step > 0 else np.inf
