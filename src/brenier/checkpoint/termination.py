"""SIGTERM with a grace period, as machines that can be taken away send it: save, then end."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Terminated", "saved_on_sigterm", "was_asked"]

TERMINATED = 128 + int(signal.SIGTERM)
"""Exit code of a process that SIGTERM ended."""

_asked = threading.Event()


class Terminated(SystemExit):
    """A fit ended because of SIGTERM, after its state was saved. A script that does not catch it exits with 143.

    Attributes:
        said: What happened, and how to go on.
    """

    def __init__(self, said: str) -> None:
        super().__init__(TERMINATED)
        self.said = said

    def __str__(self) -> str:
        return self.said


@contextmanager
def saved_on_sigterm() -> Iterator[None]:
    """Let fits with `checkpoint` take SIGTERM as a request: they finish the running chunk of steps, save, and raise.

    What they raise is `Terminated`, a `SystemExit` of code 143. A second SIGTERM ends the process at once, as the
    first does outside of the block. To be used on the main thread; elsewhere, nothing changes.

    Example:
        >>> from brenier import BrenierMap
        >>> from brenier.checkpoint import saved_on_sigterm
        >>> with saved_on_sigterm():
        ...     ot = BrenierMap()  # .fit(X, Y, checkpoint="work")
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: FrameType | None) -> None:
        _asked.set()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        _asked.clear()


def was_asked() -> bool:
    """Whether SIGTERM has come since `saved_on_sigterm` was entered."""
    return _asked.is_set()
