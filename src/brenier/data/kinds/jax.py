"""Arrays of JAX."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.kinds._kind import Kind, Moved, to_array
from brenier.data.table import Matrix, Unchecked

__all__ = ["JaxArrays"]


class JaxArrays(Kind):
    """Arrays of JAX; what comes back is on the CPU, in double precision where that is switched on."""

    def owns(self, value: Unchecked) -> bool:
        return isinstance(value, jax.Array)

    def read(self, value: Unchecked, name: str) -> NDArray[Any]:
        if isinstance(value, Tracer):
            raise InputError(
                f"`{name}` is an array without values, inside `jit`, `grad` or `vmap`. Call this outside of them; "
                "inside, take `map_.geometry` and `map_.potential`."
            )
        return to_array(value, name)

    def like(self, given: Unchecked, points: Matrix) -> Moved:
        return jax.device_put(jnp.asarray(points), jax.local_devices(backend="cpu")[0])
