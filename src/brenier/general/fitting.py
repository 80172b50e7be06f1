"""Which coordinates and settings a cost asks for."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from brenier._errors import InputError
from brenier.coordinates import BuresCoordinates, Matrix, Moments
from brenier.costs import AbstractCost, AbstractDisplacementCost, Mahalanobis, SquaredEuclidean, check_cost
from brenier.data.sides import Side
from brenier.general.coordinates import DisplacementCoordinates, Pairs
from brenier.general.network import general_config
from brenier.training import TrainingConfig

__all__ = ["Frame", "frame_of"]


class Frame(Protocol):
    """Where the potential of a fit lives."""

    def between(self, source: Moments, target: Moments) -> Any:  # noqa: ANN401 - coordinates of several kinds
        """Coordinates for sides with these moments."""
        ...

    def config(self, config: TrainingConfig, hidden: Sequence[int] | None) -> TrainingConfig:
        """Settings, from those that the rule gives for the quadratic cost, and the units that the user asked for."""
        ...


class QuadraticFrame:
    """Bures coordinates, for half a squared distance.

    Args:
        scale: `(d,)` units of the columns in the cost.
        cost: The cost.
    """

    def __init__(self, scale: Matrix, cost: SquaredEuclidean | Mahalanobis) -> None:
        self._scale, self._root = scale, None
        if isinstance(cost, Mahalanobis):
            if len(cost.A) != len(scale):
                raise InputError(f"`cost` has a matrix for {len(cost.A)} columns, but the data have {len(scale)}.")
            values, vectors = np.linalg.eigh(cost.matrix)
            self._root = (vectors * np.sqrt(values)) @ vectors.T

    def between(self, source: Moments, target: Moments) -> BuresCoordinates:
        """Coordinates for sides with these moments."""
        return BuresCoordinates.between(source, target, self._scale, self._root)

    def config(self, config: TrainingConfig, hidden: Sequence[int] | None) -> TrainingConfig:
        """The settings as they are."""
        return config


class DisplacementFrame:
    """Coordinates for other costs of the displacement.

    Args:
        scale: `(d,)` units of the columns in the cost.
        cost: The cost.
        source, target: The two sides.
        seed: Of the points that choose the coordinates.
    """

    def __init__(self, scale: Matrix, cost: AbstractDisplacementCost, source: Side, target: Side, seed: int) -> None:
        check_cost(cost, len(scale))
        self._scale, self._cost = scale, cost
        rng = np.random.default_rng(seed)
        self._pairs = Pairs.match(source.sample.values, target.sample.values, rng)
        self._certify = False

    def between(self, source: Moments, target: Moments) -> DisplacementCoordinates:
        """Coordinates for sides with these moments."""
        return DisplacementCoordinates.between(source, target, self._cost, self._scale, self._pairs, self._certify)

    def config(self, config: TrainingConfig, hidden: Sequence[int] | None) -> TrainingConfig:
        """Settings for a stiffer equation, and a network that need not be convex unless the user has brought one."""
        if config.potential is not None:
            made = config.potential(len(self._scale), np.random.default_rng(0))
            self._certify = getattr(made, "convexity_floor", lambda: None)() is not None
        return general_config(config, hidden)


def frame_of(cost: AbstractCost | None, scale: Matrix, source: Side, target: Side, seed: int) -> Frame:
    """The frame of a cost; the quadratic one by default."""
    if cost is None or isinstance(cost, SquaredEuclidean | Mahalanobis):
        return QuadraticFrame(scale, SquaredEuclidean() if cost is None else cost)
    if isinstance(cost, AbstractDisplacementCost):
        return DisplacementFrame(scale, cost, source, target, seed)
    raise InputError(f"`cost` must be one of `brenier.costs`, or derive from `AbstractDisplacementCost`; got {cost!r}.")
