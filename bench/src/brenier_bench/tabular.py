"""Densities of tables: likelihood, samples, image, distance and inverse of one fit, on rows that it has not seen."""

import time
from typing import Any, NamedTuple

import numpy as np

from brenier._errors import InputError
from brenier.density.bases import Normal
from brenier.estimators.brenier_density import BrenierDensity
from brenier.maps import TransportMap
from brenier.metrics import mmd_squared, sliced_w2
from brenier_bench.datasets import TabularSet
from brenier_bench.method import count_parameters, machine
from brenier_bench.published import PUBLISHED
from brenier_bench.tabular_peers import Rows, compare_peers, some_rows

__all__ = ["Prepared", "bench_tabular", "measure", "normal_nll", "otflow_mmd", "prepare"]

_POINTS = 5000
"""Points a side of the discrepancies, whose cost grows with the square of it."""

_PAIRED = 2000
"""Points a side of the distance: up to 5,000,000 pairs the enclosure of theirs is exact."""

_AS_LOADED = "as published"
_STANDARDISED = "standard deviations of the training rows"


class Prepared(NamedTuple):
    """The rows of a table in the units in which they are learned.

    Attributes:
        train: `(n, d)` training rows.
        validation: `(m, d)` validation rows.
        test: `(k, d)` test rows.
        units: What the units are, for the record.
        log_volume: What to add to a negative log-likelihood in these units to get that in the units of the loader.
    """

    train: Rows
    validation: Rows
    test: Rows
    units: str
    log_volume: float

    @property
    def fitted(self) -> Rows:
        """Training and validation rows: the estimator holds out its own."""
        return np.concatenate([self.train, self.validation])


def prepare(data: TabularSet) -> Prepared:
    """The five published tables as they are, so that likelihoods compare with those of papers; others standardised.

    Raises:
        InputError: A column of another table is constant in its training rows.
    """
    if data.name in PUBLISHED:
        return Prepared(data.train, data.validation, data.test, _AS_LOADED, 0.0)
    mean, deviation = data.train.mean(axis=0), data.train.std(axis=0)
    if not (deviation > 0.0).all():
        raise InputError(
            f"`data`: column {int(np.argmin(deviation))} of {data.name!r} is constant in the training rows, and cannot "
            "be standardised. Leave it out."
        )
    train, validation, test = ((part - mean) / deviation for part in (data.train, data.validation, data.test))
    return Prepared(train, validation, test, _STANDARDISED, float(np.sum(np.log(deviation))))


def bench_tabular(
    data: TabularSet,
    *,
    seed: int = 0,
    max_steps: int | None = None,
    max_seconds: float | None = None,
    compare: bool = False,
) -> dict[str, Any]:
    """Fit `BrenierDensity` to the training and validation rows of a table, and measure it on its test rows.

    Args:
        data: The table.
        seed: Of the fit, and of all draws.
        max_steps: As for `BrenierDensity`.
        max_seconds: As for `BrenierDensity`; the evaluation comes on top.
        compare: Whether to fit the estimators of scikit-learn, too.

    Returns:
        JSON values. Distances and errors are in `units`; likelihoods in nats, for volumes in them. Each field that ends
        in `_floor` is the one before it for two samples of one distribution: what sampling alone leaves.
    """
    rows, since = prepare(data), time.perf_counter()
    density = BrenierDensity(max_steps=max_steps, max_seconds=max_seconds, random_state=seed).fit(rows.fitted)
    fitted = time.perf_counter()
    measures = measure(density.map_, rows, seed)
    ended = time.perf_counter()
    published = [each._asdict() for each in PUBLISHED[data.name]] if data.name in PUBLISHED else None
    record: dict[str, Any] = {
        "name": data.name,
        "dim": data.dim,
        "rows": {"train": len(rows.train), "validation": len(rows.validation), "test": len(rows.test)},
        "fitted_to": "train and validation",
        "units": rows.units,
        "log_volume": rows.log_volume,
        **measures,
        "nll_normal": normal_nll(rows.fitted, rows.test),
        "parameters": count_parameters(density.map_.potential),
        "steps": density.n_iter_,
        "stop": density.stop_,
        "gaussian": density.baseline_,
        "settings": dict(density.map_.info["settings"]),
        "seconds": {"fit": round(fitted - since, 3), "evaluation": round(ended - fitted, 3)},
        "seed": seed,
        **machine(),
        "published": published,
    }
    if compare:
        record["peers"] = compare_peers(rows.train, rows.validation, rows.test, seed)
    return record


