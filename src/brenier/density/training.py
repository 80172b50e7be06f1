"""The outer loop of a density fit: compiled chunks of steps, and looks at held-out points between them."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._text import number
from brenier.batches import map_batches
from brenier.data.sources import Source
from brenier.density.likelihood import WHOLE_HESSIANS, LikelihoodState, climb, log_base, start
from brenier.density.log_det import log_dets
from brenier.geometry import QuadraticGeometry
from brenier.potentials import ICNN, AbstractPotential, Quadratic
from brenier.training.config import TrainingConfig
from brenier.training.fit import SIGNIFICANT, AbstractFit, Outcome, Stop
from brenier.training.history import OnLook, judged
from brenier.training.holdout import mean_and_error
from brenier.training.snapshot import FitState, Keeper, leaves_of, refilled

__all__ = ["DensityRow", "DensitySupply"]


class DensityRow(NamedTuple):
    """One line of the history of a density fit.

    Attributes:
        step: Steps taken.
        seconds: Wall-clock since the start of the fit.
        progress: Share of the budget used.
        log_likelihood: Held-out mean of the log density, in nats, for volumes in the units of the data.
        gain: By how much it exceeds that of the normal distribution with the moments of the data.
        error: Standard error of `gain`.
        training: The same mean on the batches since the last row, without their normalisation where log determinants
            are estimated.
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
        """What the look has found, in a few words."""
        return judged(self, f"log-likelihood {number(self.log_likelihood)}  gain {number(self.gain, 3)}")


class DensitySupply(NamedTuple):
    """What one density fit learns from.

    Attributes:
        source: Where points come from, in the units of the data.
        coordinates: Bures coordinates between them and the base.
        holdout: `(n, d)` points kept aside.
        weights: `(n,)` of those, summing to one; None where all count alike.
        constant: What the log density in the units of the data has beyond `log_likelihood`.
        keeper: Where the state of this fit is left for a later process; nowhere by default.
    """

    source: Source
    coordinates: QuadraticGeometry
    holdout: NDArray[np.float64]
    weights: NDArray[np.float64] | None
    constant: float
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
        return _Fit(self, config, seed, on_look, started, until).run()


