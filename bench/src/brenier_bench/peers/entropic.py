"""OTT-JAX's entropic map: the barycentric projection of a Sinkhorn solution, defined everywhere.

References: Pooladian and Niles-Weed 2021, "Entropic estimation of optimal transport maps"; `ott.solvers.linear`.
"""

from functools import partial

import jax
import jax.numpy as jnp
from ott.geometry.pointcloud import PointCloud
from ott.problems.linear.potentials import DualPotentials
from ott.solvers import linear

from brenier_bench.method import Fitted, Map
from brenier_bench.peers._grid import choose
from brenier_bench.problem import Clock, Problem

__all__ = ["fit"]

_SHARES = (0.05, 0.02, 0.01, 0.005)
"""Regularisation as a share of the mean cost; 0.05 is the library's own."""


def fit(problem: Problem, clock: Clock) -> Fitted:
    """The best regularisation; less of it takes longer, so that the most comes first."""
    x, y = (jnp.asarray(points, jnp.float32) for points in problem.samples())

    def solve(share: float) -> DualPotentials:
        cloud = PointCloud(x, y, epsilon=share, relative_epsilon="mean")
        return jax.jit(lambda cloud: linear.solve(cloud, max_iterations=2000))(cloud).to_dual_potentials()

    def transport(potentials: DualPotentials, *, forward: bool = True) -> Map:
        return lambda points: potentials.transport(jnp.asarray(points, jnp.float32), forward=forward)

    choice = choose(problem, clock, {str(share): partial(solve, share) for share in _SHARES}, transport)
    settings = {"epsilon": float(choice.name), "forward_errors": choice.errors}
    return Fitted(transport(choice.model), transport(choice.model, forward=False), settings=settings)
