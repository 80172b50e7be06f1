"""What a running fit shows, and how often it was interrupted."""

import signal
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from brenier.cli.console import number, share, stderr

if TYPE_CHECKING:
    from brenier.density.training import DensityRow
    from brenier.training import Row

__all__ = ["FitProgress", "Interrupts", "density_news", "map_news"]


def map_news(row: "Row") -> str:
    """What a look at the held-out points says about a map."""
    found = f"dual {number(row.dual)}  gain {number(row.gain, 3)}"
    return f"{_judged(row, found)}  unconverged {share(row.unconverged)}"


def density_news(row: "DensityRow") -> str:
    """What a look at the held-out points says about a density."""
    return _judged(row, f"log-likelihood {number(row.log_likelihood)}  gain {number(row.gain, 3)}")


def _judged(row: "Row | DensityRow", found: str) -> str:
    """The text, but in a second fit: the held-out points have been seen there, so that their values would flatter."""
    return "again on all samples" if row.refit else found


class FitProgress:
    """Callback of a fit: a bar on a terminal, a line for each look at the held-out points elsewhere.

    Args:
        news: From a row of the fit's history to what is shown of it, beside progress and time.
    """

    def __init__(self, news: Callable[[Any], str] = map_news) -> None:
        self._news = news
        self._bar: Progress | None = None
        self._first: Row | DensityRow | None = None

    def __enter__(self) -> Self:
        if stderr.is_terminal:
            columns = (BarColumn(20), TextColumn("{task.fields[found]}"), TimeElapsedColumn())
            self._bar = Progress(*columns, console=stderr)
            self._task = self._bar.add_task("fit", total=None, found="compiling")
            self._bar.start()
        return self

    def __exit__(self, error: object, *_: object) -> None:
        if self._bar is not None:
            if error is None:
                self._bar.update(self._task, total=1.0, completed=1.0, found="done")
            self._bar.stop()

    def __call__(self, row: "Row | DensityRow") -> None:
        left = _duration(self._seconds_left(row))
        found = f"{100 * min(row.progress, 1.0):3.0f} %  {self._news(row)}  {left} left"
        if self._bar is not None:
            self._bar.update(self._task, total=1.0, completed=min(row.progress, 1.0))
        self.say(found)

    def say(self, found: str) -> None:
        """Show a text beside the bar, or on a line of its own."""
        if self._bar is None:
            stderr.print(found)
        else:
            self._bar.update(self._task, found=found)

    def _seconds_left(self, row: "Row | DensityRow") -> float:
        """At the pace since the first row, because the time before it was mostly compilation."""
        if self._first is None:
            self._first = row
        seconds, progress = row.seconds - self._first.seconds, row.progress - self._first.progress
        if not progress > 0:
            seconds, progress = row.seconds, row.progress
        return max(1.0 - row.progress, 0.0) * seconds / progress


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"


class Interrupts:
    """Counts presses of Ctrl-C, also those that Python merges into one while it waits for a compiled step."""

    def __init__(self) -> None:
        self._count = 0

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        # Python takes signals on its main thread only.
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._main:
            signal.set_wakeup_fd(self._before)
        self._reader.close()
        self._writer.close()

    @property
    def count(self) -> int:
        """Presses so far."""
        try:
            self._count += self._reader.recv(4096).count(signal.SIGINT)
        except BlockingIOError:
            pass
        return self._count
