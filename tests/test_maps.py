"""Maps between Gaussians against closed forms; maps of random convex networks against what every map must satisfy."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from asserts import assert_at_most, assert_close, assert_same
from brenier import ConvergenceWarning, InputError, TransportMap
from brenier.conjugates import Tolerance
from brenier.geometry import Moments, QuadraticGeometry
from brenier.potentials import MLP, Quadratic
from networks import fresh, perturb
from problems import Gaussians, exact_sample, gaussians

FLOOR = 0.1
SCALE = np.array([0.5, 2.0, 1.0])
SINGLE = 300 * np.finfo(np.float32).eps
"""What single precision leaves of points of size one to ten, with matrices of condition 10 on either side."""


def coordinates(pair: Gaussians, scale=None) -> QuadraticGeometry:
    sides = Moments(pair.mean_x, pair.covariance_x, 100), Moments(pair.mean_y, pair.covariance_y, 100)
    return QuadraticGeometry.between(*sides, scale)


def linear(dim: int = 3, scale=None) -> tuple[Gaussians, TransportMap]:
    pair = gaussians(dim)
    return pair, TransportMap(coordinates(pair, scale), Quadratic.identity(dim))


@pytest.fixture(scope="module")
def curved() -> TransportMap:
    """A map that no formula gives: the gradient of a smooth random convex network, between Gaussian coordinates."""
    potential = perturb(fresh("icnn-softplus", 3, floor=FLOOR), 2, 0.3)
    return TransportMap(coordinates(gaussians(3)), potential, None, ("a", "b", "c"), {"made": "for tests"})


def sample(count: int, seed: int = 0) -> np.ndarray:
    """Points of the source; up to 32 are one batch, so that all tests share what is compiled."""
    pair = gaussians(3)
    return np.random.default_rng(seed).multivariate_normal(pair.mean_x, pair.covariance_x, count)


@pytest.mark.parametrize("dim", [1, 3, 8])
def test_gaussians_forward_and_back(dim, rng):
    pair, transport = linear(dim)
    x = pair.mean_x + 2 * rng.standard_normal((32, dim))
    y = pair.mean_y + (x - pair.mean_x) @ pair.matrix.T
    assert transport.dim == dim
    assert_close(transport.forward(x), y, atol=SINGLE * np.abs(y).max())
    found = transport.inverse_with_status(y)
    assert found.converged.all()
    assert_close(found.points, x, atol=SINGLE * np.abs(y).max())
    # One Jacobian for all points.
    assert_close(transport.log_det(x), np.full(32, np.log(np.linalg.det(pair.matrix))), atol=1e-5)


@pytest.mark.parametrize("scale", [None, SCALE], ids=["plain", "scaled"])
def test_distance_between_gaussians(scale, rng):
    pair, transport = linear(3, scale)
    # The samples have exactly the moments of the Gaussians, and the value depends on nothing else: no sampling error.
    x = exact_sample(pair.mean_x, pair.covariance_x, 32, rng)
    y = exact_sample(pair.mean_y, pair.covariance_y, 20, rng)
    units = np.ones(3) if scale is None else scale
    over = np.outer(units, units)
    truth = Gaussians(pair.mean_x / units, pair.mean_y / units, pair.covariance_x / over, pair.covariance_y / over).w2
    found = transport.distance(x, y)
    assert_close([found.w2, found.cost, np.sqrt(2 * found.value)], np.full(3, truth), rtol=1e-5)
    assert found.unconverged == 0.0


def test_distance_of_random_samples_within_sampling_error(rng):
    pair, transport = linear()
    x = rng.multivariate_normal(pair.mean_x, pair.covariance_x, 4000)
    y = rng.multivariate_normal(pair.mean_y, pair.covariance_y, 3000)
    found = transport.distance(x, y)
    # The dual value is a difference of means over x and over y: |x|^2/2 - u(x) and |y|^2/2 - u*(y), with the potential
    # x . M x / 2 in the units of the data. Five standard errors are passed by chance once in two million times.
    matrix, shift = pair.matrix, pair.mean_y - pair.matrix @ pair.mean_x
    in_x = 0.5 * np.sum(x * x, axis=1) - 0.5 * np.sum(x * (x @ matrix), axis=1) - x @ shift
    back = np.linalg.solve(matrix, (y - shift).T).T
    in_y = 0.5 * np.sum(y * y, axis=1) - 0.5 * np.sum((y - shift) * back, axis=1)
    error = np.sqrt(in_x.var() / len(x) + in_y.var() / len(y))
    assert_close(found.value, 0.5 * pair.w2**2, atol=5 * error)
    assert_close(found.value, in_x.mean() + in_y.mean(), rtol=1e-5)


def test_distance_is_never_imaginary(curved):
    # A potential that has nothing to do with the data gives a negative dual value: no distance, and no NaN.
    x = sample(32)
    found = curved.distance(x, x)
    assert found.value < 0
    assert found.w2 == 0.0
    assert found.cost > 0


def test_the_dual_value_of_any_map_is_at_most_the_optimal_one(curved, rng):
    pair, transport = linear()
    x = exact_sample(pair.mean_x, pair.covariance_x, 32, rng)
    y = exact_sample(pair.mean_y, pair.covariance_y, 32, rng)
    assert curved.distance(x, y).value < transport.distance(x, y).value


def test_inverse_undoes_forward(curved):
    x = sample(32)
    y = curved.forward(x)
    found = curved.inverse_with_status(y)
    assert found.converged.all()
    assert (found.steps > 0).all()
    assert_close(found.residual, np.linalg.norm(curved.forward(found.points) - y, axis=1), atol=1e-12)
    inner = curved.geometry.enter_x(x) - curved.geometry.enter_x(found.points)
    # Residuals a coordinate of 1e-5 to 1e-4 in standard deviations, over the floor.
    sizes = 1e-5 + 1e-5 * np.sqrt(np.mean((curved.geometry.enter_y(y) / curved.geometry.spread) ** 2, axis=1))
    bound = 10 * sizes * np.sqrt(3) * curved.geometry.spread.max() / FLOOR
    assert_at_most(np.linalg.norm(inner, axis=1), bound, "error of the inverse")
    assert_same(curved.inverse(y), found.points)
    assert_close(curved.forward(curved.inverse(y)), y, atol=1e-3)


def test_the_map_is_monotone(curved):
    x, z = sample(32), sample(32, seed=1)
    product = np.sum((curved.forward(x) - curved.forward(z)) * (x - z), axis=1)
    # Strongly: by at least the floor times that of the Gaussian map, which is a gradient in the same coordinates.
    linear_product = np.sum(((x - z) @ curved.geometry.linear_map.T) * (x - z), axis=1)
    assert_at_most(FLOOR * linear_product, product + 1e-4, "monotonicity")


def test_interpolation_is_a_straight_line(curved):
    x = sample(20)
    y = curved.forward(x)
    assert_same(curved.interpolate(x, 0.0), x)
    assert_same(curved.interpolate(x, 1.0), y)
    assert_close(curved.interpolate(x, 0.25), x + 0.25 * (y - x), rtol=1e-12)


def test_log_det_is_that_of_the_jacobian(curved):
    x, step = sample(32), 0.01
    shifts = step * np.eye(3)
    jacobians = np.stack([(curved.forward(x + h) - curved.forward(x - h)) / (2 * step) for h in shifts], axis=2)
    # Differences in single precision, 1e-6 over the step, in each entry; relative to eigenvalues above 0.05.
    assert_close(curved.log_det(x), np.linalg.slogdet(jacobians)[1], atol=0.02)
    assert np.ptp(curved.log_det(x)) > 0.5, "the Jacobian hardly varies, so that little is tested"


def test_points_are_mapped_one_by_one(curved):
    x = sample(70)
    whole = curved.forward(x)
    assert whole.dtype == np.float64
    # Batches of other sizes may be summed in another order.
    assert_close(np.concatenate([curved.forward(x[:1]), curved.forward(x[1:])]), whole, atol=1e-5)
    assert_close(curved.log_det(x[3:4]), curved.log_det(x)[3:4], atol=1e-5)


def test_inputs_stay_as_they_are_and_may_be_of_any_kind(curved):
    x = sample(10)
    before = x.copy()
    x.flags.writeable = False
    y = curved.forward(x)
    for call in (curved.inverse, curved.log_det, lambda v: curved.interpolate(v, 0.5), lambda v: curved.distance(v, v)):
        call(x)
    assert_same(x, before)
    assert_same(curved.forward(x.tolist()), y)
    assert_same(curved.forward(np.asfortranarray(x)), y)


@pytest.mark.parametrize("method", ["forward", "inverse", "inverse_with_status", "log_det", "interpolate", "distance"])
def test_points_that_cannot_be_mapped_are_refused(curved, method):
    extra = {"interpolate": (0.5,), "distance": (sample(2),)}.get(method, ())
    name = "Y" if "inverse" in method else "X"
    with pytest.raises(InputError, match=rf"`{name}` must have 3 columns, as in `fit`; got shape \(5, 4\)"):
        getattr(curved, method)(np.zeros((5, 4)), *extra)
    with pytest.raises(InputError, match=f"`{name}` contains NaN"):
        getattr(curved, method)(np.full((5, 3), np.nan), *extra)


def test_rows_without_a_preimage_are_named_in_a_warning():
    # u = celu(x) has the slopes (0, 1]: targets outside have no preimage, and the map is its own coordinates.
    unit = Moments(np.zeros(1), np.eye(1), 10)
    potential = MLP(1, (1,), rng=np.random.default_rng(0), start=0.0)
    potential = eqx.tree_at(
        lambda u: (u.layers[0].weight, u.layers[0].bias, u.output, u.diagonal),
        potential,
        (jnp.ones((1, 1)), jnp.zeros(1), jnp.ones(1), jnp.zeros(1)),
    )
    transport = TransportMap(QuadraticGeometry.between(unit, unit), potential)
    y = np.linspace(0.1, 0.9, 20)[:, None]
    y[[3, 11]] = [[2.0], [-1.0]]
    with pytest.warns(ConvergenceWarning, match=r"2 of 20 preimages are not converged: rows 3, 11; largest residual 1"):
        points = transport.inverse(y)
    found = np.delete(np.arange(20), [3, 11])
    assert_close(points[found], np.log(y[found]), atol=1e-3)
    status = transport.inverse_with_status(y)
    assert_same(np.flatnonzero(~status.converged), [3, 11])
    assert_close(transport.distance(y, y).unconverged, 0.1, rtol=1e-12)


def test_a_long_list_of_rows_is_cut(curved):
    with pytest.warns(ConvergenceWarning, match=r"rows (\d+, ){9}\d+ \.\.\.; largest residual"):
        points = curved.inverse(curved.forward(sample(128)), tolerance=Tolerance(0.0, 0.0))
    # The best points found are good ones: the tolerance was impossible, not the problem.
    assert_close(points, sample(128), atol=1e-3)


@pytest.mark.filterwarnings("error::brenier.ConvergenceWarning")
def test_rows_whose_squares_are_beyond_single_precision_are_found(curved):
    y = curved.forward(sample(5))
    y[2], y[3] = 5e37, 1e25
    points = curved.inverse(y)
    assert_close(points[[0, 1, 4]], sample(5)[[0, 1, 4]], atol=1e-3)
    assert_close(curved.forward(points)[2:4], y[2:4], rtol=1e-6)
