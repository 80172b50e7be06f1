"""ENOT of OTT-JAX: two networks, and an expectile penalty that holds them to each other's conjugate.

References: Buzun, Bobrin, Dylov 2024, "Expectile regularization for fast and accurate training of neural optimal
transport", arXiv 2403.03777; `ott.neural.methods.expectile_neural_dual`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from ott.neural.methods.expectile_neural_dual import ExpectileNeuralDual, PotentialModelWrapper
from ott.neural.networks.potentials import MLP

from brenier_bench.method import Fitted, Map
from brenier_bench.peers._ott import ENDLESS, adam, run
from brenier_bench.problem import Clock, Problem

__all__ = ["fit_documented", "fit_tuned"]

_EXPECTILE = 0.99


def fit_tuned(problem: Problem, clock: Clock) -> Fitted:
    """Settings found best on these pairs for minutes on one core: small networks, a high rate, a light penalty."""
    return _fit(problem, clock, hidden=(128, 128), peak=5e-3, coefficient=0.1, moments={})


def fit_documented(problem: Problem, clock: Clock) -> Fitted:
    """The defaults of the class: four layers, Adam at a constant 3e-4, a penalty of weight one."""
    return _fit(problem, clock, hidden=(128,) * 4, peak=None, coefficient=1.0, moments={"b1": 0.9, "b2": 0.9})


def _fit(
    problem: Problem,
    clock: Clock,
    *,
    hidden: tuple[int, ...],
    peak: float | None,
    coefficient: float,
    moments: dict[str, float],
    batch: int = 1024,
) -> Fitted:
    solver = ExpectileNeuralDual(
        problem.dim,
        neural_f=MLP(dim_hidden=[*hidden, 1], act_fn=jax.nn.elu),
        neural_g=MLP(dim_hidden=[*hidden, 1], act_fn=jax.nn.elu),
        optimizer_f=adam(None if peak else 3e-4, **moments),
        optimizer_g=adam(None if peak else 3e-4, **moments),
        expectile=_EXPECTILE,
        expectile_loss_coef=coefficient,
        num_train_iters=ENDLESS,
        valid_freq=ENDLESS,
        rng=jax.random.key(problem.seed),
    )

    # The cost of the class is |x - y|^2, so that a potential `f` maps `x` to `x - grad f(x) / 2`.
    def mover(network: PotentialModelWrapper) -> Callable[[Any, jax.Array], jax.Array]:
        return jax.jit(lambda params, points: points - 0.5 * jax.vmap(network.potential_gradient_fn(params))(points))

    forward, inverse = mover(solver.neural_f), mover(solver.neural_g)

    def maps() -> tuple[Map, Map]:
        return partial(forward, solver.state_f.params), partial(inverse, solver.state_g.params)

    settings = {"hidden": hidden, "coefficient": coefficient, "expectile": _EXPECTILE}
    return run(solver, problem, clock, maps, batch=batch, peak=peak, settings=settings)
