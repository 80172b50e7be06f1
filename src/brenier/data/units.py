"""The units in which the cost measures the columns."""

import numpy as np
from numpy.typing import ArrayLike

from brenier._errors import DataWarning, InputError, warn
from brenier.data.table import Matrix, Table

__all__ = ["cost_units"]

_INCOMMENSURATE = 100.0
"""Ratio of standard deviations between columns beyond which they cannot be in comparable units."""


def cost_units(setting: str | ArrayLike, pooled: Matrix, table: Table) -> Matrix:
    """Units of the columns in the cost `|(x - y) / units|^2 / 2`.

    Args:
        setting: `"none"` for the units of the data; `"pooled"` for each column's standard deviation, root mean square
            of the two sides; `"auto"` for `"pooled"`, with a warning, if these differ by more than a factor of 100
            between columns, and for `"none"` otherwise; or one positive number a column.
        pooled: `(d,)` standard deviation of each column, root mean square of the two sides.
        table: The source, for the names of its columns.

    Raises:
        InputError: An unknown name, or numbers that are not one positive number a column.

    Warns:
        DataWarning: `"auto"` chose `"pooled"`.
    """
    if not isinstance(setting, str):
        return _read_units(setting, len(pooled))
    if setting not in ("auto", "none", "pooled"):
        raise InputError(f"`scale` must be 'auto', 'none', 'pooled', or one number a column; got {setting!r}.")
    wide, narrow = int(pooled.argmax()), int(pooled.argmin())
    apart = pooled[wide] > _INCOMMENSURATE * pooled[narrow]
    if setting == "none" or (setting == "auto" and not apart):
        return np.ones_like(pooled)
    if setting == "auto":
        warn(
            f"The standard deviations of the columns range from {pooled[narrow]:.3g} (column {table.label(narrow)}) to "
            f"{pooled[wide]:.3g} (column {table.label(wide)}), so the squared distance in their own units would see "
            "the widest columns only. The cost, and every distance, is measured in standard deviations of each column "
            "instead. Pass scale='pooled' to confirm this, or scale='none' for the units of the data.",
            DataWarning,
        )
    return pooled


def _read_units(setting: ArrayLike, dim: int) -> Matrix:
    units = np.asarray(setting, np.float64)
    if units.shape != (dim,) or not np.all(np.isfinite(units)) or not np.all(units > 0):
        raise InputError(f"`scale` must be one positive number for each of the {dim} columns; got {setting!r}.")
    return units
