"""What a fit did: a row for each validation, that is, each evaluation of the state on the held-out points."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from brenier._words import number, share

__all__ = ["HistoryRow", "LossRow", "OnRow", "compact_history", "describe_row"]

_MOST = 200
"""Rows kept with a map."""

_LEFT_OUT = ("seconds", "progress", "refit")
"""Fields that vary from run to run, so that one seed would no longer give one file; and one that is always false."""


class HistoryRow(NamedTuple):
    """One line of the history of a map's fit.

    Attributes:
        step: Steps taken.
        seconds: Wall-clock since the start of the fit.
        progress: Share of the budget used.
        dual: Held-out dual value, an estimate of half the squared W2 distance, in squared units of the data. It is
            never raised by inexact conjugates: the most that they can add is taken off.
        gain: By how much `dual` exceeds that of the Gaussian map.
        error: Standard error of `gain`.
        gap: Certified gap: what was taken off `dual`, in the same units. With exact conjugates the dual value of this
            state on these points lies between `dual` and `dual + gap`, up to rounding, whatever the inner solver did.
            It says nothing of how far the state is from the optimal map, nor of sampling error.
        unconverged: Share of target points left out of the gradient since the last row.
        evaluations: Gradients of the potential that the inner solver used a step since the last row.
        rate: Learning rate.
        best: Whether the state is the best so far.
        refit: Whether this is the second fit, to all samples, which has seen the points that were held out.
    """

    step: int
    seconds: float
    progress: float
    dual: float
    gain: float
    error: float
    gap: float
    unconverged: float
    evaluations: float
    rate: float
    best: bool
    refit: bool = False

    def describe(self) -> str:
        """What the validation has found, in a few words."""
        text = f"dual {number(self.dual)}  gain {number(self.gain, 3)}  gap {number(self.gap, 2)}"
        return f"{describe_row(self, text)}  unconverged {share(self.unconverged)}"


class LossRow(NamedTuple):
    """One line of the history of a fit whose objective has no row of its own.

    Attributes:
        step: Steps taken.
        seconds: Wall-clock since the start of the fit.
        progress: Share of the budget used.
        loss: Held-out mean of the loss.
        gain: By how much `loss` is smaller than that of the baseline.
        error: Standard error of `gain`.
        rate: Learning rate.
        best: Whether the state is the best so far.
        refit: Whether this is the second fit, to all samples, which has seen the points that were held out.
    """

    step: int
    seconds: float
    progress: float
    loss: float
    gain: float
    error: float
    rate: float
    best: bool
    refit: bool = False

    def describe(self) -> str:
        """What the validation has found, in a few words."""
        return describe_row(self, f"loss {number(self.loss)}  gain {number(self.gain, 3)}")


def describe_row(row: Any, text: str) -> str:  # noqa: ANN401 - rows of several kinds
    """The text, except in a second fit: that has seen the held-out points, whose values would flatter it."""
    return "again on all samples" if row.refit else text


OnRow: TypeAlias = Callable[[Any], bool | None]
"""Called with every new row; a true result ends the fit, which keeps its best state."""


def compact_history(history: Sequence[NamedTuple]) -> dict[str, list[Any]]:
    """The columns of a history as JSON values, to six digits; null for numbers that are not finite.

    Of long histories, evenly spaced rows, with the last one that was the best, and the last one of all.

    Args:
        history: Rows of one kind, `HistoryRow` for instance.

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
    return {name: [_to_plain(getattr(row, name)) for row in rows] for name in names}


def _to_plain(value: Any) -> Any:  # noqa: ANN401
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
