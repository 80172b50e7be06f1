"""Networks and settings for costs that are not quadratic."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brenier._errors import InputError
from brenier.potentials import MLP, AbstractPotential, OnSphere
from brenier.training import PotentialFactory, TrainingConfig

__all__ = ["Perceptron", "general_config", "on_sphere"]

_WIDTHS = (128, 128)
_ROUNDS = (2, 8)
"""Fewest and most rounds of the inner solver a step: the equation is stiffer than that of the quadratic cost."""


@dataclass(frozen=True)
class Perceptron:
    """Makes perceptrons as potentials, which need not be convex: those of such costs are not, in any coordinates.

    Attributes:
        widths: Units of each hidden layer.
        activation: Name of the activation.
    """

    widths: Sequence[int] = _WIDTHS
    activation: str = "ramp"

    def __call__(self, dim: int, rng: np.random.Generator) -> MLP:
        return MLP(dim, self.widths, rng=rng, activation=self.activation)


def on_sphere(made: PotentialFactory | None, radius: float, centre: tuple[float, ...]) -> PotentialFactory:
    """A factory that restricts the potentials of another, `Perceptron` by default, to a sphere; see `OnSphere`."""
    within = Perceptron() if made is None else made

    def make(dim: int, rng: np.random.Generator) -> OnSphere:
        inner = within(dim, rng)
        if not isinstance(inner, AbstractPotential) or inner.dim != dim:
            raise InputError(
                f"`potential` must return an `AbstractPotential` whose `dim` is {dim}, the number of columns; "
                f"got {inner!r}."
            )
        return OnSphere(inner, radius, centre)

    # The settings in a map's file name what the user passed.
    make.__qualname__ = getattr(within, "__qualname__", type(within).__qualname__)
    return make


def general_config(config: TrainingConfig, hidden: Sequence[int] | None) -> TrainingConfig:
    """Settings for a cost that is not quadratic, from those for the quadratic cost.

    Args:
        config: Settings for the quadratic cost.
        hidden: Units of each hidden layer, if the user asked for some.
    """
    perceptron = Perceptron(_WIDTHS if hidden is None else tuple(hidden), config.activation)
    if config.potential is None:
        config = config.replace(potential=perceptron, widths=perceptron.widths)
    # Points are not moved affinely: on a sphere they would leave it, and elsewhere what that gains was not measured.
    return config.replace(rounds=_ROUNDS, calibrated=False)
