"""Distances by a map: of two samples as they are, or of each class of conditions and in the mean."""

from typing import TYPE_CHECKING, Any

import numpy as np

from brenier._errors import InputError
from brenier.certificates import Distance, assess, average
from brenier.maps.sides import Cloud, weigh_towards

if TYPE_CHECKING:
    from brenier.maps.transport_map import TransportMap

__all__ = ["check_confidence", "measure"]


def check_confidence(confidence: float) -> None:
    """Raise `InputError` for a level of confidence outside (0, 1)."""
    if not 0.0 < confidence < 1.0:
        raise InputError(f"`confidence` must lie strictly between 0 and 1; got {confidence!r}.")


def measure(
    map_: "TransportMap",
    source: Cloud,
    target: Cloud,
    **options: Any,  # noqa: ANN401
) -> Distance:
    """Compute the answer of `TransportMap.distance` from checked samples.

    Args:
        map_: The map.
        source: Rows of the source, two or more of each class.
        target: Rows of the target, of the classes of the source.
        options: `confidence`, `empirical` and `seed`.
    """
    if map_.conditions is None:
        for name, cloud in (("X", source), ("Y", target)):
            if len(cloud.rows) < 2:
                raise InputError(f"`{name}` must have at least 2 points for a distance; got {len(cloud.rows)}.")
        return _of_one(map_, source, target, options)
    names, parts = map_.conditions.class_names(), {}
    numbers = np.unique(source.rows[:, map_.dim].astype(np.intp))
    for number in numbers:
        x, y = (cloud.part(cloud.rows[:, map_.dim] == number) for cloud in (source, target))
        if min(len(x.rows), len(y.rows)) < 2:
            raise InputError(
                f"`X` and `Y` must have at least 2 points of class '{names[number]}' for a distance; got "
                f"{len(x.rows)} and {len(y.rows)}."
            )
        if map_.conditions.numbers:
            parts[names[number]] = _of_one(map_, x, y._replace(weights=weigh_towards(map_, x, y)), options)
        else:
            alone = map_.at_code(x.rows[0, map_.dim :])
            x, y = (cloud._replace(rows=cloud.rows[:, : map_.dim]) for cloud in (x, y))
            parts[names[number]] = _of_one(alone, x, y, options)
    shares = np.array([np.average(source.rows[:, map_.dim] == number, weights=source.weights) for number in numbers])
    return average(parts, shares / shares.sum())


def _of_one(map_: "TransportMap", source: Cloud, target: Cloud, options: dict[str, Any]) -> Distance:
    """Distance of two sides without conditions, or whose rows have their own."""
    solved = map_.conjugates(target.rows)
    return assess(
        map_.geometry,
        map_.potential,
        source.rows,
        target.rows,
        images=map_.images(source.rows)[0],
        conjugates=solved.best.points,
        converged=solved.best.converged,
        disagree=solved.disagree,
        a=source.weights,
        b=target.weights,
        **options,
    )
