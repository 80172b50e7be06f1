"""Shapes of the arrays that the core passes around; the only import of jaxtyping.

`n` and `m` count points, `d` is their dimension. Points are rows everywhere.
"""

from collections.abc import Callable
from typing import TypeAlias

from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["Array", "Bool", "Counts", "Float", "Int", "Key", "Mask", "Points", "RowwiseMap", "Scalar", "Values"]

Points: TypeAlias = Float[Array, "n d"]
Values: TypeAlias = Float[Array, " n"]
Mask: TypeAlias = Bool[Array, " n"]
Counts: TypeAlias = Int[Array, " n"]
Scalar: TypeAlias = Float[Array, ""]
Key: TypeAlias = PRNGKeyArray

RowwiseMap: TypeAlias = Callable[[Points], Points]
"""A map of points in which row i of the result depends on row i of the argument only."""
