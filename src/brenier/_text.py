"""Numbers and consoles for people to read; nothing heavy is imported."""

import math
from typing import Any

from rich.console import Console

__all__ = ["console", "duration", "number", "share"]

_PLAIN: dict[str, Any] = {"markup": False, "highlight": False, "emoji": False, "soft_wrap": True}


def console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is."""
    return Console(stderr=stderr, **_PLAIN)


def number(value: float | None, digits: int = 4) -> str:
    """A number for people to read, to some significant digits."""
    if value is None or not math.isfinite(value):
        return "unknown"
    # The alternate form keeps trailing zeros, and a point even where nothing follows it.
    return f"{value:#.{digits}g}".rstrip(".") if abs(value) < 10**digits else f"{value:,.0f}"


def share(value: float) -> str:
    """A share in percent; only an exact zero reads as 0 %."""
    return f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"


def duration(seconds: float) -> str:
    """A time in the largest unit that leaves two digits."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"
