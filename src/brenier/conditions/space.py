"""What conditions there are: which columns are labels and which are numbers, which classes, which ranges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.conditions import Column, is_single, label_text, read_conditions, single_condition
from brenier.data.table import Unchecked, itemise
from brenier.files.text import is_number

__all__ = ["ConditionSpace", "Kinds", "Variable", "find_space"]

Matrix = NDArray[np.float64]

Kinds: TypeAlias = str | Sequence[str] | Mapping[str, str] | None
"""What each column is, `"label"` or `"number"`: one for all, one a column, or by name; detected by default."""

_MOST_INTEGERS = 20
"""Different integers up to which a column of integers is one of labels."""

_MARGIN = 0.02
"""Share of its range by which a number may lie outside: samples end a little apart."""

_SHOWN = 8


class Variable(NamedTuple):
    """One column of the conditions.

    Attributes:
        name: Its name; None where it has none.
        kind: `"label"` or `"number"`.
    """

    name: str | None
    kind: str


@dataclass(frozen=True, eq=False)
class ConditionSpace:
    """The conditions of a fit.

    Attributes:
        variables: The columns, in order.
        classes: Each combination of labels that both sides have; without labels, one that is empty.
        low, high: `(classes, q)` ranges of the numbers that both sides cover, in their own units.
    """

    variables: tuple[Variable, ...]
    classes: tuple[tuple[str, ...], ...]
    low: Matrix
    high: Matrix

    @property
    def numbers(self) -> int:
        """How many of the columns are numbers."""
        return self.low.shape[1]

    @property
    def scaled_ranges(self) -> tuple[Matrix, Matrix]:
        """The ranges as codes have them: from -1 to 1 over all classes."""
        return self._scale(self.low), self._scale(self.high)

    def class_names(self) -> list[str]:
        """Names of the classes for people: their labels with commas between; `"all"` without labels."""
        return [", ".join(labels) if labels else "all" for labels in self.classes]

    def encode(self, value: Unchecked, rows: int, name: str) -> Matrix:
        """Codes of conditions: number of the class, then the numbers, from -1 to 1 over the range of the fit.

        Args:
            value: One condition for all points, or one for each; see `brenier.data.conditions`.
            rows: Number of points.
            name: The argument's name in messages.

        Returns:
            `(rows, 1 + q)`; the same row repeated, without copies, for one condition.

        Raises:
            InputError: The columns are not those of the fit, a class was not in it, or a number is text.
        """
        single = is_single(value)
        columns = single_condition(value, name) if single else read_conditions(value, rows, name)
        codes = self._codes(self._order(columns, name), name)
        return np.broadcast_to(codes, (rows, codes.shape[1])) if single else codes

    def encode_known(self, columns: list[Column], name: str) -> tuple[Matrix, NDArray[np.bool_]]:
        """Codes of those rows of checked columns whose class is known, and a mask of these rows."""
        classes = set(self.classes)
        known = np.array([labels in classes for labels in _combine(*_parts(columns, self.variables, name))])
        parts = [Column(column.name, column.values[known]) for column in columns]
        return self._codes(parts, name), known

    def outside(self, codes: Matrix) -> NDArray[np.intp]:
        """Rows with a number outside the range of their class, by more than a fiftieth of it."""
        low, high = self.scaled_ranges
        number = codes[:, 0].astype(np.intp)
        wide = _MARGIN * (high - low)[number]
        beyond = (codes[:, 1:] < low[number] - wide) | (codes[:, 1:] > high[number] + wide)
        return np.flatnonzero(beyond.any(axis=1))

    def record(self) -> dict[str, Any]:
        """The space as JSON values, from which `from_record` makes it again."""
        return {
            "variables": [list(variable) for variable in self.variables],
            "classes": [list(labels) for labels in self.classes],
            "low": self.low.tolist(),
            "high": self.high.tolist(),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "ConditionSpace":
        """The space that a record describes.

        Raises:
            ValueError, TypeError, KeyError: It does not describe a space.
        """
        variables = tuple(Variable(*variable) for variable in record["variables"])
        if not variables or not all(
            kind in ("label", "number") and (name is None or isinstance(name, str)) for name, kind in variables
        ):
            raise ValueError("`variables` must list a name, or null, and 'label' or 'number' for each column")
        numbers = sum(variable.kind == "number" for variable in variables)
        classes = tuple(tuple(labels) for labels in record["classes"])
        width = len(variables) - numbers
        if not classes or len(set(classes)) < len(classes):
            raise ValueError("`classes` must list at least one class, and each once")
        if not all(len(labels) == width and all(isinstance(text, str) for text in labels) for labels in classes):
            raise ValueError(f"`classes` must list {width} texts for each class")
        low, high = (np.asarray(record[name], np.float64).reshape(len(classes), -1) for name in ("low", "high"))
        if low.shape != (len(classes), numbers) or high.shape != low.shape:
            raise ValueError(f"`low` and `high` must have {numbers} numbers for each class")
        if not (np.isfinite(low) & np.isfinite(high) & (low < high)).all():
            raise ValueError("`low` must lie below `high`, and both be finite")
        return cls(variables, classes, low, high)

    def _scale(self, values: Matrix) -> Matrix:
        low, high = self.low.min(axis=0), self.high.max(axis=0)
        return (2.0 * values - low - high) / np.where(high > low, high - low, 1.0)

    def _order(self, columns: list[Column], name: str) -> list[Column]:
        """The columns in the order of the fit."""
        expected = [variable.name for variable in self.variables]
        given = [column.name for column in columns]
        if None not in given and None not in expected and set(given) >= set(expected):
            return [columns[given.index(column)] for column in expected]
        if len(columns) != len(expected) or (None not in given and None not in expected):
            wanted = ", ".join("a column without a name" if column is None else f"`{column}`" for column in expected)
            raise InputError(
                f"`{name}` must have the {len(expected)} column(s) of the fit, {wanted}; got {len(given)}: "
                f"{', '.join('without a name' if column is None else f'`{column}`' for column in given)}."
            )
        return columns

    def _codes(self, columns: list[Column], name: str) -> Matrix:
        labels, numbers = _parts(columns, self.variables, name)
        index = {labels: number for number, labels in enumerate(self.classes)}
        combined = _combine(labels, numbers)
        unknown = sorted({labels for labels in combined if labels not in index})
        if unknown:
            raise InputError(
                f"`{name}` has classes that the fit has not seen on both sides: {_classes(unknown)}. It knows "
                f"{_classes(self.classes)}."
            )
        number = np.array([index[labels] for labels in combined], np.float64)
        return np.column_stack([number, self._scale(numbers)])


def find_space(columns_x: list[Column], columns_y: list[Column], kinds: Kinds) -> tuple[ConditionSpace, list[str]]:
    """Find the conditions that both sides have, and say what had to be left out, a sentence each.

    Args:
        columns_x: Conditions of the source.
        columns_y: Conditions of the target.
        kinds: What the columns are, see `Kinds`; detected where it is None.

    Raises:
        InputError: The sides have different columns, or no class or no range in common, or a number never changes.
    """
    variables = _variables(columns_x, columns_y, kinds)
    sides = [
        _parts(columns, variables, name) for columns, name in ((columns_x, "x_condition"), (columns_y, "y_condition"))
    ]
    combined = [_combine(*side) for side in sides]
    classes = sorted(set(combined[0]) & set(combined[1]))
    notes = []
    for name, present, opposite in (("x_condition", *combined), ("y_condition", *reversed(combined))):
        alone = sorted(set(present) - set(opposite))
        if alone:
            notes.append(f"`{name}` has classes that the other side lacks: {_classes(alone)}.")
    if not classes:
        raise InputError(f"`x_condition` and `y_condition` have no class in common. {' '.join(notes)}")
    low, high = np.empty((2, len(classes), sides[0][1].shape[1]))
    for number, labels in enumerate(classes):
        inside = [
            numbers[[row == labels for row in every]] for every, (_, numbers) in zip(combined, sides, strict=True)
        ]
        low[number] = np.max([part.min(axis=0) for part in inside], axis=0)
        high[number] = np.min([part.max(axis=0) for part in inside], axis=0)
    names = [variable.name for variable in variables if variable.kind == "number"]
    empty = np.argwhere(~(high > low))
    if len(empty):
        number, column = empty[0]
        where = f"the number {'' if names[column] is None else f'`{names[column]}`'}".strip()
        raise InputError(
            f"`x_condition` and `y_condition`: the ranges of {where} do not overlap"
            f"{f' in class {_classes([classes[number]])}' if classes[number] else ''}: nothing can be learned between "
            f"{low[number, column]:.6g} and {high[number, column]:.6g}. Give both sides a common range; leave a number "
            "out that never changes, or declare it a label with `condition_types`."
        )
    return ConditionSpace(variables, tuple(classes), low, high), notes


def _variables(columns_x: list[Column], columns_y: list[Column], kinds: Kinds) -> tuple[Variable, ...]:
    names_x, names_y = ([column.name for column in columns] for columns in (columns_x, columns_y))
    if len(names_x) != len(names_y):
        raise InputError(
            f"`x_condition` and `y_condition` must have the same columns; got {len(names_x)} and {len(names_y)}."
        )
    if names_x != names_y and None not in names_x and None not in names_y:
        raise InputError(
            f"`x_condition` and `y_condition` must have the same columns in one order; got {names_x} and {names_y}."
        )
    if isinstance(kinds, Mapping):
        names = [x if x is not None else y for x, y in zip(names_x, names_y, strict=True)]
        unknown = [column for column in kinds if column not in names]
        if unknown:
            raise InputError(f"`condition_types` names {unknown}, but the conditions have the columns {names}.")
    variables = []
    for place, (x, y) in enumerate(zip(columns_x, columns_y, strict=True)):
        name = x.name if x.name is not None else y.name
        variables.append(Variable(name, _read_kind(kinds, place, name, len(names_x)) or _detect_kind(x, y, name)))
    return tuple(variables)


def _read_kind(kinds: Kinds, place: int, name: str | None, count: int) -> str | None:
    if isinstance(kinds, Mapping):
        kind = kinds.get(name) if name is not None else None
    elif kinds is None or isinstance(kinds, str):
        kind = kinds
    elif len(kinds) != count:
        raise InputError(f"`condition_types` must have one entry for each of the {count} columns; got {list(kinds)!r}.")
    else:
        kind = kinds[place]
    if kind not in (None, "label", "number"):
        raise InputError(f"`condition_types` must be 'label' or 'number' for each column; got {kind!r}.")
    return kind


def _detect_kind(x: Column, y: Column, name: str | None) -> str:
    """Text and truth values are labels, and so are a few different integers; other numbers are numbers.

    Raises:
        InputError: Text on one side and other numbers than a few integers on the other, which a stray word would cause.
    """
    texts = [column.values.dtype.kind in "OUS" for column in (x, y)]
    if texts[0] != texts[1]:
        text, numeric = (x, y) if texts[0] else (y, x)
        sides = ("x_condition", "y_condition") if texts[0] else ("y_condition", "x_condition")
        if numeric.values.dtype.kind != "b" and not _few_integers(numeric.values):
            word = next((str(entry) for entry in text.values if not is_number(str(entry))), str(text.values[0]))
            where = "" if name is None else f", column `{name}`,"
            raise InputError(
                f"`{sides[0]}`{where} holds text, such as {word!r}, where `{sides[1]}` holds numbers, such as "
                f"{numeric.values[0]}. Correct the entries that are no numbers, or declare the column with "
                "`condition_types`."
            )
    kinds = {column.values.dtype.kind for column in (x, y)}
    if kinds & set("OUSb"):
        return "label"
    if kinds & {"f"}:
        return "number"
    return "label" if len(np.union1d(x.values, y.values)) <= _MOST_INTEGERS else "number"


def _few_integers(values: NDArray[Any]) -> bool:
    distinct = np.unique(values)
    return len(distinct) <= _MOST_INTEGERS and bool(np.all(distinct == np.round(distinct)))


def _parts(columns: list[Column], variables: tuple[Variable, ...], name: str) -> tuple[list[list[str]], Matrix]:
    """Labels column by column, and `(n, q)` numbers."""
    labels, numbers = [], []
    for column, variable in zip(columns, variables, strict=True):
        if variable.kind == "label":
            labels.append([label_text(entry) for entry in column.values])
            continue
        try:
            numbers.append(np.asarray(column.values, np.float64))
        except (TypeError, ValueError) as error:
            where = "" if variable.name is None else f", column `{variable.name}`,"
            raise InputError(
                f"`{name}`{where} must hold numbers, for it is a column of numbers in this fit ({error})."
            ) from error
    return labels, np.stack(numbers, axis=1) if numbers else np.zeros((len(columns[0].values), 0))


def _combine(labels: list[list[str]], numbers: Matrix) -> list[tuple[str, ...]]:
    """The labels of each row together."""
    return list(zip(*labels, strict=True)) if labels else [()] * len(numbers)


def _classes(classes: Sequence[tuple[str, ...]]) -> str:
    return itemise([repr(", ".join(labels)) for labels in classes], _SHOWN)
