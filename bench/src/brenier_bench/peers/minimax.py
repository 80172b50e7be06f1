"""MM:R, the adversarial reference: a free potential against a network that is the map.

The dual in the form that gives the forward map directly, `min_psi max_T E[<x, T(x)> - psi(T(x))] + E psi(y)`: the map
climbs for some steps, the potential descends for one. The inverse is the gradient of `psi`.

References: Korotin et al. 2021, "Do neural optimal transport solvers work?", sections 3 and 4.3, solver MM:R.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from brenier._types import Array, Points, Scalar
from brenier.potentials import MLP
from brenier.training import choose_config
from brenier_bench.method import Fitted, count_parameters
from brenier_bench.peers._descend import Setting, adam, descend
from brenier_bench.problem import Clock, Problem

__all__ = ["fit"]

_INNER = 10
"""Steps of the map for each step of the potential."""

_PEAK = 1e-3
_BATCH = 1024


class _State(NamedTuple):
    potential: MLP
    map: MLP
    moments: tuple[optax.OptState, optax.OptState]
    count: Array


def fit(problem: Problem, clock: Clock) -> Fitted:
    """Train both networks until the time is over."""
    setting, widths = Setting.of(problem), choose_config(problem.dim, None).widths
    rng = np.random.default_rng(problem.seed)
    networks = [MLP(problem.dim, widths, rng=rng) for _ in range(2)]
    (potential, static), (transport, _) = (eqx.partition(n, eqx.is_inexact_array) for n in networks)

    def build(arrays: MLP) -> MLP:
        return eqx.combine(arrays, static)

    # The map is the gradient of a network of its own, so that both start at the Gaussian map.
    def map_loss(arrays: MLP, state: _State, x: Points) -> Scalar:
        image = build(arrays).gradient(x)
        return jnp.mean(build(state.potential)(image) - jnp.sum(x * image, axis=1))

    def potential_loss(arrays: MLP, state: _State, x: Points, y: Points) -> Scalar:
        image = jax.lax.stop_gradient(build(state.map).gradient(x))
        return jnp.mean(build(arrays)(y)) - jnp.mean(build(arrays)(image))

    def descent(arrays: MLP, gradient: MLP, moments: optax.OptState, rate: Scalar) -> tuple[MLP, optax.OptState]:
        change, moments = adam.update(gradient, moments)  # type: ignore[arg-type]
        return jax.tree.map(lambda p, c: p - rate * c, arrays, change), moments

    def step(state: _State, x: Points, y: Points, rate: Scalar) -> _State:
        def outer() -> _State:
            gradient = jax.grad(potential_loss)(state.potential, state, x, y)
            arrays, moments = descent(state.potential, gradient, state.moments[0], rate)
            return _State(arrays, state.map, (moments, state.moments[1]), state.count + 1)

        def inner() -> _State:
            gradient = jax.grad(map_loss)(state.map, state, x)
            arrays, moments = descent(state.map, gradient, state.moments[1], rate)
            return _State(state.potential, arrays, (state.moments[0], moments), state.count + 1)

        return jax.lax.cond(state.count % (_INNER + 1) == _INNER, outer, inner)

    start = _State(potential, transport, (adam.init(potential), adam.init(transport)), jnp.zeros((), jnp.int32))
    state, steps = descend(step, start, setting.draw, clock, batch=_BATCH, peak=_PEAK)
    gradient = eqx.filter_jit(lambda arrays, points: build(arrays).gradient(points))
    forward, inverse = setting.maps(lambda p: gradient(state.map, p), lambda p: gradient(state.potential, p))
    settings = {"widths": widths, "inner": _INNER, "rate": _PEAK, "batch": _BATCH}
    return Fitted(forward, inverse, steps, settings, count_parameters(state.map, state.potential))