def measure(map_: TransportMap, rows: Prepared, seed: int) -> dict[str, Any]:
    """Measure on test rows a map from the data to a base of independent normal columns."""
    rng, base = np.random.default_rng(seed), Normal.read(map_.info["base"])
    count = min(_POINTS, len(rows.train), len(rows.test))
    test, train = some_rows(rows.test, count, rng), some_rows(rows.train, count, rng)
    samples, draws, others = map_.sample(count, seed=seed), base.draw(count, rng), base.draw(count, rng)
    scale = rows.fitted.std(axis=0)
    nll = -map_.log_density(rows.test)
    return {
        "nll": float(nll.mean()),
        "nll_error": float(nll.std(ddof=1) / np.sqrt(len(nll))),
        "points": count,
        "mmd_statistic": "V",
        "mmd": otflow_mmd(samples, test),
        "mmd_floor": otflow_mmd(train, test),
        "sliced_w2_samples": sliced_w2(samples, test, scale=scale),
        "sliced_w2_samples_floor": sliced_w2(train, test, scale=scale),
        "sliced_w2_image": sliced_w2(map_.forward(test), draws, scale=base.deviation),
        "sliced_w2_image_floor": sliced_w2(others, draws, scale=base.deviation),
        "distance": _distance(map_, test[:_PAIRED], draws[:_PAIRED], seed),
        "inverse": _inverse(map_, rows.test, scale),
    }


def otflow_mmd(x: Rows, y: Rows) -> float:
    """Squared maximum mean discrepancy with the kernel `exp(-|x - y|^2)`, of which OT-Flow reports the mean.

    The V-statistic, which counts the kernel of each point with itself. OT-Flow takes it, too, where a side has more
    than 20,000 numbers; for fewer it takes the U-statistic, which leaves those out and may be negative.

    References: EmoryMLIP/OT-Flow, src/mmd.py.
    """
    return mmd_squared(x, y, width=0.5**0.5)


def normal_nll(rows: Rows, test: Rows) -> float:
    """Mean negative log-likelihood of `test` under the normal distribution with the moments of `rows`.

    Not a number where the covariance is singular.
    """
    covariance = np.atleast_2d(np.cov(rows, rowvar=False, bias=True))
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return float("nan")
    whitened = np.linalg.solve(factor, (test - rows.mean(axis=0)).T)
    squares = float(np.mean(np.sum(np.square(whitened), axis=0)))
    return 0.5 * (squares + test.shape[1] * np.log(2.0 * np.pi)) + float(np.sum(np.log(np.diagonal(factor))))


def _distance(map_: TransportMap, test: Rows, draws: Rows, seed: int) -> dict[str, Any]:
    """W2 between the data and the base, with bounds for the populations and for these samples."""
    distance = map_.distance(test, draws, seed=seed)
    fields = ("w2", "population_lower", "lower", "upper", "confidence", "unconverged")
    return {"points": len(test)} | {field: getattr(distance, field) for field in fields}


def _inverse(map_: TransportMap, points: Rows, scale: Rows) -> dict[str, float]:
    """How far points are from the preimages of their images: Euclidean norms, columns in standard deviations."""
    back = map_.inverse_with_status(map_.forward(points))
    errors = np.linalg.norm((back.points - points) / scale, axis=1)
    return {"max": float(errors.max()), "mean": float(errors.mean()), "unconverged": float(np.mean(~back.converged))}
