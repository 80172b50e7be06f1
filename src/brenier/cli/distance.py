"""`brenier distance`: the Wasserstein-2 distance between two files, by a map."""

from pathlib import Path
from typing import Annotated

import typer

from brenier.cli.clouds import FORMATS, Key, TargetKey, check_columns, read_pair, unit_of
from brenier.cli.console import Json, number, print_result, reporting, share

__all__ = ["distance"]


def distance(
    map_file: Annotated[Path, typer.Argument(metavar="MAP", help="Map file of `brenier fit`.")],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help=f"Held-out points of the source: {FORMATS}.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Held-out points of the target.")],
    key: Key = None,
    target_key: TargetKey = None,
    as_json: Json = False,
) -> None:
    """Estimate the Wasserstein-2 distance between SOURCE and TARGET by a map between them.

    The distance is W2, neither squared nor halved, in the units of the cost. Use held-out points: on the points of its
    own fit a flexible map flatters itself.

    Example: `brenier distance effect.brenier control-test.csv treated-test.csv`
    """
    with reporting(as_json, X=source, Y=target):
        from brenier.maps import TransportMap

        map_ = TransportMap.load(map_file)
        clouds = read_pair(source, target, key, target_key)
        for cloud in clouds:
            check_columns(cloud, map_)
        found = map_.distance(*(cloud.table for cloud in clouds))
        unit = f"neither squared nor halved, {unit_of(map_)}; meaningful on held-out points"
        lines = [
            ("W2", f"{number(found.w2)}   {unit}"),
            ("Dual", f"{number(found.dual)}   estimate of W2^2 / 2"),
            ("Cost", f"{number(found.cost)}   root mean squared displacement by the map; W2 if the map is optimal"),
            ("Unconverged", f"{share(found.unconverged)} of the target points"),
        ]
        if found.dual < 0:
            lines.append(("Note", "a negative dual value says that the map does not belong to these points"))
        rows = [len(cloud.table.values) for cloud in clouds]
        print_result({"rows": rows} | found._asdict(), lines, as_json=as_json)
