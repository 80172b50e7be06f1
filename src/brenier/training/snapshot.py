"""Who keeps the state of a fit between two chunks of steps, and how the arrays of a pytree get there and back."""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier._states import State

__all__ = ["Keeper", "leaves_of", "refill"]


class Keeper(Protocol):
    """Where one fit leaves its state, and finds it again."""

    def load(self) -> State | None:
        """The state that an earlier process left, None where there is none."""
        ...

    def due(self, steps: int) -> bool:
        """Called after every chunk of steps: whether the state is to be saved now."""
        ...

    def save(self, state: State) -> None:
        """Keep a state; does not return where the process was told to end."""
        ...


def leaves_of(tree: Any) -> list[NDArray[Any]]:  # noqa: ANN401 - any pytree of arrays
    """Copies of the arrays of a pytree, in the order of JAX: a later step may overwrite what it is given."""
    return [np.array(leaf) for leaf in jax.tree.leaves(tree)]


def refill(template: Any, leaves: list[NDArray[Any]]) -> Any:  # noqa: ANN401
    """Fill a pytree like the template with arrays that `leaves_of` took from one of the same kind.

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
