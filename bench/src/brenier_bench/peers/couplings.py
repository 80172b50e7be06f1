"""POT's transports for finite samples, with their own out-of-sample maps.

References: Flamary et al. 2021, "POT: Python optimal transport", `ot.da`; Ferradans et al. 2014 for the out-of-sample
map of couplings.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import ot.da
from numpy.typing import NDArray

from brenier_bench.method import Fitted, Map
from brenier_bench.peers._grid import choose
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
    """The best candidate of a grid, and its maps of points in double precision."""
    x, y = problem.samples()

    def fit(make: Callable[[], Any]) -> Any:  # noqa: ANN401 - one of POT's transports
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of convergence; what counts is the error
            return make().fit(Xs=x, Xt=y)

    def forward(transport: Any) -> Map:  # noqa: ANN401
        return lambda points: transport.transform(Xs=np.asarray(points, np.float64))

    choice = choose(problem, clock, {name: partial(fit, make) for name, make in grid.items()}, forward)

    def inverse(points: NDArray[np.floating]) -> NDArray[np.float64]:
        return choice.model.inverse_transform(Xt=np.asarray(points, np.float64))

    invertible = not choice.name.startswith(("linear ", "gaussian "))
    settings = {"chosen": choice.name, "forward_errors": choice.errors}
    return Fitted(forward(choice.model), inverse if invertible else None, settings=settings)
