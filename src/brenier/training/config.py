"""Every number that training depends on, and the one rule that chooses them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeAlias

import numpy as np

from brenier.conjugates import BFGS_DIMENSIONS
from brenier.potentials import AbstractPotential
from brenier.solvers import BFGS, LBFGS, AbstractSolver

__all__ = ["PotentialFactory", "TrainingConfig", "choose_config"]

PotentialFactory: TypeAlias = Callable[[int, np.random.Generator], AbstractPotential]
"""Makes a potential before its first step from the number of columns and the randomness of the start."""

_SHORT = 1024
"""Training steps up to which a high rate pays more than a fine end."""

_FEW_DIMENSIONS = 4
"""Most dimensions in which noise, more than the number of steps, limits fits to samplers from the start, and in which
coupled pairs lie closer than a calibrated batch is moved."""

_LONG = 90.0
"""Seconds from which on noise limits fits to samplers in any dimension, and again from four times as many on."""

_MEASURABLE = 8
"""Points a dimension from which on the covariance of a batch is worth more than its error."""

_LARGEST_POOL = 1 << 17
"""Points a side beyond which a sampler's pool costs more memory than it couples closer."""


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one fit.

    Attributes:
        potential: Makes the potential that is trained, without conditions only; `ICNN` from the next four settings by
            default.
        widths: Units of each hidden layer.
        floor: Strong-convexity constant of the potential.
        activation: Name of the activation.
        sharpness: Slope of the units at the start.
        learning_rate: Peak of the schedule: a short warm-up, then a half cosine to zero over the budget.
        decay: Share of each parameter taken away a step, as a multiple of the learning rate: a pull towards the
            Gaussian map.
        batch: Pairs of points a step.
        pool: Points a side that are kept with their conjugates; a power of two.
        cycle: Steps between two refreshments of the pool; one compiled call.
        validation: Steps between two validations, on the held-out points; a multiple of `cycle`.
        jitter: Noise added to every draw of a finite sample, in standard deviations of each coordinate.
        refresh: Share of the target points replaced at a refreshment; the source points all are.
        coupled: Whether batches hold matching points.
        calibrated: Whether batches are given the mean and the covariance of their pool.
        solver: Inner solver of the training steps.
        rounds: Fewest and most rounds of the inner solver a step.
        fresh_rounds: Most rounds for target points that are new to the pool.
        unconverged: Share of a batch that may miss the tolerance before further rounds are spent.
        warm: Whether a target point's conjugate starts where the last step with that point left it, with the solver's
            memory of it; otherwise every step starts at the point itself with a fresh memory.
        tolerance: Residual a coordinate, in standard deviations, at the start and at the end of the schedule.
        usable: Residual a coordinate beyond which a point is left out of the gradient.
        max_steps: Budget in steps.
        max_seconds: Budget in seconds of wall-clock, everything counted; gives up bit-for-bit repeatability.
        share: Share of a budget in seconds, after compilation, that this fit may use.
        holdout: Most points held out on each side; samplers give just as many.
        shards: Parts of pool and batches, each with points of its own, over which devices share the work.
        patience: Share of the budget without progress on the held-out dual value after which a fit stops; `None` for
            fresh points without end, which cannot be overfitted.
    """

    potential: PotentialFactory | None = None
    widths: tuple[int, ...] = (64, 64, 32)
    floor: float = 0.02
    activation: str = "ramp"
    sharpness: float = 4.0
    learning_rate: float = 2e-2
    decay: float = 0.0
    batch: int = 512
    pool: int = 1 << 14
    cycle: int = 128
    validation: int = 512
    jitter: float = 0.0
    refresh: float = 0.25
    coupled: bool = True
    calibrated: bool = False
    solver: AbstractSolver = field(default_factory=BFGS)
    rounds: tuple[int, int] = (1, 4)
    fresh_rounds: int = 16
    unconverged: float = 0.2
    warm: bool = True
    tolerance: tuple[float, float] = (0.1, 0.01)
    usable: float = 0.2
    max_steps: int | None = 4096
    max_seconds: float | None = None
    share: float = 1.0
    holdout: int = 4096
    shards: int = 1
    patience: float | None = 0.4

    def replace(self, **changes: Any) -> "TrainingConfig":  # noqa: ANN401
        """A copy with some of the settings changed."""
        return replace(self, **changes)

    def summary(self) -> dict[str, Any]:
        """The settings as JSON values, to be stored with a map."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        made = values.pop("potential")
        named = {} if made is None else {"potential": getattr(made, "__qualname__", type(made).__qualname__)}
        return values | {"solver": type(self.solver).__name__} | named


