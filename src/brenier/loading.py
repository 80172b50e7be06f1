"""Reading a map file without knowing what kind of map it holds."""

from os import PathLike

from brenier import mapfile
from brenier.conditional.maps import ConditionalMap
from brenier.coordinates import BuresCoordinates
from brenier.general.maps import CostMap
from brenier.maps import TransportMap

__all__ = ["load_map"]


def load_map(path: str | PathLike[str]) -> TransportMap | ConditionalMap | CostMap:
    """Read a map of any kind. Runs no code from the file, and refuses one that is truncated or altered.

    Args:
        path: A file of `brenier fit`, `brenier density`, or of the method `save` of a map.

    Returns:
        A `ConditionalMap` where the fit had conditions, a `CostMap` for costs that are not quadratic, and a
        `TransportMap` otherwise.

    Raises:
        MapFileError: The file is missing, truncated, altered, of a newer format, or not a map.

    Note: Cost: the file is read twice.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> import brenier
        >>> from brenier.costs import PNorm
        >>> X = np.random.default_rng(0).normal(size=(300, 2))
        >>> ot = brenier.BrenierMap(cost=PNorm(1.5), max_steps=64, refit=False, random_state=0).fit(X, X + 1.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "map.brenier"
        ...     ot.map_.save(path)
        ...     map_ = brenier.load_map(path)
        >>> type(map_).__name__, str(map_.cost)
        ('CostMap', 'PNorm(p=1.5)')
    """
    contents = mapfile.load(path)
    if contents.space is not None:
        return ConditionalMap.load(path)
    return (TransportMap if isinstance(contents.coordinates, BuresCoordinates) else CostMap).load(path)
