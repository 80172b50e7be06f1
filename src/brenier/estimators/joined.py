"""Both samples in one array, as scikit-learn's searches, splitters and pipelines need them."""

from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import Tags, _safe_indexing
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from brenier._errors import InputError
from brenier.data.checks import as_points
from brenier.data.frames import Moved, output_like
from brenier.data.table import CheckedTable, Unchecked
from brenier.estimators.brenier_map import BrenierMap
from brenier.estimators.parameters import check_same_columns

__all__ = ["JoinedMap"]

_SIDES = (0, 1)
"""Values of `y` for rows of the source and of the target."""


class JoinedMap(TransformerMixin, BaseEstimator):
    """A `BrenierMap` whose two samples come as one array, with `y` saying which sample each row belongs to.

    scikit-learn's tools split, index and preprocess one array with a `y` of the same length. In this form they can: a
    `GridSearchCV` splits both samples, which may have different sizes, and a `Pipeline` preprocesses both alike, fitted
    on both together. Split with `StratifiedKFold(shuffle=True)`, which gives every fold its share of either sample.

    Args:
        estimator: The map to fit, `BrenierMap()` by default. Its settings are `estimator__training__hidden` and so
            on.

    Attributes:
        estimator_: The fitted `BrenierMap`.
        n_features_in_: Number of columns.
        feature_names_in_: Names of the columns, if the data had string names.

    Example:
        >>> import numpy as np
        >>> from brenier import BrenierMap, JoinedMap
        >>> rng = np.random.default_rng(0)
        >>> X, Y = rng.normal(size=(100, 2)), 3.0 * rng.normal(size=(150, 2))
        >>> joined, side = np.vstack([X, Y]), np.repeat([0, 1], [len(X), len(Y)])
        >>> ot = JoinedMap(BrenierMap(holdout=0.3, max_steps=64, random_state=0)).fit(joined, side)
        >>> ot.estimator_.transform(X).shape
        (100, 2)
    """

    __metadata_request__fit: ClassVar = {"checkpoint": UNUSED, "shards": UNUSED}

    def __init__(self, estimator: BrenierMap | None = None) -> None:
        self.estimator = estimator

    def fit(
        self,
        X: Unchecked,
        y: Unchecked,
        *,
        condition: Unchecked = None,
        sample_weight: Unchecked = None,
        checkpoint: str | PathLike[str] | None = None,
        shards: int | None = None,
    ) -> Self:
        """Learn the map from the rows of the source to those of the target.

        Args:
            X: `(n, d)` array or frame with the rows of both samples.
            y: `(n,)`: 0 for rows of the source, 1 for rows of the target.
            condition: Condition of each row, as for `BrenierMap`.
            sample_weight: `(n,)` weights of the rows, as shares of the sum of their own sample; equal by default.
            checkpoint: Folder in which the fit is saved as it goes, as for `BrenierMap.fit`.
            shards: Parts of the work for several devices, as for `BrenierMap.fit`.

        Raises:
            InputError: `y` has other values, one of the samples is missing, or an argument cannot be used.
        """
        table = as_points(X, "X")
        rows = _rows_of_sides(len(table.values), y)
        estimator = BrenierMap() if self.estimator is None else clone(self.estimator)
        assert isinstance(estimator, BrenierMap)
        more = _split_options(rows, condition, sample_weight)
        self.estimator_ = estimator.fit(*_samples(table, rows), **more, checkpoint=checkpoint, shards=shards)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
            elif hasattr(self, name):
                delattr(self, name)
        return self

    def score(
        self, X: Unchecked, y: Unchecked, *, condition: Unchecked = None, sample_weight: Unchecked = None
    ) -> float:
        """Dual value on rows that the fit has not seen, see `BrenierMap.score`: larger is better.

        Args:
            X: `(n, d)` rows of both samples.
            y: `(n,)`: 0 for rows of the source, 1 for rows of the target.
            condition: Condition of each row, where the fit had some.
            sample_weight: `(n,)` weights of the rows.
        """
        fitted = self._require_estimator()
        table = check_same_columns(fitted.map_, X, "X", type(self).__name__)
        rows = _rows_of_sides(len(table.values), y)
        return fitted.score(*_samples(table, rows), **_split_options(rows, condition, sample_weight))

    def transform(self, X: Unchecked, *, condition: Unchecked = None) -> Moved:
        """Images of the rows, all of them taken as points of the source; see `BrenierMap.transform`."""
        return output_like(self, X, np.asarray(self._require_estimator().transform(X, condition=condition)))

    def inverse_transform(self, X: Unchecked, *, condition: Unchecked = None) -> Moved:
        """Source points whose image the rows are; see `BrenierMap.inverse_transform`."""
        points = self._require_estimator().inverse_transform(X, condition=condition)
        assert not isinstance(points, tuple)
        return points

    def get_feature_names_out(self, input_features: Unchecked = None) -> NDArray[np.object_]:
        """Names of the output's columns: those of the input."""
        return self._require_estimator().get_feature_names_out(input_features)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def _require_estimator(self) -> BrenierMap:
        check_is_fitted(self, "estimator_")
        return self.estimator_


def _rows_of_sides(count: int, y: Unchecked) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Numbers of the rows of the source, and of those of the target."""
    if y is None:
        raise InputError(
            "`y` is None: `JoinedMap` requires y to be passed, but the target y is None. Pass 0 for rows of the source "
            "and 1 for rows of the target."
        )
    side = np.asarray(y)
    if side.shape != (count,):
        raise InputError(f"`y` must have one entry for each of the {count} rows of `X`; got shape {side.shape}.")
    if not np.isin(side, _SIDES).all():
        entries = [entry for entry in np.unique(side).tolist() if entry not in _SIDES]
        raise InputError(f"`y` must be 0 for rows of the source and 1 for rows of the target; got {entries[:5]!r}.")
    source, target = (np.flatnonzero(side == mark) for mark in _SIDES)
    if not (len(source) and len(target)):
        raise InputError(
            f"`y` has no rows of the {'target' if len(source) else 'source'}. Split the rows of both samples alike, "
            "for instance with `StratifiedKFold(shuffle=True)`."
        )
    return source, target


def _samples(table: CheckedTable, rows: tuple[NDArray[np.intp], ...]) -> list[CheckedTable]:
    return [table.rows(chosen) for chosen in rows]


def _split_options(rows: tuple[NDArray[np.intp], ...], condition: Unchecked, weights: Unchecked) -> dict[str, Any]:
    """Conditions and weights of both samples, by the names that `BrenierMap` has for them."""
    given = {"condition": condition, "weight": weights}
    return {
        f"{side}_{name}": None if value is None else _safe_indexing(value, chosen)
        for name, value in given.items()
        for side, chosen in zip("xy", rows, strict=True)
    }
