"""Preimages in directions of next to no variance: found, and judged by what double precision says."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from asserts import assert_at_most
from brenier.conjugates import Tolerance, conjugate_points, refine
from brenier.geometry import Moments, QuadraticGeometry
from brenier.maps import TransportMap
from brenier.solvers import Status
from made import conditional_map
from networks import double, fresh, perturb

DIM = 6


def narrow(width: float) -> TransportMap:
    """A map whose coordinates have standard deviations from one down to `width`."""
    covariance = np.diag(np.geomspace(width**2, 1.0, DIM))
    side = Moments(np.zeros(DIM), covariance, 1000)
    return TransportMap(QuadraticGeometry.between(side, side), perturb(fresh("icnn-ramp", DIM, (16, 8)), 0, 0.3))


def residuals(map_: TransportMap, y: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Residuals of preimages in units of each coordinate, in double precision, as multiples of the tolerance."""
    c, tolerance = map_.geometry, Tolerance()
    with jax.enable_x64(True):
        gradient = np.asarray(double(map_.potential).gradient(jnp.asarray(c.precise_x(points))))
    inner = c.precise_y(y) / c.spread
    norms = np.sqrt(np.mean(np.square(gradient / c.spread - inner), axis=1))
    return norms / (tolerance.atol + tolerance.rtol * np.sqrt(np.mean(np.square(inner), axis=1)))


@pytest.mark.parametrize("width", [1.0, 1e-2, 1e-4, 1e-6])
def test_what_counts_as_solved_is_solved_in_double_precision(width: float, rng: np.random.Generator) -> None:
    map_ = narrow(width)
    x = rng.standard_normal((200, DIM)) * np.sqrt(np.geomspace(width**2, 1.0, DIM))
    with jax.enable_x64(True):
        images = np.asarray(double(map_.potential).gradient(jnp.asarray(map_.geometry.precise_x(x))))
    y = map_.geometry.leave_y(images)
    found = map_.inverse_with_status(y, error=True)
    assert found.converged.all()
    assert_at_most(residuals(map_, y, found.points), 2.0, "residual in tolerances")
    assert found.error is not None
    assert_at_most(np.linalg.norm(found.points - x, axis=1), found.error, "distance to the exact preimage")
    if width == 1e-6:
        # Single precision alone would have it otherwise: some rows seem solved that are not.
        c = map_.geometry
        alone = conjugate_points(map_.potential, c.enter_y(y), scale=c.spread)
        missed = residuals(map_, y, c.leave_x(alone.points)) > 2.0
        assert missed.any()


def test_rows_without_a_solution_stay_marked(rng: np.random.Generator) -> None:
    map_ = narrow(1e-2)
    c = map_.geometry
    y = c.precise_y(rng.standard_normal((20, DIM)) * c.spread)
    solved = conjugate_points(map_.potential, y.astype(np.float32), scale=c.spread, max_steps=1)
    residual = np.where(np.arange(20) < 3, np.nan, solved.residual).astype(np.float32)
    # As one precision may leave them: off, and not solved.
    points, code = solved.points + np.float32(0.1), np.full(20, Status.max_steps_reached.code, np.int32)
    lost = solved._replace(points=points, residual=residual, code=code)
    found = refine(map_.potential, y, lost, c.spread)
    assert not found.converged[:3].any()
    assert found.converged[3:].all()
    assert (found.steps[3:] > lost.steps[3:]).any()
    assert Status.of(found.code)[:3].tolist() == [Status.max_steps_reached] * 3


@pytest.mark.parametrize("different", [64, 65])
def test_any_number_of_conditions_is_judged_in_double_precision(different: int, rng: np.random.Generator) -> None:
    family = conditional_map(1, 1, DIM)
    spread = np.geomspace(1e-6, 1.0, DIM)
    # In these coordinates the spread is that of the data: the factor is the identity, and the centres are zero.
    still = {name: np.zeros_like(getattr(family.geometry, name)) for name in ("mean_x", "mean_y", "factor")}
    geometry = replace(family.geometry, **still, rotation=np.eye(DIM), scale=np.ones(DIM), unit=1.0, spread=spread)
    map_ = replace(family, geometry=geometry)
    assert map_.conditions is not None
    numbers = np.linspace(map_.conditions.low[0, 0], map_.conditions.high[0, 0], different)
    y = rng.standard_normal((different, DIM)) * spread
    codes = map_.codes(numbers, different).astype(np.float32).astype(np.float64)
    found = map_.inverse_with_status(y, condition=numbers)
    assert found.converged.all()
    assert found.status is not None
    assert set(found.status) == {Status.converged}
    # Up to 64, each is a map of its own, whose weights are rounded; beyond, they are as the family has them.
    inner = np.column_stack([geometry.precise_x(np.column_stack([found.points, codes]))[:, :DIM], codes])
    with jax.enable_x64(True):
        if different > 64:
            u, points = double(map_.potential).condition(jnp.asarray(inner))
            gradient = np.asarray(u.gradient(points))
        else:
            every = [double(map_.at_code(code).potential) for code in codes]
            gradient = np.concatenate(
                [u.gradient(jnp.asarray(row[None, :DIM])) for u, row in zip(every, inner, strict=True)]
            )
    target, tolerance = y / spread, Tolerance()
    norms, sizes = (np.sqrt(np.mean(np.square(part), axis=1)) for part in (gradient / spread - target, target))
    assert_at_most(norms / (tolerance.atol + tolerance.rtol * sizes), 2.1, "residual in tolerances")
