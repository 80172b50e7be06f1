"""What a fitted estimator does: it moves points, measures distances and gives densities."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from brenier._words import fit_summary
from brenier.certificates import Distance
from brenier.data.cells import is_cells
from brenier.data.frames import Moved, wants_own_form
from brenier.data.table import CheckedTable, Matrix, Unchecked
from brenier.estimators.anndata import transport_copy, unpack
from brenier.estimators.parameters import add_sklearn_words, check_same_columns
from brenier.maps import Inverse, TransportMap

__all__ = ["FittedMap"]


class FittedMap(TransformerMixin):
    """The methods of `BrenierMap` that need a fit; all of them go to its `map_`.

    It is itself a transformer because scikit-learn lets `set_output` act on the class that defines `transform`.

    Attributes:
        map_: What was learned.
    """

    map_: TransportMap

    def __str__(self) -> str:
        return fit_summary(repr(self), self.map_.lines() if hasattr(self, "map_") else None)

    def transform(self, X: Unchecked, *, condition: Unchecked = None) -> Moved:
        """Images of source points under the learned map.

        Args:
            X: `(n, d)` source points.
            condition: Where the fit had conditions: one label, number or tuple for all points, or one for each.

        Returns:
            `(n, d)`, in the form of `X`: a frame with its columns and index, a tensor, a lazy array of dask, else an
            array; see `docs/inputs.md`. Or what `set_output` asks for.
        """
        if is_cells(X) and wants_own_form(self):
            return transport_copy(self, X, condition=condition)
        X, condition = self._unpack(X, "X", condition)
        map_ = self._require_map()
        if not wants_own_form(self):
            return map_.forward(self._check_columns(X, "X"), condition=condition)
        with add_sklearn_words(map_, X, "X", type(self).__name__):
            return map_.forward(X, condition=condition)

    def inverse_transform(
        self, Y: Unchecked, *, condition: Unchecked = None, return_status: bool = False, return_error: bool = False
    ) -> Moved | Inverse:
        """Source points whose image is `Y`; warns, with row numbers, where one was not found to tolerance.

        Args:
            Y: `(m, d)` target points.
            condition: As for `transform`.
            return_status: Return an `Inverse`, whose fields are arrays, with residual and status for each row instead
                of warning.
            return_error: Return an `Inverse` that also bounds the distance of each point to the exact preimage.

        Returns:
            `(m, d)`, in the form of `Y`, as for `transform`.
        """
        if is_cells(Y) and not (return_status or return_error):
            return transport_copy(self, Y, condition=condition, inverse=True)
        Y, condition = self._unpack(Y, "Y", condition)
        map_ = self._require_map()
        with add_sklearn_words(map_, Y, "Y", type(self).__name__):
            if return_status or return_error:
                return map_.inverse_with_status(Y, condition=condition, error=return_error)
            return map_.inverse(Y, condition=condition)

    def interpolate(self, X: Unchecked, t: float, *, condition: Unchecked = None) -> Moved:
        """Points a share `t` of the way from `X` to its image, in the form of `X`: displacement interpolation."""
        if is_cells(X):
            return transport_copy(self, X, condition=condition, t=t)
        map_ = self._require_map()
        with add_sklearn_words(map_, X, "X", type(self).__name__):
            return map_.interpolate(X, t, condition=condition)

    def distance(
        self,
        X: Unchecked,
        Y: Unchecked,
        *,
        x_condition: Unchecked = None,
        y_condition: Unchecked = None,
        x_weight: Unchecked = None,
        y_weight: Unchecked = None,
        confidence: float = 0.95,
        empirical: bool = True,
        seed: int = 0,
    ) -> Distance:
        """Wasserstein-2 distance on two samples that the fit has not seen, with bounds; see `TransportMap.distance`.

        For other costs than the quadratic one, the least mean cost. Where the fit had conditions, the distance in each
        class and its mean over the conditions of the source.
        """
        X, x_condition, x_weight = unpack(self, X, "X", x_condition, x_weight, map_=self._require_map())
        Y, y_condition, y_weight = unpack(self, Y, "Y", y_condition, y_weight, map_=self._require_map())
        x, y = self._check_columns(X, "X"), self._check_columns(Y, "Y")
        options: dict[str, Any] = {"confidence": confidence, "empirical": empirical, "seed": seed}
        options |= {"x_weight": x_weight, "y_weight": y_weight}
        return self.map_.distance(x, y, x_condition=x_condition, y_condition=y_condition, **options)

    def score(
        self,
        X: Unchecked,
        Y: Unchecked,
        *,
        x_condition: Unchecked = None,
        y_condition: Unchecked = None,
        x_weight: Unchecked = None,
        y_weight: Unchecked = None,
    ) -> float:
        """Dual value on samples that the fit has not seen, an estimate of `W2^2 / 2`: larger is better.

        The most that inexact conjugates can have added is subtracted where it is known, as for convex potentials, so
        that unsolved points do not flatter the score.
        """
        X, x_condition, x_weight = unpack(self, X, "X", x_condition, x_weight, map_=self._require_map())
        Y, y_condition, y_weight = unpack(self, Y, "Y", y_condition, y_weight, map_=self._require_map())
        x, y = self._check_columns(X, "X"), self._check_columns(Y, "Y")
        options: dict[str, Any] = {"x_condition": x_condition, "y_condition": y_condition}
        dual = self.map_.dual(x, y, x_weight=x_weight, y_weight=y_weight, **options)
        return dual.value - (dual.gap if np.isfinite(dual.gap) else 0.0)

    def log_density(
        self, Y: Unchecked, base: Unchecked = None, *, condition: Unchecked = None, side: str | None = None
    ) -> Matrix:
        """Log density of a base distribution moved by the map, `(n,)`; see `TransportMap.log_density`.

        Args:
            Y: `(n, d)` points of the target; of the source with `side="source"`, or where the fit had its base there.
            base: `"normal"`, a distribution with `logpdf`, or a function; that of the fit by default.
            condition: Where the fit had conditions: one for all points.
            side: The side that the points are on.
        """
        return self._require_map().log_density(self._check_columns(Y, "Y"), base, condition=condition, side=side)

    def sample(
        self,
        n: int = 1,
        base: Unchecked = None,
        *,
        condition: Unchecked = None,
        side: str | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> Matrix:
        """Draw from a base distribution and move the points by the map, `(n, d)`; see `TransportMap.sample`."""
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        return self._require_map().sample(n, base, condition=condition, side=side, seed=seed)

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> NDArray[np.object_]:
        """Names of the output's columns: those of the input."""
        map_ = self._require_map()
        names = input_features if input_features is not None else map_.columns
        return np.asarray([f"x{column}" for column in range(map_.dim)] if names is None else names, dtype=object)

    def _require_map(self) -> TransportMap:
        check_is_fitted(self, "map_")
        return self.map_

    def _unpack(self, value: Unchecked, name: str, condition: Unchecked) -> tuple[Unchecked, Unchecked]:
        """Points and their conditions, taken out of an AnnData where one was passed."""
        return unpack(self, value, name, condition, map_=self._require_map(), names=("condition", "weight"))[:2]

    def _check_columns(self, value: Unchecked, name: str) -> CheckedTable:
        value = unpack(self, value, name).points
        return check_same_columns(self._require_map(), value, name, type(self).__name__)
