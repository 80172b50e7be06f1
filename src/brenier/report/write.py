"""From a map and two sides to one page."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.certificates import Distance
from brenier.data.checks import as_points
from brenier.data.table import Unchecked
from brenier.density.bases import Normal
from brenier.files.atomic import atomic_write, check_writable
from brenier.maps import TransportMap
from brenier.maps.distances import check_confidence
from brenier.report.certificate import certificate, certificate_section, verdict
from brenier.report.correlations import correlations, correlations_section
from brenier.report.density import densities, density_section
from brenier.report.inverse import inverse_quality, inverse_section
from brenier.report.marginals import marginals, marginals_section
from brenier.report.page import Page, Section, render
from brenier.report.pictures import pictures, pictures_section
from brenier.report.projection import projection, projection_section
from brenier.report.provenance import digest, provenance_section
from brenier.report.sides import Sides, read_sides
from brenier.report.sweep import sweep_section, sweeps
from brenier.report.training import training, training_section
from brenier.report.words import clean, tally
from brenier.report.worst import worst_section

__all__ = ["ROWS", "Report", "write_report"]

ROWS = 2236
"""Rows a side that a page uses: the most with which the distance of the samples is still computed exactly."""


@dataclass(frozen=True, eq=False)
class Report:
    """The result of a report, in numbers.

    Attributes:
        verdict: The sentence at its head.
        distance: The distance on its rows.
        rows: Numbers of rows of source and target that were used.
        seen: Whether the fit has seen rows of the page; None if unknown.
        bytes: Size of the file in bytes.
    """

    verdict: str
    distance: Distance
    rows: tuple[int, int]
    seen: bool | None
    bytes: int


def write_report(
    fitted: Any,  # noqa: ANN401 - an estimator or a map
    X: Unchecked,
    Y: Unchecked,
    path: str | PathLike[str],
    *,
    x_condition: Unchecked = None,
    y_condition: Unchecked = None,
    x_weight: Unchecked = None,
    y_weight: Unchecked = None,
    names: tuple[str, str] = ("source", "target"),
    title: str | None = None,
    confidence: float = 0.95,
    max_rows: int = ROWS,
    seed: int = 0,
    images: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None,
    map_path: str | None = None,
    command: str | None = None,
    callback: Callable[[str], object] | None = None,
) -> Report:
    """Write one self-contained HTML page about a map: what it is worth, and how it was made.

    The page has the distance with its certificate, the training, the inverse, columns before and after, displacements,
    correlations, rows to look at, settings and versions. It loads nothing, follows light and dark, and can be printed.
    The same map, points, versions and seed give the same bytes. Use rows that the fit has not seen; the page says so
    where it recognises rows of the fit.

    Args:
        fitted: `BrenierMap`, `BrenierDensity` or `TransportMap`. For costs that are not quadratic, the page has
            the least mean cost instead of W2, and no bound on errors of preimages.
        X: `(n, dim)` source points. For a density whose base is the source, None draws them.
        Y: `(m, dim)` target points. For a density whose base is the target, None draws them.
        path: The file, written whole or not at all.
        x_condition: Conditions of the source points, for maps with conditions.
        y_condition: Conditions of the target points.
        x_weight: `(n,)` weights of the source points; equal ones by default.
        y_weight: `(m,)` weights of the target points.
        names: What the page calls the two sides.
        title: Title of the page.
        confidence: Level of the bound on the populations, in (0, 1).
        max_rows: Most rows a side, at least 2; of more, so many are drawn, class by class in their shares. Up to 2,236
            the distance of the samples is exact.
        seed: Seed of everything random on the page.
        images: Source and target as `(height, width, 3)` of 8 bits, if the points are the colours of their pixels.
        map_path: Where the map is, to be named on the page.
        command: The command to repeat the work, to be shown on the page.
        callback: Called with a few words at the start of each part of the work.

    Raises:
        InputError: An argument cannot be used, or the file cannot be written.

    Note: Cost: that of `distance` and `inverse_with_status` on the rows used; about ten seconds by default.

    Example:
        >>> import numpy as np, tempfile, pathlib
        >>> from brenier import BrenierMap
        >>> from brenier.report import write_report
        >>> rng = np.random.default_rng(0)
        >>> X, Y = rng.normal(size=(700, 2)), 2.0 * rng.normal(size=(700, 2))
        >>> ot = BrenierMap(max_steps=128, refit=False, random_state=0).fit(X[:500], Y[:500])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = write_report(ot, X[500:], Y[500:], pathlib.Path(folder) / "report.html")
        >>> report.rows, report.seen
        ((200, 200), False)
    """
    say = callback or (lambda words: None)
    map_ = _map_of(fitted)
    check_confidence(confidence)
    if max_rows < 2:
        raise InputError(f"`max_rows` must be at least 2; got {max_rows!r}.")
    check_writable(path)
    say("moving points, there and back")
    (X, Y), base = _with_draws(map_, X, Y, max_rows, seed)
    weights, conditions = (x_weight, y_weight), (x_condition, y_condition)
    sides = read_sides(map_, (X, Y), conditions, weights, names, max_rows, seed)
    say("measuring the distance")
    whole = {"source": as_points(X, "X").values, "target": as_points(Y, "Y").values}
    evidence = certificate(sides, whole, confidence, seed, base)
    answer = verdict(evidence, sides)
    say("drawing")
    shown = [certificate_section(evidence, sides)]
    if images is not None and map_.conditions is None:
        shown.append(pictures_section(pictures(map_, *images), (sides.x.name, sides.y.name)))
    shown += _sections(sides, seed)
    shown.append(
        provenance_section(
            sides,
            sha256=digest(map_),
            path=map_path,
            most=max_rows,
            seed=seed,
            confidence=confidence,
            command=command,
            notes=_rows(sides, base),
        )
    )
    warnings = list(sides.dropped)
    if evidence.seen:
        warnings.insert(
            0, "The fit has seen rows of this page. Numbers on such rows flatter the map; use held-out rows."
        )
    page = Page(
        title=clean(title or f"{names[0]} → {names[1]}"),
        subtitle=f"{sides.x.describe()} · {sides.y.describe()} · {tally(map_.dim, 'column')}",
        verdict=answer,
        warnings=warnings,
        sections=shown,
        version=version("brenier"),
    )
    text = render(page).encode()
    with atomic_write(path) as file:
        file.write(text)
    return Report(answer, evidence.distance, (len(sides.x.points), len(sides.y.points)), evidence.seen, len(text))


def _sections(sides: Sides, seed: int) -> list[Section]:
    """Everything between the certificate and the settings."""
    info = sides.map_.info
    columns = marginals(sides)
    shown = [training_section(training(sides.map_), info)]
    of_density = densities(sides, seed)
    if of_density is not None:
        shown.append(density_section(of_density))
    shown.append(inverse_section(inverse_quality(sides), sides))
    shown.append(marginals_section(columns, sides))
    shown.append(projection_section(projection(sides), sides))
    along = sweeps(sides)
    if along:
        shown.append(sweep_section(along, columns, sides))
    matrices = correlations(sides)
    if matrices is not None:
        shown.append(correlations_section(matrices, sides))
    return [*shown, worst_section(sides)]


def _map_of(fitted: Any) -> TransportMap:  # noqa: ANN401
    map_ = getattr(fitted, "map_", fitted)
    if not isinstance(map_, TransportMap):
        raise InputError(
            f"`fitted` must be a fitted estimator or a map of brenier; got a {type(fitted).__name__}. Call `fit` first."
        )
    return map_


def _with_draws(
    map_: TransportMap, X: Unchecked, Y: Unchecked, most: int, seed: int
) -> tuple[tuple[Unchecked, Unchecked], str | None]:
    """Both sides, one of them drawn from the base of a density where it is None; and which one that is."""
    if X is not None and Y is not None:
        return (X, Y), None
    record = map_.info.get("base")
    given = {"source": X, "target": Y}
    if record is None or given[record["side"]] is not None or (X is None and Y is None):
        missing = "X" if X is None else "Y"
        raise InputError(f"`{missing}` is missing. Only the side of the base of a density can be left out.")
    data = given["target" if record["side"] == "source" else "source"]
    count = min(len(as_points(data, "points").values), most)
    given[record["side"]] = Normal.read(record).draw(count, np.random.default_rng([seed, 2]))
    return (given["source"], given["target"]), record["side"]


def _rows(sides: Sides, base: str | None) -> list[str]:
    """Which rows are used, and how they were chosen."""
    texts = [f"{sides.x.describe()}; {sides.y.describe()}."]
    drawn = [cloud for cloud in (sides.x, sides.y) if len(cloud.points) < cloud.given]
    if drawn:
        texts.append(
            "Of more rows than the page uses, so many were drawn at random without replacement, each class in its "
            "share."
        )
    if base is not None:
        texts.append(f"The {base} was drawn from the base of the density.")
    if sides.x.used is not None or sides.y.used is not None:
        texts.append(
            "In pictures, target rows are weighted so that their conditions are distributed as those of the source."
        )
    return texts
