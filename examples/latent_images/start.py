"""Networks at their start."""

import math
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["fresh", "skeleton"]

Network = TypeVar("Network", bound=eqx.Module)


def skeleton(kind: type[Network], **sizes: Any) -> Network:  # noqa: ANN401 - the arguments of any class
    """A network of these sizes with shapes in the place of arrays: nothing is drawn, nothing compiled."""
    return eqx.filter_eval_shape(kind, **sizes, key=jax.random.key(0))


def fresh(kind: type[Network], seed: int, **sizes: Any) -> Network:  # noqa: ANN401
    """A network whose layers keep the variance of what they get; biases are zero.

    Weights are normal with variance one over the number of inputs (LeCun et al. 1998, "Efficient BackProp", equation
    16). NumPy draws them: to compile JAX's draws for all layers takes longer than to train for some epochs on digits.

    Args:
        kind: Class of the network.
        seed: Seed of the weights.
        sizes: The other arguments of the class.
    """
    rng = np.random.default_rng(seed)

    def draw(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        if path[-1].name == "bias":
            return jnp.zeros(leaf.shape, leaf.dtype)
        inputs = math.prod(leaf.shape[1:])  # weights are (outputs, inputs, ...)
        return jnp.asarray(rng.standard_normal(leaf.shape) / math.sqrt(inputs), leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, skeleton(kind, **sizes))
