"""What a running fit shows."""

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from brenier._words import console, duration
from brenier.callbacks.protocol import Callback, End, Start

__all__ = ["Progress"]

_TEXT, _TIME = 76, 9
"""Width in characters of most texts, and of the time since the start, with the space before each."""


class Progress(Callback):
    """Shows a fit on stderr: a bar on a terminal, elsewhere a line for each validation.

    Both show the share of the budget used, what `describe` says of the row, and from the second row on the time left.

    Example:
        >>> from brenier import BrenierMap
        >>> from brenier.callbacks import Progress
        >>> ot = BrenierMap(callbacks=Progress())
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        """Keep nothing that cannot be copied between fits."""
        self._console: Console | None = None
        self._bar: Bar | None = None
        self._first: Any = None

    def on_start(self, start: Start) -> None:
        self._forget()
        self._console = console(stderr=True)
        if start.resumed is not None:
            self._console.print(start.resumed.describe())
        if self._console.is_terminal:
            self._bar = Bar(*_columns(self._console.width), console=self._console)
            self._bar.add_task("fit", total=None, text="compiling")
            self._bar.start()

    def on_validation(self, row: Any) -> None:  # noqa: ANN401 - a row of any objective
        text = f"{100 * min(row.progress, 1.0):3.0f} %  {row.describe()}{self._left(row)}"
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], total=1.0, completed=min(row.progress, 1.0), text=text)
        elif self._console is not None:
            self._console.print(text)

    def on_end(self, end: End) -> None:
        if self._bar is not None:
            if end.error is None:
                self._bar.update(self._bar.task_ids[0], total=1.0, completed=1.0, text="done")
            self._bar.stop()
        self._forget()

    def _left(self, row: Any) -> str:  # noqa: ANN401
        """Time left at the pace since the first row, before which most of the time went into compilation."""
        left, first = max(1.0 - row.progress, 0.0), self._first
        self._first = first or row
        if not left:
            return f"  {duration(0.0)} left"
        if first is None or not row.progress > first.progress:
            return ""
        return f"  {duration(left * (row.seconds - first.seconds) / (row.progress - first.progress))} left"


def _columns(width: int) -> list[ProgressColumn]:
    """The text, and before and behind it what a terminal of so many characters has room for."""
    left = width - _TEXT
    text = TextColumn("{task.fields[text]}")
    if left < _TIME + 4:
        return [SpinnerColumn(), text]
    return [BarColumn(min(left - _TIME, 20)), text, TimeElapsedColumn()]
