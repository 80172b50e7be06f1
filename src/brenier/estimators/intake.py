"""The one door through which the data of a fit come in: checked here once, and never again behind it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from brenier._errors import DataWarning, InputError, warn
from brenier.conditions.space import Kinds
from brenier.costs import AbstractCost, SquaredEuclidean
from brenier.data.checks import as_points
from brenier.data.conditions import Column, read_conditions
from brenier.data.stored import Stored
from brenier.data.streams import is_array_like
from brenier.data.table import CheckedTable, Matrix, Unchecked, itemise
from brenier.data.trim import check_share, keep_share
from brenier.data.weights import as_weights, warn_uneven
from brenier.density.bases import Normal
from brenier.estimators.anndata import record_place, unpack
from brenier.estimators.dequantizer import Widths, add_noise, common_widths, discrete_columns

__all__ = ["Given", "Problem", "Sample", "intake"]


class Given(NamedTuple):
    """One side as users hand it in.

    Attributes:
        name: What messages call its points.
        points: The points.
        condition: Their conditions.
        weight: Their weights.
        weight_name: What messages call the weights; `x_weight` for `X` by default.
    """

    name: str
    points: Unchecked
    condition: Unchecked = None
    weight: Unchecked = None
    weight_name: str | None = None

    @property
    def names(self) -> tuple[str, str]:
        """What messages call conditions and weights."""
        name = self.name.lower()
        return f"{name}_condition", self.weight_name or f"{name}_weight"


class Sample(NamedTuple):
    """One side of a fit, checked.

    Attributes:
        name: What messages call it.
        points: A table, rows in a file that are read in parts, or a supply of points that is checked as it is drawn.
        weights: Shares of the rows of a table, all of them positive; None where all count alike.
        condition: Columns of conditions, an entry for each row of a table; None where there are none.
    """

    name: str
    points: Any
    weights: Matrix | None = None
    condition: list[Column] | None = None

    @property
    def table(self) -> CheckedTable:
        """The points as a table, of a side that has all of them."""
        assert isinstance(self.points, CheckedTable)
        return self.points


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a fit is to solve: checked data, and what was asked of them.

    Attributes:
        source: Where points come from.
        target: Where they are to go; None for a density, whose target is a normal distribution.
        cost: What moving a point costs; half the squared distance by default.
        scale: Units of the columns in the cost, as for `BrenierMap`.
        condition_types: Which conditions are labels and which are numbers, as for `BrenierMap`.
        widths: Widths of the noise that was added to the columns; None where none was asked for.
        info: What the map records about its data.
    """

    source: Sample
    target: Sample | None = None
    cost: AbstractCost | None = None
    scale: str | ArrayLike = "none"
    condition_types: Kinds = None
    widths: Matrix | None = None
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def samples(self) -> list[Sample]:
        """The source, and the target if there is one."""
        return [self.source] if self.target is None else [self.source, self.target]


def intake(
    estimator: Any,  # noqa: ANN401
    *sides: Given,
    generator: np.random.RandomState,
    trim: float = 0.0,
    **asked: Any,  # noqa: ANN401
) -> Problem:
    """Check everything that a fit was given, and state it as one problem.

    Args:
        estimator: Says with `layer` and `obsm` which part of an AnnData is meant, and with `dequantize` what noise to
            add.
        sides: The source and the target of a map, or the sample of a density.
        generator: Gives the seed of noise that is added.
        trim: Share of the rows to leave aside.
        asked: `cost`, `scale` and `condition_types`, for the problem.

    Raises:
        InputError: An argument cannot be used.

    Warns:
        DataWarning: Discrete columns of a map, or few rows that carry the weight.
    """
    info: dict[str, Any] = record_place(estimator, *(side.points for side in sides))
    given = [_unpack_cells(estimator, side) for side in sides]
    if len(given) == 2:
        _check_second_sample(given[1])
        given, base = _make_base(given)
        info = base | info
        _check_conditions(given, asked.get("cost"))
    given = [side._replace(points=_gather(side)) for side in given]
    check_share(trim)
    if estimator.dequantize is None:
        if len(given) == 2:
            _warn_of_steps(given)
        spread = None
    else:
        given, spread = _dequantize(given, estimator.dequantize, generator)
        info["dequantized"] = spread.tolist()
    if trim:
        info["trimmed"] = trim
    samples = [_sample(side, trim) for side in given]
    return Problem(source=samples[0], target=samples[1] if sides[1:] else None, widths=spread, info=info, **asked)


def _unpack_cells(estimator: Any, side: Given) -> Given:  # noqa: ANN401
    parts = unpack(estimator, side.points, side.name, side.condition, side.weight, names=side.names)
    return side._replace(points=parts.points, condition=parts.condition, weight=parts.weight)


def _check_second_sample(side: Given) -> None:
    if side.points is None:
        raise InputError(
            "`Y` is None: `fit` requires y to be passed, but the target y is None. Pass a sample of the target "
            "distribution: `fit(X, Y)`."
        )


