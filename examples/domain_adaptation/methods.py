"""What moves events of the source to the target, or back: brenier, POT's classes, CORAL, and nothing at all."""

import inspect
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import ot
from numpy.typing import NDArray

from brenier import BrenierMap
from domain_adaptation.events import Labels, Task

__all__ = ["METHODS", "Coral", "Method", "Moved", "move"]

Array = NDArray[np.float64]


class Transport(Protocol):
    """The interface of POT's classes for domain adaptation."""

    def fit(self, Xs: Array, ys: Labels, Xt: Array) -> object: ...
    def transform(self, Xs: Array) -> Array: ...
    def inverse_transform(self, Xt: Array) -> Array: ...


class Method(NamedTuple):
    """A row of the table.

    Attributes:
        name: Of the row.
        make: The transport, given its settings besides `max_steps` and `seed`.
        grid: Settings to try.
        points: Of each side, at most; all of them by default.
        inverts: Whether it has a way back.
    """

    name: str
    make: Callable[..., Any]
    grid: tuple[Mapping[str, Any], ...] = ({},)
    points: int | None = None
    inverts: bool = True


class Moved(NamedTuple):
    """Source events at the target, and target events at the source.

    Attributes:
        forward: `(n, 10)` all of the source.
        back: `(k, 10)` those to judge by, where the method has an inverse.
        seconds: Of processor time, for the fit and both; on a busy machine others' work counts on every other clock.
        said: Warnings, each once.
    """

    forward: Array
    back: Array | None
    seconds: float
    said: list[str]


class _Brenier:
    """`BrenierMap` behind that interface. It looks at no labels."""

    def __init__(self, max_steps: int, seed: int) -> None:
        self._map = BrenierMap(scale="none", max_steps=max_steps, random_state=seed)

    def fit(self, Xs: Array, ys: Labels, Xt: Array) -> Self:
        self._map.fit(Xs, Xt)
        return self

    def transform(self, Xs: Array) -> Array:
        return self._map.transform(Xs)

    def inverse_transform(self, Xt: Array) -> Array:
        return np.asarray(self._map.inverse_transform(Xt))


class Coral:
    """Correlation alignment (Sun, Feng, Saenko 2016), of means as well: whiten one side, colour as the other."""

    def fit(self, Xs: Array, ys: Labels, Xt: Array) -> Self:
        """Learn means and roots of covariances."""
        self._means = Xs.mean(axis=0), Xt.mean(axis=0)
        self._roots = _root(np.cov(Xs.T)), _root(np.cov(Xt.T))
        return self

    def transform(self, Xs: Array) -> Array:
        """Source points at the target."""
        return (Xs - self._means[0]) @ np.linalg.solve(*self._roots) + self._means[1]

    def inverse_transform(self, Xt: Array) -> Array:
        """Target points at the source."""
        return (Xt - self._means[1]) @ np.linalg.solve(*self._roots[::-1]) + self._means[0]


def _root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values)) @ vectors.T


def _pot(kind: str, **fixed: Any) -> Callable[..., Any]:  # noqa: ANN401 - arguments of POT's classes
    """One of POT's classes; `max_steps` and `seed` are not for it."""

    def make(max_steps: int, seed: int, **settings: Any) -> Transport:  # noqa: ANN401
        return getattr(ot.da, kind)(**fixed, **settings)

    return make


_CLASSES = tuple({"reg_e": 0.3, "reg_cl": classes} for classes in (0.1, 1.0))

METHODS = (
    Method("brenier", _Brenier),
    Method("CORAL", lambda max_steps, seed: Coral()),
    Method("POT LinearTransport", _pot("LinearTransport")),
    Method("POT EMDTransport", _pot("EMDTransport", max_iter=10_000_000), points=4000),
    # Its defaults, the logarithmic solver and the entropic map, take many times as long, so for fewer points, and lose
    # more. Entropies below 0.3 underflow.
    Method(
        "POT SinkhornTransport",
        _pot("SinkhornTransport", method="sinkhorn", out_of_sample_map="ferradans"),
        tuple({"reg_e": entropy} for entropy in (0.3, 1.0)),
        3000,
    ),
    Method("POT SinkhornLpl1Transport", _pot("SinkhornLpl1Transport"), _CLASSES, 2000),
    Method("POT SinkhornL1l2Transport", _pot("SinkhornL1l2Transport"), _CLASSES, 2000),
    Method(
        "POT MappingTransport",
        _pot("MappingTransport", kernel="gaussian", bias=True, max_iter=20),
        tuple({"sigma": 3.0, "eta": smooth} for smooth in (1e-4, 1e-2)),
        500,
        inverts=False,
    ),
)
"""In the order of the table."""


def move(method: Method, task: Task, settings: Mapping[str, Any], *, max_steps: int, seed: int) -> Moved:
    """Learn from the source and the unlabelled target, then move events that may be other ones than those.

    Raises:
        ArithmeticError: Points came out that are not finite.
    """
    transport = method.make(max_steps=max_steps, seed=seed, **settings)
    x, labels, y = task.x[: method.points], task.x_labels[: method.points], task.y[: method.points]
    since = time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        transport.fit(Xs=x, ys=labels, Xt=y)
        forward = transport.transform(Xs=task.x, **_one_batch(transport.transform))
        back = None
        if method.inverts:
            back = transport.inverse_transform(Xt=task.test, **_one_batch(transport.inverse_transform))
    seconds = time.process_time() - since
    for points in (forward, back):
        if points is not None and not np.isfinite(points).all():
            raise ArithmeticError(f"{np.sum(~np.isfinite(points).all(axis=1))} of {len(points)} points are not finite")
    return Moved(forward, back, seconds, sorted({" ".join(str(warning.message).split()) for warning in caught}))


def _one_batch(function: Callable[..., Array]) -> dict[str, int]:
    """POT's batches of 128 points would each recompute the images of all points of the fit."""
    return {"batch_size": 10_000} if "batch_size" in inspect.signature(function).parameters else {}
