"""Finite samples are fitted twice: the held-out ones choose, then all of them train."""

from typing import NamedTuple, Protocol

from brenier.data.sources import Source
from brenier.geometry import AbstractGeometry
from brenier.training.config import TrainingConfig
from brenier.training.fit import Outcome, Stop
from brenier.training.history import OnLook, Row
from brenier.training.holdout import Holdout
from brenier.training.loop import train
from brenier.training.snapshot import Keeper

__all__ = ["MOST_REFITTED", "Supply", "train_twice"]

MOST_REFITTED = 1 << 14
"""Samples up to which the held-out ones are worth a second fit."""

_SHARE = 0.48
"""Share of a budget in seconds, after compilation, for the first fit: the second takes at most as many steps, and some
time to start and to end."""


class Trainable(Protocol):
    """What can be trained once on a part of the samples and once on all of them."""

    @property
    def coordinates(self) -> AbstractGeometry:
        """Where the potential lives."""
        ...

    def train(
        self,
        config: TrainingConfig,
        seed: int,
        on_look: OnLook | None = None,
        started: float | None = None,
        until: int | None = None,
    ) -> Outcome:
        """One fit; arguments as for `brenier.training.train`."""
        ...


class Supply(NamedTuple):
    """What one fit learns from.

    Attributes:
        source, target: Where points come from, in the units of the data.
        coordinates: Bures coordinates between the two.
        holdout: Points kept aside, in these coordinates.
        inert: Coordinates that are left to the Gaussian map.
        keeper: Where the state of this fit is left for a later process; nowhere by default.
    """

    source: Source
    target: Source
    coordinates: AbstractGeometry
    holdout: Holdout
    inert: tuple[int, ...]
    keeper: Keeper | None = None

    def train(
        self,
        config: TrainingConfig,
        seed: int,
        on_look: OnLook | None = None,
        started: float | None = None,
        until: int | None = None,
    ) -> Outcome:
        """One fit; arguments as for `brenier.training.train`."""
        return train(
            self.source,
            self.target,
            self.coordinates,
            self.holdout,
            config,
            seed=seed,
            inert=self.inert,
            on_look=on_look,
            started=started,
            until=until,
            keeper=self.keeper,
        )


def train_twice(
    part: Trainable,
    whole: Trainable,
    config: TrainingConfig,
    *,
    seed: int,
    on_look: OnLook | None = None,
    started: float | None = None,
) -> tuple[Outcome, AbstractGeometry]:
    """Let the held-out samples choose the number of steps and judge the network, then train on all samples.

    The error of a map falls about as one over the number of samples, so that those held out would be missed. The second
    fit follows the same schedule and stops at the step that was best in the first. Where the Gaussian map is returned,
    it is that of all samples; if the second fit is interrupted or diverges, the first one stands.

    Args:
        part: The samples that are not held out.
        whole: All samples; its held-out points only tell divergence.
        config: Settings of both; a budget in seconds is for both together.
        seed: Seed of both.
        on_look: Called with the rows of both, whose progress is that of the whole.
        started: `time.perf_counter()` from which a budget in seconds counts.

    Returns:
        The result, with the first fit's history, and the coordinates that it is in.
    """

    def first_half(row: Row) -> bool | None:
        return on_look(row._replace(progress=0.5 * row.progress)) if on_look is not None else None

    first = part.train(config.replace(share=_SHARE), seed, first_half, started)
    if first.gaussian:
        return first, whole.coordinates  # which are the Gaussian map, and nothing is left to judge
    if first.stop in (Stop.interrupted, Stop.callback):
        return first, part.coordinates
    last, steps = first.history[-1], first.best_step

    def second_half(row: Row) -> bool | None:
        progress = 0.5 + 0.5 * min(row.step / steps, 1.0)
        return on_look(row._replace(progress=progress, best=False, refit=True)) if on_look is not None else None

    # The schedule of the first fit: a budget in seconds has become a number of steps.
    planned = config.max_steps if config.max_seconds is None else round(last.step / last.progress)
    second = whole.train(
        config.replace(max_steps=planned, max_seconds=None, patience=None), seed, second_half, started, steps
    )
    if second.stop is not Stop.reached or second.restarts:
        stop = first.stop if second.stop is Stop.reached else second.stop
        return first._replace(stop=stop, restarts=first.restarts + second.restarts), part.coordinates
    return second._replace(history=first.history, stop=first.stop, restarts=first.restarts, best_step=steps), (
        whole.coordinates
    )
