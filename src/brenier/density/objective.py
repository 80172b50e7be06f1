"""The likelihood of held-out and of training points as an objective: what a density fit makes large."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._chunks import map_batches
from brenier._words import number
from brenier.data.streams import PointStream
from brenier.density.likelihood import OPTIMIZER, WHOLE_HESSIANS, log_base, negative_log_likelihood
from brenier.density.log_det import log_dets
from brenier.geometry import QuadraticGeometry
from brenier.potentials import AbstractPotential
from brenier.training.config import TrainingConfig
from brenier.training.descent import LossObjective
from brenier.training.history import describe_row
from brenier.training.holdout import mean_and_error
from brenier.training.objective import Losses, Statistics

__all__ = ["DensityRow", "LikelihoodObjective"]


class DensityRow(NamedTuple):
    """One line of the history of a density fit.

    Attributes:
        step: Steps taken.
        seconds: Wall-clock since the start of the fit.
        progress: Share of the budget used.
        log_likelihood: Held-out mean of the log density, in nats, for volumes in the units of the data.
        gain: By how much it exceeds that of the normal distribution with the moments of the data.
        error: Standard error of `gain`.
        training: Mean log density of the training batches since the last row; without normalisation where log
            determinants are estimated.
        rate: Learning rate.
        best: Whether the state is the best so far.
        refit: Whether this is the second fit, to all samples, which has seen the points that were held out.
    """

    step: int
    seconds: float
    progress: float
    log_likelihood: float
    gain: float
    error: float
    training: float
    rate: float
    best: bool
    refit: bool = False

    def describe(self) -> str:
        """The held-out figures, in a few words."""
        return describe_row(self, f"log-likelihood {number(self.log_likelihood)}  gain {number(self.gain, 3)}")


class LikelihoodObjective(LossObjective):
    """The likelihood of a density: that of the base at the images of points, times the volume the map gives them.

    Args:
        source: Where points come from, in the units of the data.
        coordinates: Bures coordinates between them and the base.
        holdout: `(n, d)` points kept aside.
        weights: `(n,)` of those, summing to one; None where all count alike.
        constant: What is added to `log_likelihood` for the log density in the units of the data.
        config: Settings.
        seed: One seed gives one result on one machine, if the budget is in steps.
    """

    row = DensityRow
    optimizer = OPTIMIZER
    loss = staticmethod(negative_log_likelihood)

    def __init__(
        self,
        source: PointStream,
        coordinates: QuadraticGeometry,
        holdout: NDArray[np.float64],
        weights: NDArray[np.float64] | None,
        constant: float,
        config: TrainingConfig,
        *,
        seed: int,
    ) -> None:
        super().__init__(source, coordinates, config, seed=seed)
        self.holdout, self.weights, self.constant = coordinates.enter_x(holdout), weights, constant
        self.constants = jnp.asarray(coordinates.spread, jnp.float32)

    def batches(self, steps: int) -> tuple[jax.Array, jax.Array | None]:
        """Points of the next steps with their noise, and signs where log determinants are estimated."""
        config, c = self.config, self.coordinates
        points = c.enter_x(self.source.draw(steps * config.batch))
        if config.jitter:
            noise = self.rng.standard_normal(points.shape, dtype=np.float32)
            points += noise * (config.jitter * c.spread).astype(np.float32)
        shape = (steps, config.batch, c.dim)
        signs = None
        if c.dim > WHOLE_HESSIANS:
            signs = jnp.asarray(self.rng.choice(np.array([-1.0, 1.0], np.float32), size=shape))
        return jnp.asarray(points.reshape(shape)), signs

    def evaluate(self, potential: AbstractPotential) -> Losses:
        """Negative log likelihoods of the held-out points."""
        base = map_batches(lambda part: _base_values(potential, self.constants, part), self.holdout)
        return Losses(-(np.asarray(base, np.float64) + log_dets(potential, self.holdout).value), self.weights)

    def figures(self, value: Losses, statistics: Statistics) -> dict[str, Any]:
        """Held-out log likelihood, and that of the batches since the last row."""
        held_out, _ = mean_and_error(value.losses, value.weights)
        return {
            "log_likelihood": self.constant - held_out,
            "training": self.constant - float(statistics["training"].mean()),
        }


@eqx.filter_jit
def _base_values(u: AbstractPotential, spread: jax.Array, x: jax.Array) -> jax.Array:
    return log_base(u, spread, jnp.asarray(x))
