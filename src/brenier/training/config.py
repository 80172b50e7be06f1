"""Every number that training depends on, and the one rule that chooses them."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

from brenier.conjugate import BFGS_DIMENSIONS
from brenier.solvers import BFGS, AbstractSolver, Spectral

__all__ = ["TrainingConfig", "choose_config"]


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one fit.

    Attributes:
        widths: Units of each hidden layer.
        floor: Strong-convexity constant of the potential.
        activation: Name of the activation.
        sharpness: Slope of the units at the start.
        learning_rate: Peak of the schedule: a short warm-up, then a half cosine to zero over the budget.
        batch: Pairs of points a step.
        pool: Points a side that are kept with their conjugates; a power of two.
        cycle: Steps between two refreshments of the pool; one compiled call.
        look: Steps between two looks at the held-out points; a multiple of `cycle`.
        refresh: Share of the pool replaced at a refreshment.
        coupled: Whether batches hold matching points.
        solver: Inner solver of the training steps.
        rounds: Fewest and most rounds of it a step.
        unconverged: Share of a batch that may miss the tolerance before further rounds are spent.
        tolerance: Residual a coordinate, in standard deviations, at the start and at the end of the schedule.
        usable: Residual a coordinate beyond which a point is left out of the gradient.
        max_steps: Budget in steps.
        max_seconds: Budget in seconds of wall-clock, everything counted; gives up bit-for-bit repeatability.
        holdout: Most points held out on each side; samplers give just as many.
        patience: Share of the budget without progress on the held-out dual value after which a fit stops; `None` for
            fresh points without end, which cannot be overfitted.
    """

    widths: tuple[int, ...] = (64, 64, 32)
    floor: float = 0.02
    activation: str = "ramp"
    sharpness: float = 4.0
    learning_rate: float = 2e-2
    batch: int = 1024
    pool: int = 1 << 14
    cycle: int = 128
    look: int = 512
    refresh: float = 0.5
    coupled: bool = True
    solver: AbstractSolver = field(default_factory=Spectral)
    rounds: tuple[int, int] = (1, 6)
    unconverged: float = 0.06
    tolerance: tuple[float, float] = (0.1, 0.01)
    usable: float = 0.2
    max_steps: int | None = 4096
    max_seconds: float | None = None
    holdout: int = 4096
    patience: float | None = 0.4

    def summary(self) -> dict[str, Any]:
        """The settings as JSON values, to be stored with a map."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return values | {"solver": type(self.solver).__name__}


def choose_config(dim: int, size: int | None, **changes: Any) -> TrainingConfig:  # noqa: ANN401
    """Settings for a problem, from its dimension and its number of samples only.

    - Hidden units: twice the dimension, rounded up to a power of two, between 64 and 256; half as many in the last
      of three layers.
    - Slope of the units at the start: one plus 16 over the dimension, because maps in few dimensions turn sharply.
    - Learning rate: 0.02 up to 16 dimensions, falling with the square root of the dimension beyond.
    - Conjugate memory: a full inverse Jacobian a point up to 16 dimensions, one step length beyond.
    - Finite data: the pool holds each point several times, at least 4,096 and at most 16,384 points a side, and
      batches are at most an eighth of it. A quarter of the pool is drawn anew every 128 steps; all of it for samplers,
      where fresh points are what limits accuracy.
    - Only fits to finite data stop early: the rate falls to zero over the whole budget, and fresh points gain from
      that to the end.

    Args:
        dim: Number of columns.
        size: Samples on the larger side; `None` for samplers.
        changes: Settings to take instead of the rule's.
    """
    width = min(max(_power_of_two(2 * dim), 64), 256)
    pool = 1 << 14 if size is None else min(max(_power_of_two(4 * size), 1 << 12), 1 << 14)
    config = TrainingConfig(
        widths=(width, width, width // 2),
        sharpness=1.0 + 16.0 / dim,
        learning_rate=0.02 * min(1.0, 16.0 / dim) ** 0.5,
        pool=pool,
        refresh=1.0 if size is None else 0.25,
        patience=None if size is None else TrainingConfig.patience,
        batch=min(1024, pool // 8),
        solver=BFGS() if dim <= BFGS_DIMENSIONS else Spectral(),
    )
    return replace(config, **changes)


def _power_of_two(count: int) -> int:
    """The smallest power of two that is at least `count`."""
    return 1 << max(count - 1, 0).bit_length()
