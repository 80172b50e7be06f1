"""The checkpoints of one `fit`: of both fits to its samples, of what they belong to, and when they are written."""

import contextlib
import os
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from sklearn.utils import check_random_state

from brenier._errors import CheckpointWarning, InputError, warn
from brenier._processes import agree, any_of, from_first
from brenier._states import State
from brenier.checkpoint.folder import Folder
from brenier.checkpoint.identity import check_same
from brenier.checkpoint.termination import Terminated, was_asked

__all__ = ["Checkpoints", "Resumed", "make_generator", "open_checkpoints"]

COST = 0.02
"""Share of the time that saving may take: after a save that took a second, the next is 50 seconds away."""


class Resumed(NamedTuple):
    """Where an earlier process had left a fit.

    Attributes:
        step: Steps taken; in the second fit, of that one.
        refit: Whether it was in the second fit, to all samples.
        finished: Whether the fit had ended, so that its result is only read.
    """

    step: int
    refit: bool
    finished: bool

    def describe(self) -> str:
        """Where the fit was left, as a sentence for people."""
        if self.finished:
            return "the fit had ended; its result is taken from the checkpoint"
        return f"resumed from step {self.step:,}{' of the second fit, to all samples' if self.refit else ''}"


class Checkpoints:
    """What the two fits of one call of `fit` save, and what an earlier process has saved.

    Of the processes of a distributed fit, the first one reads and writes; all have what was read.

    Args:
        path: What the user called the folder.
        folder: The folder; None in the other processes.
    """

    def __init__(self, path: str, folder: Folder | None) -> None:
        self._path, self._folder = path, folder
        saved = None if folder is None else folder.load_newest()
        self._number = 0 if folder is None else max(folder.numbers, default=0)
        self._before: dict[str, Any] = from_first({} if saved is None else saved.state)
        self._fits: dict[str, State] = self._before.get("fits", {})
        self._identity: dict[str, Any] | None = None
        self._seed: int | None = self._before.get("seed")
        self._last, self._took = -float("inf"), 0.0
        self._warned: set[str] = set()
        self._asked = False

    def seed(self, drawn: int) -> int:
        """The seed of a fit that has none of its own: drawn now, or by the process that began the fit."""
        self._seed = drawn if self._seed is None else self._seed
        return self._seed

    def identify(self, **parts: Any) -> Resumed | None:  # noqa: ANN401 - JSON values
        """Tell what the fit depends on, before it starts.

        Args:
            parts: Data as their digests, settings as they are; JSON values.

        Returns:
            Where an earlier process had left this fit; None where there was none.

        Raises:
            InputError: The folder is that of a fit to other data or with other settings.
        """
        self._identity = parts
        if not self._before:
            return None
        check_same(self._before["identity"], parts, self._path)
        versions = self._before["versions"]
        if versions != _versions():
            warn(
                f"the checkpoint was written with {_list(versions)}, while this is {_list(_versions())}: the map "
                "may differ in its last digits from that of an uninterrupted fit.",
                CheckpointWarning,
            )
        at = self._fits[self._before["current"]]
        finished = self._before["complete"]
        return Resumed(at["steps"], self._before["current"] == "second", finished)

    def of(self, name: str) -> "OneFit":
        """The keeper of the first or of the second fit, or of the only one.

        Args:
            name: "first", "second", or "only".
        """
        return OneFit(self, name)

    def state_of(self, name: str) -> State | None:
        """What an earlier process saved of the fit of this name; None where there is nothing."""
        return self._fits.get(name)

    def due(self) -> bool:
        """Whether saving now costs no more than its share of the time, or is asked for."""
        self._asked = any_of(was_asked())
        return any_of(self._asked or time.perf_counter() - self._last >= self._took / COST)

    def save(self, name: str, state: State) -> None:
        """Write a checkpoint, and end the process where it was asked to.

        Raises:
            Terminated: SIGTERM had come.

        Warns:
            CheckpointWarning: It could not be written; once for each reason.
        """
        began = time.perf_counter()
        ended = state["ended"] is not None
        content = {
            "identity": self._identity,
            "versions": _versions(),
            "seed": self._seed,
            "current": name,
            "complete": ended and name != "first",
            "fits": self._fits | {name: state},
        }
        if ended:
            self._fits = content["fits"]
        written = agree(self._folder is not None and self._try_write(self._folder, content))
        self._last = time.perf_counter()
        self._took = self._last - began
        if self._asked and not content["complete"]:
            raise Terminated(self._farewell(written, state["steps"], name))

    def _try_write(self, folder: Folder, content: dict[str, Any]) -> bool:
        """Try to write a checkpoint; warn where that fails, once for each reason."""
        self._number += 1
        try:
            folder.save(self._number, content)
        except OSError as error:
            reason = str(error)
        else:
            return True
        if reason not in self._warned:
            self._warned.add(reason)
            left = folder.numbers
            stands = f"The last one, {left[-1]}, stands" if left else "There is none yet"
            warn(
                f"no checkpoint could be written to {self._path}: {reason}. {stands}; the training goes on, and tries "
                "again later.",
                CheckpointWarning,
            )
        return False

    def _farewell(self, written: bool, steps: int, name: str) -> str:
        at = f"step {steps:,}{' of the second fit' if name == 'second' else ''}"
        if written:
            return f"ended by SIGTERM; the checkpoint of {at} is in {self._path}. Run the same again to go on."
        return (
            f"ended by SIGTERM at {at}, without a checkpoint of it. Run the same again to go on from the last one in "
            f"{self._path}."
        )


class OneFit:
    """The keeper of one fit; see `brenier.training.snapshot.Keeper`."""

    def __init__(self, checkpoints: Checkpoints, name: str) -> None:
        self._checkpoints, self._name = checkpoints, name

    def load(self) -> State | None:
        return self._checkpoints.state_of(self._name)

    def due(self, steps: int) -> bool:
        return self._checkpoints.due()

    def save(self, state: State) -> None:
        self._checkpoints.save(self._name, state)


@contextlib.contextmanager
def open_checkpoints(path: str | os.PathLike[str] | None) -> Iterator[Checkpoints | None]:
    """The checkpoints in a folder, for the length of a fit; None where no folder was given.

    Raises:
        InputError: The folder cannot be used.
    """
    if path is None:
        yield None
        return
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"`checkpoint` must be the path of a folder, or None; got {path!r}.")
    shown = str(Path(path).resolve())
    if jax.process_index() > 0:
        yield Checkpoints(shown, None)
        return
    with contextlib.closing(Folder(path)) as folder:
        yield Checkpoints(shown, folder)


def make_generator(random_state: Any, checkpoints: Checkpoints | None) -> np.random.RandomState:  # noqa: ANN401
    """The generator of a fit; with checkpoints, a fit without a seed keeps the one that it began with."""
    if random_state is not None or (checkpoints is None and jax.process_count() == 1):
        return check_random_state(random_state)
    drawn = agree(int(check_random_state(None).randint(2**31 - 1)))
    return check_random_state(drawn if checkpoints is None else checkpoints.seed(drawn))


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("brenier", "jax", "numpy")}


def _list(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())
