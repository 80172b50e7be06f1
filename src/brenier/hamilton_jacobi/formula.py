"""Values and gradients of the viscosity solution of a Hamilton-Jacobi equation, point by point."""

import numbers
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from brenier._chunks import map_batches
from brenier._errors import InputError
from brenier._types import Array
from brenier.costs import AbstractDisplacementCost, Mahalanobis, SquaredEuclidean
from brenier.data.checks import as_points
from brenier.hamilton_jacobi.bundle import planes_for, settle
from brenier.hamilton_jacobi.descent import descend
from brenier.hamilton_jacobi.objective import Initial, Objective, value_and_gradient
from brenier.hamilton_jacobi.starts import check_starts, choose_starts
from brenier.potentials import AbstractFunction, AbstractPotential, double

__all__ = ["HopfLax", "hopf_lax"]

_STARTS = 8

_ENTRIES = 1 << 22
"""Numbers in the largest array of one compiled call."""

_DIFFERENT = 1e-6
"""Relative difference of two values from which on they are those of different minima."""

_TIE = 1e-12
"""Relative difference of two values that rounding makes."""


class HopfLax(NamedTuple):
    """Solution u of a Hamilton-Jacobi equation at the rows of `x`, from `hopf_lax`; NumPy in double precision.

    Attributes:
        value: `(n,)` u(x, t), the lowest value found. It is an upper bound, whatever the other fields say: no minimum
            is above the value at a point.
        gradient: `(n, d)` gradient of u in x, the slope that g at `minimizer` and L have in common. On a shock, where u
            has a kink and several minimisers, it is the slope of one of them.
        minimizer: `(n, d)` the point y where the line to x begins; a fixed point of `y = x - t grad H(grad g(y))`.
        residual: `(n,)` norm of a convex combination of gradients of `g(y) + t L((x - y) / t)` near `minimizer`, in
            units of a slope; at a smooth point it is that of the gradient there.
        gap: `(n,)` if g is convex, the exact solution is at least `value - gap`. For other g it says how far
            `minimizer` is from being stationary, in units of the value; infinite where H is infinite.
        converged: `(n,)` whether the minimiser is a stationary point up to the tolerance: whether the residual is at
            most `tolerance * (1 + |p|)`, with p the slope of g, where the combination takes gradients at points no
            further from the minimiser than `tolerance * (1 + |y|)`. If g is not convex this does not say that the
            minimum is the lowest; see `disagree`.
        disagree: `(n,)` whether starts ended at different values: then there is more than one local minimum, or a
            start has run out of its budget, and another start might find a lower value still.
        evaluations: `(n,)` evaluations of the gradient of g, over all starts.
    """

    value: NDArray[np.float64]
    gradient: NDArray[np.float64]
    minimizer: NDArray[np.float64]
    residual: NDArray[np.float64]
    gap: NDArray[np.float64]
    converged: NDArray[np.bool_]
    disagree: NDArray[np.bool_]
    evaluations: NDArray[np.int64]


