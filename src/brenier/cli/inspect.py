"""`brenier inspect`: what a map file holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brenier.cli.conditions import described, space_lines
from brenier.cli.console import Json, number, print_result, reporting, widths_line
from brenier.cli.costs import baseline_of, cost_line, cost_of, cost_record, is_general
from brenier.cli.opened import load_map

if TYPE_CHECKING:
    from brenier.conditional.space import ConditionSpace
    from brenier.coordinates import BuresCoordinates

__all__ = ["inspect"]


def inspect(
    map_file: Annotated[Path, typer.Argument(metavar="MAP", help="Map file of `brenier fit` or `brenier density`.")],
    as_json: Json = False,
) -> None:
    """Say what a map is, which conditions it has, and how it was made. With --json, also all settings of the fit.

    Example: `brenier inspect effect.brenier`
    """
    with reporting(as_json):
        map_, space = load_map(map_file)
        record = {"map": str(map_file)} | _describe(map_, space)
        print_result(record, _lines(record, map_), as_json=as_json)


def _describe(map_: Any, space: "ConditionSpace | None") -> dict[str, Any]:  # noqa: ANN401 - any kind of map
    import jax

    potential = map_.potential if space is None else map_.family
    floor, scale = potential.convexity_floor(), getattr(map_.coordinates, "scale", None)
    return {
        "dim": map_.dim,
        "columns": map_.columns,
        "potential": type(potential).__name__,
        "hyperparameters": dict(potential.hyperparameters()),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(potential) if hasattr(leaf, "size")),
        "convexity_floor": None if floor is None else float(floor),
        **cost_record(cost_of(map_)),
        "scale": None if scale is None else scale.tolist(),
        "gaussian_w2": _gaussian_w2(map_.coordinates) if space is None and not is_general(map_) else None,
        "conditions": described(space),
        "base": map_.info.get("base"),
        # The rows that are known again come last: hundreds of marks, of which people read none.
        "info": dict(sorted(map_.info.items(), key=lambda entry: entry[0] == "data")),
    }


def _gaussian_w2(coordinates: "BuresCoordinates") -> float:
    """Distance between the Gaussians with the moments of the fit: both are images of one and the same standard one."""
    import numpy as np

    shift = coordinates.mean_x - coordinates.mean_y
    deviations = (coordinates.from_x - coordinates.from_y) * coordinates.spread
    moved = coordinates.measured(np.column_stack([shift, deviations]).T)
    return float(np.sqrt(np.sum(moved**2)))


def _lines(record: dict[str, Any], map_: Any) -> list[tuple[str, str]]:  # noqa: ANN401
    info, scale = record["info"], record["scale"] or []
    names = "" if record["columns"] is None else f": {', '.join(record['columns'])}"
    floor = "not known to be convex"
    if record["convexity_floor"] is not None:
        least = number(record["convexity_floor"], 3)
        floor = f"stretches at least {least} times as much as the Gaussian map, everywhere"
        if is_general(map_):
            floor = f"strongly convex with constant {least}, in the coordinates of the fit"
    details = {
        name: value
        for name, value in record["hyperparameters"].items()
        if name not in ("dim", "floor", "start") and value not in ([], ())
    }
    shape = "".join(f", {name} {_text(value)}" for name, value in details.items())
    lines = [
        ("Map", record["map"]),
        ("Columns", f"{record['dim']}{names}"),
        *space_lines(record["conditions"]),
        ("Potential", f"{record['potential']}, {record['parameters']:,} parameters{shape}"),
        ("Convexity", floor),
        *cost_line(map_, cost_of(map_)),
    ]
    if record["gaussian_w2"] is not None:
        text = f"{number(record['gaussian_w2'])}   between the Gaussians with the moments of the data"
        lines.append(("Gaussian W2", text))
    if record["base"] is not None:
        lines.append(("Base", f"independent normal columns on the {record['base']['side']} side"))
    if any(unit != 1.0 for unit in scale):
        lines.append(("Scale", f"{', '.join(number(unit) for unit in scale)}   units of the columns in the cost"))
    if "steps" in info:
        lines.append(("Fit", f"{info['steps']} steps. {info.get('stop', '')}".rstrip()))
    if "anndata" in info:
        lines.append(("AnnData", f"fitted on {info['anndata']}"))
    if "dequantized" in info:
        lines.append(("Noise", widths_line(info["dequantized"], record["columns"])))
    if info.get("gaussian"):
        several = "these are the closed-form Gaussian maps, one for each condition"
        one = f"this is the {'' if is_general(map_) else 'closed-form '}{baseline_of(map_)}"
        lines.append(("Note", one if record["conditions"] is None else several))
    versions = [f"{name} {info[name]}" for name in ("brenier", "jax") if name in info]
    return [*lines, ("Versions", ", ".join(versions))] if versions else lines


def _text(value: object) -> str:
    return "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
