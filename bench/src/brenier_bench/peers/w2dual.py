"""W2NeuralDual of OTT-JAX: a potential and a network that predicts its conjugate's maximisers, refined by L-BFGS.

References: Makkuva et al. 2020, "Optimal transport mapping via input convex neural networks"; Amos 2023, "On
amortizing convex conjugates for optimal transport"; `ott.neural.methods.neuraldual`.
"""

from collections.abc import Sequence
from functools import partial

import jax
from ott.neural.methods.neuraldual import W2NeuralDual
from ott.neural.networks.icnn import ICNN
from ott.neural.networks.potentials import PotentialMLP

from brenier_bench.method import Fitted, Map
from brenier_bench.peers._ott import ENDLESS, adam, run
from brenier_bench.problem import Clock, Problem

__all__ = ["fit_documented", "fit_tuned"]


def fit_tuned(problem: Problem, clock: Clock) -> Fitted:
    """The networks, batches and rates that suit ENOT, in this solver."""
    networks = [PotentialMLP(dim_hidden=[128, 128], act_fn=jax.nn.elu) for _ in range(2)]
    return _fit(problem, clock, networks, peak=5e-3, moments={"b1": 0.5, "b2": 0.9}, batch=1024)


def fit_documented(problem: Problem, clock: Clock) -> Fitted:
    """The defaults of the class: convex networks of four layers, Adam at a constant 1e-4."""
    networks = [ICNN(dim_data=problem.dim, dim_hidden=[64] * 4, pos_weights=True) for _ in range(2)]
    return _fit(problem, clock, networks, peak=None, moments={"b1": 0.5, "b2": 0.9}, batch=1024)


def _fit(
    problem: Problem,
    clock: Clock,
    networks: Sequence[ICNN | PotentialMLP],
    *,
    peak: float | None,
    moments: dict[str, float],
    batch: int,
) -> Fitted:
    solver = W2NeuralDual(
        problem.dim,
        neural_f=networks[0],
        neural_g=networks[1],
        optimizer_f=adam(None if peak else 1e-4, **moments),  # type: ignore[arg-type] - annotated there as its state
        optimizer_g=adam(None if peak else 1e-4, **moments),  # type: ignore[arg-type]
        num_train_iters=ENDLESS,
        valid_freq=ENDLESS,
        rng=jax.random.key(problem.seed),
    )

    forward, inverse = (
        jax.jit(lambda params, points, network=network: network.potential_gradient_fn(params)(points))
        for network in networks
    )

    def maps() -> tuple[Map, Map]:
        return partial(forward, solver.state_f.params), partial(inverse, solver.state_g.params)

    settings = {"network": type(networks[0]).__name__, "hidden": tuple(networks[0].dim_hidden)}
    return run(solver, problem, clock, maps, batch=batch, peak=peak, settings=settings)