def hopf_lax(
    g: Initial | AbstractFunction,
    x: ArrayLike,
    t: ArrayLike,
    *,
    lagrangian: AbstractDisplacementCost | None = None,
    starts: int | ArrayLike | None = None,
    seed: int = 0,
    tolerance: float = 1e-6,
    max_steps: int = 1000,
) -> HopfLax:
    r"""Solve :math:`\partial_t u + H(\nabla u) = 0`, :math:`u(\cdot, 0) = g`, at any points, without a grid.

    By the Hopf-Lax formula the viscosity solution is :math:`u(x, t) = \min_y g(y) + t L((x - y) / t)`, where L is the
    convex conjugate of H. Each row is a minimisation in d dimensions of its own, from several starts; the lowest value
    wins. Descents are quasi-Newton, by values, so that they go to minima. Those that end at a kink of g, where no
    gradient is small, go on with planes, until zero is a combination of gradients of points nearby.

    Args:
        g: Initial data: a function of JAX arrays of rows, `(n, d)` to `(n,)`, in which a row depends on no other, or a
            potential. It should be bounded below by minus something that L outgrows; otherwise there is no solution.
        x: `(n, d)` points at which to solve.
        t: Times, at least 0: one number, or one for each row.
        lagrangian: L; half the squared norm by default, so that H is that too. H need not be given.
        starts: How many starts a row has, or the starts, `(k, d)` or `(n, k, d)`. By default 8, and one for
            potentials known to be convex, which have one minimum. Starts are x, the point that the slope of g at x
            leads to, and random points of the size of what can be reached.
        seed: Seed of the random starts.
        tolerance: Relative norm at which a gradient counts as zero; see `HopfLax.converged`.
        max_steps: Evaluations of the gradient of g at most for each start, and as many rounds again at kinks.

    Returns:
        Values, gradients, and a status for each row; rows that failed are marked, never dropped.

    Raises:
        InputError: An argument cannot be used.

    Note: Cost: up to 100 gradients of g a start in ten dimensions where g is smooth. At kinks of g each round
        solves a quadratic program in `d + 16` weights.

    References:
        Evans 2010, "Partial differential equations", section 3.3, theorems 5 to 7 and section 10.3, theorem 3; Darbon
        and Osher 2016, "Algorithms for overcoming the curse of dimensionality for certain Hamilton-Jacobi equations".

    Example:
        From the distance to the origin, which has a kink there; at time 1 the solution is Huber's function:

        >>> import jax.numpy as jnp
        >>> from brenier import hopf_lax
        >>> u = hopf_lax(lambda y: jnp.linalg.norm(y, axis=1), [[0.3, 0.4], [3.0, 4.0]], 1.0)
        >>> u.value.round(6).tolist(), u.gradient.round(6).tolist(), bool(u.converged.all())
        ([0.125, 4.5], [[0.3, 0.4], [0.6, 0.8]], True)
    """
    lagrangian = SquaredEuclidean() if lagrangian is None else lagrangian
    points = as_points(x, "x").values
    rows, dim = points.shape
    _check_functions(g, lagrangian, dim)
    times = _times(t, rows)
    _check_budget(tolerance, max_steps, seed)
    count, given = _starts(starts, g, rows, dim)
    with jax.enable_x64(True):
        precise = double(g) if isinstance(g, AbstractPotential) else g
        _check_shape(precise, dim)
        key = jax.random.key(seed)
        parts = []
        for chosen in (np.flatnonzero(times == 0), np.flatnonzero(times > 0)):
            if not len(chosen):
                continue
            if times[chosen[0]] == 0:
                part = _at_start(precise, points[chosen])
            else:
                first = None if given is None else given[chosen]
                part = _solve(
                    precise, lagrangian, points[chosen], times[chosen], first, count, key, tolerance, max_steps
                )
            parts.append((chosen, part))
    order = np.argsort(np.concatenate([chosen for chosen, _ in parts]), kind="stable")
    return HopfLax(*(np.concatenate(field)[order] for field in zip(*(part for _, part in parts), strict=True)))


def _at_start(g: Initial, x: NDArray[np.float64]) -> HopfLax:
    """The solution at time zero: the initial data themselves."""
    values, slopes = (np.array(part) for part in map_batches(lambda part: _initial(g, part), x))
    sound = np.isfinite(values) & np.isfinite(slopes).all(axis=1)
    zeros, no = np.zeros(len(x)), np.zeros(len(x), bool)
    return HopfLax(values, slopes, x.copy(), zeros, zeros.copy(), sound, no, np.ones(len(x), np.int64))


