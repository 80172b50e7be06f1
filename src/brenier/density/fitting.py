"""From samples to the map that makes them normal: settings, the base, one fit or two."""

from typing import Any, NamedTuple

import numpy as np

from brenier._errors import DataWarning, warn
from brenier.callbacks import Start
from brenier.data.dequantize import discrete_columns
from brenier.data.pairs import check_side
from brenier.data.sides import FEWEST_HELD_OUT, Side, split_side
from brenier.data.table import Unchecked, listed
from brenier.density.bases import Normal
from brenier.density.training import DensitySupply
from brenier.fitting import Request, remembered, side_digest, too_few
from brenier.geometry import Moments, QuadraticGeometry
from brenier.training import MOST_REFITTED, Outcome, TrainingConfig, choose_config, train_twice
from brenier.training.snapshot import Keeper

__all__ = ["FittedDensity", "choose_density_config", "fit_density"]

_STEPS = 3072


class FittedDensity(NamedTuple):
    """What a density fit found.

    Attributes:
        outcome: The potential and how it came about.
        coordinates: The coordinates that it is in, between data and base.
        base: The normal distribution that the map sends the data to.
        config: The settings that led to it.
        columns: Names of the columns, if the data had any.
        data: What is remembered of the rows of an array.
    """

    outcome: Outcome
    coordinates: QuadraticGeometry
    base: Normal
    config: TrainingConfig
    columns: list[str] | None
    data: dict[str, Any]


def choose_density_config(dim: int, size: int | None, **changes: Any) -> TrainingConfig:  # noqa: ANN401
    """Settings of a density fit, from dimension, number of samples and budget.

    Widths, slopes and floor are those of `choose_config`. What differs:

    - `softplus` activations: densities contain second derivatives, which should be smooth.
    - Batches of 256 points, no more than a quarter of the samples; 3,072 steps.
    - Learning rate: 0.01, for every dimension and size.
    - Every draw of a sample gets noise of 2.2 over the square root of its number standard deviations, at most 0.2: few
      samples would be learned by heart otherwise.

    Args:
        dim: Number of columns.
        size: Samples; `None` for samplers.
        changes: Settings to take instead of the rule's.
    """
    rule = choose_config(dim, size)
    config = rule.replace(
        activation="softplus",
        batch=256 if size is None else max(min(256, size // 4), 16),
        learning_rate=1e-2,
        decay=0.0,
        jitter=0.0 if size is None else min(2.2 / size**0.5, 0.2),
        cycle=64,
        look=256,
        max_steps=_STEPS,
    )
    return config.replace(**changes)


def fit_density(X: Unchecked, request: Request) -> FittedDensity:
    """Fit the map from data to a normal distribution by maximum likelihood; see `BrenierDensity.fit`."""
    most, least = TrainingConfig().holdout, request.least_held_out
    side = split_side(
        X,
        "X",
        share=request.holdout,
        most=most,
        least=least,
        seed=request.seeds[0],
        weights=request.weights[0],
        weight_name="sample_weight",
    )
    check_side(side.sample, "X")
    data = remembered(source=side)
    found = discrete_columns(side.sample)
    if found:
        warn(
            f"`X` has discrete columns: {listed(found)}. The likelihood of a density has no bound where values are "
            'tied. Fit with `dequantize` ("auto", or the width of their steps), which adds noise within one step.',
            DataWarning,
        )
    seconds = request.changes.get("max_seconds")
    rows = None if side.training is None else len(side.sample.values)
    twice = request.refit and rows is not None and rows <= MOST_REFITTED
    # With checkpoints, moments must not depend on the clock: another process finds the same coordinates.
    drawing = None if seconds is None or request.checkpoints is not None else 0.05 * seconds
    part, base = _supply(side, drawing, request.keeper("first" if twice else "only"))
    config = choose_density_config(part.coordinates.dim, side.size, **request.changes)
    resumed = None
    if request.checkpoints is not None:
        resumed = request.identify(config, **{"points of `X`": side_digest(side)})
    start = Start("density", part.coordinates.dim, (rows,), side.sample.columns, config.summary(), resumed)
    request.running.begin(start)
    if len(side.holdout) < FEWEST_HELD_OUT:
        return FittedDensity(too_few(part.coordinates), part.coordinates, base, config, side.sample.columns, data)
    seed = request.seeds[2]
    if not twice:
        outcome = part.train(config, seed, request.running.look, request.started)
        return FittedDensity(outcome, part.coordinates, base, config, side.sample.columns, data)
    every, whole_base = _supply(side.whole(np.random.default_rng(seed)), None, request.keeper("second"))
    outcome, coordinates = train_twice(
        part, every, config, seed=seed, on_look=request.running.look, started=request.started
    )
    assert isinstance(coordinates, QuadraticGeometry)
    base = whole_base if coordinates is every.coordinates else base
    return FittedDensity(outcome, coordinates, base, config, side.sample.columns, data)


def _supply(side: Side, seconds: float | None, keeper: Keeper | None) -> tuple[DensitySupply, Normal]:
    """What to learn from, and the base: independent normal columns with the means and deviations of the data."""
    found = side.moments(seconds)
    deviation = np.sqrt(np.diag(found.covariance))
    base = Normal(found.mean, deviation)
    target = Moments(found.mean, np.diag(deviation**2), found.count)
    coordinates = QuadraticGeometry.between(found, target, deviation)
    volume = float(np.linalg.slogdet(coordinates.linear_map)[1])
    constant = float(base.log_density(found.mean[None])[0]) + volume
    return DensitySupply(side.source, coordinates, side.holdout, side.held_out_weights, constant, keeper), base