def _make_base(sides: list[Given]) -> tuple[list[Given], dict[str, Any]]:
    """Replace `"normal"` on one side by a sampler; returns the sides, and what the map records about that."""
    named = [place for place, side in enumerate(sides) if isinstance(side.points, str) and side.points == "normal"]
    if not named:
        return sides, {}
    if len(named) == 2:
        raise InputError("`X` and `Y` are both 'normal'. Pass data on one side.")
    place = named[0]
    if any(side.condition is not None for side in sides):
        raise InputError("'normal' as `X` or `Y` has no conditions. Draw samples, and give them conditions.")
    data = sides[1 - place]
    table = as_points(data.points, data.name)
    base = Normal.standard(table.values.shape[1])

    def sampler(key: Any, n: int) -> Matrix:  # noqa: ANN401 - two words of a JAX key
        return base.draw(n, np.random.default_rng(np.asarray(key)))

    both = [data._replace(points=table)]
    both.insert(place, sides[place]._replace(points=sampler))
    return both, {"base": {"side": ("source", "target")[place]} | base.record()}


def _check_conditions(sides: list[Given], cost: AbstractCost | None) -> None:
    missing = [side.names[0] for side in sides if side.condition is None]
    if len(missing) == 1:
        raise InputError(f"`{missing[0]}` is missing: conditions must be given for both sides, or for neither.")
    if not missing and not isinstance(cost, SquaredEuclidean | None):
        raise InputError(f"conditions need the quadratic cost; got `cost`={cost}. Fit each condition.")


def _gather(side: Given) -> Unchecked:
    """Points as a checked table; a supply of points is returned as it is, unless it has conditions."""
    if isinstance(side.points, Stored) and side.points.fits:
        return side.points.table()
    if is_array_like(side.points) or side.condition is not None:
        return as_points(side.points, side.name)
    return side.points


def _warn_of_steps(sides: list[Given]) -> None:
    for side in sides:
        steps = discrete_columns(side.points) if isinstance(side.points, CheckedTable) else []
        if steps:
            warn(
                f"`{side.name}` has discrete columns: {itemise(steps)}. No map can spread tied points apart. If they "
                'are counts or rounded numbers, fit with `dequantize` ("auto", or the width of their steps), which '
                "adds noise within one step.",
                DataWarning,
            )


def _dequantize(sides: list[Given], widths: Widths, generator: np.random.RandomState) -> tuple[list[Given], Matrix]:
    """Add noise of one width a column to all sides; returns the sides, and the widths."""
    for side in sides:
        _check_whole(side, "dequantize", widths)
    tables = [side.points for side in sides]
    common = common_widths(tables, widths)
    rng = np.random.RandomState(generator.randint(2**31 - 1))
    return [
        side._replace(points=CheckedTable(add_noise(table.values, common, rng), table.columns))
        for side, table in zip(sides, tables, strict=True)
    ], common


def _check_whole(side: Given, option: str, value: object) -> None:
    if not isinstance(side.points, CheckedTable):
        ways_out = {
            "dequantize": "Pass an array or a frame, or add the noise where the points are drawn.",
            "trim": "Pass an array or a frame, or leave far points out where they are drawn.",
        }
        raise InputError(
            f"`{option}` ({value!r}) needs all points at once, but `{side.name}` is a {type(side.points).__name__}. "
            f"{ways_out[option]}"
        )


def _sample(side: Given, trim: float) -> Sample:
    """One side with its weights and conditions, without the rows that do not count."""
    if trim:
        _check_whole(side, "trim", trim)
    if not isinstance(side.points, CheckedTable):
        _check_unweighted(side)
        return Sample(side.name, side.points)
    table, (condition_name, weight_name) = side.points, side.names
    rows = len(table.values)
    weights = as_weights(side.weight, rows, weight_name)
    if trim:
        weights = keep_share(table.values, trim, weights)
    condition = None if side.condition is None else read_conditions(side.condition, rows, condition_name)
    if weights is None:
        return Sample(side.name, table, None, condition)
    warn_uneven(weights, weight_name)
    counted = weights > 0
    if counted.all():
        return Sample(side.name, table, weights, condition)
    if condition is not None:
        condition = [column._replace(values=column.values[counted]) for column in condition]
    return Sample(side.name, table.rows(counted), weights[counted], condition)


def _check_unweighted(side: Given) -> None:
    """Refuse weights for a supply of points."""
    if side.weight is None:
        return
    name, stored = side.names[1], side.points
    if isinstance(stored, Stored):
        raise InputError(
            f"`{name}` was given, but `{stored.path}` is read in parts, which have no weights. Pass an array, or "
            f"raise `memory`, {stored.memory:,} bytes, beyond twice its size in double precision."
        )
    raise InputError(
        f"`{name}` was given, but `{side.name}` is a {type(stored).__name__} that supplies its own points. Let it "
        "draw them in proportion to the weights, or pass an array."
    )
