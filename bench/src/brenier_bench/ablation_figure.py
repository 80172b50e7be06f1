"""The picture of the ablation: errors and gaps of every cell, and the three statements about truncated conjugates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from brenier.files.atomic import atomic_write

__all__ = ["write_ablation"]

_DPI = 150
_INK, _QUIET, _LIGHT = "#1c1c1c", "#6e6e6e", "#e4e4e4"
_FORWARD, _INVERSE, _GAP = "#1f5fa8", "#d1660a", "#3d7d3f"
_LINES = ("#1f5fa8", "#d1660a", "#3d7d3f", "#8a4a9e")

_LINE, _STATEMENT = 0.27, 4.2
"""Inches: height of a cell's line, and of a panel of the bottom row."""

_KEY = (
    "One setting changed at a time, as many steps for all. Blue, full: forward error; orange, hollow: inverse error; "
)
_KEY += "green: certified gap; dotted: the default."

_LEAST_SHARE = 1e-6
"""Gaps, in percent, that are drawn no smaller."""


def write_ablation(path: Path, record: Mapping[str, Any]) -> None:
    """Draw what `brenier bench ablation` found.

    Args:
        path: Where to write, as PNG.
        record: `rows`, as from `ablate`, and `statements`, as from `measure`.

    Raises:
        InputError: The file cannot be written.
    """
    rows, statements = record["rows"], record["statements"]
    dims = list(dict.fromkeys(row["dim"] for row in rows))
    names = list(dict.fromkeys(row["cell"] for row in sorted(rows, key=lambda row: row["place"])))
    tall = _LINE * len(names) + 0.6
    height = 1.4 + 2 * (tall + 0.9) + _STATEMENT + 0.9
    figure = Figure(figsize=(15.0, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    box = {"left": 0.095, "right": 0.985, "wspace": 0.06}
    edges = 1.0 - np.cumsum([1.2, tall, 0.9, tall, 1.35, _STATEMENT]) / height
    grids = [
        GridSpec(1, columns, figure=figure, top=edges[i], bottom=edges[i + 1], **(box | {"wspace": space}))
        for i, columns, space in ((0, len(dims), 0.06), (2, len(dims), 0.06), (4, 3, 0.24))
    ]
    figure.text(0.012, 1 - 0.42 / height, "What each part of the training is worth", size=19, weight="bold", color=_INK)
    figure.text(0.012, 1 - 0.72 / height, _KEY, size=12, color=_QUIET)
    for column, dim in enumerate(dims):
        chosen = {row["cell"]: row for row in rows if row["dim"] == dim}
        steps = next(iter(chosen.values()))["steps"]
        errors, gaps = (figure.add_subplot(grids[row][column]) for row in (0, 1))
        errors.set_title(f"{dim} dimensions, {steps} steps", size=12, loc="left", color=_INK)
        _draw_errors(errors, names, chosen, labelled=column == 0)
        _draw_gaps(gaps, names, chosen, labelled=column == 0)
    _draw_contraction(figure.add_subplot(grids[2][0]), statements["gap"])
    _draw_bias(figure.add_subplot(grids[2][1]), statements["envelope"])
    _draw_neighbourhood(figure.add_subplot(grids[2][2]), statements["sgd"])
    with atomic_write(path) as handle:
        figure.savefig(handle, format="png", dpi=_DPI)


def _draw_errors(axes: Axes, names: Sequence[str], rows: Mapping[str, Any], *, labelled: bool) -> None:
    _lines(axes, names, rows, labelled=labelled)
    sides = (("forward", _FORWARD, _FORWARD), ("inverse", _INVERSE, "white"))
    for side, edge, face in sides:
        points = [(rows[n].get(f"l2_uvp_{side}"), i) for i, n in enumerate(names) if n in rows]
        points = [(value, place) for value, place in points if value is not None and np.isfinite(value)]
        if points:
            axes.scatter(
                *zip(*points, strict=True), s=42, c=face, edgecolors=edge, linewidths=1.6, zorder=3, label=side
            )
            axes.axvline(points[0][0], color=edge, linewidth=0.8, linestyle=":", zorder=1)
    _decades(axes)
    axes.set_xlabel("error, L2-UVP %")


def _draw_gaps(axes: Axes, names: Sequence[str], rows: Mapping[str, Any], *, labelled: bool) -> None:
    _lines(axes, names, rows, labelled=labelled)
    points = [(rows[n].get("gap_relative"), i) for i, n in enumerate(names) if n in rows]
    points = [(max(100 * v, _LEAST_SHARE), place) for v, place in points if v is not None and np.isfinite(v)]
    if points:
        axes.scatter(*zip(*points, strict=True), s=42, c=_GAP, marker="D", zorder=3)
        axes.axvline(points[0][0], color=_GAP, linewidth=0.8, linestyle=":", zorder=1)
    _decades(axes)
    axes.set_xlabel("certified gap of a training step's conjugates, % of $W_2^2/2$")


def _decades(axes: Axes) -> None:
    """A logarithmic axis over at least a decade, with plain numbers."""
    axes.set_xscale("log")
    low, high = np.log10(axes.get_xlim())
    wider = max(1.0 - (high - low), 0.0) / 2
    axes.set_xlim(10 ** (low - wider), 10 ** (high + wider))
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high - low < 2.5 else (1.0,), numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _lines(axes: Axes, names: Sequence[str], rows: Mapping[str, Any], *, labelled: bool) -> None:
    """One line a cell, from above; cells without numbers say why."""
    axes.set_yticks(range(len(names)), names if labelled else [""] * len(names))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", color=_LIGHT, linewidth=0.8)
    axes.grid(axis="x", which="major", color=_LIGHT, linewidth=0.8)
    axes.tick_params(length=0, colors=_INK)
    _frame(axes)
    for place, name in enumerate(names):
        missing = None if name in rows else "the default here"
        if name in rows and "failed" in rows[name]:
            missing = "failed"
        if missing is not None:
            axes.annotate(missing, (0.02, place), xycoords=("axes fraction", "data"), size=9, color=_QUIET, va="center")


def _draw_contraction(axes: Axes, curves: Sequence[Mapping[str, Any]]) -> None:
    for curve, colour in zip(curves, _LINES, strict=False):
        steps = np.arange(len(curve["gap"]))
        label = (
            f"{curve['potential']}, step {curve['relaxation']:.2f}: "
            f"q = {curve['factor_measured']:.3f} ≤ {curve['factor_bound']:.3f}"
        )
        axes.plot(steps, np.maximum(curve["gap"], 1e-16), color=colour, linewidth=1.8, label=label)
        axes.plot(steps, curve["bound"], color=colour, linewidth=1.0, linestyle="--")
    axes.set_yscale("log")
    axes.set_ylim(1e-13, 1e3)
    _title(axes, "Duality gap after k Picard steps", "k; full: measured, dashed: $q^{2k} r_0^2 / (2m)$", "gap")


def _draw_bias(axes: Axes, data: Mapping[str, Any]) -> None:
    axes.plot(data["residual"], data["bound"], "--", color=_FORWARD, linewidth=1.0, label=r"bound $L_\theta r / m$")
    axes.plot(data["residual"], data["bias"], "o-", color=_FORWARD, markersize=4, label="envelope gradient")
    axes.plot(
        data["residual"],
        data["unrolled_bias"],
        "s-",
        color=_INVERSE,
        markersize=3.5,
        label="gradient through the steps",
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * 30)
    _title(
        axes, "Bias of the gradient", "mean residual r, after 0, 2, ... Picard steps", "distance to the exact gradient"
    )


def _draw_neighbourhood(axes: Axes, data: Mapping[str, Any]) -> None:
    for (name, line), colour, marker in zip(data["distance"].items(), _LINES, "os^", strict=False):
        slope = f"{name}: " + (f"slope {data['slope'][name]:.2f}" if data["slope"][name] > 0.5 else "their noise stays")
        size, face = (8, "white") if marker == "o" else (4, colour)
        axes.plot(data["epsilon"], line, marker + "-", color=colour, markersize=size, markerfacecolor=face, label=slope)
    axes.plot(
        data["epsilon"], data["bound"], "--", color=_INK, linewidth=1.0, label=r"bound $B(\epsilon) / \mu$, no noise"
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * 30)
    _title(axes, "Where SGD ends with residuals ε", "residual ε of every solve", "distance to the optimum")


def _title(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set_title(title, size=12, loc="left", color=_INK)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(color=_LIGHT, linewidth=0.8)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9, loc="upper left")
    _frame(axes)


def _frame(axes: Axes) -> None:
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#b5b5b5")
