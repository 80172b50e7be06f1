"""Whether the functions of a cost fit together, by trying them at random displacements."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.costs._base import AbstractDisplacementCost
from brenier.costs._numbers import as_number

__all__ = ["check_cost"]

Array = NDArray[np.float64]

_EPS = float(np.finfo(np.float64).eps)

_SCALES = (1e-6, 1e-4, 1e-2, 1.0, 10.0)
"""Lengths of the coordinates of the displacements that are tried, in units of the columns."""

_SLOPE = 1e-6
"""Relative error of a slope that counts as one of the numerical derivative."""

_UNDONE = 1e-6
"""Relative error of a displacement that counts as one of an iterative `conjugate_gradient`."""


class _Tried(NamedTuple):
    """Displacements of one length, and what the cost makes of them, rows each."""

    z: Array
    values: Array
    slopes: Array


def check_cost(cost: AbstractDisplacementCost, dim: int) -> None:
    """Check that value, gradient and conjugate gradient of a cost belong to one strictly convex function.

    They are tried in double precision, at the same random displacements in every call, whose coordinates are between
    1e-6 and 15 units in size. Passing is no proof.

    Where slopes saturate, as those of `LogCosh` do far out, rounding leaves nothing by which to find the displacement
    again. One that `conjugate_gradient` misses therefore passes if it has the slope asked for, as long as there are
    shorter ones that it finds.

    Args:
        cost: The cost.
        dim: Number of columns of the points.

    Raises:
        InputError: They do not. The message names the function that is wrong, with numbers.

    Note: Cost: a few hundred evaluations of each function.

    Example:
        >>> from brenier.costs import Convex, check_cost
        >>> check_cost(Convex(lambda z: (z**4).sum(1) / 4, lambda z: z**3, lambda p: p), 2)
        Traceback (most recent call last):
        ...
        brenier._errors.InputError: `conjugate_gradient` of the cost Convex(h=<lambda>) does not undo `gradient`: it ...
    """
    if not isinstance(cost, AbstractDisplacementCost):
        raise InputError(f"`cost` must be an `AbstractDisplacementCost`, a function of displacements; got {cost!r}.")
    rng = np.random.default_rng(0)
    rows = 64 + (dim == 64)  # unlike the columns, so that sums over the wrong axis show
    with jax.enable_x64(True):
        for name, rank in (("value", 1), ("gradient", 2), ("conjugate_gradient", 2)):
            _check_shape(cost, name, rows, dim, rank)
        trials = [_check_scale(cost, scale, rng, rows, dim) for scale in _SCALES]
        undone = [_check_conjugate(cost, trial) for trial in trials]
    if not any(undone):
        raise InputError(
            f"`conjugate_gradient` of the cost {cost} finds none of the displacements that were tried, between 1e-6 "
            "and 15 units in size, from their slopes. Does the slope change with the displacement at all? It must, for "
            "strictly convex `h`; or scale the cost to the units of the columns."
        )


def _check_shape(cost: AbstractDisplacementCost, name: str, rows: int, dim: int, rank: int) -> None:
    wanted = (rows, dim)[:rank]
    try:
        returned = jax.eval_shape(getattr(cost, name), jax.ShapeDtypeStruct((rows, dim), jnp.float64))
    except (TypeError, ValueError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"`{name}` of the cost {cost} fails for points of {dim} columns: {error}. It must take a JAX array of "
            f"displacements, ({rows}, {dim}) here, and return one of shape {wanted}. Is it for another number of "
            "columns?"
        ) from error
    shape, kind = getattr(returned, "shape", None), getattr(returned, "dtype", None)
    if shape != wanted:
        raise InputError(
            f"`{name}` of the cost {cost} must return shape {wanted} for displacements ({rows}, {dim}); got "
            f"{type(returned).__name__ if shape is None else shape}. "
            + ("Sum over axis 1." if rank == 1 else "Return a row for each row.")
        )
    if kind != jnp.float64:
        raise InputError(
            f"`{name}` of the cost {cost} returns {kind} for displacements in float64. Keep the type of what comes in: "
            "certificates need double precision."
        )


def _check_scale(cost: AbstractDisplacementCost, scale: float, rng: np.random.Generator, rows: int, dim: int) -> _Tried:
    """Check value and gradient at displacements of one length."""
    trial = _try(cost, _displacements(rng, rows, dim, scale), scale)
    directions = rng.standard_normal((rows, dim))
    _check_gradient(cost, trial, directions / np.linalg.norm(directions, axis=1, keepdims=True), scale)
    apart = _displacements(rng, rows, dim, scale)
    near = trial.z + 0.1 * scale * rng.standard_normal((rows, dim))
    beside = trial.z + 0.1 * scale * np.eye(dim)[np.arange(rows) % dim]
    for z in (apart, near, beside):
        _check_convex(cost, trial, _try(cost, z, scale))
    return trial


def _displacements(rng: np.random.Generator, rows: int, dim: int, scale: float) -> Array:
    """Random displacements, none of them close to an axis, where costs may have kinks."""
    return scale * rng.choice([-1.0, 1.0], (rows, dim)) * rng.uniform(0.5, 1.5, (rows, dim))


def _numbers(function: Callable[[Any], Any], z: Array) -> Array:
    return np.asarray(function(jnp.asarray(z)), np.float64)


def _try(cost: AbstractDisplacementCost, z: Array, scale: float) -> _Tried:
    trial = _Tried(z, _numbers(cost.value, z), _numbers(cost.gradient, z))
    for name, numbers in (("value", trial.values), ("gradient", trial.slopes)):
        wrong = ~np.isfinite(numbers.reshape(len(z), -1)).all(axis=1)
        if wrong.any():
            _fail(
                cost,
                name,
                f"is not finite, {numbers[wrong][0]}, at {_show(z[wrong][0])}",
                f"it must be for displacements of {scale:g} units",
            )
    return trial


def _check_gradient(cost: AbstractDisplacementCost, trial: _Tried, directions: Array, scale: float) -> None:
    step = 1e-5 * scale
    above, below = (_numbers(cost.value, trial.z + sign * step * directions) for sign in (1.0, -1.0))
    numeric = (above - below) / (2.0 * step)
    claimed = np.sum(trial.slopes * directions, axis=1)
    # The slope of a convex function lies between its two one-sided differences, whatever its higher derivatives.
    bend = np.abs(above - 2.0 * trial.values + below) / (2.0 * step)
    size = np.max(np.abs([above, trial.values, below]), axis=0)
    rounding = 4.0 * _EPS * (trial.z.shape[1] + 8) * size / step
    allowed = bend + rounding + _SLOPE * np.linalg.norm(trial.slopes, axis=1)
    worst = int(np.argmax(np.abs(numeric - claimed) - allowed))
    if not np.abs(numeric - claimed)[worst] <= allowed[worst]:
        at, along = _show(trial.z[worst]), _show(directions[worst])
        what = f"has the slope {claimed[worst]:.6g} at {at} along {along}, but `value` rises by {numeric[worst]:.6g}"
        _fail(cost, "gradient", what, "return the gradient of `value`")


def _check_convex(cost: AbstractDisplacementCost, one: _Tried, two: _Tried) -> None:
    promised = as_number(cost.strong_convexity())
    if not 0 <= promised < math.inf:
        raise InputError(f"`strong_convexity` of the cost {cost} must be a number, at least 0; got {promised!r}.")
    difference, change = two.z - one.z, two.slopes - one.slopes
    squares = np.sum(difference**2, axis=1)
    rises = np.sum(change * difference, axis=1)
    steepest = np.maximum(np.abs(one.slopes), np.abs(two.slopes))
    rounding = 16.0 * _EPS * len(one.z[0]) * np.sum(steepest * np.abs(difference), axis=1)
    worst = int(np.argmin((rises + rounding) / squares))
    least, pair = rises[worst] / squares[worst], f"between {_show(one.z[worst])} and {_show(two.z[worst])}"
    if not rises[worst] + rounding[worst] >= 0:
        _fail(
            cost,
            "value",
            f"is not convex: {pair}, its slope falls at the rate {least:.6g}",
            "`h` must be strictly convex",
        )
    if not rises[worst] + rounding[worst] >= promised * (1.0 - 1e-9) * squares[worst]:
        what = f"promises {promised:.6g}, but {pair} the slope rises at the rate {least:.6g} only"
        _fail(cost, "strong_convexity", what, "promise no more than the least curvature anywhere, or 0")


def _check_conjugate(cost: AbstractDisplacementCost, trial: _Tried) -> bool:
    """Check slopes, and return whether all their displacements are found again."""
    again = _numbers(cost.conjugate_gradient, trial.slopes)
    missed = ~(np.abs(again - trial.z).max(axis=1) <= _UNDONE * np.abs(trial.z).max(axis=1))
    off = np.abs(_numbers(cost.gradient, again) - trial.slopes).max(axis=1)
    wrong = missed & ~(off <= 64.0 * _EPS * np.abs(trial.slopes).max(axis=1))
    if wrong.any():
        row = int(np.argmax(wrong))
        what = f"does not undo `gradient`: it turns the slope {_show(trial.slopes[row])} of the displacement "
        what += f"{_show(trial.z[row])} into {_show(again[row])}"
        _fail(cost, "conjugate_gradient", what, "return the displacement that has this slope")
    return not missed.any()


def _fail(cost: AbstractDisplacementCost, name: str, what: str, advice: str) -> NoReturn:
    raise InputError(f"`{name}` of the cost {cost} {what}; {advice}.")


def _show(row: Array) -> str:
    """The first few numbers of a row."""
    numbers = ", ".join(f"{entry:.4g}" for entry in row[:4])
    return f"[{numbers}{', ...' if len(row) > 4 else ''}]"
