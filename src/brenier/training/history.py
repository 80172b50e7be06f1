"""What a fit did, a row for each look at the held-out points."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

__all__ = ["Callback", "Row"]


class Row(NamedTuple):
    """One line of the history.

    Attributes:
        step: Steps taken.
        seconds: Wall-clock since the start of the fit.
        progress: Share of the budget used.
        dual: Held-out dual value, an estimate of half the squared W2 distance, in squared units of the data.
        gain: By how much it exceeds that of the Gaussian map.
        error: Standard error of `gain`.
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
    unconverged: float
    evaluations: float
    rate: float
    best: bool
    refit: bool = False


Callback: TypeAlias = Callable[[Row], bool | None]
"""Called with every new row; a true result ends the fit, which keeps its best state."""
