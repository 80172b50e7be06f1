r"""Where initial data have kinks: descent with planes, and the proof that there is nothing left to descend.

At a kink no gradient is small. A point is stationary to within a radius if zero is a convex combination of gradients of
F at points no further from it. The gradients that matter are found one by one: the shortest combination of those known
gives a direction, and if F does not fall along it, the gradient at the trial is one that was missing.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from brenier._products import contract
from brenier._types import Array, Counts, Float, Mask, Points, Values
from brenier.hamilton_jacobi.objective import Objective
from brenier.hamilton_jacobi.simplex import combine
from brenier.solvers._rows import where_rows

__all__ = ["Stationary", "planes_for", "settle"]

_DESCENT = 0.1
"""Share of the decrease that the model promises which a step has to achieve."""

_NEW = 0.5
"""Share of it by which the plane of a failed step has to raise the model there; if it does not, the model is local."""

_SOFT, _STIFF = 1e-6, 1.0
"""Curvature added to the action's, in units of 1 / t: where it has some of its own, and where it has none."""

_FIRST = 1e-2
"""First radius, in units of one plus the norm of the point: descents end close to kinks."""

_CLOSER = 1e-2
"""Share of the radius to go on with when there is nothing to descend within it."""


class Stationary(NamedTuple):
    """Where a descent with planes ended.

    Attributes:
        y, value: The last point of each row, and F there.
        slope: Convex combination of gradients of g close to `y`.
        residual: Norm of the same combination of gradients of F.
        bend: How far the planes of g lie below g at `y`, combined with the same weights; only rounding for smooth g.
        converged: Whether the residual met the tolerance with gradients from within the radius asked for.
        evaluations: Evaluations of the gradient of g, per row.
    """

    y: Points
    value: Values
    slope: Points
    residual: Values
    bend: Values
    converged: Mask
    evaluations: Counts


class _Planes(NamedTuple):
    """Planes of F less its action, and of g: where they touch, values and gradients there."""

    points: Float[Array, "n k d"]
    value: Float[Array, "n k"]
    normal: Float[Array, "n k d"]
    initial: Float[Array, "n k"]
    slope: Float[Array, "n k d"]


class _Rows(NamedTuple):
    """Rows on their way.

    Attributes:
        y, value: Where each row is.
        planes: `k` planes a row, the first of them that at `y`.
        known: Whether each of them has been filled.
        weight: Weights of the last combination.
        radius: How far from `y` planes are used, and twice as far as a step goes.
        stiffness: Curvature added to the action's, in units of `1 / t`.
        residual: Norm of the last combination of gradients.
        done: Rows that do not move any more.
        evaluations: Evaluations of the gradient of g.
    """

    y: Points
    value: Values
    planes: _Planes
    known: Float[Array, "n k"]
    weight: Float[Array, "n k"]
    radius: Values
    stiffness: Values
    residual: Values
    done: Mask
    evaluations: Counts


class _Model(NamedTuple):
    """The combination of a round, the step it proposes, and the decrease that this promises."""

    weight: Float[Array, "n k"]
    usable: Float[Array, "n k"]
    flat: Mask
    residual: Values
    pull: Points
    step: Points
    clipped: Mask
    promise: Values


def planes_for(dim: int) -> int:
    """Number of planes of a row: enough for a combination, which needs `dim + 1`, and some on their way in or out."""
    return min(2 * dim, dim + 10) + 6


