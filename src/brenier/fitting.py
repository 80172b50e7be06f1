"""From two checked sides to an outcome: what is held out, which settings, one fit or two."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from brenier._errors import ConvergenceWarning, warn
from brenier.callbacks import Start
from brenier.callbacks.running import Running
from brenier.checkpoint.identity import data_digest
from brenier.checkpoint.keeping import Checkpoints, Resumed
from brenier.costs import AbstractCost, SquaredEuclidean
from brenier.data.pairs import check_pair
from brenier.data.remembered import remember
from brenier.data.sides import FEWEST_HELD_OUT, Side, split_side
from brenier.data.table import Unchecked
from brenier.data.units import cost_units
from brenier.general.fitting import frame_of
from brenier.geometry import AbstractGeometry, Moments
from brenier.training import (
    MOST_REFITTED,
    Holdout,
    Outcome,
    Supply,
    TrainingConfig,
    choose_config,
    gaussian_outcome,
    train_twice,
)
from brenier.training.shards import agreed
from brenier.training.snapshot import Keeper

__all__ = ["Fitted", "Request", "fit_pair", "remembered", "side_digest", "too_few"]

LEAST_HELD_OUT = 500
"""Points to hold out on each side where a second fit gets them back: fewer could not judge a network."""

_DRAWING = 0.05
"""Share of a budget in seconds that each sampler may take to draw the points for its moments."""


@dataclass(frozen=True)
class Request:
    """What the user asked of a fit, besides the data.

    Attributes:
        scale: Units of the columns in the cost, as for `BrenierMap`.
        changes: Settings that replace those of the rule.
        holdout: Share of the samples to hold out.
        refit: Whether to train again on all samples.
        seeds: Of the split of the source, the split of the target, and the training.
        started: `time.perf_counter()` from which a budget in seconds counts.
        running: The callbacks.
        cost: What moving a point costs; half the squared distance by default.
        weights: Of the source's and of the target's rows, as they were handed in.
        checkpoints: Where the fit is saved as it goes; nowhere by default.
    """

    scale: str | ArrayLike
    changes: dict[str, Any]
    holdout: float
    refit: bool
    seeds: tuple[int, int, int]
    started: float
    running: Running
    cost: AbstractCost | None = None
    weights: tuple[Unchecked, Unchecked] = (None, None)
    checkpoints: Checkpoints | None = None

    @property
    def least_held_out(self) -> int:
        """Points a side to hold out even if they are more than the share."""
        return LEAST_HELD_OUT if self.refit else 0

    def identify(self, config: TrainingConfig, **data: str) -> Resumed | None:
        """Tell the checkpoints, where there are any, what the fit depends on; says where a process before had left it.

        Args:
            config: The settings of the training.
            data: Digests of everything else, by what messages call it.
        """
        if self.checkpoints is None:
            return None
        units = self.scale if isinstance(self.scale, str) else np.asarray(self.scale).tolist()
        asked = {"scale": units, "cost": str(self.cost), "refit": self.refit, "random_state": list(self.seeds)}
        settings = config.summary() | {"holdout": [config.holdout, self.holdout]} | asked
        return self.checkpoints.identify(settings=settings, **data)

    def keeper(self, name: str) -> Keeper | None:
        """Of the "first" or "second" fit, or of the "only" one."""
        return None if self.checkpoints is None else self.checkpoints.of(name)


class Fitted(NamedTuple):
    """What a fit found.

    Attributes:
        outcome: The potential and how it came about.
        coordinates: The coordinates that it is in.
        config: The settings that led to it.
        columns: Names of the columns, if the source had any.
        data: What is remembered of the rows of each side that is an array.
    """

    outcome: Outcome
    coordinates: AbstractGeometry
    config: TrainingConfig
    columns: list[str] | None
    data: dict[str, Any]


def fit_pair(X: Unchecked, Y: Unchecked, request: Request) -> Fitted:
    """Learn the map between two sides; see `BrenierMap.fit`."""
    most, least = TrainingConfig().holdout, request.least_held_out
    source, target = (
        split_side(value, name, share=request.holdout, most=most, least=least, seed=seed, weights=weights)
        for value, name, seed, weights in zip((X, Y), "XY", request.seeds, request.weights, strict=False)
    )
    check_pair(source.sample, target.sample)
    data = remembered(source=source, target=target)
    seconds = request.changes.get("max_seconds")
    # With checkpoints, moments must not depend on the clock: another process finds the same coordinates.
    drawing = None if seconds is None or request.checkpoints is not None else _DRAWING * seconds
    moments = agreed((source.moments(drawing), target.moments(drawing)))
    units = cost_units(_scale(request), *moments, source.sample)
    sizes = [side.size for side in (source, target) if side.size is not None]
    frame = frame_of(request.cost, units, source, target, request.seeds[2])
    config = choose_config(source.source.dim, min(sizes, default=None), **request.changes)
    config = frame.config(config, request.changes.get("widths"))
    rows = tuple(None if side.training is None else len(side.sample.values) for side in (source, target))
    resumed = None
    if request.checkpoints is not None:
        digests = {"points of `X`": side_digest(source), "points of `Y`": side_digest(target)}
        resumed = request.identify(config, **digests)
    request.running.begin(Start("map", source.source.dim, rows, source.sample.columns, config.summary(), resumed))
    if min(len(source.holdout), len(target.holdout)) < FEWEST_HELD_OUT:
        coordinates = frame.between(*moments)
        return Fitted(too_few(coordinates), coordinates, config, source.sample.columns, data)

    def supply(x: Side, y: Side, moments: tuple[Moments, Moments], name: str) -> Supply:
        coordinates = frame.between(*moments)
        weights = x.held_out_weights, y.held_out_weights
        holdout = Holdout.of(x.holdout, y.holdout, coordinates, config.solver, weights)
        inert = coordinates.degenerate(*moments)
        return Supply(x.source, y.source, coordinates, holdout, inert, request.keeper(name))

    arrays = source.training is not None and target.training is not None
    longest = max(len(source.sample.values), len(target.sample.values))
    twice = request.refit and arrays and longest <= MOST_REFITTED
    part, seed = supply(source, target, moments, "first" if twice else "only"), request.seeds[2]
    if not twice:
        outcome = part.train(config, seed, request.running.look, request.started)
        return Fitted(outcome, part.coordinates, config, source.sample.columns, data)
    rng = np.random.default_rng(seed)
    x, y = source.whole(rng), target.whole(rng)
    whole = supply(x, y, (x.moments(), y.moments()), "second")
    outcome, coordinates = train_twice(
        part, whole, config, seed=seed, on_look=request.running.look, started=request.started
    )
    return Fitted(outcome, coordinates, config, source.sample.columns, data)


def side_digest(side: Side) -> str:
    """Of all rows and weights of an array; of a sampler, of its first points, once it is known that it can resume."""
    if side.training is None:
        side.source.state()
    return data_digest(side.sample.values, None if side.weights is None else side.weights[2], side.holdout)


def _scale(request: Request) -> str | ArrayLike:
    """Units of the columns: a cost that was given says itself what a column counts, so that none is changed unasked."""
    automatic = isinstance(request.scale, str) and request.scale == "auto"
    return "none" if automatic and not isinstance(request.cost, SquaredEuclidean | None) else request.scale


def remembered(**sides: Side) -> dict[str, Any]:
    """What a map is to remember of the rows of its fit; nothing of streams."""
    return {name: remember(side.sample.values) for name, side in sides.items() if side.training is not None}


def too_few(coordinates: AbstractGeometry) -> Outcome:
    """The baseline, with a warning that nothing could judge a network."""
    warn(
        f"too few samples to hold {FEWEST_HELD_OUT} out on each side, so no network was trained: the result is "
        f"{coordinates.surplus.baseline_name}. Pass more samples, or raise `holdout`.",
        ConvergenceWarning,
    )
    return gaussian_outcome(coordinates)