def _solve(
    g: Initial,
    lagrangian: AbstractDisplacementCost,
    x: NDArray[np.float64],
    t: NDArray[np.float64],
    starts: NDArray[np.float64] | None,
    count: int,
    key: Array,
    tolerance: float,
    max_steps: int,
) -> HopfLax:
    """Descend from every start of every row, and keep the best end of each row."""
    rows, dim = x.shape
    begun, spent = starts, 0
    if begun is None:
        begun = map_batches(lambda a, b: _choose(g, lagrangian, a, b, key, count), x, t, batch=_batch(count * dim))
        spent = count // 2
    every_x, every_t = np.repeat(x, count, axis=0), np.repeat(t, count)
    limits = jnp.asarray(tolerance), jnp.asarray(max_steps, jnp.int32)
    ends: list[NDArray[Any]] = map_batches(
        lambda a, b, c: _descend(g, lagrangian, a, b, c, *limits),
        every_x,
        every_t,
        np.reshape(begun, (rows * count, dim)),
        batch=_batch(dim * dim),
    )
    left = np.flatnonzero(~ends[5])
    if len(left):
        size = planes_for(dim)
        new = map_batches(
            lambda a, b, c: _settle(g, lagrangian, a, b, c, *limits),
            *(part[left] for part in (every_x, every_t, ends[2])),
            batch=_batch(size * (size + 2 * dim)),
            least=8,
        )
        new[6] += ends[6][left]
        for old, part in zip(ends, new, strict=True):
            old[left] = part
    return _pick_best([part.reshape(rows, count, *part.shape[1:]) for part in ends], spent)


def _pick_best(ends: list[NDArray[Any]], spent: int) -> HopfLax:
    """Pick the end with the lowest value in each row; of several that differ by rounding, that of least residual."""
    value, _, _, residual, _, _, evaluations = ends
    value = np.where(np.isnan(value), np.inf, value)
    lowest = value.min(axis=1, keepdims=True)
    size = 1.0 + np.abs(lowest)
    tied = value <= lowest + _TIE * size
    winner = np.argmin(np.where(tied, np.nan_to_num(residual, nan=1e300, posinf=1e300), np.inf), axis=1)
    disagree = (np.isfinite(value) & (value > lowest + _DIFFERENT * size)).any(axis=1)
    everything = [*ends[:6], np.broadcast_to(disagree[:, None], value.shape)]
    chosen = [part[np.arange(len(part)), winner] for part in everything]
    return HopfLax(*chosen, evaluations=evaluations.sum(axis=1, dtype=np.int64) + spent)


@eqx.filter_jit
def _initial(g: Initial, x: Array) -> tuple[Array, Array]:
    return value_and_gradient(g, jnp.asarray(x))


@eqx.filter_jit
def _choose(g: Initial, lagrangian: AbstractDisplacementCost, x: Array, t: Array, key: Array, count: int) -> Array:
    return choose_starts(Objective(g, lagrangian, jnp.asarray(x), jnp.asarray(t)), key, count)


@eqx.filter_jit
def _descend(
    g: Initial, lagrangian: AbstractDisplacementCost, x: Array, t: Array, y: Array, tolerance: Array, max_steps: Array
) -> list[Array]:
    objective = Objective(g, lagrangian, jnp.asarray(x), jnp.asarray(t))
    end = descend(objective, jnp.asarray(y), tolerance, max_steps)
    residual = jnp.linalg.norm(end.gradient, axis=1)
    converged = residual <= tolerance * (1.0 + jnp.linalg.norm(end.slope, axis=1))
    gap = _finite_gap(objective.excess(end.y, end.slope))
    return [end.value, objective.slope(end.y, end.slope), end.y, residual, gap, converged, end.evaluations]


@eqx.filter_jit
def _settle(
    g: Initial, lagrangian: AbstractDisplacementCost, x: Array, t: Array, y: Array, tolerance: Array, max_steps: Array
) -> list[Array]:
    objective = Objective(g, lagrangian, jnp.asarray(x), jnp.asarray(t))
    y = jnp.asarray(y)
    end = settle(objective, y, tolerance, max_steps)
    gap = _finite_gap(end.bend + objective.excess(end.y, end.slope))
    slope = objective.slope(end.y, end.slope)
    return [end.value, slope, end.y, end.residual, gap, end.converged, end.evaluations]


