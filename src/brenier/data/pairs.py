"""Checks of the two sides of a fit, as distributions and together."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from brenier._errors import DataWarning, InputError, warn
from brenier.data.copies import near_copies
from brenier.data.table import Matrix, Table, itemise

__all__ = ["check_columns", "check_pair", "check_side", "constant_columns", "is_constant"]

_SMALLEST_SPREAD = 1e-100
"""Ranges below this underflow once they are squared."""

_SAME = 1e-13
"""Range of a column, relative to its values, up to which these are one number: sums of it that were rounded."""

_COLLINEAR = 1e-8
"""Eigenvalue of the correlation matrix, relative to the largest, under which columns count as dependent."""


_HEAVY = 3.0
"""Ratio of a column's standard deviation to that which its quartiles have from which on its tails are heavy: 1 for a
normal distribution, 1.2 for an exponential one, 2 for a log-normal one of unit scale."""

_ENOUGH = 100
"""Rows from which on quartiles are known well enough to say so."""

_QUARTILES = 1.349
"""Distance of the quartiles of a normal distribution, in standard deviations."""


def check_pair(x: Table, y: Table, names: tuple[str, str] = ("X", "Y"), *, one_sided: bool = True) -> list[int]:
    """Check that two sides can be matched, and warn of what limits the result.

    Args:
        x: Source, from `as_points`.
        y: Target, from `as_points`.
        names: What messages call them.
        one_sided: Whether a column that is constant on one side alone can be carried; one that is constant on both
            always is.

    Returns:
        Numbers of the columns that are carried: constant, and moved by the difference of the two means.

    Raises:
        InputError: Different columns, a single sample, or a side without spread.

    Warns:
        DataWarning: Few samples, many repeated rows, copies with noise, heavy tails, constant or dependent columns,
            very different units, or columns whose names are shared or differ in part.
    """
    check_columns(x, y, names)
    if x.columns and y.columns:
        _compare_names(x.columns, y.columns, names)
    flat = [set(constant_columns(table.values)) for table in (x, y)]
    carried = sorted(flat[0] | flat[1] if one_sided else flat[0] & flat[1])
    totals = [check_side(table, name, carried) for table, name in zip((x, y), names, strict=True)]
    if carried:
        _warn_of_carried(x, y, flat, names)
    _compare_units(totals[1] / totals[0], names)
    return carried


def constant_columns(values: Matrix) -> list[int]:
    """Numbers of the columns that hold one number, up to its last bits, in which ways of computing it differ."""
    return np.flatnonzero(is_constant(values.min(axis=0), values.max(axis=0))).tolist()


def is_constant(low: Matrix, high: Matrix) -> NDArray[np.bool_]:
    """Whether columns with these least and largest values are constant."""
    return high - low <= _SAME * np.maximum(np.abs(low), np.abs(high))


def _warn_of_carried(x: Table, y: Table, flat: list[set[int]], names: tuple[str, str]) -> None:
    where = {(True, True): "both", (True, False): f"`{names[0]}`", (False, True): f"`{names[1]}`"}
    shown = [f"{x.label(j)} ({where[j in flat[0], j in flat[1]]})" for j in sorted(flat[0] | flat[1])]
    warn(
        f"Columns of `{names[0]}` or `{names[1]}` are constant: {itemise(shown)}. The map moves them by the difference "
        "of the two means, and learns nothing of them. Drop them if they say nothing.",
        DataWarning,
    )


def check_columns(x: Table, y: Table, names: tuple[str, str] = ("X", "Y")) -> None:
    """Check that two sides have the same columns; those without names, or with names of their own, the same number.

    Raises:
        InputError: Another number of columns, or names that both have in different places.
    """
    if x.values.shape[1] != y.values.shape[1]:
        raise InputError(
            f"`{names[0]}` and `{names[1]}` must have the same number of columns; got shapes {x.values.shape} and "
            f"{y.values.shape}.{_list_unshared(x, y, names)} Select the columns that both sides share."
        )
    if x.columns and y.columns and any(a != b and a in y.columns for a, b in zip(x.columns, y.columns, strict=True)):
        if sorted(x.columns) == sorted(y.columns):
            raise InputError(
                f"`{names[0]}` and `{names[1]}` have the same columns in another order: {itemise(x.columns)} against "
                f"{itemise(y.columns)}. Reorder one side, for instance `{names[1]}[{names[0]}.columns]`."
            )
        raise InputError(
            f"`{names[0]}` and `{names[1]}` have the same names in different places: {itemise(x.columns)} against "
            f"{itemise(y.columns)}. Columns are matched by place: reorder or rename those of one side."
        )


def _list_unshared(x: Table, y: Table, names: tuple[str, str]) -> str:
    """Which names only one of two sides has, as a sentence each."""
    if not x.columns or not y.columns:
        return ""
    x_names = [f"`{name}`" for name in x.columns if name not in y.columns]
    y_names = [f"`{name}`" for name in y.columns if name not in x.columns]
    sides = zip(names, (x_names, y_names), strict=True)
    return "".join(f" `{name}` alone has {itemise(columns)}." for name, columns in sides if columns)


def _compare_names(x: list[str], y: list[str], names: tuple[str, str]) -> None:
    """Warn of names that differ in part; sides whose names have nothing in common are meant to."""
    pairs = [f"`{a}` against `{b}`" for a, b in zip(x, y, strict=True) if a != b]
    if 0 < len(pairs) < len(x):
        warn(
            f"Some columns of `{names[0]}` and `{names[1]}` have other names than those that they are matched with: "
            f"{itemise(pairs)}. If that is not meant, select the columns that both sides share.",
            DataWarning,
        )


def check_side(table: Table, name: str, carried: Sequence[int] = ()) -> float:
    """Checks of one side as a distribution; returns its total standard deviation.

    Args:
        table: The points.
        name: What messages call them.
        carried: Numbers of columns that may be constant, and are left out of the checks; at least one must vary.
    """
    values = table.values
    count, dim = values.shape
    if count == 1:
        raise InputError(f"`{name}` has 1 sample; a distribution needs more, a minimum of 2 is required.")
    flat = constant_columns(values)
    constant = flat if len(flat) == dim else [j for j in flat if j not in carried]
    if constant:
        shown = [f"{table.label(j)} (always {values[0, j] + 0.0:.6g})" for j in constant]
        raise InputError(f"`{name}` has constant columns, which no map can move: {itemise(shown)}. Drop them.")
    if carried:
        kept = [j for j in range(dim) if j not in carried]
        named = [str(j) if table.columns is None else table.columns[j] for j in kept]
        return check_side(Table(values[:, kept], named), name) if kept else 1.0
    spread = np.ptp(values, axis=0)
    tiny = np.flatnonzero(spread < _SMALLEST_SPREAD)
    if tiny.size:
        shown = [f"{table.label(j)} (range {spread[j]:.3g})" for j in tiny.tolist()]
        raise InputError(f"`{name}` has columns whose squares underflow: {itemise(shown)}. Use larger numbers.")
    names = table.columns or []
    shared = [f"`{column}`" for column in dict.fromkeys(names) if names.count(column) > 1]
    if shared:
        warn(
            f"`{name}` has several columns of one name: {itemise(shared)}. They are told apart by place alone.",
            DataWarning,
        )
    centred = values - values.mean(axis=0)
    deviations = np.sqrt(np.mean(np.square(centred), axis=0))
    if count <= dim:
        warn(
            f"`{name}` has {count} samples for {dim} dimensions, so most directions are unknown. Use more samples, "
            "or fewer columns (principal components, for instance).",
            DataWarning,
        )
    else:
        dependent = _dependent_columns(centred / deviations)
        if dependent.size:
            shown = [table.label(j) for j in dependent.tolist()]
            warn(
                f"`{name}` has linearly dependent columns, among them {itemise(shown)}. Drop the redundant ones.",
                DataWarning,
            )
    _warn_of_tails(table, deviations, name)
    share = 1.0 - _distinct_rows(values) / count
    if share > 0.5:
        warn(
            f"{100 * share:.0f} % of the rows of `{name}` repeat earlier rows. No map can spread tied "
            "points apart; check that the repeats are meant.",
            DataWarning,
        )
    near = near_copies(centred / deviations)
    if near > 0:
        warn(
            f"{100 * near:.0f} % of the rows of `{name}` lie more than a hundred times closer to another row than the "
            "others do: copies with noise, for instance. Rows that are held out are then no judge of the fit, for they "
            "are nearly rows of the training. Keep one of each, with a weight.",
            DataWarning,
        )
    return float(np.sqrt(np.sum(np.square(deviations))))


def _warn_of_tails(table: Table, deviations: Matrix, name: str) -> None:
    """Warn of columns whose standard deviation says next to nothing about most of their values."""
    low, high = np.quantile(table.values, [0.25, 0.75], axis=0)
    usual = (high - low) / _QUARTILES
    heavy = np.flatnonzero((usual > 0) & (deviations > _HEAVY * usual))
    if heavy.size and len(table.values) >= _ENOUGH:
        some = [f"{table.label(j)} ({deviations[j] / usual[j]:.3g} times)" for j in heavy.tolist()]
        warn(
            f"`{name}` has heavy tails: the standard deviation is several times what the middle half of the values has "
            f"in columns {itemise(some)}. A few far rows then decide the map everywhere. Fit with `trim`, the share to "
            "leave aside on both sides (0.01, or 0.05, or more), or transform the columns, to logarithms for instance.",
            DataWarning,
        )


def _compare_units(ratio: float, names: tuple[str, str]) -> None:
    if not 1e-3 <= ratio <= 1e3:
        warn(
            f"`{names[1]}` is spread {ratio:.3g} times as widely as `{names[0]}`. Are both in the same units?",
            DataWarning,
        )


def _dependent_columns(standardised: Matrix) -> NDArray[np.intp]:
    """Columns that take part in a linear relation, strongest first."""
    eigenvalues, vectors = np.linalg.eigh(standardised.T @ standardised / len(standardised))
    null = vectors[:, eigenvalues < _COLLINEAR * eigenvalues[-1]]
    part = np.sum(np.square(null), axis=1)
    order = np.argsort(-part, kind="stable")
    return order[part[order] > 1e-3]


def _distinct_rows(values: Matrix) -> int:
    """Number of different rows, by a 64-bit hash of each (sorting whole rows would take far longer)."""
    bits = (values + 0.0).view(np.uint64)  # the sum turns -0.0 into 0.0
    codes = np.zeros(len(values), np.uint64)
    for column in bits.T:
        codes = (codes ^ column) * np.uint64(0x9E3779B97F4A7C15)
        codes ^= codes >> np.uint64(32)
    return np.unique(codes).size
