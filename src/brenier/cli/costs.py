"""Costs of the command line: the option, and how commands speak of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from brenier._errors import InputError
from brenier._text import number

if TYPE_CHECKING:
    from brenier.costs import AbstractCost

__all__ = ["CostOption", "baseline_of", "cost_line", "cost_of", "cost_record", "is_general", "read_cost", "unit_of"]

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
    """What `--cost` gave.

    Raises:
        InputError: It is no cost; the message says `--cost`.
    """
    from brenier.costs import parse_cost

    try:
        return parse_cost(text)
    except InputError as error:
        message = str(error)
        # Of what the class of the cost refuses, users of the command line do not know the name of the argument.
        own = message if message.startswith("`cost`") else f"`cost` {text!r} cannot be used: {message}"
        raise InputError(own) from error


def cost_of(map_: Any) -> "AbstractCost":  # noqa: ANN401 - any kind of map
    """The cost of a map; maps with conditions have the quadratic one."""
    from brenier.conditional.maps import ConditionalMap
    from brenier.costs import SquaredEuclidean

    return SquaredEuclidean() if isinstance(map_, ConditionalMap) else map_.cost


def is_general(map_: Any) -> bool:  # noqa: ANN401
    """Whether the cost of a map is no squared distance, so that there is no W2."""
    from brenier.general.maps import CostMap

    return isinstance(map_, CostMap)


def baseline_of(map_: Any) -> str:  # noqa: ANN401
    """What the map without a network is called, without an article."""
    surplus = map_.coordinates.surplus if is_general(map_) else None
    return "Gaussian map" if surplus is None else surplus.baseline_name.removeprefix("the ")


def cost_record(cost: "AbstractCost") -> dict[str, Any]:
    """A cost as JSON values: its text, and the record that map files have."""
    from brenier.costs import to_record

    return {"cost_function": str(cost), "cost": to_record(cost)}


def cost_line(map_: Any, cost: "AbstractCost") -> list[tuple[str, str]]:  # noqa: ANN401
    """The cost for people, a label and a text; nothing for half the squared distance."""
    from brenier.costs import Mahalanobis, SquaredEuclidean

    if isinstance(cost, SquaredEuclidean):
        return []
    if isinstance(cost, Mahalanobis):
        return [("Cost", f"half a squared Mahalanobis distance, with the matrix {_matrix(cost.A)}")]
    return [("Cost", f"{cost}, {_measured(map_)}")]


def unit_of(map_: Any) -> str:  # noqa: ANN401
    """What distances, or costs, by a map are measured in."""
    if is_general(map_):
        return f"costs {_measured(map_)}; no root is taken"
    c = map_.coordinates
    scaled = (c.scale != 1.0).any()
    if getattr(c, "root", None) is not None:
        return "in units of the Mahalanobis distance" + (f" {_SCALED}" if scaled else "")
    return _SCALED if scaled else "in the units of the data"


_SCALED = "with each column in units of its scale (see `brenier inspect`)"


def _measured(map_: Any) -> str:  # noqa: ANN401
    """The points that a cost is of; some costs know no units of columns."""
    scale = getattr(map_.coordinates, "scale", None)
    return "of points in the units of the data" if scale is None or (scale == 1.0).all() else f"of points {_SCALED}"


def _matrix(rows: Sequence[Sequence[float]]) -> str:
    if len(rows) > _SHOWN:
        return f"of {len(rows)} x {len(rows)} numbers that --json shows"
    return "; ".join(", ".join(number(own) for own in row) for row in rows)
