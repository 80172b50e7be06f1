"""Figures as inline SVG that follows the colours of the page, and is the same bytes for the same numbers.

Axes and text have the page's own colours, by variables of its style sheet; data have fixed colours that stand out from
light and dark paper alike, so that dense clouds of points can be pixels. Text stays text.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from brenier.data.table import Matrix

__all__ = ["IMAGE", "INK", "QUIET", "SOURCE", "TARGET", "Drawing", "drawing", "limits", "scatter"]

SOURCE, IMAGE, TARGET = "#3d85d0", "#d9711c", "#7f8690"
"""Colours of data: at least three times as bright or dark as either paper."""

INK, QUIET, _AXIS, _RULE = "#010101", "#020202", "#030303", "#040404"
_VARIABLES = {INK: "var(--ink)", QUIET: "var(--quiet)", _AXIS: "var(--axis)", _RULE: "var(--rule)"}
"""Colours that stand for those of the page."""

_WIDTH = 3.45
"""Inches of a panel; 331 pixels, the width of a small telephone's screen."""

_MOST_MARKS = 400
"""Points of a cloud that are drawn one by one; more become an image of pixels."""

_SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "brenier",
    "text.parse_math": False,
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": _AXIS,
    "axes.facecolor": "none",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": _RULE,
    "grid.linewidth": 0.6,
    "xtick.color": _AXIS,
    "ytick.color": _AXIS,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 0.0,
    "ytick.minor.size": 0.0,
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "none",
}


class Drawing:
    """A figure that is being drawn.

    Attributes:
        axes: Where to draw.
        markup: The `<svg>` element, once the block of `drawing` has ended.
    """

    def __init__(self, figure: Figure, axes: Axes) -> None:
        self._figure, self.axes, self.markup = figure, axes, ""


@contextmanager
def drawing(key: str, title: str, alt: str, height: float = 2.35) -> Iterator[Drawing]:
    """Draw one panel of a report; the block draws on its axes.

    Args:
        key: Name that no other panel of the page has; all identifiers within begin with it.
        title: Title of the element, for screen readers.
        alt: Description of the picture, for screen readers.
        height: Height in inches.
    """
    with warnings.catch_warnings(), mpl.rc_context(_SETTINGS):
        # Browsers have fonts of their own for names in any script.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure = Figure(figsize=(_WIDTH, height))
        FigureCanvasSVG(figure)
        panel = Drawing(figure, figure.add_subplot())
        yield panel
        stream = io.BytesIO()
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", dpi=220, metadata=metadata)
        panel.markup = _inline(stream.getvalue(), key, title, alt)


def scatter(axes: Axes, points: Matrix, colour: str, *, size: float = 5.0, alpha: float = 0.5) -> None:
    """Draw a cloud of points; as pixels if there are many."""
    axes.scatter(
        *points.T[:2], s=size, c=colour, alpha=alpha, linewidths=0, zorder=2, rasterized=len(points) > _MOST_MARKS
    )


def limits(*clouds: Matrix, share: float = 0.002) -> tuple[Matrix, Matrix]:
    """Ends of axes that hold all but a share of each end of each of some finite columns."""
    ends = [np.quantile(cloud, [share, 1.0 - share], axis=0) for cloud in clouds]
    low, high = np.min([end[0] for end in ends], axis=0), np.max([end[1] for end in ends], axis=0)
    wide = np.where(high > low, high - low, np.maximum(np.abs(high), 1.0))
    return low - 0.04 * wide, high + 0.04 * wide


def _inline(svg: bytes, key: str, title: str, alt: str) -> str:
    """An element for the inside of a page: its own identifiers, the page's colours and fonts, and words."""
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        attributes = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        element.attrib.clear()
        for name, value in attributes.items():
            element.set(name, _attribute(name, value, key))
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-labelledby": f"{key}-title",
        "aria-describedby": f"{key}-desc",
    }
    for place, (tag, text) in enumerate((("title", title), ("desc", alt))):
        words = ElementTree.Element(tag, id=f"{key}-{tag}")
        words.text = text
        root.insert(place, words)
    return re.sub(r">\s+<", "><", ElementTree.tostring(root, encoding="unicode"))


def _attribute(name: str, value: str, key: str) -> str:
    if name == "id":
        return f"{key}-{value}"
    if name == "href" and value.startswith("#"):
        return f"#{key}-{value[1:]}"
    if name == "href":
        return "".join(value.split())
    if name == "clip-path":
        return value.replace("url(#", f"url(#{key}-")
    if name == "d":
        return " ".join(value.split())
    if name == "style":
        value = re.sub(r"font-family: [^;]*;? ?", "", value)
        return re.sub(r"#0[1-4]0[1-4]0[1-4]\b", lambda match: _VARIABLES.get(match[0], match[0]), value)
    return value
