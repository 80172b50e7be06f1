"""Whether an argument is a number."""

import math
from numbers import Real
from typing import Any

__all__ = ["as_number"]


def as_number(value: Any) -> float:  # noqa: ANN401 - whatever a user passed
    """The number, or NaN where it is none, so that one comparison refuses both text and what is out of range."""
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
