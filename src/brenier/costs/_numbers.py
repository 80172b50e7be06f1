"""Whether an argument is a number."""

import math
from numbers import Real
from typing import Any

__all__ = ["as_number"]


def as_number(value: Any) -> float:  # noqa: ANN401 - whatever a user passed
    """An argument as a number; NaN if it is not one, so that one comparison refuses text and what is out of range."""
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
