"""What the estimators share: their parameters, one way through a fit, and what a fit leaves behind."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from importlib.metadata import version
from numbers import Integral
from os import PathLike
from typing import Any, ClassVar, Self

import jax
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import UNUSED

from brenier._errors import ConvergenceWarning, InputError, warn
from brenier.callbacks import Callbacks
from brenier.callbacks.running import Running
from brenier.checkpoint.keeping import Resumed, make_generator, open_checkpoints
from brenier.data.checks import as_points
from brenier.data.table import CheckedTable, Unchecked
from brenier.estimators.fitting import fit
from brenier.estimators.intake import Problem
from brenier.estimators.spelling import Spelled, check_spelling
from brenier.estimators.tasks import Fitted, Request
from brenier.estimators.training import Training, check_counts, check_shares
from brenier.training import Outcome, Stop
from brenier.training.history import compact_history
from brenier.training.placement import choose_shards

__all__ = ["Parameters", "add_sklearn_words", "check_same_columns", "warn_outcome"]

_SETTINGS = [item.name for item in fields(Training)]
_OF_FIT = ("checkpoint", "shards")


class Parameters(Spelled, BaseEstimator):
    """Parameters of an estimator, those of its `Training` among them, and the course of its fits.

    `get_params` and `set_params` reach into `training`, also where it is None: `training__hidden` is a name like any
    other, for searches, too.
    """

    elsewhere: ClassVar = {name: f"training=Training({name}=...)" for name in _SETTINGS} | {
        name: f"fit(..., {name}=...)" for name in _OF_FIT
    }
    __metadata_request__fit: ClassVar = dict.fromkeys(_OF_FIT, UNUSED)

    training: Training | None
    max_steps: int | None
    max_seconds: float | None
    holdout: float
    refit: bool
    random_state: int | np.random.RandomState | None
    verbose: int
    callbacks: Callbacks | None

    history_: list[Any]
    n_iter_: int
    stop_: str
    baseline_: bool
    widths_: np.ndarray
    resumed_: Resumed | None
    n_features_in_: int

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; with `deep`, those of `training` as `training__hidden` and so on."""
        params = super().get_params(deep=deep)
        settings = Training() if self.training is None else self.training
        if deep and isinstance(settings, Training):
            params |= {f"training__{name}": getattr(settings, name) for name in _SETTINGS}
        return params

    def set_params(self, **params: Any) -> Self:  # noqa: ANN401 - each has a type of its own
        """Change parameters; `training__hidden` and so on change those of `training`, which is replaced.

        Raises:
            InputError: There is no parameter of that name; the message says which is nearest.
        """
        elsewhere = {name: f"training__{name}" for name in _SETTINGS} | {name: self.elsewhere[name] for name in _OF_FIT}
        check_spelling(type(self).__name__, params, self.get_params(), elsewhere)
        inner = {name: params.pop(name) for name in list(params) if name.startswith("training__")}
        super().set_params(**params)
        if inner:
            settings = self._settings()
            self.training = replace(settings, **{key.removeprefix("training__"): value for key, value in inner.items()})
        return self

    def _settings(self) -> Training:
        """The settings of the training; the defaults where none are given."""
        if not isinstance(self.training, Training | None):
            raise InputError(f"`training` must be a `brenier.Training` or None; got {self.training!r}.")
        return self.training or Training()

    def _check_parameters(self) -> None:
        """Refuse parameters that cannot be used, before any work."""
        check_counts(self, "max_steps", "max_seconds")
        check_shares(self, "holdout")
        self._settings().check()
        if not (isinstance(self.verbose, Integral) and self.verbose >= 0):
            raise InputError(f"`verbose` must be 0, or 1 to show the fit as it runs; got {self.verbose!r}.")

    def _fit(
        self,
        take_in: Callable[[np.random.RandomState], Problem],
        *,
        activation: str,
        checkpoint: str | PathLike[str] | None,
        shards: int | None = None,
    ) -> None:
        """One fit, from the data to the learned attributes.

        Args:
            take_in: Checks the data and states the problem; its argument seeds the noise that is added.
            activation: Activation of the network where the user chose none.
            checkpoint: As for `BrenierMap.fit`.
            shards: As for `BrenierMap.fit`.
        """
        started = time.perf_counter()
        self._check_parameters()
        # Of several processes, one speaks.
        running = Running(self.callbacks, started, bool(self.verbose) and jax.process_index() == 0)
        with open_checkpoints(checkpoint) as checkpoints, running:
            generator = make_generator(self.random_state, checkpoints)
            first, second, third = (int(seed) for seed in generator.randint(2**31 - 1, size=3))
            problem = take_in(generator)
            changes = self._settings().changes(activation) | choose_shards(shards)
            if (self.max_steps, self.max_seconds) != (None, None):
                changes |= {"max_steps": self.max_steps, "max_seconds": self.max_seconds}
            request = Request(changes, self.holdout, self.refit, (first, second, third), started, running, checkpoints)
            fitted = fit(problem, request)
            self._keep(fitted, problem)
            self.resumed_ = running.resumed
            running.finish(self)
        warn_outcome(fitted.outcome)

    def _keep(self, fitted: Fitted, problem: Problem) -> None:
        """Set every learned attribute, so that a second fit forgets the first."""
        outcome, columns, dim = fitted.outcome, fitted.columns, fitted.coordinates.dim
        self.n_features_in_ = dim
        if columns is not None:
            self.feature_names_in_ = np.asarray(columns, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.history_ = outcome.history
        self.n_iter_ = outcome.history[-1].step if outcome.history else 0
        self.stop_ = outcome.stop.value
        self.baseline_ = outcome.baseline
        self.widths_ = np.zeros(dim) if problem.widths is None else problem.widths
        info = {
            "brenier": version("brenier"),
            "jax": version("jax"),
            "steps": self.n_iter_,
            "stop": self.stop_,
            "gaussian": self.baseline_,
            "settings": fitted.config.summary(),
            "seed": int(self.random_state) if isinstance(self.random_state, Integral) else None,
            "history": compact_history(outcome.history),
            "data": dict(fitted.data),
        }
        self.map_ = fitted.as_map(info | dict(problem.info))


def check_same_columns(map_: Any, value: Unchecked, name: str, owner: str) -> CheckedTable:  # noqa: ANN401
    """Check points, and that they have the columns of the fit.

    Args:
        map_: What was learned; has `dim` and `columns`.
        value: What the user passed.
        name: The argument's name in messages.
        owner: The estimator's name. Where the number of columns differs, messages say so in scikit-learn's words, too,
            by which its tools recognise the error.
    """
    with add_sklearn_words(map_, value, name, owner):
        return as_points(value, name, columns=map_.dim, names=map_.columns)


@contextlib.contextmanager
def add_sklearn_words(map_: Any, value: Unchecked, name: str, owner: str) -> Iterator[None]:  # noqa: ANN401
    """Say in scikit-learn's words, too, where the number of columns differs; arguments as in `check_same_columns`."""
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
