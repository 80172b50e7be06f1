"""From conditions that users pass to the codes of a map, or to a message about what is wrong."""

import numpy as np

from brenier._errors import DataWarning, InputError, warn
from brenier.conditions.space import ConditionSpace
from brenier.data.table import Matrix, Unchecked, itemise

__all__ = ["describe", "read_codes"]


def read_codes(space: ConditionSpace, condition: Unchecked, rows: int, name: str) -> Matrix:
    """Check conditions, and return their codes; numbers beyond the range of the fit are moved to its ends.

    Args:
        space: The conditions of the fit.
        condition: One for all points, or one for each.
        rows: Number of points.
        name: The argument's name in messages.

    Returns:
        `(rows, 1 + q)` number of the class, then the numbers.

    Raises:
        InputError: The condition is missing, or the fit has not seen it.

    Warns:
        DataWarning: Numbers beyond the range of the fit.
    """
    if condition is None:
        raise InputError(
            f"`{name}` is missing: this map was fitted with conditions ({describe(space)}). Pass one for all "
            "points, or one for each."
        )
    codes = space.encode(condition, rows, name)
    alike = codes.strides[0] == 0
    beyond = space.outside(codes[:1] if alike else codes)
    if not len(beyond):
        return codes
    which = "" if alike else f" in rows {itemise([str(row) for row in beyond])}"
    warn(
        f"`{name}` has numbers{which} outside the range of the fit ({describe(space)}); they are taken as "
        "the nearest number inside.",
        DataWarning,
    )
    # Only these: what happens to a row never depends on those beside it.
    low, high = space.scaled_ranges
    moved = codes[:1].copy() if alike else codes.copy()
    number = moved[beyond, 0].astype(np.intp)
    moved[beyond, 1:] = np.clip(moved[beyond, 1:], low[number], high[number])
    return np.broadcast_to(moved, codes.shape) if alike else moved


def describe(space: ConditionSpace) -> str:
    """The conditions of a fit in words, for messages and summaries."""
    parts = []
    if space.classes != ((),):
        parts.append(f"classes {itemise([repr(name) for name in space.class_names()], 8)}")
    names = [variable.name for variable in space.variables if variable.kind == "number"]
    for name, low, high in zip(names, space.low.min(axis=0), space.high.max(axis=0), strict=True):
        parts.append(f"{'a number' if name is None else f'`{name}`'} from {low:.6g} to {high:.6g}")
    return "; ".join(parts)
