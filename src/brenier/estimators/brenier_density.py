"""`BrenierDensity`: the face of density fits, with the methods of scikit-learn's density estimators."""

from os import PathLike
from typing import Self

import numpy as np
from sklearn.base import DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from brenier._errors import InputError
from brenier._words import fit_summary
from brenier.callbacks import Callbacks
from brenier.data.table import CheckedTable, Matrix, Unchecked
from brenier.data.weights import weighted_table
from brenier.estimators.anndata import unpack
from brenier.estimators.dequantizer import Widths
from brenier.estimators.intake import Given, intake
from brenier.estimators.parameters import Parameters, check_same_columns
from brenier.estimators.training import Training
from brenier.maps import TransportMap

__all__ = ["BrenierDensity"]


class BrenierDensity(DensityMixin, Parameters):
    """Learn a density from samples: the optimal-transport map that makes them normal, by maximum likelihood.

    The map is the gradient of a convex network, so it is the optimal map between the data and what it makes of them,
    and invertible: densities are exact up to rounding, integrate to one, and can be drawn from. It starts at the
    normal distribution with the moments of the data, and held-out points choose where it ends.

    Args:
        max_steps: Budget in training steps; 3,072 unless `max_seconds` is given. One seed then gives one result, bit
            for bit, on one machine.
        max_seconds: Budget in seconds of wall-clock, compilation included. With `max_steps`, whichever is used up
            first.
        holdout: Share of the samples kept aside to choose the best state; with `refit`, at least 500 points are, where
            that is no more than 30 % of the samples.
        refit: Train again on all samples, for as many steps as were best on those held out. Arrays of up to 16,384
            rows only; a fit takes twice as long.
        dequantize: Noise that `fit` adds within the steps of discrete columns, whose likelihood has no bound otherwise:
            `"auto"`, one width for all columns, one a column, or a mapping from names; see `Dequantizer`. None adds
            nothing.
        layer: Layer that holds the points of an AnnData; see docs/anndata.md.
        obsm: Key of `obsm` that holds them, `"X_pca"` for instance. Without either, `.X`.
        training: How the network is trained: a `brenier.Training` with batch size, hidden layers, learning rate and so
            on, for what is not to be chosen from dimension and sample size.
        random_state: Seed, generator, or None for a new result each time.
        verbose: 1 shows the fit on stderr as it runs, as the command line does; 0 shows nothing.
        callbacks: Functions that are called with a `DensityRow` at every validation on held-out points, or objects that
            are told of start and end as well; one or a sequence. A true result ends the fit; see `brenier.callbacks`.

    Attributes:
        map_: The `TransportMap` from the data to independent normal columns with the same means and deviations; it
            knows this base, and can be saved.
        history_: List of `DensityRow`, one for each validation on the held-out points.
        n_iter_: Training steps taken; those of a second fit are not counted.
        stop_: Why the fit ended, a sentence.
        baseline_: Whether the result is the normal distribution, because nothing beat it significantly on held-out
            points.
        widths_: Widths of the noise that the fit added to the columns, 0 where none.
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

    def __init__(
        self,
        *,
        max_steps: int | None = None,
        max_seconds: float | None = None,
        holdout: float = 0.1,
        refit: bool = True,
        dequantize: Widths | None = None,
        layer: str | None = None,
        obsm: str | None = None,
        training: Training | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        callbacks: Callbacks | None = None,
    ) -> None:
        self.max_steps = max_steps
        self.max_seconds = max_seconds
        self.holdout = holdout
        self.refit = refit
        self.dequantize = dequantize
        self.layer = layer
        self.obsm = obsm
        self.training = training
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks

    def fit(
        self,
        X: Unchecked,
        y: None = None,
        *,
        sample_weight: Unchecked = None,
        checkpoint: str | PathLike[str] | None = None,
    ) -> Self:
        """Learn the density of the distribution that `X` is a sample of.

        Args:
            X: `(n, d)` array, frame, tensor or AnnData, a sampler `(key, n) -> points`, or an iterable of arrays; see
                docs/inputs.md.
            y: Ignored.
            sample_weight: How much each row of an array counts, as a share of the sum; equal by default. Of an
                AnnData, the name of a column of `obs`.
            checkpoint: Folder in which the fit is saved as it goes, as for `BrenierMap.fit`; None saves nothing.

        Raises:
            InputError: An argument cannot be used.

        Warns:
            DataWarning: The data limit what the density can be worth.
            ConvergenceWarning: The fit had to go back to an earlier state, or was interrupted.
        """
        side = Given("X", X, weight=sample_weight, weight_name="sample_weight")
        self._fit(
            lambda generator: intake(self, side, generator=generator), activation="softplus", checkpoint=checkpoint
        )
        return self

    def score_samples(self, X: Unchecked) -> Matrix:
        """Natural logarithms of the density at points, `(n,)`, for volumes in the units of the data."""
        return self._require_map().log_density(self._check_columns(X))

    def score(self, X: Unchecked, y: None = None, *, sample_weight: Unchecked = None) -> float:
        """Mean log density of samples that the fit has not seen, in nats: larger is better, for model selection.

        Args:
            X: `(n, d)` points.
            y: Ignored.
            sample_weight: `(n,)` weights of the points; equal ones by default.
        """
        X, sample_weight = self._unpack(X, sample_weight)
        points = check_same_columns(self._require_map(), X, "X", type(self).__name__)
        table, weights = weighted_table(points, sample_weight, "sample_weight")
        return float(np.average(self.score_samples(table), weights=weights))

    def sample(self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None) -> Matrix:
        """Draw points from the density, `(n_samples, d)`; each costs a numerical solve."""
        if not n_samples >= 1:
            raise InputError(f"`n_samples` must be at least 1; got {n_samples!r}.")
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        return self._require_map().sample(n_samples, seed=seed)

    def gradient(self, X: Unchecked) -> Matrix:
        """Gradients of the log density at points, `(n, d)`; up to 256 columns."""
        return self._require_map().log_density_gradient(self._check_columns(X))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for name in ("pool_size", "potential", "solver"):
            if getattr(self._settings(), name) is not None:
                raise InputError(f"`{name}` of `training` means nothing to `BrenierDensity`. Leave it out.")

    def __str__(self) -> str:
        return fit_summary(repr(self), self.map_.lines() if hasattr(self, "map_") else None)

    def _require_map(self) -> TransportMap:
        check_is_fitted(self, "map_")
        return self.map_

    def _check_columns(self, value: Unchecked) -> CheckedTable:
        return check_same_columns(self._require_map(), self._unpack(value)[0], "X", type(self).__name__)

    def _unpack(self, value: Unchecked, weight: Unchecked = None) -> tuple[Unchecked, Unchecked]:
        """Points and their weights, taken out of an AnnData where one was passed."""
        side = unpack(self, value, "X", None, weight, names=("condition", "sample_weight"))
        return side.points, side.weight
