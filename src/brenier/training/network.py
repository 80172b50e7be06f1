"""The potential before the first step of a fit."""

from typing import Any

import numpy as np

from brenier._errors import InputError
from brenier.geometry import AbstractGeometry
from brenier.potentials import ICNN, AbstractFamily, AbstractPotential, ModulatedICNN
from brenier.training.config import TrainingConfig

__all__ = ["network"]


def network(
    config: TrainingConfig, coordinates: AbstractGeometry, seed: int, degenerate: tuple[int, ...] = ()
) -> AbstractFamily:
    """Make the potential that the settings ask for, next to the Gaussian map; with conditions, a family of them.

    Args:
        config: Settings.
        coordinates: The coordinates of the potential.
        seed: Seed of its weights.
        degenerate: Coordinates that are left to the Gaussian map.

    Raises:
        InputError: The user's own potential cannot be trained here.
    """
    dim, rng = coordinates.dim, np.random.default_rng(seed)
    if config.potential is not None:
        return _check(config.potential(dim, rng), coordinates)
    options: dict[str, Any] = {"floor": config.floor, "activation": config.activation, "sharpness": config.sharpness}
    if coordinates.conditions is None:
        return ICNN(dim, config.widths, rng=rng, inert=degenerate, **options)
    return ModulatedICNN(dim, *coordinates.conditions, config.widths, rng=rng, **options)


def _check(potential: object, coordinates: AbstractGeometry) -> AbstractPotential:
    if coordinates.conditions is not None:
        raise InputError("`potential` makes maps without conditions only. Leave it out, or the conditions.")
    if not isinstance(potential, AbstractPotential) or potential.dim != coordinates.dim:
        raise InputError(
            f"`potential` must return an `AbstractPotential` whose `dim` is {coordinates.dim}, the number of columns; "
            f"got {potential!r}."
        )
    return potential
