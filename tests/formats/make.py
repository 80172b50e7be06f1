"""Write the map files of this folder, with what they map: run once for a version of the format, and never again.

`python tests/formats/make.py FOLDER` writes the files of the version that is installed; those that are there stay as
they are. They are committed; every later version must read them and give the same numbers.
"""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from brenier import TransportMap
from brenier.costs import ElasticNet, LogCosh, PNorm
from brenier.geometry import SphereGeometry
from made import SHIFT, conditional_map, conditions, cost_map, mahalanobis_map, sphere_map, transport_map

BASE = {"side": "target", "mean": [0.5, -1.0], "deviation": [1.5, 0.7]}


def main(folder: Path) -> None:
    """Write every kind of file."""
    maps: dict[str, TransportMap] = {
        "gaussian": transport_map("quadratic", 2),
        "icnn-ramp": transport_map("icnn-ramp", 2),
        "icnn-celu": transport_map("icnn-celu", 2),
        "icnn-softplus": transport_map("icnn-softplus", 2),
        "icnn-inert": transport_map("icnn-ramp", 3, inert=(1,)),
        "mlp": transport_map("mlp-celu", 2),
        "density": _with_info(transport_map("icnn-softplus", 2), {"base": BASE}),
        "weights": _with_info(transport_map("icnn-ramp", 2), {"weight": "w", "weighted": True}),
        "classes": conditional_map(2, 0, 2),
        "numbers": conditional_map(1, 2, 2),
        "conditions": conditional_map(2, 1, 2),
        "mahalanobis": mahalanobis_map("icnn-ramp", 2),
        "pnorm": cost_map(PNorm(1.5), "mlp-ramp", 2),
        "log-cosh": cost_map(LogCosh(2.0), "mlp-softplus", 2),
        "elastic-net": cost_map(ElasticNet(0.1), "icnn-ramp", 2, bent=True),
        "sphere": sphere_map("mlp-ramp"),
        "translation": cost_map(PNorm(1.5), "quadratic", 2, bent=True),
    }
    for name, map_ in maps.items():
        version = map_.geometry.record().version
        if (folder / f"{version}-{name}.brenier").exists():
            continue
        map_.save(folder / f"{version}-{name}.brenier")
        (folder / f"{version}-{name}.json").write_text(json.dumps(_expected(map_), indent=1) + "\n")


def _with_info(map_: TransportMap, info: dict) -> TransportMap:
    return TransportMap(map_.geometry, map_.potential, None, map_.columns, info)


def _expected(map_: TransportMap) -> dict:
    rng = np.random.default_rng(3)
    x = SHIFT + 1.5 * rng.standard_normal((4, map_.dim))
    if isinstance(map_.geometry, SphereGeometry):
        x *= map_.geometry.radius / np.linalg.norm(x, axis=1, keepdims=True)
    if map_.conditions is not None:
        codes, columns = conditions(map_, len(x), rng)
        rows = [tuple(column[row].item() for column in columns.values()) for row in range(len(x))]
        images = np.concatenate([map_.forward(x[[row]], condition=own) for row, own in enumerate(rows)])
        return {"x": x.tolist(), "conditions": rows, "codes": codes.tolist(), "y": images.tolist()}
    found = {"x": x.tolist(), "y": map_.forward(x).tolist(), "columns": map_.columns, "info": dict(map_.info)}
    if "base" in map_.info:
        found["log_density"] = map_.log_density(x).tolist()
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
