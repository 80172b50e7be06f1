"""Conditions on the command line: columns of files as the library takes them, and how commands report them."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from brenier._errors import InputError

if TYPE_CHECKING:
    from brenier.conditions.space import ConditionSpace
    from brenier.data.conditions import Column

__all__ = ["condition_types", "describe_space", "naming_conditions", "space_lines"]

_SHOWN = 8
"""Classes that a line lists."""


@contextmanager
def naming_conditions() -> Iterator[None]:
    """Add to errors about columns of labels how the options of a command take them as conditions."""
    from brenier.data.table import LabelColumnsError

    try:
        yield
    except LabelColumnsError as error:
        options = " ".join(f"--condition {shlex.quote(name)}" for name in error.names) or "--condition"
        raise InputError(f"{error.sentences} Encode them as numbers, or use `brenier fit {options}`.") from error


def condition_types(given: Sequence[str] | None, columns: Sequence["Column"]) -> dict[str, str] | None:
    """Declared kinds by name, as `BrenierMap` takes them, from texts COL=label or COL=number; None for no texts.

    Args:
        given: The texts.
        columns: The conditions of the fit; those that are columns of one array `c` may be declared together, as `c`.

    Raises:
        InputError: A text has another form, or a column is not among the conditions or is declared twice.
    """
    declared: dict[str, str] = {}
    names = [str(column.name) for column in columns]
    for text in given or ():
        name, _, kind = text.rpartition("=")
        if not name or kind not in ("label", "number"):
            raise InputError(f"`--condition-type` must read COL=label or COL=number; got {text!r}.")
        matches = [column for column in names if column == name or column.rpartition("[")[0] == name]
        if not matches:
            raise InputError(
                f"`--condition-type` {text!r} is about no condition of this fit. It has {', '.join(names) or 'none'}; "
                "name columns with `--condition`."
            )
        if declared.keys() & matches:
            raise InputError(f"`--condition-type` declares `{name}` twice. Declare it once.")
        declared |= dict.fromkeys(matches, kind)
    return declared or None


def describe_space(space: "ConditionSpace | None") -> dict[str, Any] | None:
    """The conditions of a map as JSON values: its variables; and its classes, each with the range of every number."""
    if space is None:
        return None
    ranges = zip(space.low.tolist(), space.high.tolist(), strict=True)
    return {
        "variables": [{"name": variable.name, "kind": variable.kind} for variable in space.variables],
        "classes": [
            {"labels": list(labels), "ranges": [list(ends) for ends in zip(low, high, strict=True)]}
            for labels, (low, high) in zip(space.classes, ranges, strict=True)
        ],
    }


def space_lines(record: dict[str, Any] | None) -> list[tuple[str, str]]:
    """What `describe_space` returned, for people: a label and a text each; nothing for None."""
    if record is None:
        return []
    variables, classes = record["variables"], record["classes"]
    names = ["without a name" if entry["name"] is None else entry["name"] for entry in variables]
    kinds = [f"{name} ({entry['kind']})" for name, entry in zip(names, variables, strict=True)]
    numbers = [name for name, entry in zip(names, variables, strict=True) if entry["kind"] == "number"]
    texts = []
    for entry in classes[:_SHOWN]:
        ends = zip(numbers, entry["ranges"], strict=True)
        ranges = ", ".join(f"{name} from {low:.6g} to {high:.6g}" for name, (low, high) in ends)
        labels = ", ".join(entry["labels"])
        texts.append(f"{labels}: {ranges}" if labels and ranges else labels or ranges)
    more = len(classes) - _SHOWN
    listed = "; ".join(texts) + (f"; and {more} more" if more > 0 else "")
    what = "Classes" if len(numbers) < len(variables) else "Ranges"
    return [("Conditions", ", ".join(kinds)), (what, f"{len(classes)}: {listed}" if what == "Classes" else listed)]
