"""Map files as commands use them, with and without conditions, for any cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from brenier._errors import InputError
from brenier.cli.cells import is_cells
from brenier.cli.clouds import Cloud, read_cloud
from brenier.cli.conditions import naming_conditions

if TYPE_CHECKING:
    from brenier.conditions import ConditionSpace
    from brenier.data.conditions import Column, Conditions
    from brenier.data.stored import Block, Rows
    from brenier.maps import TransportMap

__all__ = ["At", "OpenMap", "load_map"]

At: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--at",
        metavar="VALUE",
        help="One condition for all rows, for maps that have some. Repeated: one for each column of the fit, in its "
        "order, or COL=VALUE.",
    ),
]


@dataclass(frozen=True)
class OpenMap:
    """A map file that a command has opened.

    Attributes:
        map_: Its map; with `--at`, the map of one condition.
        names: Columns of files that hold conditions, and so are no part of the points.
        at: The one condition of all rows, by name; by number, from 0, where columns have no names.
        weight: Column of files that holds weights, where they have it.
    """

    map_: "TransportMap"
    names: Sequence[str] = ()
    at: Mapping[str, str | float] | None = None
    weight: str | None = None

    @classmethod
    def load(cls, path: Path, at: Sequence[str] | None, weight: str | None = None) -> "OpenMap":
        """Open a map file.

        Args:
            path: The file.
            at: What `--at` gave.
            weight: Column of weights, that of the fit by default.

        Raises:
            InputError: The file cannot be read, `--at` is no condition of the map, or is missing though needed.
        """
        map_ = load_map(path)
        space = map_.conditions
        weight = map_.info.get("weight") if weight is None else weight
        if space is None:
            if at:
                raise InputError(f"`{path}` holds a map without conditions. Leave `--at` out.")
            return cls(map_, weight=weight)
        names = [variable.name for variable in space.variables]
        columns = [name for name in names if name is not None]
        if at:
            values = _values(at, space)
            labels = [str(place) if name is None else name for place, name in enumerate(names)]
            return cls(map_.at(tuple(values)), columns, dict(zip(labels, values, strict=True)), weight)
        if len(columns) < len(names):
            raise InputError(
                f"`{path}` was fitted with conditions that have no names, so no columns can be read for them. Give one "
                "for all rows with `--at`, or fit with a frame, whose columns have names."
            )
        return cls(map_, columns, weight=weight)

    @classmethod
    def load_one(cls, path: Path, at: Sequence[str] | None) -> "OpenMap":
        """Open a map file for work that is done under one condition, if there are any.

        Raises:
            InputError: As for `load`; or the map has conditions, and there is no `--at`.
        """
        opened = cls.load(path, at)
        if opened.names and opened.at is None:
            names = ", ".join(opened.names)
            raise InputError(f"`{path}` holds a map with conditions ({names}). Choose one for all rows with `--at`.")
        return opened

    @classmethod
    def load_density(cls, path: Path, at: Sequence[str] | None) -> "OpenMap":
        """Open a map file for its density.

        Raises:
            InputError: As for `load_one`; or the map has a cost that gives no density.
        """
        opened = cls.load_one(path, at)
        if not opened.map_.geometry.quadratic:
            raise InputError(
                f"`{path}` holds a map for the cost {opened.map_.cost}; densities need half a squared distance, with "
                "its convex potential. Fit with `--cost squared` or a Mahalanobis distance, or `brenier density`."
            )
        return opened

    def read(self, path: Path, key: str | None) -> Cloud:
        """Read points with their conditions; with `--at`, its values replace those of the file.

        Of .h5ad files, without a key, the part that the fit had.

        Raises:
            InputError: The file cannot be read, or lacks conditions and there is no `--at`.
        """
        from brenier.files import is_image
        from brenier.files.asked import AbsentError

        if is_cells(path) and key is None:
            key = self.map_.info.get("anndata", "X")
        if self.at is None or is_image(path):
            try:
                return read_cloud(path, key, () if self.at else self.names, self.weight)
            except AbsentError as error:
                raise InputError(f"{error} To take all rows under one condition, give it with `--at`.") from error
        import numpy as np

        from brenier.data.conditions import Column
        from brenier.files.points import read_without

        weights = [] if self.weight is None else [self.weight]
        with naming_conditions():
            table, present = read_without(path, key, [*self.names, *weights])
        rows = len(table.values)
        conditions = [Column(name, np.repeat(np.array(self.at[name]), rows)) for name in present if name in self.names]
        weight = next((Column(name, present[name]) for name in weights if name in present), None)
        return Cloud(path, table, conditions=conditions, weight=weight, part=key if is_cells(path) else None)

    def read_rows(self, path: Path, key: str | None) -> "Rows":
        """Open a file to be read in parts, from start to end, with the columns that `read` would take.

        Raises:
            InputError: As for `read`.
        """
        from brenier.files.asked import AbsentError, Asked
        from brenier.files.points import open_rows

        if is_cells(path) and key is None:
            key = self.map_.info.get("anndata", "X")
        wanted = [*self.names, *([] if self.weight is None else [self.weight])]
        with naming_conditions():
            rows = open_rows(path, Asked(key, wanted, required=False))
        missing = [f"`{name}`" for name in self.names if name not in rows.beside]
        if missing and self.at is None:
            error = AbsentError(f"`{path}` has no column {', '.join(missing)} to take conditions from.")
            raise InputError(f"{error} To take all rows under one condition, give it with `--at`.") from error
        return rows

    def beside(self, path: Path, block: "Block") -> "list[Column]":
        """The columns of conditions of some rows, then that of the weights if there is one."""
        import numpy as np

        from brenier.data.conditions import Column
        from brenier.files.points import condition_columns

        columns: list[Column] = []
        for name in [column for column in (*self.names, self.weight) if column is not None and column in block.taken]:
            if self.at is not None and name in self.names:
                columns.append(Column(name, np.repeat(np.array(self.at[name]), len(block.points))))
            elif self.at is not None:
                columns.append(Column(name, block.taken[name]))
            else:
                columns += condition_columns(name, block.taken[name], len(block.points), path)
        return columns

    def condition(self, columns: "Sequence[Column]") -> "Conditions | None":
        """The `condition` argument of the map's methods for the points of a file; None if it takes none.

        Args:
            columns: The conditions that stand beside the points.
        """
        from brenier.data.conditions import Conditions

        return None if self.at is not None or not self.names else Conditions(columns)

    def record(self) -> dict[str, Any]:
        """The conditions in use, as JSON values: names of columns, and the one of all rows; nothing where none are."""
        return {"conditions": list(self.names), "at": self.at} if self.names or self.at else {}

    def lines(self) -> list[tuple[str, str]]:
        """The conditions in use, for people: a label and a text; nothing without any."""
        if self.at is not None:
            texts = [f"{name} = {value}" if self.names else f"{value}" for name, value in self.at.items()]
            return [("Condition", f"{', '.join(texts)} for all rows")]
        return [("Conditions", f"{', '.join(self.names)} of each row")] if self.names else []


def load_map(path: Path) -> "TransportMap":
    """Read a map."""
    from brenier.maps import TransportMap

    return TransportMap.load(path)


def _values(given: Sequence[str], space: "ConditionSpace") -> list[str | float]:
    """The condition that `--at` gave, in the order of the fit."""
    names = [variable.name for variable in space.variables]
    heads = [f"{name}=" for name in names if name is not None]
    texts = {head: text.removeprefix(head) for text in given for head in heads if text.startswith(head)}
    ordered = [texts.get(f"{name}=") for name in names] if texts else list(given)
    if len(given) != len(names) or None in ordered:
        wanted = ", ".join("one without a name" if name is None else f"`{name}`" for name in names)
        form = ", all in this order or all as COL=VALUE" if len(names) > 1 else ", as VALUE or COL=VALUE"
        raise InputError(
            f"`--at` must be given once for each column of the conditions, {wanted}{form}; got {', '.join(given)}."
        )
    kinds = [variable.kind for variable in space.variables]
    values: list[str | float] = []
    for place, (text, name, kind) in enumerate(zip(ordered, names, kinds, strict=True)):
        label = kinds[:place].count("label")
        known = {labels[label] for labels in space.classes} if kind == "label" else None
        values.append(_value(str(text), "the condition" if name is None else f"`{name}`", known))
    return values


def _value(text: str, name: str, known: set[str] | None) -> str | float:
    """The value of one condition: a number, or a label in the spelling of the map.

    Args:
        text: The value in the form of the command line.
        name: Name of the condition, for messages.
        known: The labels of the map; None for a number.
    """
    from brenier.data.conditions import label_text

    try:
        parsed = float(text)
    except ValueError:
        parsed = math.nan
    if known is not None:
        # Numbers in files are labels without regard to how they are written.
        return label_text(parsed) if text not in known and label_text(parsed) in known else text
    if not math.isfinite(parsed):
        raise InputError(f"`--at`: {name} is a number; got {text!r}.")
    return parsed
