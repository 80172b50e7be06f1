"""Maps outside of brenier: PyTorch modules and programs, and StableHLO programs of `jax.export`.

`to_torch` gives a module, `save_torch` and `save_stablehlo` files that run where brenier is not installed.
"""

from brenier.export.stablehlo import save_stablehlo
from brenier.export.torch import save_torch, to_torch

__all__ = ["save_stablehlo", "save_torch", "to_torch"]
