"""W2GN, the non-adversarial reference: two convex networks held to be each other's inverse by a cycle loss.

The loss is `E phi(x) - E phi(S(y)) + weight * E|grad phi(S(y)) - y|^2` with `S = grad psi`, detached in the second
term, so that `psi` learns from the cycle alone. The forward map is the gradient of `phi`, the inverse is `S`.

References: Korotin et al. 2021, "Wasserstein-2 generative networks", equation 12.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._types import Points, Scalar
from brenier.potentials import ICNN
from brenier.training import choose_config
from brenier_bench.method import Fitted, count_parameters
from brenier_bench.peers._descend import Setting, adam, descend
from brenier_bench.problem import Clock, Problem

__all__ = ["fit"]

_PEAK = 5e-3
_BATCH = 1024

Pair = tuple[ICNN, ICNN]


def fit(problem: Problem, clock: Clock) -> Fitted:
    """Train both networks until the time is over."""
    setting, config = Setting.of(problem), choose_config(problem.dim, None)
    rng = np.random.default_rng(problem.seed)
    networks = [ICNN(problem.dim, config.widths, rng=rng, sharpness=config.sharpness) for _ in range(2)]
    start, static = eqx.partition(tuple(networks), eqx.is_inexact_array)
    weight = float(problem.dim)

    def loss(arrays: Pair, x: Points, y: Points) -> Scalar:
        phi, psi = eqx.combine(arrays, static)
        back = psi.gradient(y)
        correlation = jnp.mean(phi(x)) - jnp.mean(phi(jax.lax.stop_gradient(back)))
        return correlation + weight * jnp.mean(jnp.sum(jnp.square(phi.gradient(back) - y), axis=1))

    def step(state: tuple, x: Points, y: Points, rate: Scalar) -> tuple:
        arrays, moments = state
        change, moments = adam.update(jax.grad(loss)(arrays, x, y), moments)
        return jax.tree.map(lambda p, c: p - rate * c, arrays, change), moments

    (arrays, _), steps = descend(step, (start, adam.init(start)), setting.draw, clock, batch=_BATCH, peak=_PEAK)
    gradient = eqx.filter_jit(lambda side, points: eqx.combine(arrays, static)[side].gradient(points))
    forward, inverse = setting.maps(lambda p: gradient(0, p), lambda p: gradient(1, p))
    settings = {"widths": config.widths, "weight": weight, "rate": _PEAK, "batch": _BATCH}
    return Fitted(forward, inverse, steps, settings, count_parameters(arrays))
