"""Fits that are cut off at a chosen save, and what they are compared by."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

from brenier import BrenierMap
from brenier.checkpoint import keeping

SMALL: dict[str, Any] = {
    "max_steps": 256,
    "hidden": [16, 16],
    "batch_size": 256,
    "pool_size": 4096,
    "random_state": 0,
    "scale": "none",
}


class Killed(Exception):
    """In place of the end of the process."""


def clouds(n: int = 600, dim: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(n, dim)), np.exp(0.9 * rng.normal(size=(n, dim)))


def fit(folder: Path | None, **changes: Any) -> BrenierMap:
    return BrenierMap(checkpoint=folder, **SMALL | changes).fit(*clouds())


def cut_off(fitting: Callable[[], Any], save: int) -> None:
    """Run a fit that ends right after so many checkpoints were written."""
    saved, write = [], keeping.Checkpoints.save

    def counted(self: keeping.Checkpoints, name: str, state: Any) -> None:
        write(self, name, state)
        saved.append(name)
        if len(saved) == save:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeping.Checkpoints, "save", counted)
        with pytest.raises(Killed):
            fitting()


def result(fitted: Any) -> tuple[Any, ...]:
    """The bytes of all arrays of a map, and all else that the fit found, but for the time that it took."""
    map_ = fitted.map_
    arrays = jax.tree.leaves((eqx.filter(map_.potential, eqx.is_array), map_.coordinates))
    rows = [repr(row._replace(seconds=0.0)) for row in fitted.history_]
    return (
        [np.asarray(leaf).tobytes() for leaf in arrays if hasattr(leaf, "dtype")],
        rows,
        fitted.stop_,
        fitted.gaussian_,
        fitted.n_iter_,
    )
