"""One process of a distributed fit: `distributed_fit.py KIND SHARDS MAP [PROCESS PROCESSES PORT]`."""

import json
import sys
import warnings
from dataclasses import replace

import jax
import numpy as np

from brenier import BrenierMap, Training
from brenier._errors import ConvergenceWarning, DataWarning

DIM, ROWS = 2, 3000
SAMPLED = 5
"""Dimensions of the samplers, whose batches are calibrated from there on."""


def bent(points):
    """Points whose columns have two humps."""
    return points + np.tanh(3.0 * points)


def data(kind):
    """Two sides of a fit, and how it is set."""
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(2, ROWS, DIM))
    Y = bent(Y)
    small = Training(hidden=(16, 16), batch_size=128, pool_size=2048)
    settings = {"max_steps": 256, "training": small, "random_state": 0}
    if kind == "samplers":
        return (
            lambda key, n: jax.random.normal(key, (n, SAMPLED)),
            lambda key, n: bent(np.asarray(jax.random.normal(key, (n, SAMPLED)))),
        ), {**settings, "training": replace(small, batch_size=4 * 8 * SAMPLED)}
    if kind == "weights":
        return (X, Y), {**settings, "refit": False, "x_weight": 1.0 + (X[:, 0] > 0)}
    if kind == "seconds":
        return (X, Y), {**settings, "refit": False, "max_seconds": 8.0, "max_steps": None}
    return (X, Y), {**settings, "refit": kind == "refit"}


def fit(kind, shards, path):
    """Fit, save, and return what the fit said."""
    sides, settings = data(kind)
    weights = {name: settings.pop(name) for name in ("x_weight",) if name in settings}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        ot = BrenierMap(**settings).fit(*sides, **weights, shards=shards)
    ot.map_.save(path)
    return {
        "devices": jax.device_count(),
        "gaussian": ot.baseline_,
        "steps": ot.n_iter_,
        "duals": [row.dual for row in ot.history_],
    }


if __name__ == "__main__":
    kind, shards, path, *place = sys.argv[1:]
    if place:
        process, processes, port = map(int, place)
        jax.distributed.initialize(f"localhost:{port}", processes, process, heartbeat_timeout_seconds=60)
    sys.stdout.write(json.dumps(fit(kind, int(shards) or None, path)) + "\n")
