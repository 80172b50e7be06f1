"""Checks of constructor arguments and remarks on outcomes that the estimators share."""

import warnings
from collections.abc import Sequence

import numpy as np

from brenier._errors import ConvergenceWarning, InputError
from brenier.potentials.activations import ACTIVATIONS
from brenier.training import Outcome, Stop

__all__ = ["check_counts", "check_network", "check_shares", "warn_outcome"]


def check_counts(estimator: object, *names: str) -> None:
    """Refuse attributes that are neither positive numbers nor None."""
    for name in names:
        value = getattr(estimator, name)
        if value is not None and not (np.isfinite(value) and value > 0):
            raise InputError(f"`{name}` must be a positive number or None; got {value!r}.")


def check_shares(estimator: object, *names: str) -> None:
    """Refuse attributes that do not lie between 0 and 1."""
    for name in names:
        if not 0 < getattr(estimator, name) < 1:
            raise InputError(f"`{name}` must lie strictly between 0 and 1; got {getattr(estimator, name)!r}.")


def check_network(activation: str, hidden: Sequence[int] | None) -> None:
    """Refuse what is no network."""
    if activation not in ACTIVATIONS:
        raise InputError(f"`activation` must be one of {sorted(ACTIVATIONS)}; got {activation!r}.")
    if hidden is not None and not (len(hidden) and all(width >= 1 for width in hidden)):
        raise InputError(f"`hidden` must list the units of at least one layer; got {hidden!r}.")


def warn_outcome(outcome: Outcome, stacklevel: int) -> None:
    """Warn of fits that diverged or were interrupted, at the line so many calls up."""
    if outcome.restarts:
        warnings.warn(
            f"training diverged and went back to its best state {outcome.restarts} times, each time at half the "
            "learning rate. The result is the best state on held-out points; a smaller `learning_rate` may help.",
            ConvergenceWarning,
            stacklevel=stacklevel + 1,
        )
    if outcome.stop is Stop.interrupted:
        warnings.warn(outcome.stop.value, ConvergenceWarning, stacklevel=stacklevel + 1)
