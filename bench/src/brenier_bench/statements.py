"""Three statements about truncated conjugates, measured; `docs/inexact.md` proves them.

Everything here is float64: `measure` switches it on, and the other functions expect it.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

from brenier._types import Array, Float, Points, Scalar, Values
from brenier.conjugates import conjugate, dual_values
from brenier.potentials import AbstractPotential, Quadratic
from brenier.solvers import Newton, Picard, iterate
from brenier_bench.sgd import Gaussians, distance
from brenier_bench.smooth_max import SmoothMax

__all__ = [
    "Curve",
    "contraction",
    "envelope_gradient",
    "exact",
    "gap_curve",
    "implicit_gradient",
    "measure",
    "picard",
    "unrolled_gradient",
]

_EXACT = 1e-13
"""Residual a coordinate from which on a conjugate counts as exact: its value is then exact to rounding."""

_TARGETS = 256
_STEPS = 40
_EPSILONS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)


class Curve(NamedTuple):
    """Gaps against the number of steps, a row a number of steps and a column a target.

    Attributes:
        gap: `(k + 1, n)` true gaps, the conjugate minus the value after 0, 1, ... k steps; not negative.
        residual: `(k + 1, n)` Euclidean norms `r` of `grad u(x) - y`.
        bound: `(k + 1, n)` the bounds `q^(2k) r_0^2 / (2m)`.
        factor: The bound `q` of the contraction factor.
        measured: Largest ratio of two successive residuals above rounding; 0 if there are none.
    """

    gap: NDArray[np.float64]
    residual: NDArray[np.float64]
    bound: NDArray[np.float64]
    factor: float
    measured: float


def contraction(lowest: float, highest: float, relaxation: float) -> float:
    """Bound `q = max |1 - relaxation * h|` of a Picard step's contraction, over Hessians between two numbers."""
    return max(abs(1.0 - relaxation * lowest), abs(1.0 - relaxation * highest))


def picard(u: AbstractPotential, y: Points, relaxation: Scalar | float, steps: Array | int) -> Points:
    """The point after so many damped Picard steps from `y`, for each row, by the solver that training uses."""
    # As arrays, so that other lengths and numbers of steps are not other programs.
    return _picard(u, y, jnp.asarray(relaxation, y.dtype), jnp.asarray(steps, jnp.int32))


@eqx.filter_jit
def _picard(u: AbstractPotential, y: Points, relaxation: Scalar, steps: Array) -> Points:
    solver: Any = Picard(relaxation=relaxation)  # type: ignore[arg-type]
    return iterate(
        solver,
        lambda x: u.gradient(x) - y,
        y,
        tolerance=0.0,
        max_steps=steps,
        min_steps=steps,  # type: ignore[arg-type]
    )[0].value


@eqx.filter_jit
def exact(u: AbstractPotential, y: Points) -> Points:
    """Maximisers of `<x, y> - u(x)`, to rounding."""
    return conjugate(u, y, Newton(), tolerance=_EXACT).value


def gap_curve(u: AbstractPotential, y: Points, relaxation: float, highest: float, steps: int) -> Curve:
    """Statement (a): the gap against the number of steps, and its bound.

    Args:
        u: Potential, whose convexity floor is `m`.
        y: Targets.
        relaxation: Length of a step.
        highest: Largest eigenvalue of the Hessian, or a bound of it.
        steps: Most steps.
    """
    floor = float(u.convexity_floor())  # type: ignore[arg-type]
    best = _values(u, y, exact(u, y))[0]
    truncated = [_values(u, y, picard(u, y, relaxation, jnp.asarray(k))) for k in range(steps + 1)]
    values, residual = (np.stack([np.asarray(part) for part in parts]) for parts in zip(*truncated, strict=True))
    factor = contraction(floor, highest, relaxation)
    powers = factor ** (2.0 * np.arange(steps + 1))[:, None]
    # Residuals next to rounding say nothing about the contraction.
    clear = residual[:-1] > 1e-8
    measured = float(np.max(residual[1:][clear] / residual[:-1][clear], initial=0.0))
    gap = np.asarray(best) - values
    return Curve(gap, residual, powers * residual[0] ** 2 / (2.0 * floor), factor, measured)


@eqx.filter_jit
def envelope_gradient(u: AbstractPotential, y: Points, x: Points) -> Values:
    """Gradient of the mean conjugate in the parameters, with the points `x` held fixed: what training uses."""
    flat, potential = _parameters(u)
    return jax.grad(lambda parameters: jnp.mean(dual_values(potential(parameters), y, x)[0]))(flat)


@eqx.filter_jit
def implicit_gradient(u: AbstractPotential, y: Points, x: Points) -> Values:
    """The total derivative at the roots `x`, with `dx / d theta` from the implicit function theorem.

    A Newton step stays at a root, and with the inverse Hessian held fixed its derivative is that of the root.
    """
    flat, potential = _parameters(u)
    inverse = jnp.linalg.inv(u.hessian(x))

    def mean(parameters: Values) -> Scalar:
        v = potential(parameters)
        moved = x - jnp.einsum("nij,nj->ni", inverse, v.gradient(x) - y)
        return jnp.mean(dual_values(v, y, moved)[0])

    return jax.grad(mean)(flat)