def choose_config(dim: int, size: int | None, **changes: Any) -> TrainingConfig:  # noqa: ANN401
    """Settings for a problem, from its dimension, its number of samples and its budget.

    - Hidden units: twice the dimension, rounded up to a power of two, between 64 and 256; half as many in the last
      of three layers.
    - Slope of the units at the start: one plus 16 over the dimension, at most 5, because maps in few dimensions turn
      sharply.
    - Learning rate: 0.02 up to 64 dimensions, falling with the square root of the dimension beyond. For finite data
      below 8 dimensions, where small errors count, it also falls with the square root of the number of steps beyond
      1,024, by a factor of up to the root of an eighth of the dimension; and it is up to twice as high where there are
      fewer than 20 samples a dimension, which are overfitted before a low rate gets anywhere.
    - Batches of 512 pairs: more and noisier steps in the same time brought both maps closer than batches of 1,024.
      Samplers of up to 4 dimensions get 1,024: noise is what limits them. All samplers get twice as many from a budget
      of 90 seconds on, four times as many from 360: after enough steps more points a step do more. A budget in steps
      changes nothing about the steps.
    - Pools of samplers of up to 16 dimensions start at 32,768 points a side: twice as many couple closer, and each
      target point is used half as often. Beyond, at 16,384: coupling gains less there, and costs more. They grow with
      the batches, up to 131,072.
    - Batches of samplers of more than 4 dimensions, with at least eight points a dimension, are given the moments of
      their pool. In fewer, pairs lie closer than such a move, and the inverse suffers.
    - Conjugate memory: a full inverse Jacobian a point up to 16 dimensions, three secant pairs beyond.
    - Tolerance of the conjugates: 0.01 standard deviations at the end of the schedule, in proportion to the dimension
      below 16, where maps become accurate enough for it to matter; ten times that at the start.
    - Fresh target points cost solves, more in more dimensions: two over the dimension of them are replaced every
      cycle, but at least a quarter.
    - Finite data: the pool holds each point several times, at least 4,096 and at most 16,384 points a side, and
      batches are at most an eighth of it. Parameters decay by the learning rate times 20 dimensions over the number
      of samples, at most a tenth; below 600 samples more, by the power 0.8 of 600 over their number. Every draw of a
      sample gets noise of 3.5 standard deviations over the square root of dimension times samples, at most 0.15: a map
      cannot be known more finely than the samples lie. Below 8 dimensions it is less, by the fourth root of an eighth
      of the dimension; few samples get 31 over their number, at most a quarter, where that is more.
    - Of several shards, each has a batch and a pool of these sizes.
    - Only fits to finite data stop early: the rate falls to zero over the whole budget, and fresh points gain from
      that to the end.

    Args:
        dim: Number of columns.
        size: Samples on the smaller side; `None` for samplers.
        changes: Settings to take instead of the rule's.

    Example:
        >>> config = choose_config(2, 1000, max_steps=256)
        >>> config.widths, config.max_steps, type(config.solver).__name__
        ((64, 64, 32), 256, 'BFGS')
    """
    width = min(max(_power_of_two(2 * dim), 64), 256)
    batch, pool = TrainingConfig.batch, TrainingConfig.pool
    if size is None:
        longer = 0 if changes.get("max_steps") else _doublings(changes.get("max_seconds"))
        batch *= 2 ** (longer + (dim <= _FEW_DIMENSIONS))
        pool = min(pool * 2 ** (longer + (dim <= BFGS_DIMENSIONS)), _LARGEST_POOL)
        batch = min(batch, pool // 32)
    else:
        pool = min(max(_power_of_two(4 * size), 1 << 12), pool)
        batch = min(batch, pool // 8)
    few = min(1.0, dim / 8)
    tolerance = 0.01 * min(1.0, dim / 16)
    rate = 0.02 * min(1.0, 64.0 / dim) ** 0.5
    if size is not None:
        patient = (changes.get("max_steps") or TrainingConfig.max_steps or 1) / _SHORT
        rate *= min(1.0, max(few, 1.0 / patient)) ** 0.5 * min(max(20.0 * dim / size, 1.0), 2.0)
    shards = changes.get("shards", 1)
    config = TrainingConfig(
        widths=(width, width, width // 2),
        sharpness=1.0 + 16.0 / max(dim, 4),
        learning_rate=rate,
        decay=0.0 if size is None else min(20.0 * dim / size, 0.1) * max(1.0, 600.0 / size) ** 0.8,
        pool=pool * shards,
        jitter=0.0 if size is None else max(few**0.25 * min(3.5 / (dim * size) ** 0.5, 0.15), min(31.0 / size, 0.25)),
        refresh=min(max(2.0 / dim, 0.25), 1.0),
        patience=None if size is None else TrainingConfig.patience,
        batch=batch * shards,
        calibrated=size is None
        and dim > _FEW_DIMENSIONS
        and changes.get("batch", batch * shards) // shards >= _MEASURABLE * dim,
        tolerance=(10.0 * tolerance, tolerance),
        solver=BFGS() if dim <= BFGS_DIMENSIONS else LBFGS(memory=3),
    )
    return config.replace(**changes)


def _doublings(seconds: float | None) -> int:
    """How often batches double for a budget in seconds: once from `_LONG` on, once more every four times as long."""
    return 0 if seconds is None or seconds < _LONG else 1 + int(math.log(seconds / _LONG, 4.0))


def _power_of_two(count: int) -> int:
    """The smallest power of two that is at least `count`."""
    return 1 << max(count - 1, 0).bit_length()
