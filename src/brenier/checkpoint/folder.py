"""The folder of checkpoints: written by Orbax, whole or not at all, and read back with every byte checked."""

import logging
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import jax
import numpy as np

from brenier._errors import CheckpointWarning, InputError, warn
from brenier.files.atomic import atomic_write, check_writable
from brenier.training.flat import digest, flatten, restored

__all__ = ["Folder", "Saved"]

_KEPT = 2
"""Checkpoints that stay: the newest, and the one before."""

_MARK = "brenier-checkpoints.txt"
_NOTE = b"Checkpoints of one fit of brenier. `brenier fit --checkpoint` goes on from the newest that is whole.\n"
"""Of a folder that is ours: a name and its content. Orbax removes old folders with numbers as names."""

_BROKEN = ".broken"
"""Behind the number of a checkpoint that could not be read."""

_FORMAT = 1
"""Of the states. To be raised where a state means something else than before."""

_FULL = re.compile("No space left on device|File too large|Disk quota exceeded|Read-only file system")

_FAILURES = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)
"""What Orbax and its readers raise at damaged files and full disks."""


class Saved(NamedTuple):
    """A checkpoint that was read.

    Attributes:
        number: Its place among those of the folder.
        state: What was saved.
    """

    number: int
    state: dict[str, Any]


class Folder:
    """Numbered checkpoints in one folder.

    Args:
        path: Where; made if missing. Its checkpoints are those of one fit.

    Raises:
        InputError: Orbax is not installed; the folder cannot be written, or holds something else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).resolve()
        self._claim(path)
        with _quiet():
            try:
                import orbax.checkpoint
            except ImportError as error:
                raise InputError(
                    '`checkpoint` needs Orbax, which is not installed. Install it: `pip install "brenier[checkpoint]"`.'
                ) from error
        self._orbax = orbax.checkpoint
        self._lock = _locked(self.path / _MARK, path)
        self._manager = self._opened()

    @property
    def numbers(self) -> list[int]:
        """Of the checkpoints that are there, in order."""
        return sorted(int(own.name) for own in self.path.iterdir() if own.name.isdecimal())

    def newest(self) -> Saved | None:
        """The newest checkpoint that is whole; None in a folder without checkpoints.

        Raises:
            InputError: There are checkpoints, and all are damaged.

        Warns:
            CheckpointWarning: Damaged ones were passed over; their names end in `.broken` from then on.
        """
        broken: dict[int, str] = {}
        for number in self.numbers[::-1]:
            try:
                state = self._read(number)
            except InputError:  # of another version, not damaged
                raise
            except _FAILURES as error:
                broken[number] = _first_line(error)
                continue
            self._put_aside(broken, number)
            return Saved(number, state)
        left = [str(number) for number in broken] or [own.name for own in self.path.glob(f"*{_BROKEN}")]
        if left:
            reason = f": {next(iter(broken.values()))}" if broken else ""
            raise InputError(
                f"`checkpoint` {self.path} has no checkpoint that can be read, but damaged ones ({', '.join(left)})"
                f"{reason}. Delete the folder to start again, or name another."
            )
        return None

    def save(self, number: int, state: dict[str, Any]) -> None:
        """Write a checkpoint, then remove all but it and the one before.

        Raises:
            OSError: It could not be written. Nothing of it is left, and the others are as they were.
        """
        arrays, record = flatten(state)
        content = {"format": _FORMAT, "digest": digest(arrays, record), "state": record}
        args = self._orbax.args
        try:
            with _quiet():
                self._manager.save(
                    number,
                    args=args.Composite(arrays=args.PyTreeSave({"bytes": arrays}), record=args.JsonSave(content)),
                    force=True,
                )
        except _FAILURES as error:
            self._discard(number)
            raise OSError(_first_line(error)) from error

    def close(self) -> None:
        """Let go of the folder."""
        with _quiet():
            self._manager.close()
        self._lock.close()

    def _read(self, number: int) -> dict[str, Any]:
        args = self._orbax.args
        with _quiet():
            found = self._manager.restore(
                number, args=args.Composite(arrays=args.PyTreeRestore(), record=args.JsonRestore())
            )
        content, arrays = found["record"], np.asarray(found["arrays"]["bytes"])
        if content["format"] != _FORMAT:
            raise InputError(
                f"`checkpoint` {self.path} was written by another version of brenier: format {content['format']}, "
                f"while this one reads {_FORMAT}. Go on with that version, or name another folder."
            )
        if digest(arrays, content["state"]) != content["digest"]:
            raise ValueError("its content is not what was written")
        return restored(arrays, content["state"])

    def _put_aside(self, broken: dict[int, str], instead: int) -> None:
        """Rename damaged checkpoints, so that they neither are tried again nor count as one of those that are kept."""
        for number, reason in broken.items():
            place = self.path / f"{number}{_BROKEN}"
            shutil.rmtree(place, ignore_errors=True)
            (self.path / str(number)).rename(place)
            warn(
                f"checkpoint {number} in {self.path} is damaged ({reason}); the fit goes on from the one before, "
                f"{instead}. The damaged one is now called {place.name}.",
                CheckpointWarning,
            )
        if broken:
            self._manager.close()
            self._manager = self._opened()

    def _discard(self, number: int) -> None:
        """Remove what a failed save has left, which may be what fills the disk."""
        with _quiet():
            self._manager.close()
        for own in self.path.iterdir():
            if own.name == str(number) or own.name.startswith(f"{number}."):
                shutil.rmtree(own, ignore_errors=True)
        self._manager = self._opened()

    def _opened(self) -> Any:  # noqa: ANN401 - of an optional library
        # The process that writes has all there is to write, also where JAX knows of others: none is to be waited for.
        own = jax.process_index()
        alone = self._orbax.options.MultiprocessingOptions(primary_host=own, active_processes={own})
        options = self._orbax.CheckpointManagerOptions(
            max_to_keep=_KEPT,
            enable_async_checkpointing=False,
            cleanup_tmp_directories=True,
            multiprocessing_options=alone,
            create=False,
        )
        with _quiet():
            return self._orbax.CheckpointManager(self.path, options=options, item_names=("arrays", "record"))

    def _claim(self, given: str | os.PathLike[str]) -> None:
        """Make the folder ours, or find that it is not to be had."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            # A process that was killed while it made the folder ours may have left a temporary file.
            others = [own.name for own in self.path.iterdir() if not own.name.startswith(".brenier-")]
        except OSError as error:
            raise InputError(
                f"`checkpoint` {given} cannot be made a folder: {error.strerror or error}. Name another."
            ) from error
        if others and _MARK not in others:
            raise InputError(
                f"`checkpoint` {given} is a folder that holds something else ({', '.join(sorted(others)[:3])}). Name "
                "one that is empty, or does not exist yet."
            )
        mark = self.path / _MARK
        check_writable(mark)
        if not others:
            with atomic_write(mark) as handle:
                handle.write(_NOTE)


def _locked(mark: Path, given: str | os.PathLike[str]) -> BinaryIO:
    """The mark, locked as long as this process has it open: two fits in one folder would remove each other's files."""
    handle = mark.open("rb")
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        handle.close()
        raise InputError(
            f"`checkpoint` {given} is in use by another fit. Wait for its end, or name another folder."
        ) from error
    except (ImportError, OSError):
        # Windows, and network file systems without locks: there, it is up to the user.
        return handle
    return handle


def _first_line(error: Exception) -> str:
    """What an error says, without the lines of code that the readers of Orbax add."""
    full = _FULL.search(str(error))
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return full[0] if full else lines[0][:200]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Orbax from writing to the screen, and its warnings from ours."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
