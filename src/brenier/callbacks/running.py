"""The callbacks of one fit: each that was told of the start is told of the end, whatever happens in between."""

import time
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from brenier.callbacks.progress import Progress
from brenier.callbacks.protocol import Callback, Callbacks, End, Start, as_callbacks

if TYPE_CHECKING:
    from brenier.checkpoint.keeping import Resumed

__all__ = ["Running"]


class Running:
    """Context of a fit that calls the callbacks; what they raise is not caught.

    Args:
        callbacks: As users hand them in.
        started: `time.perf_counter()` at the start of the fit.
        verbose: Whether the fit is shown as it runs.

    Attributes:
        resumed: Where an earlier process had left the fit; None for a fit from its start.
    """

    def __init__(self, callbacks: Callbacks | None, started: float, verbose: bool = False) -> None:
        self._callbacks, self._started = as_callbacks(callbacks), started
        if verbose:
            self._callbacks.insert(0, Progress())
        self._rows: list[Any] = []
        self._stack = ExitStack()
        self._end: End | None = None
        self.resumed: Resumed | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            steps = self._rows[-1].step if self._rows else 0
            said = f"{type(error).__name__}: {error}"
            self._end = End(said, steps, time.perf_counter() - self._started, None, self._rows, error)
        self._stack.__exit__(kind, error, trace)

    def begin(self, start: Start) -> None:
        """Tell all callbacks of the start."""
        self.resumed = start.resumed
        for callback in self._callbacks:
            callback.on_start(start)
            self._stack.callback(self._tell, callback)

    def show(self, row: Any) -> bool:  # noqa: ANN401
        """Show a row to all callbacks; returns whether one of them asks for the end."""
        self._rows.append(row)
        return any([callback.on_validation(row) for callback in self._callbacks])

    def finish(self, fitted: Any) -> None:  # noqa: ANN401
        """Note, from a fitted estimator, what the callbacks are told at the end."""
        seconds = time.perf_counter() - self._started
        self._end = End(fitted.stop_, fitted.n_iter_, seconds, fitted.baseline_, fitted.history_)

    def _tell(self, callback: Callback) -> None:
        assert self._end is not None
        callback.on_end(self._end)
