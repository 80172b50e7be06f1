"""What is needed to make the page again: map, settings, seeds, versions, command."""

import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from brenier.costs import COSTS
from brenier.maps import TransportMap, checksum
from brenier.report.page import Fact, Section, Table
from brenier.report.sides import Sides
from brenier.report.units import units
from brenier.report.words import clean, listing, number, tally

__all__ = ["digest", "provenance_section"]

_VERSIONS = ("brenier", "jax", "equinox", "numpy", "scipy", "matplotlib", "POT")


def digest(map_: TransportMap) -> str | None:
    """SHA-256 of a map, as in any file that holds it; None where no file can hold its cost."""
    cost = map_.cost
    if COSTS.get(cost.name) is not type(cost):
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.brenier"
        map_.save(path)
        return checksum(path)


def provenance_section(
    sides: Sides,
    *,
    sha256: str | None,
    path: str | None,
    most: int,
    seed: int,
    confidence: float,
    command: str | None,
    notes: Sequence[str],
) -> Section:
    """The section of the report with settings, seeds and versions.

    Args:
        sides: The rows of the page.
        sha256: Checksum of the map; None where it cannot be saved.
        path: Where the map was read from or written to.
        most: Largest number of rows a side that the report may use.
        seed: Seed of everything random in the report.
        confidence: Level of the bounds.
        command: Command line that wrote the report, if one did.
        notes: Sentences on the rows that were used.
    """
    map_, info = sides.map_, sides.map_.info
    potential, geometry = map_.potential, map_.geometry
    floor = potential.convexity_floor()
    scale, cost = geometry.scale, map_.cost
    where = "where the Gaussian map is the identity"
    if not geometry.quadratic:
        where = "in the coordinates of the fit"
    contents = "No file can hold it, because its cost is of a class of the user's own."
    if sha256 is not None:
        contents = f"SHA-256 of its contents: {sha256}"
    facts = [
        Fact("Map", "in memory" if path is None else clean(path), contents),
        Fact("Columns", f"{len(sides.names):,}", listing(sides.names, 40)),
        Fact("Rows of this page", tally(len(sides.x.points) + len(sides.y.points), "row"), " ".join(notes)),
        Fact(
            "Seed and level of this page",
            f"{seed}, {100 * confidence:g} %",
            f"Up to {most:,} rows a side; one seed and one map give the same bytes again with the same versions.",
        ),
        Fact(
            "Potential",
            type(potential).__name__,
            "Not known to be convex."
            if floor is None
            else f"Strongly convex with constant {number(float(floor), 3)}, {where}.",
        ),
    ]
    if not geometry.euclidean:
        what = "Half a squared Mahalanobis distance." if geometry.quadratic else f"Of points {units(map_)}."
        facts.append(Fact("Cost", clean(cost), what))
    if (scale != 1.0).any():
        pairs = [f"{name} {number(float(unit))}" for name, unit in zip(sides.names, scale, strict=True)]
        facts.append(Fact("Units of the cost", "by column", listing(pairs, 40)))
    facts += _fit(info)
    versions = [f"{name} {version(name)}" for name in _VERSIONS]
    facts.append(Fact("Versions of this page", f"Python {python_version()}", ", ".join(versions)))
    tables = [_settings(info["settings"])] if info.get("settings") else []
    return Section(
        "settings",
        "Settings and versions",
        facts=facts,
        tables=tables,
        code=None if command is None else clean(command),
    )


def _fit(info: Mapping[str, Any]) -> list[Fact]:
    """Facts about the fit, from the record in the map."""
    facts = []
    if "steps" in info:
        versions = [f"{name} {info[name]}" for name in ("brenier", "jax") if name in info]
        facts.append(
            Fact("Fit", tally(info["steps"], "step"), f"With {', '.join(versions)}. {info.get('stop') or ''}".rstrip())
        )
        seed = info.get("seed")
        facts.append(
            Fact(
                "Seed of the fit",
                "unknown" if seed is None else str(seed),
                "" if seed is not None else "None was kept: the map is older, or its fit had no integer as seed.",
            )
        )
    rows = [f"{side} {data['rows']:,}" for side, data in info.get("data", {}).items()]
    if rows:
        facts.append(Fact("Rows of the fit", ", ".join(rows), "Rows with weight, held-out ones among them."))
    for name, label in (("weight", "Weights of the fit"), ("trimmed", "Share left aside")):
        if info.get(name):
            facts.append(Fact(label, clean(info[name])))
    if any(info.get("dequantized") or ()):
        widths = ", ".join(number(width) for width in info["dequantized"])
        facts.append(Fact("Noise added by the fit", "uniform", f"Widths by column: {widths}"))
    if info.get("base"):
        facts.append(Fact("Base", "normal", f"Independent normal columns on the {info['base']['side']} side."))
    return facts


def _settings(settings: Mapping[str, Any]) -> Table:
    rows = [[clean(name), _plain(value)] for name, value in sorted(settings.items())]
    return Table(
        "Settings of the fit, by their names in brenier.training.TrainingConfig.",
        ["Setting", "Value"],
        rows,
        wide=(0, 1),
    )


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return " – ".join(_plain(item) for item in value)
    return "none" if value is None else f"{value:.10g}" if isinstance(value, float) else clean(value)
