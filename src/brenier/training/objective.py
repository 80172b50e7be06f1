"""What a fit makes small: the interface between the one `Fit` and the problems that it solves."""

import abc
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brenier._states import State
from brenier.geometry import AbstractGeometry
from brenier.potentials import AbstractFamily
from brenier.training.history import LossRow
from brenier.training.holdout import mean_and_error
from brenier.training.placement import Placement
from brenier.training.snapshot import leaves_of, refill

__all__ = ["AbstractObjective", "Chunk", "Losses", "Statistics"]

Statistics = dict[str, NDArray[Any]]
"""What happened in each step of a chunk, by name: one entry a step."""


class Chunk(NamedTuple):
    """The next steps of a fit.

    Attributes:
        before: Steps taken so far.
        rates: Learning rate of each step.
        tolerances: To which residual each step solves its inner problems, where it has any.
    """

    before: int
    rates: NDArray[np.float32]
    tolerances: NDArray[np.float32]


class Losses(NamedTuple):
    """A held-out value that is a mean of losses.

    Attributes:
        losses: `(n,)` of the held-out points.
        weights: `(n,)` of those, summing to one; None where all count alike.
    """

    losses: NDArray[np.float64]
    weights: NDArray[np.float64] | None = None

    def gain_over(self, other: "Losses") -> tuple[float, float]:
        """By how much the mean is smaller than that of `other` on the same points, and its standard error."""
        return mean_and_error(other.losses - self.losses, self.weights)

    def state(self) -> State:
        """All fields but the weights."""
        return {"losses": self.losses}


class AbstractObjective(abc.ABC):
    """A problem whose solution is a potential, with the points that it is learned from and judged on.

    `Fit` has the schedule, keeps the best state, starts again where a state diverged, ends the fit, and lets another
    process go on with it. An objective says where the potential starts, takes steps, and evaluates.

    The *state* of the training is a pytree of arrays with an attribute `average`: the averaged arrays of the potential,
    which the fit evaluates and returns. A *value* is what held-out points say about a potential: a named tuple with
    `weights` among its fields and the two methods of `Losses`, which serves most objectives.

    Attributes:
        coordinates: Where the potential lives; its surplus has the baseline, from which a fit starts.
    """

    coordinates: AbstractGeometry

    row: ClassVar[Any] = LossRow
    """Makes a row of the history, a named tuple, from its fields."""

    unit: float = 1.0
    """What one unit of the held-out value is in rows of the history."""

    forgiven: ClassVar[float] = 0.0
    """Share of the best gain over the baseline that a later state may have lost and still be kept, if the held-out
    points cannot tell the two apart: the later one has the smaller learning rate."""

    def place(self, placement: Placement) -> None:
        """Called once, before the first step: learn where the parts of the fit are, and draw its points.

        Raises:
            InputError: The objective cannot be divided.
        """
        self.placement = placement

    @abc.abstractmethod
    def make_potential(self) -> AbstractFamily:
        """The potential before the first step: next to the baseline."""

    @abc.abstractmethod
    def start(self, potential: AbstractFamily) -> Any:  # noqa: ANN401
        """The state of the training from a potential on; steps may overwrite its arrays."""

    @abc.abstractmethod
    def advance(self, state: Any, chunk: Chunk) -> tuple[Any, Statistics]:  # noqa: ANN401
        """Take the steps of a chunk; the state handed in is consumed."""

    @abc.abstractmethod
    def baseline(self) -> Any:  # noqa: ANN401
        """The held-out value of the baseline."""

    @abc.abstractmethod
    def evaluate(self, potential: Any) -> Any:  # noqa: ANN401
        """The held-out value of a potential."""

    def diverged(self, value: Any, baseline: Any, statistics: Statistics) -> bool:  # noqa: ANN401
        """Whether a state is beyond hope, so that the fit goes back to its best one."""
        numbers = (*value.state().values(), *statistics.values())
        return not all(np.isfinite(array).all() for array in numbers)

    def figures(self, value: Any, statistics: Statistics) -> Mapping[str, float]:  # noqa: ANN401
        """Fields of a row of the history that only this objective has."""
        return {"loss": mean_and_error(value.losses, value.weights)[0]}

    def state(self, state: Any) -> State:  # noqa: ANN401
        """All that changes from chunk to chunk, besides the averaged parameters: for another process to go on from.

        An objective with random generators and supplies of points adds where they stand.
        """
        return {"training": leaves_of(state)}

    def restore(self, state: Any, saved: State) -> Any:  # noqa: ANN401
        """Go on from what `state` gave: the state of the training, with the average of the one handed in."""
        return refill(state, saved["training"])
