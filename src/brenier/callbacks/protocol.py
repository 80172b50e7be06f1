"""What a callback is, and what it is told."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from brenier._errors import InputError

if TYPE_CHECKING:
    from brenier.checkpoint.keeping import Resumed

__all__ = ["Callback", "Callbacks", "End", "Start", "as_callbacks"]


class Start(NamedTuple):
    """What is known of a fit before its first step.

    Attributes:
        kind: `"map"`, `"conditional map"` or `"density"`.
        dim: Number of columns.
        rows: Rows of the source and of the target; of the sample, for a density. None for samplers.
        columns: Names of the columns, if the data had any.
        settings: All settings of the training, those that were chosen by the rule among them; JSON values.
        resumed: Where an earlier process had left the fit; None for a fit from its start.
    """

    kind: str
    dim: int
    rows: tuple[int | None, ...]
    columns: list[str] | None
    settings: dict[str, Any]
    resumed: "Resumed | None" = None


class End(NamedTuple):
    """How a fit ended.

    Attributes:
        stop: Why, a sentence; of a fit that failed, kind and message of the error.
        steps: Training steps taken; those of a second fit, to all samples, are not counted.
        seconds: Wall-clock since the start of the fit.
        baseline: Whether the result is the Gaussian map (for a density, the normal distribution); None where there is
            no result.
        history: The rows that the estimator keeps as `history_`; of a fit that failed, all rows seen.
        error: What was raised, None where the fit has a result.
    """

    stop: str
    steps: int
    seconds: float
    baseline: bool | None
    history: list[Any]
    error: BaseException | None = None


@runtime_checkable
class Callback(Protocol):
    """Told about a fit as it runs. Subclass it and override what is needed; the methods do nothing otherwise.

    One callback can serve several fits, one after the other. scikit-learn copies the arguments of the estimators that
    its searches fit: there, each fit has its own copy.

    Example:
        >>> import numpy as np
        >>> from brenier import BrenierMap
        >>> from brenier.callbacks import Callback
        >>> class Enough(Callback):
        ...     def __init__(self, gain):
        ...         self.gain = gain
        ...     def on_validation(self, row):
        ...         return row.gain > self.gain
        >>> rng = np.random.default_rng(0)
        >>> X, Y = rng.normal(size=(500, 2)), np.exp(rng.normal(size=(500, 2)))
        >>> BrenierMap(callbacks=Enough(0.01), random_state=0).fit(X, Y).stop_
        'A callback asked for the end.'
    """

    def on_start(self, start: Start) -> None:
        """Called once, when the data have passed their checks and the settings are chosen."""

    def on_validation(self, row: Any) -> bool | None:  # noqa: ANN401 - rows of maps and of densities have fields of their own
        """Called at every validation, that is, each time that the state is evaluated on the held-out points.

        Args:
            row: A `HistoryRow` for maps, a `DensityRow` for densities.

        Returns:
            True to end the fit, which keeps its best state. The other callbacks still see the row.
        """

    def on_end(self, end: End) -> None:
        """Called once if `on_start` returned, however the fit ends; in reverse order where there are several."""


Callbacks: TypeAlias = Callback | Callable[[Any], Any] | Sequence[Callback | Callable[[Any], Any]]
"""One callback or several. A function is called at every validation, as `on_validation` is."""


class _Function(Callback):
    """A function as a callback."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def on_validation(self, row: Any) -> bool | None:  # noqa: ANN401
        return self._function(row)


def as_callbacks(callbacks: Callbacks | None) -> list[Callback]:
    """The argument `callbacks` of an estimator as a list.

    Raises:
        InputError: One of them is neither a callback nor a function.
    """
    several = callbacks if isinstance(callbacks, list | tuple) else [] if callbacks is None else [callbacks]
    return [_as_callback(callback) for callback in several]


def _as_callback(callback: object) -> Callback:
    if isinstance(callback, type):
        raise InputError(f"`callbacks` holds the class {callback.__name__}. Pass an instance: {callback.__name__}().")
    if isinstance(callback, Callback):
        return callback
    if callable(callback):
        return _Function(callback)
    raise InputError(
        f"`callbacks` must hold functions of a row, or objects with `on_start`, `on_validation` and `on_end`; got "
        f"{callback!r}. Subclasses of `brenier.callbacks.Callback` have all three."
    )
