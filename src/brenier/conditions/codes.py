"""From conditions that users pass to the codes of a map, or a message of what is wrong."""

import numpy as np

from brenier._errors import DataWarning, InputError, warn
from brenier.conditions.space import ConditionSpace
from brenier.data.table import Matrix, Unchecked, itemise

__all__ = ["described", "read_codes"]


def read_codes(space: ConditionSpace, condition: Unchecked, rows: int, name: str) -> Matrix:
    """Codes of conditions for so many points; numbers beyond the range of the fit are taken as its ends.

    Args:
        space: The conditions of the fit.
        condition: One for all points, or one for each.
        rows: How many points.
        name: The argument's name in messages.

    Raises:
        InputError: No condition, or one that the fit has not seen.

    Warns:
        DataWarning: Numbers beyond the range of the fit.
    """
    if condition is None:
        raise InputError(
            f"`{name}` is missing: this map was fitted with conditions ({described(space)}). Pass one for all "
            "points, or one for each."
        )
    codes = space.encode(condition, rows, name)
    alike = codes.strides[0] == 0
    beyond = space.outside(codes[:1] if alike else codes)
    if not len(beyond):
        return codes
    which = "" if alike else f" in rows {itemise([str(row) for row in beyond])}"
    warn(
        f"`{name}` has numbers{which} outside the range of the fit ({described(space)}); they are taken as "
        "the nearest number inside.",
        DataWarning,
    )
    # Only these: what happens to a row never depends on those beside it.
    low, high = space.scaled_ranges
    moved = codes[:1].copy() if alike else codes.copy()
    own = moved[beyond, 0].astype(np.intp)
    moved[beyond, 1:] = np.clip(moved[beyond, 1:], low[own], high[own])
    return np.broadcast_to(moved, codes.shape) if alike else moved


def described(space: ConditionSpace) -> str:
    """The conditions for people."""
    parts = []
    if space.classes != ((),):
        parts.append(f"classes {itemise([repr(name) for name in space.class_names()], 8)}")
    names = [variable.name for variable in space.variables if variable.kind == "number"]
    for name, low, high in zip(names, space.low.min(axis=0), space.high.max(axis=0), strict=True):
        parts.append(f"{'a number' if name is None else f'`{name}`'} from {low:.6g} to {high:.6g}")
    return "; ".join(parts)
