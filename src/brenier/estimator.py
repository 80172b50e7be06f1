"""`BrenierMap`: the scikit-learn face. Checks what comes in, calls the functional core, and keeps what it learned."""

import time
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from brenier._errors import ConvergenceWarning, InputError
from brenier.coordinates import BuresCoordinates, Moments
from brenier.data.checks import as_points
from brenier.data.pairs import check_pair
from brenier.data.sides import FEWEST_HELD_OUT, Side, split_side
from brenier.data.table import Matrix, Unchecked
from brenier.data.units import cost_units
from brenier.maps import Distance, Inverse, TransportMap
from brenier.potentials.activations import ACTIVATIONS
from brenier.training import (
    MOST_REFITTED,
    Callback,
    Holdout,
    Outcome,
    Stop,
    Supply,
    TrainingConfig,
    choose_config,
    gaussian_outcome,
    train_twice,
)

__all__ = ["BrenierMap"]

_LEAST_HELD_OUT = 500
"""Points to hold out on each side where a second fit gets them back: fewer could not judge a network."""

_DRAWING = 0.05
"""Share of a budget in seconds that each sampler may take to draw the points for its moments."""


class BrenierMap(TransformerMixin, BaseEstimator):
    """Learn the optimal-transport map from samples of two distributions, in both directions.

    The cost is half the squared Euclidean distance, `|(x - y) / scale|^2 / 2`. Distances are reported as `W2`, neither
    squared nor halved, in the same units.

    Args:
        scale: Units of the columns in the cost: `"none"` for those of the data, `"pooled"` for each column's standard
            deviation, or one number a column. `"auto"` takes `"pooled"`, and says so in a warning, where standard
            deviations differ by more than a factor of 100 between columns.
        max_steps: Budget in training steps; 4,096 unless `max_seconds` is given. One seed then gives one result, bit
            for bit, on one machine.
        max_seconds: Budget in seconds of wall-clock, compilation included; how far training gets then depends on the
            machine and the moment, so results no longer repeat. With `max_steps`, whichever is used up first.
        batch_size: Pairs of points a step; chosen from dimension, sample size and budget by default.
        pool_size: Points a side kept with their conjugates, a power of two; chosen in the same way by default.
        hidden: Units of each hidden layer; chosen from the dimension by default.
        convexity: Strong-convexity floor of the potential, in (0, 1), in units where the Gaussian map is the identity:
            the map never contracts more than this relative to the Gaussian one.
        learning_rate: Peak of the schedule; chosen from the dimension by default.
        activation: `"ramp"`, `"celu"`, or `"softplus"` for analytic potentials.
        holdout: Share of the samples kept aside to choose the best state; at most 4,096 points a side. With `refit`,
            at least 500 points are, where that is no more than 30 % of the samples.
        refit: Train again on all samples, for as many steps as were best on those held out. Arrays of up to 16,384
            rows only; a fit takes twice as long.
        random_state: Seed, generator, or None for a new result each time.
        callback: Called with a `Row` at every look at the held-out points; a true result ends the fit.

    Attributes:
        map_: The learned `TransportMap`, which can be saved.
        history_: List of `Row`, one for each look at the held-out points.
        n_iter_: Training steps taken; those of a second fit are not counted.
        stop_: Why the fit ended, a sentence.
        gaussian_: Whether the result is the closed-form Gaussian map, because no network beat it significantly on
            held-out points.
        n_features_in_: Number of columns.
        feature_names_in_: Names of the columns, if the data had string names.

    References:
        Park, Gelphman, Osher, Wu Fung 2026, "Implicit Neural Optimal Transport via Fixed-Point Optimization",
        arXiv 2605.10792.

    Example:
        >>> import numpy as np
        >>> from brenier import BrenierMap
        >>> rng = np.random.default_rng(0)
        >>> X, Y = rng.normal(size=(2000, 2)), 2.0 * rng.normal(size=(3000, 2)) + 5.0
        >>> ot = BrenierMap(max_steps=256, random_state=0).fit(X, Y)
        >>> bool(np.abs(ot.transform([[1.0, 0.0]]) - [[7.0, 5.0]]).max() < 0.2)
        True
    """

    def __init__(
        self,
        *,
        scale: str | ArrayLike = "auto",
        max_steps: int | None = None,
        max_seconds: float | None = None,
        batch_size: int | None = None,
        pool_size: int | None = None,
        hidden: Sequence[int] | None = None,
        convexity: float = 0.02,
        learning_rate: float | None = None,
        activation: str = "ramp",
        holdout: float = 0.1,
        refit: bool = True,
        random_state: int | np.random.RandomState | None = None,
        callback: Callback | None = None,
    ) -> None:
        self.scale = scale
        self.max_steps = max_steps
        self.max_seconds = max_seconds
        self.batch_size = batch_size
        self.pool_size = pool_size
        self.hidden = hidden
        self.convexity = convexity
        self.learning_rate = learning_rate
        self.activation = activation
        self.holdout = holdout
        self.refit = refit
        self.random_state = random_state
        self.callback = callback

    def fit(self, X: Unchecked, Y: Unchecked) -> Self:
        """Learn the map from the distribution of `X` to that of `Y`.

        Args:
            X: Source: `(n, d)` array or frame, a sampler `(key, n) -> points`, or an iterable of arrays.
            Y: Target: the same, `(m, d)`; rows are not paired with those of `X`, and the sizes may differ.

        Raises:
            InputError: An argument cannot be used.

        Warns:
            DataWarning: The data limit what the map can be worth.
            ConvergenceWarning: The fit had to go back to an earlier state, or was interrupted.
        """
        started = time.perf_counter()
        self._check_parameters()
        generator = check_random_state(self.random_state)
        seeds = [int(seed) for seed in generator.randint(2**31 - 1, size=3)]
        most = TrainingConfig().holdout
        least = _LEAST_HELD_OUT if self.refit else 0
        source = split_side(X, "X", share=self.holdout, most=most, least=least, seed=seeds[0])
        target = split_side(Y, "Y", share=self.holdout, most=most, least=least, seed=seeds[1])
        check_pair(source.sample, target.sample)
        drawing = None if self.max_seconds is None else _DRAWING * self.max_seconds
        moments = source.moments(drawing), target.moments(drawing)
        units = cost_units(self.scale, *moments, source.sample)
        outcome, coordinates, config = self._train(source, target, moments, units, seeds[2], started)
        self._keep(source, outcome, coordinates, config)
        self._warn(outcome)
        return self

    def transform(self, X: Unchecked) -> Matrix:
        """Images of source points under the learned map; see `TransportMap.forward`."""
        return self._fitted().forward(self._same_columns(X, "X"))

    def inverse_transform(
        self, Y: Unchecked, *, return_status: bool = False, return_error: bool = False
    ) -> Matrix | Inverse:
        """Source points whose image is `Y`; warns, with row numbers, where one was not found to tolerance.

        Args:
            Y: `(m, d)` target points.
            return_status: Return an `Inverse` with residual and status for each row instead of warning.
            return_error: The same, with a bound on the distance of each point to the exact preimage.
        """
        points, map_ = self._same_columns(Y, "Y"), self._fitted()
        if return_status or return_error:
            return map_.inverse_with_status(points, error=return_error)
        return map_.inverse(points)

    def interpolate(self, X: Unchecked, t: float) -> Matrix:
        """Points a share `t` of the way from `X` to its image: displacement interpolation."""
        return self._fitted().interpolate(self._same_columns(X, "X"), t)

    def distance(
        self, X: Unchecked, Y: Unchecked, *, confidence: float = 0.95, empirical: bool = True, seed: int = 0
    ) -> Distance:
        """Wasserstein-2 distance on two samples that the fit has not seen, with bounds; see `TransportMap.distance`."""
        points = self._same_columns(X, "X"), self._same_columns(Y, "Y")
        return self._fitted().distance(*points, confidence=confidence, empirical=empirical, seed=seed)

    def score(self, X: Unchecked, Y: Unchecked) -> float:
        """Dual value on samples that the fit has not seen, an estimate of `W2^2 / 2`: larger is better."""
        return self._fitted().dual(self._same_columns(X, "X"), self._same_columns(Y, "Y")).value

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> NDArray[np.object_]:
        """Names of the output's columns: those of the input."""
        map_ = self._fitted()
        names = input_features if input_features is not None else map_.columns
        return np.asarray([f"x{column}" for column in range(map_.dim)] if names is None else names, dtype=object)

    def _check_parameters(self) -> None:
        counts = ("max_steps", "max_seconds", "batch_size", "pool_size", "learning_rate")
        for name in counts:
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InputError(f"`{name}` must be a positive number or None; got {value!r}.")
        for name in ("convexity", "holdout"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"`{name}` must lie strictly between 0 and 1; got {getattr(self, name)!r}.")
        if self.activation not in ACTIVATIONS:
            raise InputError(f"`activation` must be one of {sorted(ACTIVATIONS)}; got {self.activation!r}.")
        if self.pool_size is not None and self.pool_size & (self.pool_size - 1):
            raise InputError(f"`pool_size` must be a power of two; got {self.pool_size!r}.")
        if self.hidden is not None and not (len(self.hidden) and all(width >= 1 for width in self.hidden)):
            raise InputError(f"`hidden` must list the units of at least one layer; got {self.hidden!r}.")

    def _changes(self) -> dict[str, Any]:
        """Settings that replace those of the rule."""
        changes = {
            "batch": self.batch_size,
            "pool": self.pool_size,
            "widths": None if self.hidden is None else tuple(int(width) for width in self.hidden),
            "learning_rate": self.learning_rate,
        }
        given = {name: value for name, value in changes.items() if value is not None}
        if self.max_seconds is not None or self.max_steps is not None:
            given |= {"max_steps": self.max_steps, "max_seconds": self.max_seconds}
        return given | {"floor": self.convexity, "activation": self.activation}

    def _train(
        self,
        source: Side,
        target: Side,
        moments: tuple[Moments, Moments],
        units: NDArray[np.float64],
        seed: int,
        started: float,
    ) -> tuple[Outcome, BuresCoordinates, TrainingConfig]:
        """The result, the coordinates that it is in, and the settings that led to it."""
        sizes = [side.size for side in (source, target) if side.size is not None]
        config = choose_config(source.source.dim, min(sizes, default=None), **self._changes())
        if min(len(source.holdout), len(target.holdout)) < FEWEST_HELD_OUT:
            warnings.warn(
                f"too few samples to hold {FEWEST_HELD_OUT} out on each side, so no network was trained: the result is "
                "the Gaussian map. Pass more samples, or raise `holdout`.",
                ConvergenceWarning,
                stacklevel=3,
            )
            coordinates = BuresCoordinates.between(*moments, units)
            return gaussian_outcome(coordinates.dim), coordinates, config

        def supply(x: Side, y: Side, moments: tuple[Moments, Moments]) -> Supply:
            coordinates = BuresCoordinates.between(*moments, units)
            holdout = Holdout.of(x.holdout, y.holdout, coordinates, config.solver)
            return Supply(x.source, y.source, coordinates, holdout, coordinates.inert(*moments))

        part = supply(source, target, moments)
        arrays = source.training is not None and target.training is not None
        rows = max(len(source.sample.values), len(target.sample.values))
        if not (self.refit and arrays and rows <= MOST_REFITTED):
            return part.train(config, seed, self.callback, started), part.coordinates, config
        rng = np.random.default_rng(seed)
        x, y = source.whole(rng), target.whole(rng)
        whole = supply(x, y, (x.moments(), y.moments()))
        outcome, coordinates = train_twice(part, whole, config, seed=seed, callback=self.callback, started=started)
        return outcome, coordinates, config

    def _keep(self, source: Side, outcome: Outcome, coordinates: BuresCoordinates, config: TrainingConfig) -> None:
        """Set every learned attribute, so that a second fit forgets the first."""
        self.n_features_in_ = coordinates.dim
        columns = source.sample.columns
        if columns is not None:
            self.feature_names_in_ = np.asarray(columns, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.history_ = outcome.history
        self.n_iter_ = outcome.history[-1].step if outcome.history else 0
        self.stop_ = outcome.stop.value
        self.gaussian_ = outcome.gaussian
        info = {
            "brenier": version("brenier"),
            "jax": version("jax"),
            "steps": self.n_iter_,
            "stop": self.stop_,
            "gaussian": self.gaussian_,
            "settings": config.summary(),
        }
        self.map_ = TransportMap(coordinates, outcome.potential, None if columns is None else tuple(columns), info)

    def _warn(self, outcome: Outcome) -> None:
        if outcome.restarts:
            warnings.warn(
                f"training diverged and went back to its best state {outcome.restarts} times, each time at half the "
                "learning rate. The result is the best state on held-out points; a smaller `learning_rate` may help.",
                ConvergenceWarning,
                stacklevel=3,
            )
        if outcome.stop is Stop.interrupted:
            warnings.warn(outcome.stop.value, ConvergenceWarning, stacklevel=3)

    def _fitted(self) -> TransportMap:
        check_is_fitted(self, "map_")
        return self.map_

    def _same_columns(self, value: Unchecked, name: str) -> Matrix:
        """Checked points, with the columns of the fit."""
        map_ = self._fitted()
        table = as_points(value, name, columns=map_.dim)
        if table.columns is not None and map_.columns is not None and tuple(table.columns) != map_.columns:
            raise InputError(
                f"`{name}` must have the columns of the fit, {list(map_.columns)}, in that order; got {table.columns}."
            )
        return table.values
