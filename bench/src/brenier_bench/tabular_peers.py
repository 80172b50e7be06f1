"""Density estimators of scikit-learn on the rows of a table, with settings chosen by held-out likelihood."""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold, PredefinedSplit
from sklearn.neighbors import KernelDensity

__all__ = ["PEERS", "Peer", "Rows", "compare_peers", "run_peer", "some_rows"]

Rows = NDArray[np.float64]

_CROSS_VALIDATED = 20_000
"""Rows from which on the validation rows choose, and not cross-validation."""

_FOLDS = 3

_MOST = 50_000, 10_000
"""Rows that settings are chosen with at most: those that a fit learns from, and those that it is judged by."""


@dataclass(frozen=True)
class Peer:
    """An estimator and its settings.

    Attributes:
        name: Its class in scikit-learn.
        create: The estimator, from a seed.
        grid: Values of each setting, in order, from the spread of the rows: the root mean variance of the columns.
        most: Largest number of rows of the last fit; None for all.
    """

    name: str
    create: Callable[[int], Any]
    grid: Callable[[float], Mapping[str, Sequence[float]]]
    most: int | None = None


PEERS = (
    Peer(
        "GaussianMixture",
        lambda seed: GaussianMixture(covariance_type="full", random_state=seed),
        lambda _: {"n_components": [1, 2, 3, 5, 10, 20, 40, 60], "reg_covar": [1e-6, 1e-4, 1e-3]},
    ),
    Peer(
        "KernelDensity",
        lambda _: KernelDensity(),
        lambda spread: {"bandwidth": (spread * np.geomspace(0.02, 2.0, 21)).tolist()},
        # Its cost is the product of the numbers of fitted and of test rows.
        most=_MOST[0],
    ),
)
"""The estimators that `compare_peers` runs."""


def compare_peers(train: Rows, validation: Rows, test: Rows, seed: int) -> list[dict[str, Any]]:
    """One row a peer; one that fails says how in `failed`."""
    return [run_peer(peer, train, validation, test, seed) for peer in PEERS]


def run_peer(peer: Peer, train: Rows, validation: Rows, test: Rows, seed: int) -> dict[str, Any]:
    """Choose the settings of one peer, fit it to training and validation rows, and measure it on the test rows.

    Below 20,000 rows, three-fold cross-validation on training and validation rows chooses; from there on the
    likelihood of the validation rows does, with at most 50,000 rows to learn from and 10,000 to be judged by.

    Returns:
        JSON values: `method`, mean negative log-likelihood `nll` and its standard error, the chosen `settings`, those
        `at_edge` of their grids, where better ones may lie beyond, how they were `chosen`, `rows` of the last fit, and
        `seconds`, with the choice in those of the fit. Or `method` and `failed`.
    """
    since, rng = time.perf_counter(), np.random.default_rng(seed)
    both = np.concatenate([train, validation])
    grid = peer.grid(float(np.sqrt(both.var(axis=0).mean())))
    try:
        with warnings.catch_warnings():
            # Of settings that fit badly, which lose; and of fits that fail, which get no score.
            warnings.simplefilter("ignore")
            settings, how = _choose(peer, grid, train, validation, rng, seed)
            last = both if peer.most is None or len(both) <= peer.most else some_rows(both, peer.most, rng)
            model = peer.create(seed).set_params(**settings).fit(last)
            fitted = time.perf_counter()
            values = -np.asarray(model.score_samples(test), np.float64)
    except Exception as error:  # noqa: BLE001 - whatever another library raises
        return {"method": peer.name, "failed": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    return {
        "method": peer.name,
        "nll": float(values.mean()),
        "nll_error": float(values.std(ddof=1) / np.sqrt(len(values))),
        "settings": settings,
        "at_edge": [key for key, value in settings.items() if value in (grid[key][0], grid[key][-1])],
        "chosen": how,
        "rows": len(last),
        "seconds": {"fit": round(fitted - since, 3), "evaluation": round(time.perf_counter() - fitted, 3)},
    }


def _choose(
    peer: Peer,
    grid: Mapping[str, Sequence[float]],
    train: Rows,
    validation: Rows,
    rng: np.random.Generator,
    seed: int,
) -> tuple[dict[str, Any], str]:
    """The settings of the largest held-out likelihood, and how they were chosen."""
    if len(train) + len(validation) < _CROSS_VALIDATED:
        points = np.concatenate([train, validation])
        split, how = KFold(_FOLDS, shuffle=True, random_state=seed), f"{_FOLDS}-fold cross-validation"
    else:
        learned, judged = (some_rows(part, most, rng) for part, most in zip((train, validation), _MOST, strict=True))
        points = np.concatenate([learned, judged])
        split, how = PredefinedSplit(np.repeat([-1, 0], [len(learned), len(judged)])), "validation rows"
    search = GridSearchCV(
        peer.create(seed),
        {key: list(values) for key, values in grid.items()},
        scoring=_likelihood,
        cv=split,
        refit=False,
    ).fit(points)
    scores = search.cv_results_["mean_test_score"]
    if not np.isfinite(scores).any():
        raise ValueError("no setting gave a finite likelihood")
    best = int(np.argmax(np.where(np.isfinite(scores), scores, -np.inf)))
    return dict(search.cv_results_["params"][best]), how


def some_rows(rows: Rows, most: int, rng: np.random.Generator) -> Rows:
    """At most `most` rows, without repetition and in random order."""
    return rows[rng.permutation(len(rows))[:most]]


def _likelihood(model: Any, points: Rows, _: None = None) -> float:  # noqa: ANN401 - any estimator
    """Mean log density; `KernelDensity.score` is the sum, which depends on the size of the fold."""
    return float(np.mean(model.score_samples(points)))
