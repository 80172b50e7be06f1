"""How the fit went, from the history that the map keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from brenier.data.table import Matrix
from brenier.maps import TransportMap
from brenier.report.drawing import IMAGE, QUIET, SOURCE, drawing
from brenier.report.page import Figure, Panel, Section
from brenier.report.words import number

__all__ = ["Training", "training", "training_section"]

_ERRORS = 2.0


@dataclass(frozen=True, eq=False)
class Training:
    """History of a fit: one entry for each evaluation on held-out points; NaN where a number was not finite.

    Attributes:
        columns: The fields of `HistoryRow` or `DensityRow` that the map keeps, by name.
        info: The record of the fit in the map.
        density: Whether the fit was one of a density.
        baseline: Name of the map over which gains are measured.
        general: Whether the cost is no squared distance.
    """

    columns: Mapping[str, Matrix]
    info: Mapping[str, Any]
    density: bool
    baseline: str = "Gaussian map"
    general: bool = False

    @property
    def dual_unit(self) -> str:
        """What a dual value estimates, as a phrase."""
        return "least mean cost" if self.general else "W2² / 2"

    @property
    def kept(self) -> int | None:
        """Number of the evaluation whose parameters were kept; None if none was better than the start."""
        best = np.flatnonzero(self.columns["best"])
        return int(best[-1]) if len(best) else None


def training(map_: TransportMap) -> Training | None:
    """The history that a map keeps of its fit; None where it keeps none, as maps of earlier versions."""
    info = map_.info
    history = info.get("history")
    if not history:
        return None
    columns = {
        name: np.array([np.nan if value is None else value for value in values], float)
        for name, values in history.items()
    }
    density = "log_likelihood" in columns
    name = "normal distribution" if density else map_.geometry.baseline_name
    return Training(columns, info, density, name, not map_.geometry.quadratic)


def training_section(history: Training | None, info: Mapping[str, Any]) -> Section:
    """The section of the report on the training."""
    stop = info.get("stop")
    ended = f"The fit took {info['steps']:,} steps. {stop or ''}".rstrip() if "steps" in info else ""
    if history is None:
        missing = (
            "This map keeps no history of its training: it was made in closed form, or saved by a version of brenier "
            "that kept none."
        )
        return Section("training", "Training", [text for text in (missing, ended) if text])
    kept = history.kept
    text = [ended] if ended else []
    text.append(_outcome(history, kept))
    columns = history.columns
    value = (
        ("log_likelihood", "Held-out log density", "nats a row")
        if history.density
        else ("dual", "Held-out dual value", history.dual_unit)
    )
    normal = history.baseline
    panels = [
        _curve(history, *value, IMAGE, kept),
        _gain(history, normal, kept),
    ]
    if "unconverged" in columns:
        panels.append(_curve(history, "unconverged", "Unconverged in training", "share of target points", SOURCE, kept))
    panels.append(_curve(history, "rate", "Learning rate", "rate", SOURCE, kept))
    what = f"dual value, an estimate of {'the ' if history.general else ''}{history.dual_unit}"
    caption = (
        "In order, by training step: the held-out "
        f"{'mean log density' if history.density else what}; its gain over "
        f"the {normal}, with a band of two standard errors to either side; "
    )
    if "unconverged" in columns:
        caption += (
            "the share of target points that were left out of the gradient because their conjugates were too inexact; "
        )
    caption += "and the learning rate. "
    if kept is not None:
        caption += "The dashed line is the last look that was the best so far. "
    caption += (
        "Higher is better in the first two; a curve that falls after the dashed line is overfitting or noise, which "
        "is not kept."
    )
    return Section("training", "Training", text, figures=[Figure(panels, caption, wide=True)])


def _outcome(history: Training, kept: int | None) -> str:
    normal = history.baseline
    if history.info.get("gaussian"):
        return f"No network beat the {normal} by more than chance on held-out rows, so that is the result."
    if kept is None:
        return "No look at the held-out rows was better than the start."
    gain, error = history.columns["gain"][kept], history.columns["error"][kept]
    what = "log density" if history.density else "dual value"
    unit = " nats a row" if history.density else ""
    above = f"{number(gain, 3)} ± {number(error, 2)}{unit}"
    text = f"On rows held out of training, the {what} exceeds that of the {normal} by {above}"
    if history.density:
        return f"{text}."
    dual = history.columns["dual"][kept]
    what = f"W2 as {number(np.sqrt(max(2.0 * dual, 0.0)))}"
    if history.general:
        what = f"the least mean cost as {number(dual)}"
    return f"{text} (one standard error), and estimates {what}; these rows chose among states of the fit."


def _curve(history: Training, name: str, title: str, unit: str, colour: str, kept: int | None) -> Panel:
    values = history.columns[name]
    known = values[np.isfinite(values)]
    alt = (
        f"{title} by training step, from {number(known[0], 3)} to {number(known[-1], 3)}."
        if len(known)
        else f"{title}: none."
    )
    with drawing(f"training-{name.replace('_', '-')}", title, alt, 1.95) as figure:
        figure.axes.plot(history.columns["step"], values, color=colour, linewidth=1.5, **_dots(values))
        if name == "unconverged":
            figure.axes.set_ylim(bottom=0)
        _steps(figure.axes, history, unit, kept)
    return Panel(title, alt, figure.markup)


def _gain(history: Training, normal: str, kept: int | None) -> Panel:
    step, gain, error = (history.columns[name] for name in ("step", "gain", "error"))
    title = f"Gain over the {normal}"
    alt = f"{title} by training step with a band of two standard errors; the last is {number(gain[-1], 3)}."
    with drawing("training-gain", title, alt, 1.95) as figure:
        axes = figure.axes
        axes.fill_between(step, gain - _ERRORS * error, gain + _ERRORS * error, color=IMAGE, alpha=0.25, linewidth=0)
        axes.plot(step, gain, color=IMAGE, linewidth=1.5, **_dots(gain))
        axes.axhline(0.0, color=QUIET, linewidth=0.8)
        _steps(axes, history, "nats a row" if history.density else history.dual_unit, kept)
    return Panel(title, alt, figure.markup)


def _dots(values: Matrix) -> dict[str, Any]:
    """Draw dots, too, where evaluations are few."""
    return {"marker": "o", "markersize": 3.0} if len(values) <= 20 else {}


def _steps(axes: Axes, history: Training, unit: str, kept: int | None) -> None:
    if kept is not None:
        axes.axvline(history.columns["step"][kept], color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_xlabel("training step")
    axes.set_ylabel(unit)
    axes.locator_params(axis="x", nbins=5)
    axes.locator_params(axis="y", nbins=5)
