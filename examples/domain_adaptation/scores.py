"""What an adaptation is worth: a classifier trained on moved events, or events moved to the classifier."""

from collections.abc import Callable, Iterable, Iterator
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from domain_adaptation.events import Labels, Task
from domain_adaptation.methods import Method, move

__all__ = ["CEILING", "CLASSIFIERS", "NOTHING", "measure", "summary", "worth"]

Array = NDArray[np.float64]
Record = dict[str, Any]

NOTHING, CEILING = "no adaptation", "trained on target labels"
"""First and last row of the table."""

# Trees grown in sequence are the most accurate of the usual classifiers on such tables, and suffer most: their
# thresholds are places that a shift moves. The logistic one is the contrast: simple, and robust.
CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "boosting": lambda: HistGradientBoostingClassifier(random_state=0),
    "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
}


def worth(classifier: Any, points: Array, labels: Labels) -> dict[str, float]:  # noqa: ANN401
    """Accuracy, balanced accuracy and area under the ROC curve of a classifier that has been trained."""
    found = classifier.predict(points)
    return {
        "accuracy": float(accuracy_score(labels, found)),
        "balanced": float(balanced_accuracy_score(labels, found)),
        "auc": float(roc_auc_score(labels, classifier.predict_proba(points)[:, 1])),
    }


def measure(
    task: Task, methods: Iterable[tuple[Method, Task]], *, classifier: str, max_steps: int, seed: int
) -> Iterator[tuple[Record, Array | None]]:
    """A record for each row of the table, and where the method moved the source to.

    Args:
        task: What all are judged on.
        methods: And what each of them learns from.
        classifier: One of `CLASSIFIERS`.
        max_steps: Budget of brenier.
        seed: Of brenier.
    """
    make = CLASSIFIERS[classifier]
    old = make().fit(task.x, task.x_labels)
    start = worth(old, task.test, task.test_labels)
    yield {"method": NOTHING, "seed": seed, "retrained": start, "back": start, "seconds": 0.0}, None
    for method, own in methods:
        tries, clouds = [], []
        for settings in method.grid:
            record: Record = {"settings": dict(settings), "seconds": None, "retrained": None, "back": None}
            try:
                moved = move(method, own, settings, max_steps=max_steps, seed=seed)
            except Exception as error:  # noqa: BLE001 - whatever went wrong is what its row of the table says
                record["failed"] = f"{type(error).__name__}: {' '.join(str(error).split())}"
                clouds.append(None)
            else:
                record |= {"seconds": moved.seconds, "warnings": moved.said}
                record["retrained"] = worth(make().fit(moved.forward, own.x_labels), task.test, task.test_labels)
                if moved.back is not None:
                    # The classifier of the source as it is, not as it was resampled: moving back needs no training.
                    record["back"] = worth(old, moved.back, task.test_labels)
                clouds.append(moved.forward)
            tries.append(record)
        points = min(method.points or len(own.x), len(own.x))
        yield {"method": method.name, "seed": seed, "points": points} | _best(tries), clouds[_first(tries, "retrained")]
    new = make().fit(task.y, task.y_labels)
    ceiling = worth(new, task.test, task.test_labels)
    yield {"method": CEILING, "seed": seed, "retrained": ceiling, "back": None, "seconds": 0.0}, None


def _best(tries: list[Record]) -> Record:
    """Each way's best settings on the events to judge by: in favour of methods that have settings to try."""
    best = {way: tries[_first(tries, way)] for way in ("retrained", "back")}
    times = [record["seconds"] for record in tries if record["seconds"] is not None]
    return {
        "retrained": best["retrained"]["retrained"],
        "back": best["back"]["back"],
        "settings": {way: record["settings"] for way, record in best.items()},
        "seconds": median(times) if times else None,
        "failed": None if times else tries[0]["failed"],
        "tries": tries,
    }


def _first(tries: list[Record], way: str) -> int:
    return max(
        range(len(tries)), key=lambda place: -1.0 if tries[place][way] is None else tries[place][way]["accuracy"]
    )


def summary(records: list[Record]) -> list[Record]:
    """Medians over seeds and single values, a row for each method in the order of the records.

    `restored` is how much of what the shift cost in accuracy the retrained classifier gets back, in percent.
    """
    rows = []
    by_method = {
        name: [r for r in records if r["method"] == name] for name in dict.fromkeys(r["method"] for r in records)
    }
    for name, own in by_method.items():
        row: Record = {"method": name, "points": max(record.get("points", 0) for record in own)}
        for way in ("retrained", "back"):
            for score in ("accuracy", "balanced", "auc"):
                values = [record[way][score] for record in own if record[way] is not None]
                row[f"{way}_{score}"] = {"median": median(values), "each": values} if values else None
        seconds = [record["seconds"] for record in own if record["seconds"] is not None]
        row["seconds"] = median(seconds) if seconds else None
        row["failed"] = next((record["failed"] for record in own if record.get("failed")), None)
        rows.append(row)
    low, high = (by_method[name] for name in (NOTHING, CEILING))
    for row in rows:
        shares = [
            100
            * (record["retrained"]["accuracy"] - a["retrained"]["accuracy"])
            / (b["retrained"]["accuracy"] - a["retrained"]["accuracy"])
            for record, a, b in zip(by_method[row["method"]], low, high, strict=True)
            if record["retrained"] is not None and b["retrained"]["accuracy"] != a["retrained"]["accuracy"]
        ]
        row["restored"] = median(shares) if shares else None
    return rows
