"""The folder of checkpoints: a file each, written whole or not at all, and read back with every byte checked."""

import os
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from brenier._errors import CheckpointWarning, InputError, warn
from brenier._states import State, pack, unpack
from brenier.files.atomic import atomic_write, check_writable

__all__ = ["Folder", "Saved"]

_KEPT = 2
"""Checkpoints that stay: the newest, and the one before."""

_SUFFIX, _BROKEN = ".safetensors", ".broken"
"""What follows the number of a checkpoint, and of one that could not be read, in its name."""

_MARK = "brenier-checkpoints.txt"
_NOTE = b"Checkpoints of one fit of brenier. `brenier fit --checkpoint` goes on from the newest that is whole.\n"
"""Name and content of the file that marks a folder as one of checkpoints."""

_TEMPORARY = ".brenier-"
"""Begins the names of files that are being written."""

_FORMAT = 2
"""Version of the states. To be raised where a state means something else than before; 1 was written by Orbax."""


class Saved(NamedTuple):
    """A checkpoint that was read.

    Attributes:
        number: Its place among those of the folder.
        state: What was saved.
    """

    number: int
    state: State


class Folder:
    """Numbered checkpoints in one folder.

    Args:
        path: The folder, made if missing, for the checkpoints of one fit.

    Raises:
        InputError: The folder cannot be written, or holds something else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).resolve()
        self._claim(path)
        self._lock = _lock(self.path / _MARK, path)
        for left in self.path.glob(f"{_TEMPORARY}*.tmp"):  # of processes that were killed while they wrote
            left.unlink(missing_ok=True)

    @property
    def numbers(self) -> list[int]:
        """Numbers of the checkpoints that are there, in order."""
        names = [file.stem for file in self.path.iterdir() if file.suffix == _SUFFIX]
        return sorted(int(name) for name in names if name.isdecimal())

    def load_newest(self) -> Saved | None:
        """The newest checkpoint that is whole; None in a folder without checkpoints.

        Raises:
            InputError: There are checkpoints, and all are damaged.

        Warns:
            CheckpointWarning: Damaged ones were passed over; their names end in `.broken` from then on.
        """
        broken: dict[int, str] = {}
        for number in self.numbers[::-1]:
            try:
                content = unpack(self._file(number).read_bytes())
            except (OSError, ValueError) as error:
                broken[number] = str(error)
                continue
            if content["format"] != _FORMAT:
                raise InputError(
                    f"`checkpoint` {self.path} was written by another version of brenier: format {content['format']}, "
                    f"while this one reads {_FORMAT}. Go on with that version, or name another folder."
                )
            self._put_aside(broken, number)
            return Saved(number, content["state"])
        left = [str(number) for number in broken] or [file.name for file in self.path.glob(f"*{_BROKEN}")]
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
        content = pack({"format": _FORMAT, "state": state})
        try:
            with atomic_write(self._file(number)) as handle:
                handle.write(content)
        except InputError as error:
            cause = error.__cause__
            raise OSError((isinstance(cause, OSError) and cause.strerror) or str(error)) from error
        for old in self.numbers[:-_KEPT]:
            self._file(old).unlink()

    def close(self) -> None:
        """Let go of the folder."""
        self._lock.close()

    def _file(self, number: int) -> Path:
        return self.path / f"{number}{_SUFFIX}"

    def _put_aside(self, broken: dict[int, str], instead: int) -> None:
        """Rename damaged checkpoints, so that they neither are tried again nor count as one of those that are kept."""
        for number, reason in broken.items():
            place = self.path / f"{number}{_BROKEN}"
            self._file(number).replace(place)
            warn(
                f"checkpoint {number} in {self.path} is damaged ({reason}); the fit goes on from the one before, "
                f"{instead}. The damaged one is now called {place.name}.",
                CheckpointWarning,
            )

    def _claim(self, given: str | os.PathLike[str]) -> None:
        """Mark the folder as one of checkpoints, or refuse it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            # A process that was killed while it made the folder ours may have left a temporary file.
            names = [entry.name for entry in self.path.iterdir() if not entry.name.startswith(_TEMPORARY)]
        except OSError as error:
            raise InputError(
                f"`checkpoint` {given} cannot be made a folder: {error.strerror or error}. Name another."
            ) from error
        if names and _MARK not in names:
            raise InputError(
                f"`checkpoint` {given} is a folder that holds something else ({', '.join(sorted(names)[:3])}). Name "
                "one that is empty, or does not exist yet."
            )
        old = sorted(name for name in names if name.isdecimal())
        if old:
            raise InputError(
                f"`checkpoint` {given} has checkpoints of an earlier version of brenier ({', '.join(old[:3])}), which "
                "were written by Orbax and are not read any more. Name another folder, or delete this one to start "
                "again."
            )
        mark = self.path / _MARK
        check_writable(mark)
        if not names:
            with atomic_write(mark) as handle:
                handle.write(_NOTE)


def _lock(mark: Path, given: str | os.PathLike[str]) -> BinaryIO:
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