def settle(objective: Objective, y: Points, tolerance: Array | float, max_steps: int | Array) -> Stationary:
    """Lower F from `y` and find a short convex combination of its gradients nearby.

    Args:
        objective: F; kinks at its minimisers should be convex ones, as those of convex and of semiconvex data are, and
            kinks of semiconcave data cannot be at a minimiser.
        y: `(n, d)` first guesses.
        tolerance: The norm of the combination at most, in units of one plus the norm of that of g's gradients; and how
            far from the final point its gradients are taken at most, in units of one plus the norm of that point.
        max_steps: Rounds at most; each evaluates the gradient twice, the second time beside the trial, which serves
            where the first is not finite, as that of a norm at zero is not.

    Note: Cost of a round: a quadratic program in `d + 16` weights a row.

    References: Burke, Lewis, Overton 2005, "A robust gradient sampling algorithm for nonsmooth, nonconvex
    optimization", for the notion of a stationary point; Kiwiel 1985, "Methods of descent for nondifferentiable
    optimization", for planes. The metric of the quadratic program is the Hessian of the action.
    """
    count, dim = y.shape
    size = planes_for(dim)
    ray = jax.random.normal(jax.random.key(0), (dim,), y.dtype)
    aside = 0.25 * tolerance * ray / jnp.linalg.norm(ray)

    def turn(carry: tuple[_Rows, Array]) -> tuple[_Rows, Array]:
        rows, rounds = carry
        model = _model(objective, rows, tolerance)
        value, fresh = _evaluate(objective, rows.y + model.step, aside)
        least = tolerance * (1.0 + _norm(rows.y))
        done = rows.done | (model.flat & (rows.radius <= least))
        sound = ~done & jnp.isfinite(value) & jnp.isfinite(fresh.normal).all(axis=1)
        serious = sound & (value <= rows.value - _DESCENT * model.promise) & (value < rows.value)
        # A failed step has taught something if its plane is high enough there; if not, bends that are no planes made
        # it fail, and the model is to be trusted less far.
        below = rows.planes.value[:, 0] - fresh.value + jnp.sum(fresh.normal * model.step, axis=1)
        rise = jnp.sum((fresh.normal + model.pull) * model.step, axis=1) - jnp.abs(below) + model.promise
        narrow = ~serious & (rise < _NEW * model.promise)
        place = _least_useful(rows, model) & sound[:, None]
        radius = jnp.where(model.flat, _CLOSER * rows.radius, rows.radius)
        radius = jnp.where(narrow, 0.5 * radius, radius)
        radius = jnp.where(serious & model.clipped & ~model.flat, 4.0 * rows.radius, radius)
        stiffness = jnp.where(serious, jnp.maximum(0.25 * rows.stiffness, _SOFT), rows.stiffness)
        new = _Rows(
            y=where_rows(serious, rows.y + model.step, rows.y),
            value=jnp.where(serious, value, rows.value),
            planes=jax.tree.map(lambda old, new: _enter(old, new, place, serious), rows.planes, fresh),
            known=jnp.where(place, 1.0, rows.known),
            weight=model.weight,
            radius=jnp.maximum(radius, least),
            stiffness=jnp.where(narrow, 4.0 * rows.stiffness, stiffness),
            residual=model.residual,
            done=done,
            evaluations=rows.evaluations + 2,
        )
        # A row that is done keeps its last combination, which is of this round, and the planes that it is made of.
        kept = rows._replace(weight=model.weight, residual=model.residual, done=done, evaluations=new.evaluations)
        return where_rows(rows.done, rows, where_rows(done, kept, new)), rounds + 1

    value, fresh = _evaluate(objective, y, aside)
    first = jnp.zeros((count, size), y.dtype).at[:, 0].set(1.0)
    curved = objective.lagrangian.smooth or objective.lagrangian.strong_convexity() > 0
    start = _Rows(
        y=y,
        value=value,
        planes=jax.tree.map(lambda part: jnp.repeat(part[:, None], size, axis=1), fresh),
        known=first,
        weight=first,
        radius=_FIRST * (1.0 + _norm(y)),
        stiffness=jnp.full(count, _SOFT if curved else _STIFF, y.dtype),
        residual=jnp.full(count, jnp.inf, y.dtype),
        done=~(jnp.isfinite(value) & jnp.isfinite(fresh.normal).all(axis=1)),
        evaluations=jnp.full(count, 2, jnp.int32),
    )
    rows, _ = jax.lax.while_loop(
        lambda carry: jnp.any(~carry[0].done) & (carry[1] < max_steps), turn, (start, jnp.zeros((), jnp.int32))
    )
    slope = contract("nk,nkd->nd", rows.weight, rows.planes.slope)
    bend = jnp.sum(rows.weight * jnp.abs(_errors(rows, rows.planes.initial, rows.planes.slope)), axis=1)
    converged = rows.done & jnp.isfinite(rows.residual)
    return Stationary(rows.y, rows.value, slope, rows.residual, bend, converged, rows.evaluations)


