"""Couplings of two weighted samples: exact ones of small samples, and feasible ones of any, led by a map."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from brenier._errors import SolveError
from brenier.certificates.transforms import EPS

__all__ = ["EXACT_PAIRS", "CostMatrix", "Plan", "exact_plan", "guided_plan", "plan_bound", "plan_cost", "squared_costs"]

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

CostMatrix: TypeAlias = Callable[[Array, Array], Array]
"""From `(n, d)` and `(m, d)` points to the `(n, m)` costs of their pairs."""

EXACT_PAIRS = 5_000_000
"""Pairs of points up to which a coupling is found exactly: seconds."""

_LEAF = 1024
"""Most points of a cell, on its larger side, that is solved exactly."""

_MOST_PIVOTS = 10_000_000
"""Pivots of the network simplex after which it gives up: a hundred times its own default."""

_LARGEST_COST_BITS = 30
"""Bits of the largest cost that the simplex is given: so many that its tolerance is less than rounding."""


class Plan(NamedTuple):
    """A coupling by its entries.

    Attributes:
        rows: Row of the source of each entry.
        columns: Row of the target of each entry.
        mass: Mass of each entry.
    """

    rows: Rows
    columns: Rows
    mass: Array


def squared_costs(x: Array, y: Array) -> Array:
    """`|x_i - y_j|^2 / 2`, by differences: nothing cancels."""
    costs = np.zeros((len(x), len(y)))
    for column in range(x.shape[1]):
        costs += np.square(np.subtract.outer(x[:, column], y[:, column]))
    return 0.5 * costs


def exact_plan(x: Array, y: Array, a: Array, b: Array, costs: CostMatrix = squared_costs) -> tuple[Plan, Array]:
    """An optimal coupling, by POT's network simplex, and the optimal dual values of the rows of `x`.

    Args:
        x: `(n, d)` points.
        y: `(m, d)` points.
        a: `(n,)` weights.
        b: `(m,)` weights, with the same sum.
        costs: Costs of all pairs.

    Raises:
        SolveError: The simplex did not end.

    Note: Cost: a matrix of `n x m` costs, and time that grows a little faster than that.

    References: Bonneel et al. 2011, "Displacement interpolation using Lagrangian mass transport".
    """
    import ot  # here, because it looks for every array library there is

    found = costs(x, y)
    # The simplex has an absolute tolerance: with costs far below one it would take any plan for optimal. A power of
    # two changes no digit.
    exponent = int(np.frexp(found.max())[1]) - _LARGEST_COST_BITS
    plan, log = ot.emd(a, b, np.ldexp(found, -exponent), numItermax=_MOST_PIVOTS, log=True, check_marginals=False)
    if log["warning"] is not None:
        raise SolveError(f"the exact coupling of {len(x)} and {len(y)} points was not found: {log['warning']}.", plan)
    rows, columns = np.nonzero(plan)
    return Plan(rows, columns, plan[rows, columns]), np.ldexp(log["u"], exponent)


def guided_plan(x: Array, images: Array, y: Array, a: Array, b: Array, costs: CostMatrix = squared_costs) -> Plan:
    """A coupling of any two samples, close to optimal where `images` are close to the points of `y`.

    Both `images` and `y` are cut by the same recursive median splits into cells of equal mass; a point that a cut
    falls on goes to both sides in parts. Within each cell the coupling of `x` with `y` is exact.

    Args:
        x: `(n, d)` source points.
        images: `(n, d)` where a map sends them.
        y: `(m, d)` target points.
        a: `(n,)` weights.
        b: `(m,)` weights, with the same sum.
        costs: Costs of all pairs of a cell.

    Note: Cost: `n log(n)` and an exact coupling for every thousand points.
    """
    parts = []
    for rows, mass_x, columns, mass_y in _cells(images, y, a, b):
        part, _ = exact_plan(x[rows], y[columns], mass_x, mass_y * (mass_x.sum() / mass_y.sum()), costs)
        parts.append((rows[part.rows], columns[part.columns], part.mass))
    rows, columns, mass = (np.concatenate(found) for found in zip(*parts, strict=True))
    return Plan(rows, columns, mass)


def plan_cost(plan: Plan, x: Array, y: Array, a: Array, b: Array) -> float:
    """Upper bound on `min E|x - y|^2 / 2` from the entries of a plan whose marginals may be a little off."""
    costs = 0.5 * np.sum(np.square(x[plan.rows] - y[plan.columns]), axis=1)
    farthest = 2.0 * max(np.abs(x - x[0]).max(), np.abs(y - x[0]).max()) ** 2 * x.shape[1]
    return plan_bound(plan, costs, a, b, farthest, x.shape[1] + 8)


def plan_bound(plan: Plan, costs: Array, a: Array, b: Array, farthest: float, operations: int) -> float:
    """Upper bound on the least cost of a coupling from the entries of a plan whose marginals may be a little off.

    The mass that is missing or too much is moved at the largest cost there could be, and all rounding is added.

    Args:
        plan: The plan.
        costs: `(k,)` costs of its entries, none negative.
        a: `(n,)` weights with sum one.
        b: `(m,)` weights with sum one.
        farthest: No pair of points costs more.
        operations: By how many roundings, relative to itself, the cost of an entry may be off.

    References: Altschuler, Weed, Rigollet 2017, lemma 7, for the repair of marginals.
    """
    off_x = np.abs(np.bincount(plan.rows, plan.mass, len(a)) - a).sum()
    off_y = np.abs(np.bincount(plan.columns, plan.mass, len(b)) - b).sum()
    value = float(plan.mass @ costs)
    # No more than all entries are added up for one marginal, and the marginals add up to one.
    marginals = off_x + off_y + 4.0 * EPS * (len(plan.mass) + len(a) + len(b))
    return float(value * (1.0 + EPS * (operations + len(plan.mass))) + marginals * farthest)


def _cells(x: Array, y: Array, a: Array, b: Array) -> list[tuple[Rows, Array, Rows, Array]]:
    """Matching cells of two weighted clouds: rows and masses of each."""
    todo, done = [(np.arange(len(x)), a, np.arange(len(y)), b)], []
    while todo:
        rows, mass_x, columns, mass_y = cell = todo.pop()
        if max(len(rows), len(columns)) <= _LEAF or min(len(rows), len(columns)) < 2:
            done.append(cell)
            continue
        axis = int(np.argmax(np.ptp(x[rows], axis=0) + np.ptp(y[columns], axis=0)))
        halves_x = _halves(rows, mass_x, x[rows, axis])
        halves_y = _halves(columns, mass_y, y[columns, axis])
        todo += [(*part_x, *part_y) for part_x, part_y in zip(halves_x, halves_y, strict=True)]
    return done


def _halves(rows: Rows, mass: Array, keys: Array) -> tuple[tuple[Rows, Array], tuple[Rows, Array]]:
    """Two halves of equal mass, below and above the weighted median; the point on the cut is in both."""
    order = np.argsort(keys, kind="stable")
    rows, mass = rows[order], mass[order]
    before = np.cumsum(mass)
    half = 0.5 * before[-1]
    cut = int(np.searchsorted(before, half))
    above = before[cut] - half
    if above <= 1e-9 * mass[cut]:  # the cut falls between two points
        return (rows[: cut + 1], mass[: cut + 1]), (rows[cut + 1 :], mass[cut + 1 :])
    lower, upper = mass[: cut + 1].copy(), mass[cut:].copy()
    lower[-1] -= above
    upper[0] = above
    return (rows[: cut + 1], lower), (rows[cut:], upper)
