"""What commands say while they work, and how often they were interrupted."""

import signal
import socket
import threading
from typing import Self

from brenier.cli.console import stderr

__all__ = ["Doing", "Interrupts"]


class Doing:
    """Says what a command does after its fit: beside a spinner on a terminal, elsewhere a line for each."""

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
