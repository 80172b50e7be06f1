"""Finite samples are fitted twice: the held-out ones choose, then all of them train."""

from typing import Any

from brenier.geometry import AbstractGeometry
from brenier.training.config import TrainingConfig
from brenier.training.fit import Outcome, Stop, train
from brenier.training.history import OnRow
from brenier.training.objective import AbstractObjective
from brenier.training.snapshot import Keeper

__all__ = ["MOST_REFITTED", "train_twice"]

MOST_REFITTED = 1 << 14
"""Samples up to which the held-out ones are worth a second fit."""

_SHARE = 0.48
"""Share of a budget in seconds, after compilation, for the first fit: the second takes at most as many steps, and some
time to start and to end."""


def train_twice(
    part: AbstractObjective,
    whole: AbstractObjective,
    config: TrainingConfig,
    *,
    on_row: OnRow | None = None,
    started: float | None = None,
    keepers: tuple[Keeper | None, Keeper | None] = (None, None),
) -> tuple[Outcome, AbstractGeometry]:
    """Let the held-out samples choose the number of steps and judge the network, then train on all samples.

    The error of a map falls about as one over the number of samples, so that holding some out has its price. The second
    fit follows the same schedule and stops at the step that was best in the first. Where the Gaussian map is returned,
    it is that of all samples; if the second fit is interrupted or diverges, the first one stands.

    Args:
        part: The samples that are not held out.
        whole: All samples; its held-out points only tell divergence.
        config: Settings of both; a budget in seconds is for both together.
        on_row: Called with the rows of both, whose progress is that of the whole.
        started: `time.perf_counter()` from which a budget in seconds counts.
        keepers: Where the states of the first and of the second fit are left for a later process.

    Returns:
        The result, with the first fit's history, and the coordinates that it is in.
    """

    def first_half(row: Any) -> bool | None:  # noqa: ANN401 - a row of the objective
        return on_row(row._replace(progress=0.5 * row.progress)) if on_row is not None else None

    first = train(part, config.replace(share=_SHARE), on_row=first_half, started=started, keeper=keepers[0])
    if first.baseline:
        return first, whole.coordinates  # which are the Gaussian map, and nothing is left to judge
    if first.stop in (Stop.interrupted, Stop.callback):
        return first, part.coordinates
    last, steps = first.history[-1], first.best_step

    def second_half(row: Any) -> bool | None:  # noqa: ANN401
        progress = 0.5 + 0.5 * min(row.step / steps, 1.0)
        return on_row(row._replace(progress=progress, best=False, refit=True)) if on_row is not None else None

    # The schedule of the first fit: a budget in seconds has become a number of steps.
    planned = config.max_steps if config.max_seconds is None else round(last.step / last.progress)
    again = config.replace(max_steps=planned, max_seconds=None, patience=None)
    second = train(whole, again, on_row=second_half, started=started, until=steps, keeper=keepers[1])
    if second.stop is not Stop.reached or second.restarts:
        stop = first.stop if second.stop is Stop.reached else second.stop
        return first._replace(stop=stop, restarts=first.restarts + second.restarts), part.coordinates
    outcome = second._replace(history=first.history, stop=first.stop, restarts=first.restarts, best_step=steps)
    return outcome, whole.coordinates
