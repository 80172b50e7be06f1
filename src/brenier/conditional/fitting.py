"""From two sides with conditions to an outcome: a family of potentials, one for every condition."""

from typing import Any

import numpy as np

from brenier.callbacks import Start
from brenier.checkpoint.identity import data_digest
from brenier.conditional.sides import Pair, conditioned_pair
from brenier.conditions.space import ConditionSpace, Kinds
from brenier.data.checks import as_points
from brenier.data.pairs import check_pair
from brenier.data.remembered import remember
from brenier.data.sides import FEWEST_HELD_OUT, held_out_count
from brenier.data.table import Table, Unchecked
from brenier.data.units import cost_units
from brenier.data.weights import as_weights
from brenier.fitting import Fitted, Request, too_few
from brenier.geometry import moments
from brenier.geometry.between import conditional_between
from brenier.training import MOST_REFITTED, Holdout, Supply, TrainingConfig, choose_config, train_twice

__all__ = ["fit_conditional"]

_LARGEST_POOL = 1 << 16


def fit_conditional(
    X: Unchecked, Y: Unchecked, x_condition: Unchecked, y_condition: Unchecked, kinds: Kinds, request: Request
) -> tuple[Fitted, ConditionSpace]:
    """Learn a map for every condition; see `BrenierMap.fit`."""
    x, y = as_points(X, "X"), as_points(Y, "Y")
    a, b = (
        as_weights(own, len(side.values), f"{name}_weight")
        for own, side, name in zip(request.weights, (x, y), "xy", strict=True)
    )
    kept_x, kept_y = (
        side if own is None else Table(side.values[own > 0], side.columns) for side, own in ((x, a), (y, b))
    )
    check_pair(kept_x, kept_y)
    data = {"source": remember(kept_x.values), "target": remember(kept_y.values)}
    units = cost_units(request.scale, moments(x.values, weights=a), moments(y.values, weights=b), x)
    pair, space = conditioned_pair(x, y, x_condition, y_condition, kinds, request.weights)
    config = _config(pair, space, request)
    dim, rows = x.values.shape[1], (len(x.values), len(y.values))
    resumed = None
    if request.checkpoints is not None:
        found = (data_digest(*side) for side in zip((pair.x, pair.y), pair.weights, strict=True))
        names = ("points or conditions of `X`", "points or conditions of `Y`")
        resumed = request.identify(config, **dict(zip(names, found, strict=True)))
    request.running.begin(Start("conditional map", dim, rows, x.columns, config.summary(), resumed))
    most, least = config.holdout, request.least_held_out
    counts = (
        held_out_count(len(pair.x), request.holdout, most, least),
        held_out_count(len(pair.y), request.holdout, most, least),
    )
    seed = request.seeds[2]

    def supply(training: Pair, held_out: Pair, name: str) -> Supply:
        coordinates = conditional_between(training.x, training.y, *space.scaled_ranges, units, seed, training.given)
        x, y = held_out.matched(coordinates.dim, np.random.default_rng(seed))
        holdout = Holdout.of(x, y, coordinates, config.solver)
        source, target = training.sources(coordinates.dim, np.random.default_rng(seed))
        return Supply(source, target, coordinates, holdout, (), request.keeper(name))

    if min(counts) < max(FEWEST_HELD_OUT, len(space.classes)):
        coordinates = conditional_between(pair.x, pair.y, *space.scaled_ranges, units, seed, pair.given)
        return Fitted(too_few(coordinates), coordinates, config, x.columns, data), space
    held_out, training = pair.split(space, counts, request.seeds[0])
    twice = request.refit and max(len(pair.x), len(pair.y)) <= MOST_REFITTED
    part = supply(training, held_out, "first" if twice else "only")
    if not twice:
        outcome = part.train(config, seed, request.running.look, request.started)
        return Fitted(outcome, part.coordinates, config, x.columns, data), space
    outcome, coordinates = train_twice(
        part, supply(pair, held_out, "second"), config, seed=seed, on_look=request.running.look, started=request.started
    )
    return Fitted(outcome, coordinates, config, x.columns, data), space


def _config(pair: Pair, space: ConditionSpace, request: Request) -> TrainingConfig:
    """The rule's settings for all samples, but for what several classes in one network call for.

    - Decay and noise of the draws are those for the samples of one class: a map is known no more finely than they lie.
    - The pool grows with the number of classes, rounded down to a power of two, up to 65,536 points a side, so that the
      points of one class are coupled about as closely as in a fit of their own.
    - Networks are wider by half from two classes on: their units serve several maps.
    """
    dim, size, classes = pair.x.shape[1] - 1 - space.numbers, pair.size, len(space.classes)
    own = choose_config(dim, max(size // classes, 1), **request.changes)
    whole = choose_config(dim, size, **request.changes)
    changes: dict[str, Any] = {"decay": own.decay, "jitter": own.jitter}
    if classes > 1:
        changes["pool"] = min(whole.pool << (classes.bit_length() - 1), _LARGEST_POOL)
        changes["widths"] = tuple(width * 3 // 2 for width in whole.widths)
    return choose_config(dim, size, **changes | request.changes)
