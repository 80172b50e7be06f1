"""`BrenierDensity`: the face of density fits, with the methods of scikit-learn's density estimators."""

import time
from collections.abc import Sequence
from os import PathLike
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from brenier._errors import InputError
from brenier._summary import fit_summary
from brenier.anndata import opened, recorded
from brenier.callbacks import Callbacks
from brenier.callbacks.running import Running
from brenier.checkpoint.keeping import Resumed, open_checkpoints, seeded
from brenier.data.dequantize import Widths, spread_out
from brenier.data.table import Matrix, Unchecked
from brenier.data.weights import weighted_table
from brenier.density.fitting import FittedDensity, fit_density
from brenier.fitting import Request
from brenier.maps import TransportMap
from brenier.parameters import (
    changed_settings,
    check_counts,
    check_network,
    check_shares,
    keep_outcome,
    same_columns,
    warn_outcome,
)
from brenier.potentials import AbstractPotential

__all__ = ["BrenierDensity"]


class BrenierDensity(DensityMixin, BaseEstimator):
    """Learn a density from samples: the optimal-transport map that makes them normal, by maximum likelihood.

    The map is the gradient of a convex network, so it is the optimal map between the data and what it makes of them,
    and invertible: densities are exact up to rounding, integrate to one, and can be drawn from. It starts at the
    normal distribution with the moments of the data, and held-out points choose where it ends.

    Args:
        max_steps: Budget in training steps; 3,072 unless `max_seconds` is given. One seed then gives one result, bit
            for bit, on one machine.
        max_seconds: Budget in seconds of wall-clock, compilation included. With `max_steps`, whichever is used up
            first.
        batch_size: Points a step; chosen from the number of samples by default.
        hidden: Units of each hidden layer; chosen from the dimension by default.
        convexity: Strong-convexity floor of the potential, in (0, 1), in units where the Gaussian map is the identity:
            the map never contracts more than this relative to the Gaussian one.
        learning_rate: Peak of the schedule; 0.01 by default.
        activation: `"softplus"` for smooth densities, `"ramp"` or `"celu"`.
        holdout: Share of the samples kept aside to choose the best state; with `refit`, at least 500 points are, where
            that is no more than 30 % of the samples.
        refit: Train again on all samples, for as many steps as were best on those held out. Arrays of up to 16,384
            rows only; a fit takes twice as long.
        dequantize: Noise that `fit` adds within the steps of discrete columns, whose likelihood has no bound otherwise:
            `"auto"`, one width for all columns, one a column, or a mapping from names; see `Dequantizer`. None adds
            nothing.
        layer: Layer that holds the points of an AnnData; see docs/anndata.md.
        obsm: Key of `obsm` that holds them, `"X_pca"` for instance. Without either, `.X`.
        random_state: Seed, generator, or None for a new result each time.
        checkpoint: Folder in which the fit is saved as it goes, so that the same call in another process goes on from
            there, to the same map bit for bit; None saves nothing. As for `BrenierMap`; see docs/checkpoints.md.
        callbacks: Functions that are called with a `DensityRow` at every look at the held-out points, or objects that
            are told of start and end as well; one or a sequence. A true result ends the fit; see `brenier.callbacks`.

    Attributes:
        map_: The `TransportMap` from the data to independent normal columns with the same means and deviations; it
            knows this base, and can be saved.
        history_: List of `DensityRow`, one for each look at the held-out points.
        n_iter_: Training steps taken; those of a second fit are not counted.
        stop_: Why the fit ended, a sentence.
        gaussian_: Whether the result is the normal distribution, because nothing beat it significantly on held-out
            points.
        resumed_: Where an earlier process had left the fit; None for a fit from its start.
        n_features_in_: Number of columns.
        feature_names_in_: Names of the columns, if the data had string names.

    References:
        Huang, Chen, Tsirigotis, Courville 2021, "Convex potential flows: universal probability distributions with
        optimal transport and convex optimization".

    Example:
        >>> import numpy as np
        >>> from brenier import BrenierDensity
        >>> x = np.random.default_rng(0).exponential(size=(2000, 1))
        >>> density = BrenierDensity(max_steps=256, random_state=0).fit(x)
        >>> bool(abs(density.score_samples([[1.0]])[0] - (-1.0)) < 0.15)
        True
    """

    history_: list[Any]
    n_iter_: int
    stop_: str
    gaussian_: bool
    resumed_: Resumed | None
    n_features_in_: int

    def __init__(
        self,
        *,
        max_steps: int | None = None,
        max_seconds: float | None = None,
        batch_size: int | None = None,
        hidden: Sequence[int] | None = None,
        convexity: float = 0.02,
        learning_rate: float | None = None,
        activation: str = "softplus",
        holdout: float = 0.1,
        refit: bool = True,
        dequantize: Widths | None = None,
        layer: str | None = None,
        obsm: str | None = None,
        random_state: int | np.random.RandomState | None = None,
        checkpoint: str | PathLike[str] | None = None,
        callbacks: Callbacks | None = None,
    ) -> None:
        self.max_steps = max_steps
        self.max_seconds = max_seconds
        self.batch_size = batch_size
        self.hidden = hidden
        self.convexity = convexity
        self.learning_rate = learning_rate
        self.activation = activation
        self.holdout = holdout
        self.refit = refit
        self.dequantize = dequantize
        self.layer = layer
        self.obsm = obsm
        self.random_state = random_state
        self.checkpoint = checkpoint
        self.callbacks = callbacks

    def fit(self, X: Unchecked, y: None = None, *, sample_weight: Unchecked = None) -> Self:
        """Learn the density of the distribution that `X` is a sample of.

        Args:
            X: `(n, d)` array, frame, tensor or AnnData, a sampler `(key, n) -> points`, or an iterable of arrays; see
                docs/inputs.md.
            y: Ignored.
            sample_weight: How much each row of an array counts, as a share of the sum; equal by default. Of an
                AnnData, the name of a column of `obs`.

        Raises:
            InputError: An argument cannot be used.

        Warns:
            DataWarning: The data limit what the density can be worth.
            ConvergenceWarning: The fit had to go back to an earlier state, or was interrupted.
        """
        started = time.perf_counter()
        self._check_parameters()
        running = Running(self.callbacks, started)
        cells = recorded(self, X)
        X, sample_weight = self._opened(X, sample_weight)
        with open_checkpoints(self.checkpoint) as checkpoints, running:
            generator = seeded(self.random_state, checkpoints)
            first, second, third = (int(seed) for seed in generator.randint(2**31 - 1, size=3))
            widths = None
            if self.dequantize is not None:
                X, widths = spread_out(X, "X", self.dequantize, generator)
            request = Request(
                scale="none",
                changes=changed_settings(self, batch="batch_size", learning_rate="learning_rate"),
                holdout=self.holdout,
                refit=self.refit,
                seeds=(first, second, third),
                started=started,
                running=running,
                weights=(sample_weight, None),
                checkpoints=checkpoints,
            )
            fitted = fit_density(X, request)
            self._keep(fitted, widths, cells)
            self.resumed_ = running.resumed
            running.finish(self)
        warn_outcome(fitted.outcome)
        return self

    def score_samples(self, X: Unchecked) -> Matrix:
        """Natural logarithms of the density at points, `(n,)`, for volumes in the units of the data."""
        return self._fitted().log_density(self._same_columns(X))

    def score(self, X: Unchecked, y: None = None, *, sample_weight: Unchecked = None) -> float:
        """Mean log density of samples that the fit has not seen, in nats: larger is better, for model selection.

        Args:
            X: `(n, d)` points.
            y: Ignored.
            sample_weight: `(n,)` weights of the points; equal ones by default.
        """
        X, sample_weight = self._opened(X, sample_weight)
        points = same_columns(self._fitted(), X, "X", type(self).__name__)
        table, weights = weighted_table(points, sample_weight, "sample_weight")
        return float(np.average(self.score_samples(table), weights=weights))

    def sample(self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None) -> Matrix:
        """Draw points from the density, `(n_samples, d)`; a numerical solve for each."""
        if not n_samples >= 1:
            raise InputError(f"`n_samples` must be at least 1; got {n_samples!r}.")
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        return self._fitted().sample(n_samples, seed=seed)

    def gradient(self, X: Unchecked) -> Matrix:
        """Gradients of the log density at points, `(n, d)`; up to 256 columns."""
        return self._fitted().log_density_gradient(self._same_columns(X))

    def _check_parameters(self) -> None:
        check_counts(self, "max_steps", "max_seconds", "batch_size", "learning_rate")
        check_shares(self, "convexity", "holdout")
        check_network(self.activation, self.hidden)

    def _keep(self, fitted: FittedDensity, widths: Matrix | None, cells: dict[str, str]) -> None:
        """Set every learned attribute, so that a second fit forgets the first."""
        outcome, columns = fitted.outcome, fitted.columns
        info = keep_outcome(self, outcome, fitted.config, columns, fitted.coordinates.dim, fitted.data)
        info |= {"base": {"side": "target"} | fitted.base.record()} | cells
        if widths is not None:
            info["dequantized"] = widths.tolist()
        assert isinstance(outcome.potential, AbstractPotential)
        names = None if columns is None else tuple(columns)
        self.map_ = TransportMap(fitted.coordinates, outcome.potential, names, info)

    def __str__(self) -> str:
        return fit_summary(repr(self), self.map_.lines() if hasattr(self, "map_") else None)

    def _fitted(self) -> TransportMap:
        check_is_fitted(self, "map_")
        return self.map_

    def _same_columns(self, value: Unchecked) -> Matrix:
        return same_columns(self._fitted(), self._opened(value)[0], "X", type(self).__name__).values

    def _opened(self, value: Unchecked, weight: Unchecked = None) -> tuple[Unchecked, Unchecked]:
        """Points and their weights, of an AnnData or as they are."""
        found = opened(self, value, "X", None, weight, names=("condition", "sample_weight"))
        return found.points, found.weight
