"""What a fit did, a row for each look at the held-out points."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from brenier._text import number, share

__all__ = ["OnLook", "Row", "judged"]


class Row(NamedTuple):
    """One line of the history.

    Attributes:
        step: Steps taken.
        seconds: Wall-clock since the start of the fit.
        progress: Share of the budget used.
        dual: Held-out dual value, an estimate of half the squared W2 distance, in squared units of the data. It is
            never raised by inexact conjugates: the most that they can add is taken off.
        gain: By how much it exceeds that of the Gaussian map.
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
        """What the look has found, in a few words."""
        found = f"dual {number(self.dual)}  gain {number(self.gain, 3)}  gap {number(self.gap, 2)}"
        return f"{judged(self, found)}  unconverged {share(self.unconverged)}"


def judged(row: Any, found: str) -> str:  # noqa: ANN401
    """The text, but in a second fit: the held-out points have been seen there, so that their values would flatter."""
    return "again on all samples" if row.refit else found


OnLook: TypeAlias = Callable[[Any], bool | None]
"""Called with every new row; a true result ends the fit, which keeps its best state."""
