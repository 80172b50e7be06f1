"""Photographs before and after a map of colours, inside the page."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image as pillow

from brenier.files.images import Image, to_colours, to_image
from brenier.maps import TransportMap
from brenier.report.page import Figure, Panel, Section
from brenier.report.words import percent

__all__ = ["Pictures", "pictures", "pictures_section"]

_LONGEST = 560
"""Pixels of the longer edge of a picture on the page."""

_QUALITY = 88


@dataclass(frozen=True, eq=False)
class Pictures:
    """Three pictures of 8 bits, scaled down.

    Attributes:
        before: The source.
        after: The source in the colours of the target.
        target: The target.
        sizes: Height and width of source and target before scaling.
        clipped: Share of the values of `after` that lay outside 0 to 255 by more than rounding.
    """

    before: Image
    after: Image
    target: Image
    sizes: tuple[tuple[int, ...], tuple[int, ...]]
    clipped: float


def pictures(map_: TransportMap, source: Image, target: Image) -> Pictures:
    """Scale both pictures down, and move the colours of the first."""
    before, goal = _reduce(source), _reduce(target)
    after, clipped = to_image(np.nan_to_num(map_.forward(to_colours(before))), before.shape)
    return Pictures(before, after, goal, (source.shape[:2], target.shape[:2]), clipped)


def _reduce(image: Image) -> Image:
    small = pillow.fromarray(image)
    small.thumbnail((_LONGEST, _LONGEST), pillow.Resampling.LANCZOS)
    return np.asarray(small)


def pictures_section(result: Pictures, names: tuple[str, str]) -> Section:
    """The section of the report with the photographs."""
    source, target = names
    panels = [
        _panel("Before", f"{source}, as it is.", result.before),
        _panel("After", f"{source} with its colours moved by the map.", result.after),
        _panel("Target", f"{target}, whose colours are the target.", result.target),
    ]
    sizes = [f"{width} × {height}" for height, width in result.sizes]
    caption = (
        f"{source} before and after its colours were moved, and {target}. Only colours move: every pixel stays where "
        f"it is. The pictures of {sizes[0]} and {sizes[1]} pixels are shown with a longer edge of at most {_LONGEST} "
        f"pixels; the map was applied to the smaller picture. {percent(result.clipped)} of the channel values lay "
        "outside 0 to 255 and were clipped."
    )
    return Section("pictures", "Pictures", figures=[Figure(panels, caption)])


def _panel(title: str, alt: str, image: Image) -> Panel:
    stream = io.BytesIO()
    pillow.fromarray(image).save(stream, format="JPEG", quality=_QUALITY)
    return Panel(title, alt, picture=f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}")