class _Fit(AbstractFit):
    """The variables of one fit."""

    row = DensityRow

    def __init__(
        self,
        supply: DensitySupply,
        config: TrainingConfig,
        seed: int,
        on_look: OnLook | None,
        started: float | None,
        until: int | None,
    ) -> None:
        super().__init__(config, on_look, started, until, supply.keeper)
        self.supply = supply
        self.rng = np.random.default_rng(seed)
        dim = supply.coordinates.dim
        options = {"floor": config.floor, "activation": config.activation, "sharpness": config.sharpness}
        potential = ICNN(dim, config.widths, rng=np.random.default_rng(seed), **options)
        self.static = eqx.filter(potential, eqx.is_inexact_array, inverse=True)
        self.initial = eqx.filter(potential, eqx.is_inexact_array)
        self.spread = jnp.asarray(supply.coordinates.spread, jnp.float32)
        self.state: LikelihoodState = start(potential)
        self.held_out = supply.coordinates.enter_x(supply.holdout)
        self.gaussian = self._evaluate(Quadratic.identity(dim))
        self.lowest = self.best_value = self.gaussian
        self.best: AbstractPotential | None = None
        self.best_step = 0
        self.values: list[NDArray[np.float32]] = []

    def _outcome(self, stop: Stop) -> Outcome:
        gain, error = self._gain(self.best_value, self.gaussian)
        if stop is Stop.reached:
            best = self.state.average
        elif self.best is None or not gain > SIGNIFICANT * error:
            return Outcome(Quadratic.identity(self.static.dim), self.history, stop, True, self.restarts)
        else:
            best = self.best
        return Outcome(eqx.combine(best, self.static), self.history, stop, False, self.restarts, self.best_step)

    def _lasting(self) -> FitState:
        return {
            "best": None if self.best is None else leaves_of(self.best),
            "best_step": self.best_step,
            "best_value": self.best_value,
            "average": leaves_of(self.state.average),
        }

    def _restore_lasting(self, saved: FitState) -> None:
        self.best = None if saved["best"] is None else refilled(self.initial, saved["best"])
        self.best_step = saved["best_step"]
        self.lowest = self.best_value = saved["best_value"]
        average = refilled(self.state.average, saved["average"])
        self.state = eqx.tree_at(lambda s: s.average, self.state, average)

    def _passing(self) -> FitState:
        return {
            "training": leaves_of(self.state),
            "rng": self.rng.bit_generator.state,
            "source": self.supply.source.state(),
            "values": list(self.values),
        }

    def _restore_passing(self, saved: FitState) -> None:
        self.state = refilled(self.state, saved["training"])
        self.rng.bit_generator.state = saved["rng"]
        self.supply.source.restore(saved["source"])
        self.values = saved["values"]

    def _advance(self, rates: NDArray[np.float32], tolerances: NDArray[np.float32]) -> None:
        points, signs = self._draw(len(rates))
        fixed = (self.static, self.spread, self.config.decay)
        self.state, values = climb(fixed, self.state, points, signs, jnp.asarray(rates))
        self.values.append(np.asarray(values))

    @property
    def _unseen(self) -> bool:
        return bool(self.values)

    def _draw(self, steps: int) -> tuple[jax.Array, jax.Array | None]:
        """Points of the next steps with their noise, and signs where log determinants are estimated."""
        config, c = self.config, self.supply.coordinates
        points = c.enter_x(self.supply.source.draw(steps * config.batch))
        if config.jitter:
            noise = self.rng.standard_normal(points.shape, dtype=np.float32)
            points += noise * (config.jitter * c.spread).astype(np.float32)
        shape = (steps, config.batch, c.dim)
        signs = None
        if c.dim > WHOLE_HESSIANS:
            signs = jnp.asarray(self.rng.choice(np.array([-1.0, 1.0], np.float32), size=shape))
        return jnp.asarray(points.reshape(shape)), signs

    def _look(self, progress: float, rate: float) -> DensityRow:
        """Evaluate the averaged state on the held-out points and keep it if it is the best."""
        since = self.schedule.seconds
        value = self._evaluate(eqx.combine(self.state.average, self.static))
        self._reserve(self.schedule.seconds - since)
        training, self.values = np.concatenate(self.values), []
        diverged = not (np.isfinite(value).all() and np.isfinite(training).all())
        gain, error = self._gain(value, self.gaussian)
        best = not diverged and self._gain(value, self.lowest)[0] > 0
        if best:
            self.lowest = self.best_value = value
            self.best = jax.tree.map(jnp.copy, self.state.average)
            self.best_progress, self.best_step = progress, self.steps
        row = DensityRow(
            step=self.steps,
            seconds=self.schedule.seconds,
            progress=progress,
            log_likelihood=mean_and_error(value, self.supply.weights)[0] + self.supply.constant,
            gain=gain,
            error=error,
            training=float(training.mean()) + self.supply.constant,
            rate=rate,
            best=best,
        )
        self.history.append(row)
        if diverged:
            self._restart()
        return row

    def _evaluate(self, u: AbstractPotential) -> NDArray[np.float64]:
        """Log likelihoods of the held-out points."""
        base = map_batches(lambda part: _base_values(u, self.spread, part), self.held_out)
        return np.asarray(base, np.float64) + log_dets(u, self.held_out).value

    def _gain(self, value: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
        return mean_and_error(value - other, self.supply.weights)

    def _restart(self) -> None:
        """Go back to the best state, or to the start, at half the learning rate."""
        self.restarts += 1
        self.schedule.factor *= 0.5
        arrays = self.initial if self.best is None else self.best
        self.state = start(eqx.combine(arrays, self.static))


@eqx.filter_jit
def _base_values(u: AbstractPotential, spread: jax.Array, x: jax.Array) -> jax.Array:
    return log_base(u, spread, jnp.asarray(x))
