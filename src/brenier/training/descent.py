"""Objectives that are the mean of a loss over points: its gradient step by step, in compiled chunks."""

import abc
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from brenier._errors import InputError
from brenier._states import State
from brenier._types import Array, Int, Scalar, Values
from brenier.data.streams import PointStream
from brenier.geometry import AbstractGeometry
from brenier.potentials import AbstractFamily
from brenier.training.config import TrainingConfig
from brenier.training.network import network
from brenier.training.objective import AbstractObjective, Chunk, Statistics
from brenier.training.placement import Placement
from brenier.training.step import AVERAGING

__all__ = ["DescentState", "LossObjective", "descend"]


class DescentState(NamedTuple):
    """All that changes in training.

    Attributes:
        parameters: Arrays of the potential.
        average: Their running average, which a fit returns.
        optimizer: Moments of the optimizer.
        steps: Steps taken.
    """

    parameters: AbstractFamily
    average: AbstractFamily
    optimizer: optax.OptState
    steps: Int[Array, ""]


@eqx.filter_jit(donate="all-except-first")
def descend(
    fixed: tuple["type[LossObjective]", AbstractFamily, Any, float], state: DescentState, chunk: tuple[Any, Array]
) -> tuple[DescentState, Values]:
    """Take one step a batch.

    Args:
        fixed: The objective, whose loss and optimizer are compiled in; the potential without its arrays; what else the
            loss needs; and the decay, a multiple of the learning rate.
        state: Where to start; consumed.
        chunk: Batches, and learning rates: one leading entry a step.

    Returns:
        The new state, and the loss of each batch before its step.
    """
    objective, static, constants, decay = fixed

    def step(state: DescentState, batch: tuple[Any, Scalar]) -> tuple[DescentState, Scalar]:
        points, rate = batch

        def loss(parameters: AbstractFamily) -> Scalar:
            return objective.loss(eqx.combine(parameters, static), constants, points)

        value, gradient = eqx.filter_value_and_grad(loss)(state.parameters)
        updates, moments = objective.optimizer.update(gradient, state.optimizer)
        parameters = jax.tree.map(lambda p, change: p - rate * (change + decay * p), state.parameters, updates)
        steps = state.steps + 1
        # The same share whatever the budget (Shamir and Zhang 2013).
        share = (AVERAGING + 1.0) / (steps + AVERAGING)
        average = jax.tree.map(lambda mean, p: mean + share * (p - mean), state.average, parameters)
        return DescentState(parameters, average, moments, steps), value

    return jax.lax.scan(step, state, chunk)


class LossObjective(AbstractObjective):
    """The mean of a loss: a subclass says what it is, which points a batch has, and evaluates held-out points.

    Args:
        source: Where points come from.
        coordinates: Where the potential lives.
        config: Settings.
        seed: Seed of the network, and of what `batches` draws from `rng`.
    """

    optimizer: ClassVar[optax.GradientTransformation] = optax.scale_by_adam(b1=0.9, b2=0.99)
    """Turns gradients into directions; the learning rate and the decay come from the settings."""

    constants: Any = None
    """What the loss needs in every step: a pytree."""

    def __init__(
        self, source: PointStream, coordinates: AbstractGeometry, config: TrainingConfig, *, seed: int
    ) -> None:
        self.source, self.coordinates, self.config, self.seed = source, coordinates, config, seed
        self.rng = np.random.default_rng(seed)

    @staticmethod
    @abc.abstractmethod
    def loss(u: Any, constants: Any, batch: Any, /) -> Scalar:  # noqa: ANN401
        """The mean loss of a potential on one batch, in JAX. A static method, so that all fits share one program."""

    @abc.abstractmethod
    def batches(self, steps: int) -> Any:  # noqa: ANN401
        """Points of the next steps: a pytree of arrays, one leading entry a step."""

    def place(self, placement: Placement) -> None:
        """Accept a placement in one part.

        Raises:
            InputError: The placement has several parts.
        """
        if placement.count > 1:
            raise InputError(f"`shards` must be 1 for {type(self).__name__}, in one part; got {placement.count}.")
        super().place(placement)

    def make_potential(self) -> AbstractFamily:
        """Make the network that the settings ask for."""
        return network(self.config, self.coordinates, self.seed)

    def start(self, potential: AbstractFamily) -> DescentState:
        """The state before the first step."""
        self.static = eqx.filter(potential, eqx.is_inexact_array, inverse=True)
        arrays = eqx.filter(potential, eqx.is_inexact_array)
        moments = self.optimizer.init(arrays)  # type: ignore[arg-type]
        return DescentState(arrays, jax.tree.map(jnp.copy, arrays), moments, jnp.zeros((), jnp.int32))

    def advance(self, state: DescentState, chunk: Chunk) -> tuple[DescentState, Statistics]:
        """Take the steps of a chunk."""
        batches, rates = self.batches(len(chunk.rates)), jnp.asarray(chunk.rates)
        state, losses = descend((type(self), self.static, self.constants, self.config.decay), state, (batches, rates))
        return state, {"training": np.asarray(losses)}

    def baseline(self) -> Any:  # noqa: ANN401 - what `evaluate` gives
        """The held-out value of the baseline of the coordinates."""
        return self.evaluate(self.coordinates.surplus.baseline())

    def state(self, state: DescentState) -> State:
        """The state, and where the points and the randomness stand."""
        return super().state(state) | {"rng": self.rng.bit_generator.state, "source": self.source.state()}

    def restore(self, state: DescentState, saved: State) -> DescentState:
        """Go on from what `state` gave."""
        self.rng.bit_generator.state = saved["rng"]
        self.source.restore(saved["source"])
        return super().restore(state, saved)
