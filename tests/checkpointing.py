"""Fits that are cut off at a chosen save, and what they are compared by."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brenier import BrenierMap, Training
from brenier.checkpoint import keeping

SMALL: dict[str, Any] = {
    "max_steps": 256,
    "training": Training(hidden=[16, 16], batch_size=256, pool_size=4096),
    "random_state": 0,
    "scale": "none",
}


class Killed(Exception):
    """In place of the end of the process."""


def clouds(n: int = 600, dim: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(n, dim)), np.exp(0.9 * rng.normal(size=(n, dim)))


def fit(folder: Path | None, **changes: Any) -> BrenierMap:
    return BrenierMap(**SMALL).set_params(**changes).fit(*clouds(), checkpoint=folder)


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


def content(path: Path) -> tuple[dict[str, Any], bytes]:
    """Header and tensors of a map file: safetensors writes the entries of its header in any order."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def result(fitted: Any) -> tuple[Any, ...]:
    """What a map file holds of a fit, and all else that it found, but for the time that it took."""
    with tempfile.TemporaryDirectory() as folder:
        fitted.map_.save(Path(folder) / "map")
        saved = content(Path(folder) / "map")
    rows = [repr(row._replace(seconds=0.0)) for row in fitted.history_]
    return saved, rows, fitted.stop_, fitted.baseline_, fitted.n_iter_
