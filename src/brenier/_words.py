"""Numbers, summaries and consoles for people to read; nothing heavy is imported."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "duration", "fit_summary", "map_lines", "number", "share", "summary"]

_PLAIN: dict[str, Any] = {"markup": False, "highlight": False, "emoji": False, "soft_wrap": True}

_MOST_LINES = 12

_WIDEST = 100
"""Characters of a text of a map, which may hold any names; sentences of distances are shown whole."""

Lines = Sequence[tuple[str, str]]


def console(*, stderr: bool = False) -> "Console":
    """A console that prints text unchanged: no markup, no highlighting."""
    from rich.console import Console

    return Console(stderr=stderr, **_PLAIN)


def number(value: float | None, digits: int = 4) -> str:
    """A number to so many significant digits; `unknown` where it is None or not finite."""
    if value is None or not math.isfinite(value):
        return "unknown"
    # The alternate form keeps trailing zeros, and a point even where nothing follows it.
    return f"{value:#.{digits}g}".rstrip(".") if abs(value) < 10**digits else f"{value:,.0f}"


def share(value: float) -> str:
    """A share in percent; only an exact zero reads as 0 %."""
    return f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"


def duration(seconds: float) -> str:
    """Seconds as a time in the largest unit that leaves two digits."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"


def summary(lines: Lines) -> str:
    """Labels and texts as aligned lines, the first dozen of them; every text is one line of characters that print."""
    shown = list(lines)
    if len(shown) > _MOST_LINES:
        rest = len(shown) - _MOST_LINES + 1
        shown = [*shown[: _MOST_LINES - 1], ("...", f"and {rest} more lines")]
    width = max(18, *(len(_plain(label)) + 2 for label, _ in shown))
    return "\n".join(f"{_plain(label):<{width}}{_plain(text)}".rstrip() for label, text in shown)


def map_lines(
    kind: str,
    dim: int,
    columns: Sequence[str] | None,
    *,
    cost: str | None,
    potential: str,
    hyperparameters: Mapping[str, Any],
    conditions: str | None,
    info: Mapping[str, Any],
) -> list[tuple[str, str]]:
    """What a map is and how it was made, without the rows that it remembers of its fit.

    Args:
        kind: Name of its class.
        dim: Number of columns.
        columns: Their names, if known.
        cost: The cost; None where there is only one.
        potential: Name of the potential's class.
        hyperparameters: What the potential was made with.
        conditions: The conditions, in words; None where there are none.
        info: How the map was made; entries may be missing, or be anything.
    """
    details = "".join(
        f", {name} {value}" for name, value in hyperparameters.items() if name in ("hidden", "activation")
    )
    lines = [
        (kind, f"{dim} columns" + ("" if columns is None else f": {', '.join(columns)}")),
        ("Cost", cost),
        ("Conditions", conditions),
        ("Potential", f"{potential}{details}"),
        ("Fit", f"{info['steps']} steps. {info.get('stop', '')}" if "steps" in info else None),
        ("Base", "independent normal columns" if info.get("base") else None),
        ("Constant", f"columns {info['carried']}, which are carried" if info.get("carried") else None),
        ("Versions", ", ".join(f"{name} {info[name]}" for name in ("brenier", "jax") if name in info) or None),
    ]
    return [(label, _short(text)) for label, text in lines if text is not None]


def fit_summary(parameters: str, lines: Lines | None) -> str:
    """Summary of an estimator: its parameters, and its map once it is fitted."""
    learned = [("Fitted", "not yet")] if lines is None else lines
    return summary([("Estimator", _short(parameters)), *learned])


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDEST else f"{line[:_WIDEST]} ..."


def _plain(text: str) -> str:
    """Names come from files, and could hold what moves the cursor of a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
