"""Costs as the command line spells them."""

import inspect

from brenier._errors import InputError
from brenier.costs import COSTS, AbstractCost
from brenier.files.points import read_points

__all__ = ["parse_cost"]


def parse_cost(text: str) -> AbstractCost:
    """A cost from its name and, after a colon, its argument.

    Args:
        text: `squared`, `pnorm:1.5`, `log-cosh`, `log-cosh:0.3`, `elastic-net:0.5`, `great-circle`, or
            `mahalanobis:FILE` with the matrix in a file that `read_points` reads. A class in `COSTS` with no argument,
            or with defaults for all, is made by its name alone; one whose first argument is a number by its name and
            the number.

    Raises:
        InputError: No such cost, an argument that is missing, not wanted or no number, or one that the cost refuses.

    Example:
        >>> from brenier.cli.cost_names import parse_cost
        >>> print(parse_cost("log-cosh:0.3"))
        LogCosh(width=0.3)
    """
    name, colon, given = (part.strip() for part in text.partition(":"))
    if name not in COSTS:
        choices = ", ".join(_spelling(own) for own in sorted(COSTS))
        raise InputError(f"`cost` must be one of {choices}; got {text!r}.")
    parameters = list(inspect.signature(COSTS[name]).parameters.values())
    if not given:
        if colon or any(own.default is own.empty for own in parameters):
            raise InputError(f"`cost` {name!r} needs its argument: write {_spelling(name)}; got {text!r}.")
        return COSTS[name]()
    if not _accepts(name):
        raise InputError(f"`cost` {name!r} takes no argument; got {text!r}. Leave out {colon + given!r}.")
    if name == "mahalanobis":
        return COSTS[name](**{parameters[0].name: read_points(given).values})
    try:
        number = float(given)
    except ValueError as error:
        raise InputError(f"`cost` {name!r} needs a number, {_spelling(name)}; got {given!r} in {text!r}.") from error
    return COSTS[name](**{parameters[0].name: number})


def _accepts(name: str) -> bool:
    """Whether there is an argument to give."""
    return bool(inspect.signature(COSTS[name]).parameters)


def _spelling(name: str) -> str:
    """How to write it: `pnorm:P`, `log-cosh[:WIDTH]`, `mahalanobis:FILE`."""
    if not _accepts(name):
        return name
    first = next(iter(inspect.signature(COSTS[name]).parameters.values()))
    what = "FILE" if name == "mahalanobis" else first.name.upper()
    return f"{name}:{what}" if first.default is first.empty else f"{name}[:{what}]"
