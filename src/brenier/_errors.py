"""Errors and warnings that users can catch by name."""

import sys
import warnings
from types import FrameType
from typing import Any

__all__ = [
    "CheckpointWarning",
    "ConvergenceWarning",
    "DataWarning",
    "DistributedError",
    "InputError",
    "MapFileError",
    "SolveError",
    "warn",
]

_BETWEEN = {"beartype", "brenier", "contextlib", "equinox", "jax", "jaxtyping", "sklearn"}
"""Packages whose frames lie between the user's line and ours: our own, and those that wrap or call our functions."""


class InputError(ValueError):
    """An argument cannot be used; the message names it, shows its value and says what to do."""


class MapFileError(InputError):
    """A saved map cannot be read: truncated, altered, of another format version, or not a map at all."""


class SolveError(RuntimeError):
    """An inner solve failed where its caller asked for success; `solution` holds what was found."""

    def __init__(self, message: str, solution: Any) -> None:  # noqa: ANN401 - importing Solution here would be circular
        super().__init__(message)
        self.solution = solution


class DistributedError(RuntimeError):
    """Another process of a distributed fit is gone, so that the work cannot be finished."""


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written, or a damaged one was passed over; the fit goes on."""


class ConvergenceWarning(UserWarning):
    """Some points, or a whole fit, stopped short of the tolerance asked for."""


class DataWarning(UserWarning):
    """The data can be used, but something about them limits what the map can be worth."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line of the user's own code that led here, however many of our functions lie between.

    `skip_file_prefixes` of `warnings.warn` does the same from Python 3.12 on.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _package(frame) in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _package(frame: FrameType) -> str:
    return frame.f_globals.get("__name__", "").partition(".")[0]