def _finite_gap(gap: Array) -> Array:
    """A gap, at least zero in spite of rounding, and infinite where H is."""
    return jnp.where(jnp.isnan(gap), jnp.inf, jnp.maximum(gap, 0.0))


def _batch(entries: int) -> int:
    """Rows in one compiled call when each has arrays of so many numbers: a power of two, from 32 to 2,048."""
    return min(2048, max(32, 1 << (_ENTRIES // entries).bit_length() - 1))


def _check_functions(g: object, lagrangian: object, dim: int) -> None:
    if not callable(g):
        raise InputError(f"`g` must be a function of rows of points, or a potential; got {g!r}.")
    if isinstance(g, AbstractFunction) and g.dim != dim:
        raise InputError(f"`g` is a function of {g.dim} columns, `x` has {dim}. Pass points of {g.dim} columns.")
    if not isinstance(lagrangian, AbstractDisplacementCost):
        raise InputError(
            f"`lagrangian` must be a cost of displacements from `brenier.costs`, such as `PNorm(3.0)` or `Convex(...)` "
            f"for functions of your own; got {lagrangian!r}."
        )
    if isinstance(lagrangian, Mahalanobis) and len(lagrangian.A) != dim:
        size = len(lagrangian.A)
        raise InputError(f"`lagrangian` has a matrix for {size} columns, `x` has {dim}. Pass points of {size} columns.")


def _check_shape(g: Initial, dim: int) -> None:
    """Check what initial data return, without evaluating them."""
    returned = jax.eval_shape(g, jax.ShapeDtypeStruct((3, dim), jnp.float64))
    if not hasattr(returned, "shape") or returned.shape != (3,) or not jnp.issubdtype(returned.dtype, jnp.floating):
        shown = f"{returned.dtype} of shape {returned.shape}" if hasattr(returned, "shape") else repr(returned)
        raise InputError(
            f"`g` must return one real number a row, shape (3,) for points of shape (3, {dim}); it returned {shown}. "
            f"Sum over `axis=1`."
        )


def _times(t: ArrayLike, rows: int) -> NDArray[np.float64]:
    try:
        times = np.asarray(t, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"`t` must be a number, at least 0, or one a row; got {t!r}.") from error
    if times.ndim > 1 or (times.ndim == 1 and len(times) != rows):
        raise InputError(f"`t` must be one number, or one for each of the {rows} rows; got shape {times.shape}.")
    if not (np.isfinite(times).all() and (times >= 0).all()):
        wrong = times[~(np.isfinite(times) & (times >= 0))].flat[0] if times.ndim else float(times)
        raise InputError(f"`t` must be finite and at least 0: the equation is solved forward in time; got {wrong!r}.")
    return np.broadcast_to(times, (rows,))


def _check_budget(tolerance: object, max_steps: object, seed: object) -> None:
    if not (isinstance(tolerance, numbers.Real) and 0 < float(tolerance) < 1):
        raise InputError(f"`tolerance` must be a number between 0 and 1, such as 1e-6; got {tolerance!r}.")
    for name, value, least in (("max_steps", max_steps, 1), ("seed", seed, 0)):
        if not isinstance(value, numbers.Integral) or isinstance(value, bool) or int(value) < least:
            raise InputError(f"`{name}` must be an integer, at least {least}; got {value!r}.")


def _starts(starts: int | ArrayLike | None, g: Initial, rows: int, dim: int) -> tuple[int, NDArray[np.float64] | None]:
    """How many first guesses a row has, and which, if the caller has given them."""
    if starts is None:
        return (1 if isinstance(g, AbstractPotential) and g.convexity_floor() is not None else _STARTS), None
    if isinstance(starts, numbers.Integral) and not isinstance(starts, bool):
        count = int(starts)
        if count < 1:
            raise InputError(f"`starts` must be at least 1; got {starts!r}.")
        return count, None
    given = check_starts(starts, rows, dim)
    return given.shape[1], given