def _evaluate(objective: Objective, points: Points, aside: Array) -> tuple[Values, _Planes]:
    """F at points, and its planes there; gradients are those beside a point that has none."""
    value, gradient, slope = objective(points)
    _, gradient_beside, slope_beside = objective(points + aside)
    smooth = jnp.isfinite(gradient).all(axis=1)
    action, pull = objective.action(points)
    planes = _Planes(
        points,
        value - action,
        where_rows(smooth, gradient, gradient_beside) - pull,
        value - objective.t * objective.lagrangian.value(objective.velocity(points)),
        where_rows(smooth, slope, slope_beside),
    )
    return value, planes


def _errors(rows: _Rows, values: Array, normals: Array) -> Array:
    """How far planes lie below the function at the present point."""
    return values[:, :1] - values - contract("nkd,nkd->nk", normals, rows.y[:, None] - rows.planes.points)


def _model(objective: Objective, rows: _Rows, tolerance: Array | float) -> _Model:
    """Minimise the planes' maximum plus a quadratic model of the action, by the dual of that: a short combination."""
    distance = jnp.linalg.norm(rows.planes.points - rows.y[:, None], axis=2)
    usable = ((rows.known > 0) & (distance <= rows.radius[:, None])).at[:, 0].set(True)
    _, pull = objective.action(rows.y)
    added = (rows.stiffness / objective.t)[:, None, None] * jnp.eye(rows.y.shape[1], dtype=rows.y.dtype)
    factor = jnp.linalg.cholesky(objective.curvature(rows.y) + added)
    gradients = rows.planes.normal + pull[:, None]
    scaled = jax.scipy.linalg.solve_triangular(factor, jnp.swapaxes(gradients, 1, 2), lower=True)
    price = jnp.abs(_errors(rows, rows.planes.value, rows.planes.normal))
    weight = combine(contract("ndk,ndl->nkl", scaled, scaled), price, usable)
    short = contract("nk,nkd->nd", weight, gradients)
    slope = contract("nk,nkd->nd", weight, rows.planes.slope)
    full = -jax.scipy.linalg.cho_solve((factor, True), short[..., None])[..., 0]
    # Half the radius, so that a plane from the end of a step is among those that are used, whatever rounding does.
    part = jnp.minimum(1.0, 0.5 * rows.radius / jnp.maximum(_norm(full), 1e-300))
    promise = part * jnp.sum(weight * price, axis=1) - 0.5 * part * jnp.sum(short * full, axis=1)
    residual = _norm(short)
    flat = residual <= tolerance * (1.0 + _norm(slope))
    return _Model(weight, usable, flat, residual, pull, part[:, None] * full, part < 1.0, promise)


def _least_useful(rows: _Rows, model: _Model) -> Mask:
    """Which plane of each row goes: an empty place, a far plane, or that of least weight; never that at the point."""
    distance = jnp.linalg.norm(rows.planes.points - rows.y[:, None], axis=2)
    worth = jnp.where(model.usable, model.weight, -distance / (1.0 + distance))
    worth = jnp.where(rows.known > 0, worth, -2.0).at[:, 0].set(jnp.inf)
    return jnp.arange(worth.shape[1])[None] == jnp.argmin(worth, axis=1)[:, None]


def _enter(old: Array, new: Array, place: Mask, serious: Mask) -> Array:
    """With a new plane in its place, or, if the point has moved there, in the first one, whose plane moves."""
    entering = where_rows(serious, old[:, 0], new)
    wide = place.reshape(place.shape + (1,) * (old.ndim - 2))
    return jnp.where(wide, entering[:, None], old).at[:, 0].set(where_rows(serious, new, old[:, 0]))


def _norm(rows: Points) -> Values:
    return jnp.linalg.norm(rows, axis=1)
