"""Which coordinates and settings a cost asks for."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from brenier._errors import InputError
from brenier.costs import (
    AbstractCost,
    AbstractDisplacementCost,
    GreatCircle,
    Mahalanobis,
    SquaredEuclidean,
    check_cost,
)
from brenier.data.table import Matrix
from brenier.estimators.network import general_config, on_sphere
from brenier.estimators.sides import Side
from brenier.geometry import Moments, QuadraticGeometry
from brenier.geometry.displacement import DisplacementGeometry, Pairs
from brenier.geometry.sphere import SphereGeometry
from brenier.training import TrainingConfig

__all__ = ["Frame", "frame_of"]


class Frame(Protocol):
    """How a cost is fitted: in which geometry, and with which settings."""

    def between(self, source: Moments, target: Moments) -> Any:  # noqa: ANN401 - coordinates of several kinds
        """The geometry for sides with these moments."""
        ...

    def config(self, config: TrainingConfig, hidden: Sequence[int] | None) -> TrainingConfig:
        """Settings for this cost, from those for the quadratic cost and the hidden units that the user asked for."""
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

    def between(self, source: Moments, target: Moments) -> QuadraticGeometry:
        """The geometry for sides with these moments."""
        return QuadraticGeometry.between(source, target, self._scale, self._root)

    def config(self, config: TrainingConfig, hidden: Sequence[int] | None) -> TrainingConfig:
        """The settings, unchanged."""
        return config


class DisplacementFrame:
    """The geometry for costs of the displacement that are not quadratic.

    Args:
        scale: `(d,)` units of the columns in the cost.
        cost: The cost.
        source, target: The two sides.
        seed: Seed of the points that choose the geometry.
    """

    def __init__(self, scale: Matrix, cost: AbstractDisplacementCost, source: Side, target: Side, seed: int) -> None:
        check_cost(cost, len(scale))
        self._scale, self._cost = scale, cost
        rng = np.random.default_rng(seed)
        self._pairs = Pairs.match(source.sample.values, target.sample.values, rng)
        self._certify = False

    def between(self, source: Moments, target: Moments) -> DisplacementGeometry:
        """The geometry for sides with these moments."""
        return DisplacementGeometry.between(source, target, self._cost, self._scale, self._pairs, self._certify)

    def config(self, config: TrainingConfig, hidden: Sequence[int] | None) -> TrainingConfig:
        """Settings for a stiffer equation, and a network that need not be convex unless the user has brought one."""
        if config.potential is not None:
            made = config.potential(len(self._scale), np.random.default_rng(0))
            self._certify = getattr(made, "convexity_floor", lambda: None)() is not None
        return general_config(config, hidden)


class SphereFrame:
    """The geometry for points on a sphere, the same for every fit to two sides.

    Args:
        scale: `(d,)` units of the columns: ones, for there is nothing to scale.
        source, target: The two sides.
        seed: Seed of the points that choose the start.
    """

    def __init__(self, scale: Matrix, source: Side, target: Side, seed: int) -> None:
        if len(scale) < 2:
            raise InputError("`X` must have at least 2 columns for the great-circle cost: points are vectors; got 1.")
        if not (scale == 1.0).all():
            raise InputError(f"`scale` means nothing to the great-circle cost; got {scale.tolist()}. Leave it out.")
        x, y = source.sample.values, target.sample.values
        a, b = (None if side.weights is None else side.weights[2] for side in (source, target))
        self._coordinates = SphereGeometry.between(x, y, a, b, seed)

    def between(self, source: Moments, target: Moments) -> SphereGeometry:
        """The coordinates, whatever the moments."""
        return self._coordinates

    def config(self, config: TrainingConfig, hidden: Sequence[int] | None) -> TrainingConfig:
        """Settings for a stiffer equation, and a network on the sphere."""
        surplus = self._coordinates.surplus_in(np.float32)
        config = general_config(config, hidden)
        return config.replace(potential=on_sphere(config.potential, surplus.radius, surplus.centre))


def frame_of(cost: AbstractCost | None, scale: Matrix, source: Side, target: Side, seed: int) -> Frame:
    """The frame of a cost; the quadratic one by default."""
    if cost is None or isinstance(cost, SquaredEuclidean | Mahalanobis):
        return QuadraticFrame(scale, SquaredEuclidean() if cost is None else cost)
    if isinstance(cost, AbstractDisplacementCost):
        return DisplacementFrame(scale, cost, source, target, seed)
    if isinstance(cost, GreatCircle):
        return SphereFrame(scale, source, target, seed)
    raise InputError(f"`cost` must be one of `brenier.costs`, or derive from `AbstractDisplacementCost`; got {cost!r}.")
