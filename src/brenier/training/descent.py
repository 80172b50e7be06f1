"""Objectives that are the mean of a loss over points: its gradient step by step, in compiled chunks."""

import abc
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from brenier._errors import InputError
from brenier._states import State
from brenier._types import Array, Float, Int, Scalar, Values
from brenier.data.sources import Source
from brenier.geometry import AbstractGeometry
from brenier.potentials import AbstractFamily
from brenier.training.config import TrainingConfig
from brenier.training.network import network
from brenier.training.objective import AbstractObjective, Chunk, Statistics
from brenier.training.placement import Placement
from brenier.training.step import AVERAGING

__all__ = ["DescentState", "Loss", "LossObjective", "begin", "descend"]

Loss = Callable[[Any, Any, Any], Scalar]
"""The mean loss of a potential, of what stays the same in all steps, and of the points of one batch."""


_Batches = Any
"""A pytree of arrays, one leading entry a step."""


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


class Rules(NamedTuple):
    """What a chunk of steps is compiled for: one program for each.

    Attributes:
        loss: What is to be made small.
        optimizer: Turns gradients into directions.
        decay: Share of each parameter taken away a step, as a multiple of the learning rate.
    """

    loss: Loss
    optimizer: optax.GradientTransformation
    decay: float = 0.0


def begin(potential: AbstractFamily, optimizer: optax.GradientTransformation) -> DescentState:
    """The state before the first step."""
    arrays = eqx.filter(potential, eqx.is_inexact_array)
    copy = jax.tree.map(jnp.copy, arrays)
    return DescentState(arrays, copy, optimizer.init(arrays), jnp.zeros((), jnp.int32))  # type: ignore[arg-type]


@eqx.filter_jit(donate="all-except-first")
def descend(
    fixed: tuple[Rules, AbstractFamily, Any], state: DescentState, batches: _Batches, rates: Float[Array, " k"]
) -> tuple[DescentState, Values]:
    """Take one step a batch.

    Args:
        fixed: The rules, the potential without its arrays, and what else the loss needs in every step.
        state: Where to start; consumed.
        batches: A pytree of arrays, one leading entry a step.
        rates: Learning rate of each step.

    Returns:
        The new state, and the loss of each batch before its step.
    """
    rules, static, constants = fixed

    def step(state: DescentState, batch: tuple[Any, Scalar]) -> tuple[DescentState, Scalar]:
        points, rate = batch

        def loss(parameters: AbstractFamily) -> Scalar:
            return rules.loss(eqx.combine(parameters, static), constants, points)

        value, gradient = eqx.filter_value_and_grad(loss)(state.parameters)
        updates, moments = rules.optimizer.update(gradient, state.optimizer)
        parameters = jax.tree.map(lambda p, change: p - rate * (change + rules.decay * p), state.parameters, updates)
        steps = state.steps + 1
        # The same share whatever the budget (Shamir and Zhang 2013).
        share = (AVERAGING + 1.0) / (steps + AVERAGING)
        average = jax.tree.map(lambda mean, p: mean + share * (p - mean), state.average, parameters)
        return DescentState(parameters, average, moments, steps), value

    return jax.lax.scan(step, state, (batches, rates))


class LossObjective(AbstractObjective):
    """The mean of a loss: a subclass says what it is, which points a batch has, and evaluates held-out points.

    Args:
        source: Where points come from.
        coordinates: Where the potential lives.
        config: Settings.
        seed: Of the network, and of what `batches` draws from `rng`.
    """

    optimizer: ClassVar[optax.GradientTransformation] = optax.scale_by_adam(b1=0.9, b2=0.99)
    """Turns gradients into directions; the learning rate and the decay come from the settings."""

    constants: Any = None
    """What the loss needs in every step: a pytree."""

    def __init__(self, source: Source, coordinates: AbstractGeometry, config: TrainingConfig, *, seed: int) -> None:
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
        """Stay in one part.

        Raises:
            InputError: There are to be several.
        """
        if placement.count > 1:
            raise InputError(f"`shards` must be 1 for {type(self).__name__}, in one part; got {placement.count}.")
        super().place(placement)

    def untrained(self) -> AbstractFamily:
        """The network that the settings ask for."""
        return network(self.config, self.coordinates, self.seed)

    def start(self, potential: AbstractFamily) -> DescentState:
        """The state before the first step."""
        self.static = eqx.filter(potential, eqx.is_inexact_array, inverse=True)
        return begin(potential, self.optimizer)

    def advance(self, state: DescentState, chunk: Chunk) -> tuple[DescentState, Statistics]:
        """Take the steps of a chunk."""
        rules = Rules(type(self).loss, self.optimizer, self.config.decay)
        batches = self.batches(len(chunk.rates))
        state, losses = descend((rules, self.static, self.constants), state, batches, jnp.asarray(chunk.rates))
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
