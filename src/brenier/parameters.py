"""What the estimators share: checks of their arguments, settings that these replace, and what a fit leaves behind."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from numbers import Integral
from typing import Any

import numpy as np

from brenier._errors import ConvergenceWarning, InputError, warn
from brenier.data.checks import as_points
from brenier.data.table import Table, Unchecked
from brenier.potentials.activations import ACTIVATIONS
from brenier.training import Outcome, Stop, TrainingConfig
from brenier.training.compact import compact_history

__all__ = [
    "changed_settings",
    "check_counts",
    "check_network",
    "check_second_sample",
    "check_shares",
    "in_both_vocabularies",
    "keep_outcome",
    "same_columns",
    "warn_outcome",
]


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


def check_second_sample(Y: Unchecked) -> None:
    """Refuse to learn a map from one sample."""
    if Y is None:
        raise InputError(
            "`Y` is None: `fit` requires y to be passed, but the target y is None. Pass a sample of the target "
            "distribution: `fit(X, Y)`."
        )


def same_columns(map_: Any, value: Unchecked, name: str, owner: str) -> Table:  # noqa: ANN401 - of either kind
    """Checked points, with the columns of the fit.

    Args:
        map_: What was learned; has `dim` and `columns`.
        value: What the user passed.
        name: The argument's name in messages.
        owner: The estimator's name. Where the number of columns differs, messages say so in scikit-learn's words, too,
            by which its tools recognise the error.
    """
    with in_both_vocabularies(map_, value, name, owner):
        return as_points(value, name, columns=map_.dim, names=map_.columns)


@contextlib.contextmanager
def in_both_vocabularies(map_: Any, value: Unchecked, name: str, owner: str) -> Iterator[None]:  # noqa: ANN401
    """Where the number of columns differs, say so in scikit-learn's words, too; arguments as for `same_columns`."""
    try:
        yield
    except InputError as error:
        shape = getattr(value, "shape", ())
        if len(shape) != 2 or shape[1] == map_.dim:
            raise
        said = f"{name} has {shape[1]} features, but {owner} is expecting {map_.dim} features as input."
        raise InputError(f"{error} {said}") from None


def warn_outcome(outcome: Outcome) -> None:
    """Warn of fits that diverged or were interrupted."""
    if outcome.restarts:
        warn(
            f"training diverged and went back to its best state {outcome.restarts} times, each time at half the "
            "learning rate. The result is the best state on held-out points; a smaller `learning_rate` may help.",
            ConvergenceWarning,
        )
    if outcome.stop is Stop.interrupted:
        warn(outcome.stop.value, ConvergenceWarning)


def changed_settings(estimator: Any, **names: str) -> dict[str, Any]:  # noqa: ANN401
    """Settings that replace those of the rule: attributes that are not None, and both budgets where one is given.

    Args:
        estimator: Has `hidden`, `convexity`, `activation`, `max_steps`, `max_seconds`, and the attributes of `names`.
        names: Setting by setting, the attribute that replaces it.
    """
    changes = {name: getattr(estimator, attribute) for name, attribute in names.items()}
    changes["widths"] = None if estimator.hidden is None else tuple(int(width) for width in estimator.hidden)
    given = {name: value for name, value in changes.items() if value is not None}
    if estimator.max_seconds is not None or estimator.max_steps is not None:
        given |= {"max_steps": estimator.max_steps, "max_seconds": estimator.max_seconds}
    return given | {"floor": estimator.convexity, "activation": estimator.activation}


def keep_outcome(
    estimator: Any,  # noqa: ANN401
    outcome: Outcome,
    config: TrainingConfig,
    columns: list[str] | None,
    dim: int,
    data: Mapping[str, Any],
) -> dict[str, Any]:
    """Set the learned attributes that all estimators have, so that a second fit forgets the first.

    Args:
        estimator: Whose attributes.
        outcome: What the fit found.
        config: The settings that led to it.
        columns: Names of the columns, if the data had any.
        dim: Number of columns.
        data: What is remembered of the rows of the fit.

    Returns:
        What the map is to know of how it was made, as JSON values.
    """
    estimator.n_features_in_ = dim
    if columns is not None:
        estimator.feature_names_in_ = np.asarray(columns, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_
    estimator.history_ = outcome.history
    estimator.n_iter_ = outcome.history[-1].step if outcome.history else 0
    estimator.stop_ = outcome.stop.value
    estimator.gaussian_ = outcome.gaussian
    seed = estimator.random_state
    return {
        "brenier": version("brenier"),
        "jax": version("jax"),
        "steps": estimator.n_iter_,
        "stop": estimator.stop_,
        "gaussian": estimator.gaussian_,
        "settings": config.summary(),
        "seed": int(seed) if isinstance(seed, Integral) else None,
        "history": compact_history(outcome.history),
        "data": dict(data),
    }
