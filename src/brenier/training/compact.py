"""A history small enough to be kept with a map."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["compact_history"]

_MOST = 200
"""Rows kept."""

_LEFT_OUT = ("seconds", "progress", "refit")
"""Fields that vary from run to run, so that one seed would no longer give one file; and one that is always false."""


def compact_history(history: Sequence[NamedTuple]) -> dict[str, list[Any]]:
    """The columns of a history as JSON values, to six digits; null for numbers that are not finite.

    Of long histories, evenly spaced rows, with the last one that was the best, and the last one of all.

    Args:
        history: Rows of one kind, `Row` or `DensityRow`.

    Returns:
        A list for each field, empty if there are no rows.
    """
    if not history:
        return {}
    last = len(history) - 1
    best = [place for place, row in enumerate(history) if getattr(row, "best", False)]
    places = {round(number * last / (_MOST - 1)) for number in range(_MOST)} | {last, *best[-1:]}
    rows = [history[place] for place in sorted(places)]
    names = [name for name in history[0]._fields if name not in _LEFT_OUT]
    return {name: [_plain(getattr(row, name)) for row in rows] for name in names}


def _plain(value: Any) -> Any:  # noqa: ANN401
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
