"""Maps of every kind with random parameters, made without a fit."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from brenier import TransportMap
from brenier.conditions.basis import terms
from brenier.conditions.space import ConditionSpace, Variable
from brenier.costs import AbstractDisplacementCost
from brenier.geometry import Moments, QuadraticGeometry
from brenier.geometry.affine import bures_coordinates
from brenier.geometry.conditional import ConditionalGeometry
from brenier.geometry.displacement import DisplacementGeometry
from brenier.geometry.sphere import SphereGeometry
from brenier.potentials import ModulatedICNN, OnSphere, Quadratic
from networks import fresh, perturb
from problems import covariance, gaussians

SHIFT = 30.0
"""How far the source lies from the origin: so far that single precision loses digits."""


def transport_map(kind: str, dim: int = 3, **options: object) -> TransportMap:
    """A map without conditions; its potential as `networks.fresh` names it, with the class's own options."""
    pair = gaussians(dim)
    sides = Moments(pair.mean_x + SHIFT, pair.covariance_x, 9), Moments(pair.mean_y, pair.covariance_y, 9)
    coordinates = QuadraticGeometry.between(*sides, np.linspace(0.5, 2.0, dim))
    if kind == "quadratic":
        rng = np.random.default_rng(0)
        potential = Quadratic(
            jnp.asarray(covariance(dim, 3.0, 0), jnp.float32), jnp.asarray(rng.standard_normal(dim), jnp.float32)
        )
    else:
        potential = perturb(fresh(kind, dim, (5, 4), **options), 0, 0.3)
    return TransportMap(coordinates, potential, None, tuple(f"c{number}" for number in range(dim)), {"seed": 0})


def mahalanobis_map(kind: str = "icnn-ramp", dim: int = 3) -> TransportMap:
    """A map for the distance of which `covariance` is the matrix, of columns with units."""
    plain = transport_map(kind, dim)
    pair, values = gaussians(dim), np.linalg.eigh(covariance(dim, 3.0, 1))
    sides = Moments(pair.mean_x + SHIFT, pair.covariance_x, 9), Moments(pair.mean_y, pair.covariance_y, 9)
    root = (values[1] * np.sqrt(values[0])) @ values[1].T
    coordinates = QuadraticGeometry.between(*sides, np.linspace(0.5, 2.0, dim), root)
    return TransportMap(coordinates, plain.potential, None, plain.columns, plain.info)


def cost_map(
    cost: AbstractDisplacementCost, kind: str = "mlp-ramp", dim: int = 3, *, bent: bool = False
) -> TransportMap:
    """A map for such a cost, of columns with units; `bent` as where the start of training is the Gaussian map."""
    pair, units = gaussians(dim), np.linspace(0.5, 2.0, dim)
    sides = Moments(pair.mean_x + SHIFT, pair.covariance_x, 9), Moments(pair.mean_y + SHIFT, pair.covariance_y, 9)
    parts = bures_coordinates(*sides, units / 1.1)
    bend = np.linalg.solve(parts["from_y"], parts["from_x"]) if bent else np.eye(dim)
    rest = {"bend": 0.5 * (bend + bend.T), "reach": 6.0 * parts["spread"]}
    coordinates = DisplacementGeometry(**parts, quadratic_scale=units / 1.1, cost=cost, scale=units, **rest)
    potential = coordinates.surplus.baseline() if kind == "quadratic" else perturb(fresh(kind, dim, (5, 4)), 0, 0.1)
    return TransportMap(coordinates, potential, None, tuple(f"c{number}" for number in range(dim)), {"seed": 0})


def sphere_map(kind: str = "mlp-ramp") -> TransportMap:
    """A map of the sphere of radius 2, of points about half a turn apart from those of the other side."""
    dim, rng = 3, np.random.default_rng(3)
    x, y = (centre + 0.4 * rng.standard_normal((200, dim)) for centre in (1.0, rng.standard_normal(dim)))
    x, y = (2.0 * points / np.linalg.norm(points, axis=1, keepdims=True) for points in (x, y))
    coordinates = SphereGeometry.between(x, y)
    inner = perturb(fresh(kind, dim, (5, 4)), 0, 0.1)
    surplus = coordinates.surplus
    return TransportMap(
        coordinates, OnSphere(inner, surplus.radius, surplus.centre), None, ("a", "b", "c"), {"seed": 0}
    )


def conditional_map(classes: int = 2, numbers: int = 1, dim: int = 3, activation: str = "ramp") -> TransportMap:
    """A family with so many classes and numbers, all of its parts different from each other."""
    rng = np.random.default_rng([classes, numbers])
    degree = 2 if numbers else 0
    low = rng.uniform(0.0, 1.0, (classes, numbers))
    high = low + rng.uniform(2.0, 3.0, (classes, numbers))
    labels = tuple((f"k{number}",) for number in range(classes)) if classes > 1 else ((),)
    variables = [Variable("kind", "label")] if classes > 1 else []
    variables += [Variable(f"n{number}", "number") for number in range(numbers)]
    space = ConditionSpace(tuple(variables), labels, low, high)
    count, packed = terms(numbers, degree), dim * (dim + 1) // 2
    scaled = space.scaled_ranges
    coordinates = ConditionalGeometry(
        mean_x=rng.standard_normal((classes, count, dim)) + np.where(np.arange(count) == 0, SHIFT, 0.0)[:, None],
        mean_y=rng.standard_normal((classes, count, dim)),
        factor=0.2 * rng.standard_normal((classes, count, packed)),
        low=scaled[0],
        high=scaled[1],
        rotation=np.linalg.qr(rng.standard_normal((dim, dim)))[0],
        unit=1.3,
        spread=np.linspace(0.7, 1.2, dim),
        scale=np.linspace(0.5, 2.0, dim),
        degree=degree,
    )
    family = ModulatedICNN(dim, classes, numbers, (5, 4), rng=rng, activation=activation)
    return TransportMap(coordinates, perturb(family, 0, 0.3), space, None, {"seed": 0})


def conditions(map_: TransportMap, count: int, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Random conditions of a map: as exported programs take them, and as the map does."""
    space = map_.conditions
    number = rng.integers(len(space.classes), size=count)
    values = rng.uniform(space.low[number], space.high[number])
    columns = {"kind": np.array([space.classes[own][0] for own in number])} if len(space.classes) > 1 else {}
    columns |= {f"n{column}": values[:, column] for column in range(space.numbers)}
    return np.column_stack([number, values]), columns


def points(map_: TransportMap, count: int, rng: np.random.Generator) -> np.ndarray:
    """Points about where the source is."""
    return SHIFT + 1.5 * rng.standard_normal((count, map_.dim))


def in_double(map_: TransportMap) -> TransportMap:
    """The same map with a float64 potential; needs double precision switched on."""
    from networks import double

    return eqx.tree_at(lambda m: m.potential, map_, double(map_.potential))
