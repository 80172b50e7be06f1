"""Progress messages of commands, and how often they were interrupted."""

import signal
import socket
import threading
import time
from typing import Self

from rich.progress import BarColumn, Progress, TextColumn

from brenier._words import duration
from brenier.cli.console import stderr

__all__ = ["Doing", "Interrupts", "RowsDone"]

_SILENT, _BETWEEN = 1.0, 10.0
"""Seconds before the first word, and between two lines."""


class Doing:
    """Prints what a command does after its fit: beside a spinner on a terminal, elsewhere as lines."""

    def __init__(self) -> None:
        self._status = stderr.status("")
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._status.stop()

    def __call__(self, words: str) -> None:
        if not stderr.is_terminal:
            stderr.print(words)
            return
        if not self._shown:
            self._status.start()  # at the first words, because a bar may be there before
            self._shown = True
        self._status.update(words)


class RowsDone:
    """Prints how many rows a command has done and how long the rest will take.

    A bar on a terminal, elsewhere a line every ten seconds; nothing in the first second.
    """

    def __init__(self) -> None:
        self._started = self._said = time.perf_counter()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, rows: int, share: float) -> None:
        """Record how many rows are done, and what share of the work that is."""
        now = time.perf_counter()
        seconds = now - self._started
        if seconds < _SILENT or not share > 0.0:
            return
        text = f"{rows:,} rows  {duration(seconds * (1.0 - share) / share)} left"
        if stderr.is_terminal:
            if self._bar is None:
                self._bar = Progress(BarColumn(20), TextColumn("{task.fields[found]}"), console=stderr)
                self._bar.add_task("rows", total=1.0, found="")
                self._bar.start()
            self._bar.update(self._bar.task_ids[0], completed=share, found=text)
        elif now - self._said > _BETWEEN or self._said == self._started:
            self._said = now
            stderr.print(f"{100 * share:3.0f} %  {text}")


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
