"""What `print` shows of maps, distances and estimators: a dozen lines, whatever they hold."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["fit_summary", "map_lines", "summary"]

_MOST_LINES = 12

_WIDEST = 100
"""Characters of a text of a map, which may hold any names; sentences of distances are shown whole."""

Lines = Sequence[tuple[str, str]]


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
        ("Versions", ", ".join(f"{name} {info[name]}" for name in ("brenier", "jax") if name in info) or None),
    ]
    return [(label, _short(text)) for label, text in lines if text is not None]


def fit_summary(parameters: str, lines: Lines | None) -> str:
    """An estimator: its parameters, and the map that it has learned, if it has."""
    learned = [("Fitted", "not yet")] if lines is None else lines
    return summary([("Estimator", _short(parameters)), *learned])


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDEST else f"{line[:_WIDEST]} ..."


def _plain(text: str) -> str:
    """Names come from files, and could hold what moves the cursor of a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
