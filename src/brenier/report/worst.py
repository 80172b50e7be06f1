"""The rows to look at first: hardest to invert, moved farthest, outside the data of the fit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier.data.table import Matrix
from brenier.report.page import Section, Table
from brenier.report.sides import Cloud, Sides
from brenier.report.units import units
from brenier.report.words import number, tally

__all__ = ["worst_section"]

_ROWS = 8


def worst_section(sides: Sides) -> Section:
    """The section of the report with the rows to look at first."""
    data = sides.map_.info.get("data", {})
    text = [
        "Rows are counted from 0 in the file or table that was handed in. Points with these numbers deserve a look."
    ]
    tables = [_residuals(sides), _moves(sides)]
    for cloud, side in ((sides.x, "source"), (sides.y, "target")):
        if side not in data:
            text.append(f"The map does not know the range of the data of its fit on the side of {cloud.name}.")
            continue
        outside = _outside(cloud, data[side])
        count = int((outside > 0).sum())
        if not count:
            text.append(f"No row of {cloud.name} lies outside the range of any column in the data of the fit.")
        else:
            tables.append(_beyond(cloud, data[side], outside, count, sides.names))
    return Section("rows", "Rows to look at", text, tables=tables)


def _residuals(sides: Sides) -> Table:
    preimages = sides.inverse
    # What failed comes first, and what is no number before all.
    order = np.lexsort((-np.nan_to_num(preimages.residual, nan=np.inf), preimages.converged))[:_ROWS]
    errors = preimages.error if preimages.error is not None and np.isfinite(preimages.error).any() else None
    header = ["Row", "residual", "converged", "rounds"] + ([] if errors is None else ["error at most"])
    rows = [
        [
            str(sides.y.rows[k]),
            number(float(preimages.residual[k]), 2),
            "yes" if preimages.converged[k] else "no",
            str(preimages.steps[k]),
        ]
        + ([] if errors is None else [number(float(errors[k]), 2)])
        for k in order
    ]
    return Table(
        f"Hardest to invert: rows of {sides.y.name} with the largest residual |T(x) − y|, in the units of the data; "
        "those that did not converge come first.",
        header,
        rows,
        wide=(),
    )


def _moves(sides: Sides) -> Table:
    moves, map_ = sides.column_moves, sides.map_
    lengths, what = np.linalg.norm(sides.moves, axis=1), f"displacement, {units(map_)}"
    if not map_.geometry.quadratic:
        lengths, what = map_.geometry.costs(sides.x.points, sides.images), "cost"
    order = np.argsort(-lengths, kind="stable")[:_ROWS]
    rows = []
    for k in order:
        column = int(np.argmax(np.abs(moves[k])))
        start, end = sides.x.points[k, column], sides.images[k, column]
        rows.append(
            [
                str(sides.x.rows[k]),
                number(float(lengths[k]), 3),
                number(float(lengths[k] / max(np.median(lengths), np.finfo(float).tiny)), 3),
                f"{sides.names[column]}: {number(float(start))} → {number(float(end))}",
            ]
        )
    return Table(
        f"Moved farthest: rows of {sides.x.name} with the largest {what}, and as a multiple of the median; with the "
        "column that changes most, columns in units of their scale.",
        ["Row", what.split(",")[0], "of median", "largest part"],
        rows,
        wide=(3,),
    )


def _outside(cloud: Cloud, record: Mapping[str, Any]) -> Matrix:
    """How far each row is outside the range of the fit in its worst column, in widths of that range; 0 inside."""
    return _excess(cloud, record).max(axis=1)


def _excess(cloud: Cloud, record: Mapping[str, Any]) -> NDArray[np.float64]:
    low, high = np.asarray(record["low"], float), np.asarray(record["high"], float)
    width = np.where(high > low, high - low, 1.0)
    # The record is rounded to nine digits.
    slack = 1e-8 * np.maximum(np.abs(low), np.abs(high))
    excess = np.maximum(low - slack - cloud.points, cloud.points - high - slack) / width
    return np.maximum(excess, 0.0)


def _beyond(cloud: Cloud, record: Mapping[str, Any], outside: Matrix, count: int, names: list[str]) -> Table:
    excess = _excess(cloud, record)
    rows = []
    for k in np.argsort(-outside, kind="stable")[: min(_ROWS, count)]:
        column = int(np.argmax(excess[k]))
        ends = f"{number(record['low'][column])} to {number(record['high'][column])}"
        rows.append(
            [
                str(cloud.rows[k]),
                f"{names[column]} = {number(float(cloud.points[k, column]))}",
                ends,
                str(int((excess[k] > 0).sum())),
            ]
        )
    lie = "lies" if count == 1 else "lie"
    return Table(
        f"Outside the data of the fit: {tally(count, 'row')} of {cloud.name} {lie} beyond the range that a column "
        "had in the fit, where the map extrapolates; the farthest first, with the column that is farthest outside.",
        ["Row", "column", "range in the fit", "columns outside"],
        rows,
        wide=(1,),
    )
