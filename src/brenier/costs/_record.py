"""Costs as entries of map files."""

from collections.abc import Mapping
from typing import Any

from brenier._errors import InputError
from brenier.costs._base import AbstractCost
from brenier.costs._registry import COSTS

__all__ = ["from_record", "to_record"]


def to_record(cost: AbstractCost) -> dict[str, Any]:
    """What a file keeps of a cost: JSON values, `{"name": ..., "arguments": {...}}`.

    Args:
        cost: Any cost of a class in `COSTS`.

    Raises:
        InputError: Its class is not in `COSTS`, so that no file with it could be read.

    Example:
        >>> from brenier.costs import PNorm, to_record
        >>> to_record(PNorm(1.5))
        {'name': 'pnorm', 'arguments': {'p': 1.5}}
    """
    arguments = dict(cost.arguments())
    if COSTS.get(cost.name) is not type(cost):
        kind = type(cost).__name__
        raise InputError(
            f"`cost` ({cost}) cannot be saved: `brenier.costs.COSTS` does not have `{kind}` as {cost.name!r}. Add it, "
            f"`COSTS[{cost.name!r}] = {kind}`, here and before `load`."
        )
    return {"name": cost.name, "arguments": arguments}


def from_record(record: Mapping[str, Any]) -> AbstractCost:
    """Make the cost that an entry of a map file describes.

    Args:
        record: An entry that `to_record` made.

    Raises:
        InputError: It is not such an entry, its name is not in `COSTS`, or the class refuses the arguments.

    Example:
        >>> from brenier.costs import from_record
        >>> print(from_record({"name": "pnorm", "arguments": {"p": 1.5}}))
        PNorm(p=1.5)
    """
    if not isinstance(record, Mapping) or not {"name", "arguments"} <= record.keys():
        raise InputError(f"`record` of a cost must have a `name` and `arguments`; got {record!r}.")
    name, arguments = record["name"], record["arguments"]
    if not isinstance(name, str) or name not in COSTS:
        raise InputError(
            f"`record` has the cost {name!r}, which is not in `brenier.costs.COSTS`: {', '.join(sorted(COSTS))}. Enter "
            "the class of the cost there before `load`."
        )
    if not isinstance(arguments, Mapping):
        raise InputError(f"`arguments` of the cost {name!r} must be a mapping from names to values; got {arguments!r}.")
    try:
        return COSTS[name](**arguments)
    except TypeError as error:
        raise InputError(f"`arguments` of the cost {name!r} do not fit it, {dict(arguments)!r}: {error}.") from error
