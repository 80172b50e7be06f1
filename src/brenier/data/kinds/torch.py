"""Tensors of PyTorch, on any device and of any precision."""

import sys
from typing import Any

import jax.numpy as jnp
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.kinds._kind import Kind, Moved, is_from, to_array
from brenier.data.table import Matrix, Unchecked

__all__ = ["Tensors"]


class Tensors(Kind):
    """Tensors; their gradients are left behind, and what comes back is on the CPU."""

    def owns(self, value: Unchecked) -> bool:
        return is_from(value, "torch", "Tensor")

    def read(self, value: Unchecked, name: str) -> NDArray[Any]:
        torch = sys.modules["torch"]
        if value.layout != torch.strided:
            raise InputError(f"`{name}` is a sparse tensor; sparse data are not supported. Pass `{name}.to_dense()`.")
        if value.device.type == "meta":
            raise InputError(f"`{name}` is a tensor on the device 'meta', which has no values. Pass one that has some.")
        local = value.detach().cpu()
        if local.dtype == torch.bfloat16:  # NumPy has no such type of its own, but knows that of JAX
            return local.view(torch.int16).numpy().view(jnp.bfloat16)
        return to_array(local, name)

    def like(self, given: Unchecked, points: Matrix) -> Moved:
        return sys.modules["torch"].from_numpy(points)