def unrolled_gradient(u: AbstractPotential, y: Points, relaxation: Scalar | float, steps: Array | int) -> Values:
    """The total derivative of the value after so many Picard steps, through every one of them."""
    return _unrolled(u, y, jnp.asarray(relaxation, y.dtype), jnp.asarray(steps, jnp.int32))


@eqx.filter_jit
def _unrolled(u: AbstractPotential, y: Points, relaxation: Scalar, steps: Array) -> Values:
    flat, potential = _parameters(u)

    def mean(parameters: Values) -> Scalar:
        v = potential(parameters)
        return jnp.mean(dual_values(v, y, picard(v, y, relaxation, steps))[0])

    # Forward: the solver's loop ends by a condition, which only this mode can follow.
    return jax.jacfwd(mean)(flat)


def measure() -> dict[str, Any]:
    """The data of the three panels, as JSON values; some ten seconds on one core."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        soft = SmoothMax.random(3, 0)
        affine = Quadratic(jnp.diag(jnp.asarray([0.3, 0.9, 1.9])))
        y = jnp.asarray(1.5 * rng.standard_normal((_TARGETS, 3)))
        return {
            "gap": _measure_gaps({"quadratic": (affine, 1.9), "soft maximum": (soft, float(soft.steepest()))}, y),
            "envelope": _measure_bias(soft, y),
            "sgd": _measure_sgd(),
        }


def _measure_gaps(potentials: dict[str, tuple[AbstractPotential, float]], y: Points) -> list[dict[str, Any]]:
    curves = []
    for name, (u, highest) in potentials.items():
        floor = float(u.convexity_floor())  # type: ignore[arg-type]
        plain, best = 1.0, 2.0 / (floor + highest)
        for relaxation in (plain, best) if highest < 2.0 else (best,):
            curve = gap_curve(u, y, relaxation, highest, _STEPS)
            curves.append(
                {
                    "potential": name,
                    "relaxation": relaxation,
                    "floor": floor,
                    "steepest": highest,
                    "factor_bound": curve.factor,
                    "factor_measured": curve.measured,
                    "gap": curve.gap.mean(axis=1).tolist(),
                    "certified": (curve.residual**2 / (2.0 * floor)).mean(axis=1).tolist(),
                    "bound": curve.bound.mean(axis=1).tolist(),
                }
            )
    return curves


def _measure_bias(u: SmoothMax, y: Points) -> dict[str, Any]:
    """Statement (b): the bias of the envelope gradient against the mean residual, with its bound."""
    relaxation = 2.0 / (u.floor + float(u.steepest()))
    best = exact(u, y)
    truth = implicit_gradient(u, y, best)
    size = float(jnp.linalg.norm(truth))
    converged = {
        "envelope": envelope_gradient(u, y, best),
        "unrolled": unrolled_gradient(u, y, relaxation, 200),
    }
    record: dict[str, Any] = {"gradient_norm": size, "residual": [], "bias": [], "bound": [], "unrolled_bias": []}
    record["disagreement"] = {name: float(jnp.linalg.norm(value - truth)) / size for name, value in converged.items()}
    for steps in range(0, _STEPS + 1, 2):
        x = picard(u, y, relaxation, steps)
        residual = _values(u, y, x)[1]
        # The root is at most r / m away, so that this ball holds both.
        radius = jnp.linalg.norm(x, axis=1) + residual / u.floor
        record["residual"].append(float(jnp.mean(residual)))
        record["bias"].append(float(jnp.linalg.norm(envelope_gradient(u, y, x) - truth)))
        record["bound"].append(float(jnp.mean(u.parameter_lipschitz(radius) * residual)) / u.floor)
        record["unrolled_bias"].append(float(jnp.linalg.norm(unrolled_gradient(u, y, relaxation, steps) - truth)))
    return record


def _measure_sgd() -> dict[str, Any]:
    """Statement (c): distance to the optimum against the residual that each solve is left with."""
    problem = Gaussians.example()
    usual = 2.0 / sum(problem.curvature)
    modes: dict[str, dict[str, Any]] = {
        "all points": {"batch": None, "matched": True},
        "matching batches": {"batch": 64, "matched": True},
        "independent batches": {"batch": 64, "matched": False, "rate": usual / 8, "steps": 4096},
    }
    lines = {name: [float(distance(problem, epsilon, **mode)) for epsilon in _EPSILONS] for name, mode in modes.items()}
    bounds = [float(problem.bias(epsilon) / problem.curvature[0]) for epsilon in _EPSILONS]
    slopes = {name: float(np.polyfit(np.log(_EPSILONS), np.log(line), 1)[0]) for name, line in lines.items()}
    return {"epsilon": list(_EPSILONS), "distance": lines, "bound": bounds, "slope": slopes}


@eqx.filter_jit
def _values(u: AbstractPotential, y: Points, x: Points) -> tuple[Values, Values]:
    return dual_values(u, y, x)


def _parameters(u: AbstractPotential) -> tuple[Float[Array, " p"], Any]:
    """The potential's arrays as one vector, and the way back."""
    arrays, static = eqx.partition(u, eqx.is_inexact_array)
    flat, unflatten = ravel_pytree(arrays)
    return flat, lambda parameters: eqx.combine(unflatten(parameters), static)
