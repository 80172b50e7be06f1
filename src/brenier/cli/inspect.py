"""`brenier inspect`: what a map file holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brenier.cli.conditions import describe_space, space_lines
from brenier.cli.console import Json, carried_line, number, print_result, reporting, widths_line
from brenier.cli.costs import cost_line, cost_record
from brenier.cli.opened import load_map

if TYPE_CHECKING:
    from brenier.maps import TransportMap

__all__ = ["inspect"]


def inspect(
    map_file: Annotated[Path, typer.Argument(metavar="MAP", help="Map file of `brenier fit` or `brenier density`.")],
    as_json: Json = False,
) -> None:
    """Say what a map is, which conditions it has, and how it was made. With --json, also all settings of the fit.

    Example: `brenier inspect effect.brenier`
    """
    with reporting(as_json):
        map_ = load_map(map_file)
        record = {"map": str(map_file)} | _describe(map_)
        print_result(record, _lines(record, map_), as_json=as_json)


def _describe(map_: "TransportMap") -> dict[str, Any]:
    import jax

    potential, geometry = map_.potential, map_.geometry
    floor = potential.convexity_floor()
    return {
        "dim": map_.dim,
        "columns": map_.columns,
        "potential": type(potential).__name__,
        "hyperparameters": dict(potential.hyperparameters()),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(potential) if hasattr(leaf, "size")),
        "convexity_floor": None if floor is None else float(floor),
        **cost_record(map_.cost),
        "scale": geometry.scale.tolist(),
        "gaussian_w2": geometry.baseline_distance,
        "conditions": describe_space(map_.conditions),
        "base": map_.info.get("base"),
        # The rows that are known again come last: hundreds of marks, of which people read none.
        "info": dict(sorted(map_.info.items(), key=lambda entry: entry[0] == "data")),
    }


def _lines(record: dict[str, Any], map_: "TransportMap") -> list[tuple[str, str]]:
    info, scale = record["info"], record["scale"]
    names = "" if record["columns"] is None else f": {', '.join(record['columns'])}"
    floor = "not known to be convex"
    if record["convexity_floor"] is not None:
        least = number(record["convexity_floor"], 3)
        floor = f"stretches at least {least} times as much as the Gaussian map, everywhere"
        if not map_.geometry.quadratic:
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
        *cost_line(map_),
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
    carried = info.get("carried")
    if isinstance(carried, list) and all(place in range(map_.dim) for place in carried):
        lines.append(("Constant", carried_line(carried, record["columns"])))
    if info.get("gaussian"):
        several = "these are the closed-form Gaussian maps, one for each condition"
        one = f"this is the {'closed-form ' if map_.geometry.quadratic else ''}{map_.geometry.baseline_name}"
        lines.append(("Note", one if record["conditions"] is None else several))
    versions = [f"{name} {info[name]}" for name in ("brenier", "jax") if name in info]
    return [*lines, ("Versions", ", ".join(versions))] if versions else lines


def _text(value: object) -> str:
    return "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
