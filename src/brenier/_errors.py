"""Errors and warnings that users can catch by name."""

from typing import Any

__all__ = [
    "CheckpointWarning",
    "ConvergenceWarning",
    "DataWarning",
    "DistributedError",
    "InputError",
    "MapFileError",
    "SolveError",
]


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
