"""Every solver, and one compiled call of the loop for all the tests that need it."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from brenier.solvers import BFGS, LBFGS, Anderson, Newton, Picard, Solution, Spectral, iterate
from problems import RootProblem

SOLVERS = [Picard(), Anderson(), Spectral(), BFGS(), LBFGS(), Newton()]
WITH_MEMORY = [Anderson(), Spectral(), BFGS(), LBFGS()]


def name(value: Any) -> str:
    """What pytest calls a solver or a problem."""
    return getattr(value, "name", type(value).__name__)


@eqx.filter_jit
def _solve(solver, system, x, targets, tolerance, max_steps, min_steps, allowed, scale, state):
    return iterate(
        solver,
        lambda z: system(z, targets),
        x,
        tolerance=tolerance,
        max_steps=max_steps,
        min_steps=min_steps,
        allowed_unconverged=allowed,
        scale=scale,
        state=state,
    )


def solve(
    solver: Any,
    problem: RootProblem,
    *,
    tolerance: Any = 0.0,
    max_steps: int = 2000,
    min_steps: int = 0,
    allowed: float = 0.0,
    scale: Any = None,
    state: Any = None,
    guess: Any = None,
) -> tuple[Solution, Any]:
    """`iterate` on a problem, in the precision that is switched on; all numbers are traced, so it compiles once."""
    kind = jnp.result_type(float)
    scale = np.ones(problem.targets.shape[1]) if scale is None else scale
    return _solve(
        solver,
        problem.system,
        jnp.asarray(problem.guess if guess is None else guess, kind),
        jnp.asarray(problem.targets, kind),
        jnp.broadcast_to(jnp.asarray(tolerance, kind), len(problem.targets)),
        jnp.asarray(max_steps),
        jnp.asarray(min_steps),
        jnp.asarray(allowed, kind),
        jnp.asarray(scale, kind),
        state,
    )
