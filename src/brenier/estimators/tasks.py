"""What a fit is asked for, what it has to do, and what it found."""

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from brenier.callbacks.running import Running
from brenier.checkpoint.keeping import Checkpoints, Resumed
from brenier.conditions.space import ConditionSpace
from brenier.estimators.intake import Problem
from brenier.estimators.sides import Sides, split_side
from brenier.geometry import AbstractGeometry
from brenier.maps import TransportMap
from brenier.training import AbstractObjective, Outcome, TrainingConfig
from brenier.training.snapshot import Keeper

__all__ = ["AbstractTask", "Fitted", "Request"]

LEAST_HELD_OUT = 500
"""Points to hold out on each side where a second fit gets them back: fewer could not judge a network."""

_DRAWING = 0.05
"""Share of a budget in seconds that each sampler may take to draw the points for its moments."""


@dataclass(frozen=True)
class Request:
    """What the user asked of a fit, besides the data.

    Attributes:
        changes: Settings that replace those of the rule.
        holdout: Share of the samples to hold out.
        refit: Whether to train again on all samples.
        seeds: Seeds of the split of the source, the split of the target, and the training.
        started: `time.perf_counter()` from which a budget in seconds counts.
        running: The callbacks.
        checkpoints: Where the fit is saved as it goes; nowhere by default.
    """

    changes: dict[str, Any]
    holdout: float
    refit: bool
    seeds: tuple[int, int, int]
    started: float
    running: Running
    checkpoints: Checkpoints | None = None

    @property
    def least_held_out(self) -> int:
        """Points a side to hold out even if they are more than the share."""
        return LEAST_HELD_OUT if self.refit else 0

    @property
    def drawing(self) -> float | None:
        """Seconds that a sampler may take for its moments.

        With checkpoints, moments must not depend on the clock: another process finds the same coordinates.
        """
        seconds = self.changes.get("max_seconds")
        return None if seconds is None or self.checkpoints is not None else _DRAWING * seconds

    def identify(
        self, problem: Problem, config: TrainingConfig, digests: Callable[[], dict[str, str]]
    ) -> Resumed | None:
        """Tell the checkpoints, if there are any, what the fit depends on; returns where an earlier process left it.

        Args:
            problem: What is fitted.
            config: The settings of the training.
            digests: Computes digests of the data, by what messages call these; called only if there are checkpoints.
        """
        if self.checkpoints is None:
            return None
        units = problem.scale if isinstance(problem.scale, str) else np.asarray(problem.scale).tolist()
        asked = {"scale": units, "cost": str(problem.cost), "refit": self.refit, "random_state": list(self.seeds)}
        settings = config.summary() | {"holdout": [config.holdout, self.holdout]} | asked
        return self.checkpoints.identify(settings=settings, **digests())

    def keeper(self, name: str) -> Keeper | None:
        """What keeps the state of the "first" or "second" fit, or of the "only" one; None without checkpoints."""
        return None if self.checkpoints is None else self.checkpoints.of(name)

    def split(self, problem: Problem) -> Sides:
        """The sides of a problem, each with the points that are held out."""
        options = {"share": self.holdout, "most": TrainingConfig().holdout, "least": self.least_held_out}
        seeded = zip(problem.samples, self.seeds, strict=False)
        return Sides([split_side(sample, seed=seed, **options) for sample, seed in seeded])


class Fitted(NamedTuple):
    """What a fit found.

    Attributes:
        outcome: The potential and how it came about.
        coordinates: The coordinates that it is in.
        config: The settings that led to it.
        columns: Names of the columns, if the source had any.
        data: What is remembered of the rows of each side that is an array.
        space: The conditions, where there were some.
        info: What else the map records.
    """

    outcome: Outcome
    coordinates: AbstractGeometry
    config: TrainingConfig
    columns: list[str] | None
    data: dict[str, Any]
    space: ConditionSpace | None = None
    info: Mapping[str, Any] = {}

    def as_map(self, info: dict[str, Any]) -> TransportMap:
        """The map, which records `info` as well."""
        info = info | dict(self.info)
        names = None if self.columns is None else tuple(self.columns)
        return TransportMap(self.coordinates, self.outcome.potential, self.space, names, info)


class AbstractTask(abc.ABC):
    """One kind of fit: the settings, and what to train on. It is made from a problem, and trains nothing itself.

    Attributes:
        kind: What is being fitted, in the words that callbacks are told.
        dim: Number of columns.
        columns: Their names, if the source had any.
        rows: Rows of each side; None for a supply without end.
        config: The settings of the training.
        data: What the map remembers of the rows.
        enough: Whether enough points are held out to judge a network.
        small: Whether the samples are few enough to be trained on twice.
        space: The conditions, where there are some.
    """

    kind: ClassVar[str]
    dim: int
    columns: list[str] | None
    rows: tuple[int | None, ...]
    config: TrainingConfig
    data: dict[str, Any]
    enough: bool
    small: bool
    space: ConditionSpace | None = None

    @abc.abstractmethod
    def digests(self) -> dict[str, str]:
        """Digests of the data of each side, by what messages call it.

        Raises:
            InputError: A supply cannot be resumed in another process.
        """

    @abc.abstractmethod
    def coordinates(self) -> AbstractGeometry:
        """The coordinates of the map if nothing is trained."""

    @abc.abstractmethod
    def part(self) -> AbstractObjective:
        """The objective on the training points, without those held out."""

    @abc.abstractmethod
    def whole(self) -> AbstractObjective:
        """The objective on all points, held-out ones included."""

    def info(self, coordinates: AbstractGeometry) -> dict[str, Any]:
        """What a map in these coordinates records besides `data`."""
        return {}
