"""Frames of dask moved on a cluster: each worker gets the map once a partition and compiles it once."""

from os import PathLike
from typing import Any

import numpy as np

from brenier._errors import InputError
from brenier.data.table import Unchecked
from brenier.maps import TransportMap

__all__ = ["transform"]

_STATUS = {"converged": np.bool_, "residual": np.float64}
"""Columns that an inverse adds."""


def transform(
    map_: TransportMap | str | PathLike[str], frame: Unchecked, *, inverse: bool = False, t: float = 1.0
) -> Any:  # noqa: ANN401
    """Move the rows of a frame of dask, partition by partition, when it is computed or written.

    Columns of the map are moved, whatever their order; all others (identifiers, weights) stay as they are. Maps with
    conditions read those from the columns that the fit had. Arrays of dask need none of this: `map_.forward` and
    `map_.inverse` take them as they are.

    Args:
        map_: A map, or a map file that this process can read; workers need not see it.
        frame: `dask.dataframe.DataFrame` with a column for each one of the map, by name; with exactly as many
            columns where the map has no names.
        inverse: Move points of the target back. The frame then has two columns more: `converged`, whether the preimage
            of the row was found to tolerance, and `residual`, its error in units of the target.
        t: Share of the way to go, forward only: 0 stays, 1 arrives.

    Returns:
        A frame of dask with the same index and partitions, moved columns as float64.

    Raises:
        InputError: Columns are missing, have the names of those that an inverse adds, or `frame` is no frame of dask.
            When the result is computed: points cannot be used.

    Note:
        Cost: as of the map for each partition; partitions of 10,000 to a million rows hide what dask adds. Workers use
        all of their cores for one partition, so give each one a single thread.

    Example:
        >>> import dask.dataframe as dd
        >>> import numpy as np, pandas as pd
        >>> import brenier, brenier.integrations.dask
        >>> X = pd.DataFrame(np.random.default_rng(0).normal(size=(600, 2)), columns=["a", "b"])
        >>> ot = brenier.BrenierMap(max_steps=64, refit=False, random_state=0).fit(X, 2.0 * X + 1.0)
        >>> rows = dd.from_pandas(X.assign(event=range(600)), npartitions=3)
        >>> moved = brenier.integrations.dask.transform(ot.map_, rows)  # nothing is moved yet
        >>> list(moved.columns), len(moved.compute())
        (['a', 'b', 'event'], 600)
    """
    if isinstance(map_, str | PathLike):
        map_ = TransportMap.load(map_)
    if not isinstance(map_, TransportMap):
        raise InputError(f"`map_` must be a map or the path of a map file; got {map_!r}. Of a fit, pass `map_`.")
    if not (hasattr(frame, "map_partitions") and hasattr(frame, "columns")):
        raise InputError(
            f"`frame` must be a frame of dask; got {type(frame).__name__}. Pass arrays of dask to `map_.forward`, and "
            "frames of pandas to `dask.dataframe.from_pandas`."
        )
    if not 0.0 <= t <= 1.0 or (inverse and t != 1.0):
        raise InputError(f"`t` must lie between 0 and 1, and be 1 with `inverse`; got {t!r}.")
    names, conditions = _columns(map_, [str(name) for name in frame.columns])
    if inverse and (clash := sorted(_STATUS.keys() & set(frame.columns))):
        raise InputError(f"`frame` has a column `{clash[0]}`, which an inverse adds. Rename it.")
    meta = frame._meta.astype(dict.fromkeys(names, np.float64))
    if inverse:
        meta = meta.assign(**{name: np.empty(0, kind) for name, kind in _STATUS.items()})
    return frame.map_partitions(_move, map_, names, conditions, inverse, t, meta=meta)


def _columns(map_: TransportMap, present: list[str]) -> tuple[list[str], list[str]]:
    """Columns that are moved, and those that hold conditions."""
    conditions = []
    if map_.conditions is not None:
        variables = [variable.name for variable in map_.conditions.variables]
        conditions = [name for name in variables if name is not None]
        if len(conditions) < len(variables):
            raise InputError("the conditions of `map_` have no names. Choose one for all rows: `map_.at(condition)`.")
    rest = [name for name in present if name not in conditions]
    names = list(map_.columns) if map_.columns is not None else rest
    missing = [f"`{name}`" for name in (*names, *conditions) if name not in present]
    if missing or len(names) != map_.dim:
        what = f"lacks {', '.join(missing)}" if missing else f"has {len(names)} columns"
        raise InputError(
            f"`frame` {what}; the map has {map_.dim} columns"
            f"{'' if map_.columns is None else ', ' + ', '.join(map_.columns)}. Select or rename the columns."
        )
    return names, conditions


def _move(part: Any, map_: Any, names: list[str], conditions: list[str], inverse: bool, t: float) -> Any:  # noqa: ANN401
    """One partition, as a frame of pandas."""
    kept = part.astype(dict.fromkeys(names, np.float64))
    status = {name: np.empty(0, kind) for name, kind in _STATUS.items()} if inverse else {}
    if len(part):  # a filter may have emptied it
        condition = part[conditions] if conditions else None
        points = part[names].to_numpy(np.float64)
        if inverse:
            result = map_.inverse_with_status(points, condition=condition)
            images, status = result.points, {"converged": result.converged, "residual": result.residual}
        else:
            images = map_.interpolate(points, t, condition=condition)
        kept[names] = images
    return kept.assign(**status)
