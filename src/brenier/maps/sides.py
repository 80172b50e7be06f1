"""Two samples that a map is to compare: checked, with weights, under conditions that both have."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brenier._errors import DataWarning, InputError, warn
from brenier.conditions.balance import weights_towards
from brenier.data.table import Matrix, Table, Unchecked, itemise
from brenier.data.weights import weighted_table

if TYPE_CHECKING:
    from brenier.maps.transport_map import TransportMap

__all__ = ["Cloud", "read_sides", "weigh_towards"]


class Cloud(NamedTuple):
    """Rows of one side: points with the codes of their conditions behind them.

    Attributes:
        rows: `(n, d + k)`, of positive weight.
        weights: `(n,)`, summing to one; None where all count alike.
    """

    rows: Matrix
    weights: Matrix | None

    def part(self, chosen: NDArray[np.bool_]) -> "Cloud":
        """Some of the rows; their weights sum to one again."""
        weights = None if self.weights is None else self.weights[chosen]
        return Cloud(self.rows[chosen], None if weights is None else weights / weights.sum())


def read_sides(
    map_: "TransportMap",
    clouds: tuple[Unchecked, Unchecked],
    conditions: tuple[Unchecked, Unchecked],
    weights: tuple[Unchecked, Unchecked],
) -> tuple[Cloud, Cloud]:
    """Check two samples: points of positive weight; with conditions, of those classes that the source has.

    Raises:
        InputError: An argument cannot be used, or the target lacks a class of the source.
    """
    sides = []
    for name, points, condition, weight in zip("XY", clouds, conditions, weights, strict=True):
        rows = map_.rows(points, name, condition, f"{name.lower()}_condition")
        table, shares = weighted_table(Table(rows), weight, f"{name.lower()}_weight")
        sides.append(Cloud(table.values, shares))
    source, target = sides
    if map_.conditions is None:
        return source, target
    missing = np.setdiff1d(source.rows[:, map_.dim], target.rows[:, map_.dim])
    if len(missing):
        names = map_.conditions.class_names()
        raise InputError(
            f"`y_condition` lacks classes of `x_condition`: {itemise([repr(names[int(k)]) for k in missing])}. "
            "Leave their points out."
        )
    shared = np.isin(target.rows[:, map_.dim], source.rows[:, map_.dim])
    return source, target if shared.all() else target.part(shared)


def weigh_towards(map_: "TransportMap", source: Cloud, target: Cloud) -> Matrix | None:
    """Weights of target points under which their conditions are distributed as those of the source.

    Without conditions, the weights that the points already have.
    """
    if map_.conditions is None:
        return target.weights
    codes = [cloud.rows[:, map_.dim :] for cloud in (source, target)]
    given = [np.ones(len(cloud.rows)) if cloud.weights is None else cloud.weights for cloud in (source, target)]
    low, high = map_.conditions.scaled_ranges
    weights, unequal = weights_towards(codes[0], codes[1], low, high, (given[0], given[1]))
    if unequal:
        _warn_unequal([repr(map_.conditions.class_names()[number]) for number in unequal])
    return weights


def _warn_unequal(names: Sequence[str]) -> None:
    warn(
        "The numbers of `y_condition` cannot be weighted to be distributed as those of `x_condition`: class "
        f"{itemise(names)}. There, the answer compares points of different numbers, too. Pass more points, or "
        "points whose numbers overlap more.",
        DataWarning,
    )
