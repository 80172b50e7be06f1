"""The picture: some features before and after, and what the classifier gets right."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from brenier.files import atomic_write
from domain_adaptation.scores import CEILING, NOTHING
from domain_adaptation.shifts import FEATURES

__all__ = ["write_figure"]

_SHOWN = ("width", "size", "m3long", "alpha")
_SOURCE, _TARGET, _MOVED, _OTHERS = "#b9bec7", "#1f2937", "#d1495b", "#7a8ca5"


def write_figure(path: Path, table: list[dict[str, Any]], clouds: dict[str, NDArray[np.float64]], shift: str) -> None:
    """Draw densities of four features, and the accuracy of each method; PNG.

    Args:
        path: Where to write.
        table: Rows as `scores.summary` gives them.
        clouds: Events of the first seed, each `(n, 10)`: `source`, `target`, and `moved` where brenier ran.
        shift: Name of the shift.
    """
    figure = Figure(figsize=(14, 6.6), facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.03, 0.93, "A classifier taken to a detector that answers differently", size=21, weight="bold")
    text = "Labels come from the source only. The map is learned from unlabelled events of both sides."
    figure.text(0.03, 0.88, f"Shift: {shift}. {text}", size=13.5)
    grid = figure.add_gridspec(2, 2, left=0.03, right=0.46, top=0.76, bottom=0.12, hspace=0.42, wspace=0.1)
    for place, name in enumerate(_SHOWN):
        axes = figure.add_subplot(grid[place // 2, place % 2])
        _densities(axes, {role: cloud[:, FEATURES.index(name)] for role, cloud in clouds.items()})
        axes.set_title(name, size=13, loc="left")
        if place >= 2:
            axes.set_xlabel("standard deviations of the source", size=11)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper left", bbox_to_anchor=(0.022, 0.865), ncols=3, frameon=False, fontsize=12.5
    )
    _scores(figure.add_axes((0.68, 0.12, 0.25, 0.64)), table)
    with atomic_write(path) as handle:
        figure.savefig(handle, format="png", dpi=110)


def _densities(axes: Axes, values: dict[str, NDArray[np.float64]]) -> None:
    both = np.concatenate([values["source"], values["target"]])
    low, high = np.quantile(both, [0.004, 0.99])
    edges = np.linspace(low, high, 56)
    axes.hist(values["source"], edges, density=True, color=_SOURCE, label="source")
    axes.hist(values["target"], edges, density=True, histtype="step", lw=2.2, color=_TARGET, label="target")
    if "moved" in values:
        label = "source, moved by brenier"
        axes.hist(values["moved"], edges, density=True, histtype="step", lw=1.6, color=_MOVED, label=label)
    axes.set(yticks=[], xlim=(edges[0], edges[-1]))
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.tick_params(labelsize=11)


def _scores(axes: Axes, table: list[dict[str, Any]]) -> None:
    """Accuracies of the classifier retrained, and of events moved back, in order of the former."""
    rows = [row for row in table if row["retrained_accuracy"] is not None]
    rows.sort(key=lambda row: (row["method"] == CEILING, row["method"] != NOTHING, row["retrained_accuracy"]["median"]))
    ends = [100 * rows[place]["retrained_accuracy"]["median"] for place in (0, -1)]
    for place, row in enumerate(rows):
        ours = row["method"].startswith("brenier")
        colour = {NOTHING: _TARGET, CEILING: _TARGET}.get(row["method"], _MOVED if ours else _OTHERS)
        score, back = row["retrained_accuracy"], row["back_accuracy"]
        median = 100 * score["median"]
        axes.plot([ends[0], median], [place, place], color=colour, lw=2.5, alpha=0.35, zorder=1)
        if back is not None and row["method"] != NOTHING:
            style = {"color": "white", "mec": colour, "mew": 2, "zorder": 4}
            axes.plot(100 * back["median"], place, "D", ms=7.5, **style)
        axes.plot(median, place, "o", ms=11, color=colour, zorder=3)
        weight = "bold" if ours else "normal"
        axes.text(
            1.03, place, f"{median:.1f}", size=13, va="center", weight=weight, transform=axes.get_yaxis_transform()
        )
    for end in ends:
        axes.axvline(end, color=_TARGET, lw=1, ls=(0, (4, 3)), zorder=0)
    axes.set_yticks(range(len(rows)), [row["method"] for row in rows], size=13)
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row["method"].startswith("brenier") else "normal")
    room = 0.06 * max(ends[1] - ends[0], 1.0)
    axes.set(xlim=(ends[0] - room, max(axes.dataLim.x1, ends[1]) + room), ylim=(-0.6, len(rows) - 0.4))
    axes.set_title("Held-out target events classified correctly, %", size=13, loc="left", x=-0.55, pad=34)
    how = [
        Line2D([], [], marker="o", ls="", ms=10, color=_OTHERS, label="retrained on moved source"),
        Line2D([], [], marker="D", ls="", ms=7.5, color="white", mec=_OTHERS, mew=2, label="target moved back"),
    ]
    place = {"loc": "lower left", "bbox_to_anchor": (-0.62, 0.99), "ncols": 2, "handletextpad": 0.2}
    axes.legend(handles=how, frameon=False, fontsize=12.5, **place)
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=11)
