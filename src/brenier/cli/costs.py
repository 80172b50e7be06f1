"""Costs of the command line: the option, and how commands speak of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from brenier._errors import InputError
from brenier._words import number

if TYPE_CHECKING:
    from brenier.costs import AbstractCost
    from brenier.maps import TransportMap

__all__ = ["CostOption", "cost_line", "cost_record", "read_cost", "unit_of"]

CostOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--cost",
        metavar="SPEC",
        help="What moving a point costs: squared (half the squared distance), pnorm:1.5, log-cosh:1, elastic-net:0.5, "
        "great-circle (vectors of one length), or mahalanobis:FILE with a matrix of a row and a column for each column "
        "of the points.",
    ),
]

_SHOWN = 4
"""Columns up to which a matrix is shown."""


def read_cost(text: str) -> "AbstractCost":
    """The cost that the text of `--cost` names.

    Raises:
        InputError: It names none; the message says `--cost`.
    """
    from brenier.cli.cost_names import parse_cost

    try:
        return parse_cost(text)
    except InputError as error:
        message = str(error)
        # Of what the class of the cost refuses, users of the command line do not know the name of the argument.
        complaint = message if message.startswith("`cost`") else f"`cost` {text!r} cannot be used: {message}"
        raise InputError(complaint) from error


def cost_record(cost: "AbstractCost") -> dict[str, Any]:
    """A cost as JSON values: its text, and the record that map files have."""
    from brenier.costs import to_record

    return {"cost_function": str(cost), "cost": to_record(cost)}


def cost_line(map_: "TransportMap") -> list[tuple[str, str]]:
    """The cost for people, a label and a text; nothing for half the squared distance."""
    if map_.geometry.euclidean:
        return []
    if map_.geometry.quadratic:
        matrix = map_.cost.arguments()["A"]
        return [("Cost", f"half a squared Mahalanobis distance, with the matrix {_matrix(matrix)}")]
    return [("Cost", f"{map_.cost}, {_say_points(map_)}")]


def unit_of(map_: "TransportMap") -> str:
    """The unit of the distances, or costs, that a map reports, as a phrase."""
    g = map_.geometry
    if not g.quadratic:
        return f"costs {_say_points(map_)}; no root is taken"
    scaled = (g.scale != 1.0).any()
    if not g.euclidean:
        return "in units of the Mahalanobis distance" + (f" {_SCALED}" if scaled else "")
    return _SCALED if scaled else "in the units of the data"


_SCALED = "with each column in units of its scale (see `brenier inspect`)"


def _say_points(map_: "TransportMap") -> str:
    """Which points a cost compares, as a phrase."""
    return "of points in the units of the data" if (map_.geometry.scale == 1.0).all() else f"of points {_SCALED}"


def _matrix(rows: Sequence[Sequence[float]]) -> str:
    if len(rows) > _SHOWN:
        return f"of {len(rows)} x {len(rows)} numbers that --json shows"
    return "; ".join(", ".join(number(entry) for entry in row) for row in rows)
