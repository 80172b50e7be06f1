"""What a fit is between two chunks of steps, as a dictionary of JSON values and arrays, and who keeps it."""

from typing import Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError

__all__ = ["FitState", "Keeper", "leaves_of", "refilled"]

FitState: TypeAlias = dict[str, Any]
"""Dictionaries and lists of JSON values and NumPy arrays: all that a fit in a fresh process needs to go on."""


class Keeper(Protocol):
    """Where one fit leaves its state, and finds it again."""

    def found(self) -> FitState | None:
        """The state that an earlier process left, None where there is none."""
        ...

    def between(self, steps: int) -> bool:
        """Called after every chunk of steps: whether the state is to be saved now."""
        ...

    def save(self, state: FitState) -> None:
        """Keep a state; does not return where the process was told to end."""
        ...


def leaves_of(tree: Any) -> list[NDArray[Any]]:  # noqa: ANN401 - any pytree of arrays
    """Copies of the arrays of a pytree, in the order of JAX: a later step may overwrite what it is given."""
    return [np.array(leaf) for leaf in jax.tree.leaves(tree)]


def refilled(template: Any, leaves: list[NDArray[Any]]) -> Any:  # noqa: ANN401
    """A pytree like another, with arrays that `leaves_of` took from one of the same kind.

    Raises:
        InputError: Number, shapes or types of the arrays are not those of the template.
    """
    expected, structure = jax.tree.flatten(template)
    kinds = [[(leaf.shape, np.dtype(leaf.dtype)) for leaf in some] for some in (leaves, expected)]
    if kinds[0] != kinds[1]:
        raise InputError(
            "`checkpoint` holds arrays of other shapes or types than this fit has: it was written by another "
            "`potential`, `solver` or version. Name another folder, or delete this one to start again."
        )
    # Copies, because the steps give the memory of their state away.
    return jax.tree.unflatten(structure, [jnp.array(leaf) for leaf in leaves])
