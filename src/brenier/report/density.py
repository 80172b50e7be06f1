"""What a density says of the data: log densities of the rows, beside those of draws from it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier.data.table import Matrix
from brenier.report.drawing import IMAGE, TARGET, drawing, limits
from brenier.report.page import Fact, Figure, Panel, Section, Table
from brenier.report.sides import Cloud, Sides
from brenier.report.words import number, tally

__all__ = ["Densities", "densities", "density_section"]

_ROWS = 8


@dataclass(frozen=True, eq=False)
class Densities:
    """Log densities of the rows of the data, and of draws from the density.

    Attributes:
        cloud: The rows of the data.
        value: `(n,)` their log densities, in nats, for volumes in the units of the data.
        converged: `(n,)` whether the solve behind each converged; if not, the value is that of a point nearby.
        drawn: `(n,)` log densities of as many draws from the density.
        seed: Seed of the draws.
        exact: Whether log determinants are exact, not estimated.
    """

    cloud: Cloud
    value: Matrix
    converged: NDArray[np.bool_]
    drawn: Matrix
    seed: int
    exact: bool


def densities(sides: Sides, seed: int) -> Densities | None:
    """Log densities of the rows on the side without the base; None for maps without a base."""
    map_ = sides.map_
    if "base" not in map_.info:
        return None
    cloud = sides.x if map_.density_side == "source" else sides.y
    result = map_.log_density_with_status(cloud.points)
    drawn: Any = map_.sample(len(cloud.points), seed=seed)
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    of_draws = map_.log_density_with_status(drawn)
    return Densities(cloud, result.value, result.converged, of_draws.value, seed, map_.dim <= 256)


def density_section(result: Densities) -> Section:
    """The section of the report with the log densities."""
    cloud = result.cloud
    known = np.isfinite(result.value)
    lost = int((~known).sum())
    shares = cloud.shares[known] / cloud.shares[known].sum()
    mean = float(shares @ result.value[known])
    error = float(np.sqrt(np.square(shares) @ np.square(result.value[known] - mean)))
    of_draws = float(np.mean(result.drawn[np.isfinite(result.drawn)]))
    failed = int((~result.converged).sum())
    facts = [
        Fact(
            "Mean log density",
            f"{number(mean)} ± {number(error, 2)} nats",
            f"Of the rows of {cloud.name}, with one standard error; natural logarithms, for volumes in the units of "
            "the data.",
        ),
        Fact(
            "Of draws from it",
            f"{number(of_draws)} nats",
            "Mean over as many draws from the density: minus its entropy. Data far below it are not what the density "
            "says.",
        ),
        Fact(
            "Unconverged",
            f"{failed:,} of {len(result.value):,}",
            "Rows whose point on the other side was not found.",
            poor=failed > 0,
        ),
    ]
    notes = (
        [f"{tally(lost, 'row')} of {cloud.name} have no finite log density, and are left out of the mean."]
        if lost
        else []
    )
    if not result.exact:
        notes.append("Log determinants are estimated beyond 256 columns.")
    order = np.argsort(np.where(known, result.value, -np.inf), kind="stable")[:_ROWS]
    table = Table(
        f"Least likely rows of {cloud.name}.",
        ["Row", "log density"],
        [[str(cloud.rows[k]), number(float(result.value[k]))] for k in order],
        wide=(),
    )
    return Section(
        "density", "Log densities", facts=facts, notes=notes, figures=[_figure(result, known)], tables=[table]
    )


def _figure(result: Densities, known: NDArray[np.bool_]) -> Figure:
    values, drawn = result.value[known], result.drawn[np.isfinite(result.drawn)]
    low, high = limits(values[:, None], drawn[:, None])
    edges = np.linspace(float(low[0]), float(high[0]), 41)
    alt = f"Histograms of log densities of {result.cloud.name} and of draws from the density."
    with drawing("log-densities", "Log densities", alt, 2.4) as figure:
        weights = result.cloud.shares[known] / result.cloud.shares[known].sum()
        width = edges[1] - edges[0]
        of_draws = np.histogram(drawn, edges)[0] / len(drawn) / width
        of_data = np.histogram(values, edges, weights=weights)[0] / width
        figure.axes.stairs(of_data, edges, fill=True, color=TARGET, alpha=0.4)
        figure.axes.stairs(of_data, edges, color=TARGET, linewidth=0.9)
        figure.axes.stairs(of_draws, edges, color=IMAGE, linewidth=1.6)
        figure.axes.set_yticks([])
        figure.axes.grid(False)
        figure.axes.spines["left"].set_visible(False)
        figure.axes.set_xlabel("log density, nats")
    caption = (
        f"Log densities of the rows of {result.cloud.name} (grey area) and of {len(drawn):,} draws from the density "
        f"with seed {result.seed} (orange), each with an area of one. Where the density is right, the two agree; data "
        "with more on the left have rows that the density takes for nearly impossible. At most 0.2 % of each lie "
        "beyond each end."
    )
    return Figure(
        [Panel("Log densities", alt, figure.markup)],
        caption,
        [("target", result.cloud.name), ("image", "draws from the density")],
    )
