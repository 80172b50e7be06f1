"""POT's transports for finite samples, with their own out-of-sample maps.

Regularisation is tried over a grid, and the value that is best *on the test points* is reported: more than a user
could do, so that these rows cannot be beaten by tuning.

References: Flamary et al. 2021, "POT: Python optimal transport", `ot.da`; Ferradans et al. 2014 for the out-of-sample
map of couplings.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import ot.da
from numpy.typing import NDArray

from brenier.metrics import unexplained_variance
from brenier_bench.method import Fitted, Map
from brenier_bench.problem import Clock, Problem

__all__ = ["emd", "linear", "mapping", "sinkhorn"]

_LARGEST_KERNEL = 1000
"""Samples up to which `MappingTransport` gets its kernel: its time grows with the cube of their number."""


def emd(problem: Problem, clock: Clock) -> Fitted:
    """The exact coupling; new points move with their nearest sample."""
    return _best(problem, clock, {"emd": lambda: ot.da.EMDTransport(max_iter=10_000_000)})


def sinkhorn(problem: Problem, clock: Clock) -> Fitted:
    """Entropic couplings; regularisation as a share of the mean squared distance."""
    x, y = problem.samples()
    mean = float(np.var(x, axis=0).sum() + np.var(y, axis=0).sum() + np.sum(np.square(x.mean(axis=0) - y.mean(axis=0))))
    grid = {
        f"{share}": lambda share=share: ot.da.SinkhornTransport(reg_e=share * mean, max_iter=2000)
        for share in (0.1, 0.03, 0.01, 0.003)
    }
    return _best(problem, clock, grid)


def linear(problem: Problem, clock: Clock) -> Fitted:
    """The map between Gaussians with the samples' moments."""
    return _best(problem, clock, {f"{reg}": lambda reg=reg: ot.da.LinearTransport(reg=reg) for reg in (1e-8, 1e-3)})


def mapping(problem: Problem, clock: Clock) -> Fitted:
    """Coupling and map together: affine, and with a Gaussian kernel where there are few samples."""
    grid: dict[str, Callable[[], Any]] = {
        f"linear {eta}": lambda eta=eta: ot.da.MappingTransport(mu=1, eta=eta, bias=True, kernel="linear")
        for eta in (1e-3, 1e-1)
    }
    if (problem.size or 0) <= _LARGEST_KERNEL:
        width = float(np.sqrt(problem.var_x))
        for share in (0.5, 1.0, 2.0):
            grid[f"gaussian {share}"] = lambda share=share: ot.da.MappingTransport(
                mu=1,
                eta=1e-3,
                bias=True,
                kernel="gaussian",
                sigma=share * width,  # type: ignore[arg-type]
            )
    return _best(problem, clock, grid)


def _best(problem: Problem, clock: Clock, grid: dict[str, Callable[[], Any]]) -> Fitted:
    """The candidate with the least error forward on the test points, of those that finish in time."""
    x, y = problem.samples()
    best: tuple[float, str, Any] | None = None
    tried: dict[str, float] = {}
    took = 0.0
    for name, make in grid.items():
        if best is not None and clock.left < took:  # the next one takes about as long, or longer
            break
        since = clock.elapsed
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of convergence; what counts is the error
            transport = make().fit(Xs=x, Xt=y)
            images = np.asarray(transport.transform(Xs=np.asarray(problem.test_x, np.float64)))
        error = unexplained_variance(images, problem.test_y, problem.var_y)
        tried[name], took = error, clock.elapsed - since
        if best is None or error < best[0]:
            best = (error, name, transport)
    if best is None:
        raise ValueError("nothing was tried.")
    _, name, transport = best

    def moved(points: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(transport.transform(Xs=np.asarray(points, np.float64)))

    def returned(points: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(transport.inverse_transform(Xt=np.asarray(points, np.float64)))

    inverse: Map | None = None if name.startswith(("linear ", "gaussian ")) else returned
    return Fitted(moved, inverse, settings={"chosen": name, "forward_errors": tried})
