"""Points moved by a map on the command line: all of a table at once, or any number of rows in parts."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from brenier._errors import InputError
from brenier.cli.cells import is_cells
from brenier.cli.opened import OpenMap
from brenier.cli.progress import RowsDone
from brenier.cli.streamed import data_limit, is_archive, is_small, table_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brenier.data.conditions import Column, Conditions
    from brenier.data.stored import Rows
    from brenier.data.table import Matrix
    from brenier.maps import TransportMap

__all__ = ["Moved", "add_to_cells", "in_parts", "is_folder", "move", "transform_rows"]

_FIRST_ROWS = 10
"""Numbers of rows that failed which are kept."""

_COPIES = 4
"""Arrays of the size of the input that moving all of it at once takes."""


class Moved(NamedTuple):
    """Moved points.

    Attributes:
        points: `(n, d)`.
        failed: Numbers, from 0, of the rows that an inverse did not find; empty for the forward map.
        residual: The largest residual of these, in units of the target; 0 without any.
        disagree: `(n,)` where two starts of the inverse led to different points; None for quadratic costs.
        reasons: Number of rows that were not found, by the reason.
    """

    points: "Matrix"
    failed: "NDArray"
    residual: float
    disagree: "NDArray | None" = None
    reasons: Mapping[str, int] = MappingProxyType({})


def move(
    map_: "TransportMap", points: "Matrix", inverse: bool, t: float, condition: "Conditions | None" = None
) -> Moved:
    """Move points by a map, each under its condition if the map has conditions."""
    import numpy as np

    if not inverse:
        move_ = partial(map_.interpolate, t=t) if t < 1.0 else map_.forward
        return Moved(move_(points, condition=condition), np.empty(0, np.intp), 0.0)
    solved = map_.inverse_with_status(points, condition=condition)
    failed = np.flatnonzero(~solved.converged)
    way = solved.points if t == 1.0 else map_.geometry.geodesic(points, solved.points, t)
    reasons = {status.value: count for status, count in solved.reasons().items()}
    return Moved(way, failed, float(solved.residual[failed].max(initial=0.0)), solved.disagree, reasons)


def add_to_cells(
    map_: Any,  # noqa: ANN401
    source: Path,
    part: str | None,
    output: Path,
    points: "Matrix | Iterator[Matrix]",
    inverse: bool,
    t: float,
    shape: tuple[int, int] | None = None,
) -> str:
    """Write a copy of an .h5ad file with the points in it, and say where."""
    from brenier.data.cells import Place
    from brenier.estimators.anndata import SUFFIXES, provenance
    from brenier.files.h5ad import add_to_h5ad

    place, direction = Place.read(part or "X"), "inverse" if inverse else "forward" if t == 1.0 else "interpolate"
    target = place.beside(SUFFIXES[direction])
    add_to_h5ad(source, output, target, points, provenance(map_, place, direction, t), shape)
    return str(target)


def is_folder(path: Path) -> bool:
    """Whether the name of a path ends in `.zarr`, so that it is, or will be, a folder."""
    return path.suffix.lower() == ".zarr"


def in_parts(source: Path, output: Path, key: str | None, memory: str | None) -> bool:
    """Whether a table is to be moved in parts: it would take too much memory at once, or is a folder.

    Raises:
        InputError: It is an archive that takes more memory than the data may.
    """
    from brenier.data.memory import size_text
    from brenier.files import is_image

    if is_image(source) or not source.exists():
        return False
    if source.is_dir() or is_folder(output):
        return True
    if is_small(source, memory):
        return False
    size, limit = table_bytes(source, key), data_limit(memory)
    if is_archive(source) and size > limit:
        raise InputError(
            f"`{source}` holds {size_text(size / 8)}, and .npz archives are read whole, within {size_text(limit / 8)} "
            "here. Write its points to a .npy or .parquet file, which is read in parts, or raise `--memory`."
        )
    return _COPIES * size > limit


def transform_rows(
    opened: OpenMap, source: Path, output: Path, key: str | None, inverse: bool, t: float
) -> dict[str, Any]:
    """Move a table in parts, in memory that does not depend on its length.

    A part has as many rows as the map works on at once, so that the results are those of all rows together.

    Args:
        opened: The map.
        source: The table.
        output: Where the moved points go.
        key: Array or part that holds the points.
        inverse: Whether to go from the target to the source.
        t: Share of the way.

    Returns:
        The record of the command.
    """
    from brenier._chunks import chunk_rows
    from brenier.files.points import row_writer

    map_, rows = opened.map_, opened.read_rows(source, key)
    if rows.dim != map_.dim:
        raise InputError(f"`{source}` must have {map_.dim} columns, as in `fit`; got {rows.dim}.")
    _check_names(source, rows, map_)
    run = _Run(opened, source, rows, inverse, t, chunk_rows(rows.dim))
    record: dict[str, Any] = {"output": str(output), "rows": 0, "inverse": inverse, "t": t}
    with RowsDone() as said:
        if is_cells(output):
            part = map_.info.get("anndata", "X") if key is None else key
            shape = (rows.count(), rows.dim)
            added = add_to_cells(map_, source, part, output, (cells for cells, _ in run.move(said)), inverse, t, shape)
        else:
            count = rows.count() if output.suffix.lower() == ".npz" else None
            with row_writer(output, rows.dim, rows.columns or map_.columns, count) as writer:
                for points, beside in run.move(said):
                    writer.write(points, beside)
            added = None
    record["rows"] = run.rows
    record |= opened.record()
    if inverse:
        record |= {"unconverged": run.failed, "unconverged_rows": run.first, "largest_residual": run.residual}
        record["reasons"] = dict(run.reasons)
        record["disagree"] = None if run.disagree is None else run.disagree / run.rows
    return record if added is None else record | {"added": added}


class _Run:
    """Moves a table part by part, and counts the rows whose inverse failed."""

    def __init__(self, opened: OpenMap, source: Path, rows: "Rows", inverse: bool, t: float, count: int) -> None:
        self._opened, self._source, self._input, self._inverse, self._t = opened, source, rows, inverse, t
        self._count = count
        self.rows, self.failed, self.residual = 0, 0, 0.0
        self.first: list[int] = []
        self.reasons: Counter[str] = Counter()
        self.disagree: int | None = None

    def move(self, said: RowsDone) -> "Iterator[tuple[Matrix, list[Column]]]":
        """Yield moved points part by part, each with the columns beside them."""
        opened = self._opened
        for block in self._input.blocks(self._count):
            beside = opened.beside(self._source, block)
            conditions = [column for column in beside if column.name != opened.weight]
            moved = move(opened.map_, block.points, self._inverse, self._t, opened.condition(conditions))
            self.failed += len(moved.failed)
            self.first += (moved.failed[: _FIRST_ROWS - len(self.first)] + block.start).tolist()
            self.residual = max(self.residual, moved.residual)
            self.reasons.update(moved.reasons)
            if moved.disagree is not None:
                self.disagree = (self.disagree or 0) + int(moved.disagree.sum())
            self.rows += len(block.points)
            yield moved.points, beside
            said(self.rows, block.share)


def _check_names(source: Path, rows: "Rows", map_: Any) -> None:  # noqa: ANN401
    from brenier.cli.clouds import compare_names

    compare_names(source, rows.columns, map_.columns, "the map")
