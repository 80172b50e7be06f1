"""Events in three parts that share none: simulated with labels, seen by the detector without, and seen to judge by."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brenier import InputError
from domain_adaptation.shifts import FEATURES

__all__ = ["Task", "matched", "read", "split"]

Array = NDArray[np.float64]
Labels = NDArray[np.int_]

_PARTS = (0.42, 0.42, 0.16)
"""Shares of the events: source, target, and target to judge by."""


class Task(NamedTuple):
    """Features in standard deviations of the source, and labels: 1 for gammas, 0 for hadrons.

    Attributes:
        x: `(n, 10)` source.
        x_labels: `(n,)`.
        y: `(m, 10)` target.
        y_labels: `(m,)`; the ceiling is trained on them, and nothing else may see them.
        test: `(k, 10)` target, to judge by.
        test_labels: `(k,)`.
    """

    x: Array
    x_labels: Labels
    y: Array
    y_labels: Labels
    test: Array
    test_labels: Labels


def read(path: Path) -> tuple[Array, Labels]:
    """Features and labels of the file `magic04.data` of the UCI repository (Bock et al. 2004).

    Raises:
        InputError: It cannot be read, or has something else in it.
    """
    try:
        lines = path.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--data ({path}) cannot be read: {error}") from None
    rows = [line.split(",") for line in lines]
    try:
        if any(len(row) != len(FEATURES) + 1 or row[-1] not in ("g", "h") for row in rows):
            raise ValueError
        values = np.array([row[:-1] for row in rows], np.float64)
        if not np.isfinite(values).all():
            raise ValueError
    except ValueError:
        wanted = f"rows of {len(FEATURES)} finite numbers and a class, g or h"
        raise InputError(f"--data ({path}) must have {wanted}, with commas between them.") from None
    labels = np.array([row[-1] == "g" for row in rows], int)
    fewest = np.bincount(labels, minlength=2).min()
    if fewest < 100:
        raise InputError(f"--data ({path}) has only {fewest} events of one class; at least 100 are needed.")
    return values, labels


def split(
    values: Array,
    labels: Labels,
    shift: Callable[[Array], Array],
    *,
    seed: int,
    events: int | None = None,
    shares: float | None = None,
) -> Task:
    """Cut events into three parts with the same share of gammas, and let the shift act on the target.

    Args:
        values: `(n, 10)` features.
        labels: `(n,)`.
        shift: From features in standard deviations of the source to those that the detector would give.
        seed: Of the cut.
        events: Take at most so many of all.
        shares: Share of gammas in the target; as in the source by default. Only one class loses events by it.
    """
    rng = np.random.default_rng(seed)
    parts: list[list[NDArray[np.int_]]] = [[], [], []]
    for label in (0, 1):
        rows = rng.permutation(np.flatnonzero(labels == label))
        rows = rows if events is None else rows[: round(events * len(rows) / len(labels))]
        cuts = np.rint(np.cumsum(_PARTS)[:-1] * len(rows)).astype(int)
        for part, own in zip(parts, np.split(rows, cuts), strict=True):
            part.append(own)
    source, *targets = [
        rng.permutation(np.concatenate(part if place == 0 or shares is None else _with_share(part, shares)))
        for place, part in enumerate(parts)
    ]
    mean, scale = values[source].mean(axis=0), values[source].std(axis=0)
    target, test = (shift((values[rows] - mean) / scale) for rows in targets)
    return Task((values[source] - mean) / scale, labels[source], target, labels[targets[0]], test, labels[targets[1]])


def matched(task: Task, share: float) -> Task:
    """The same with a source that has this share of gammas: events of the other class are left out."""
    part = [np.flatnonzero(task.x_labels == label) for label in (0, 1)]
    rows = np.sort(np.concatenate(_with_share(part, share)))
    return task._replace(x=task.x[rows], x_labels=task.x_labels[rows])


def _with_share(part: list[NDArray[np.int_]], share: float) -> list[NDArray[np.int_]]:
    """As many hadrons and gammas as there can be, with this share of gammas."""
    total = min(len(part[0]) / (1 - share), len(part[1]) / share)
    return [part[0][: round((1 - share) * total)], part[1][: round(share * total)]]
