"""Transport costs: derivatives, conjugates, convexity and precision, each against SciPy or numerical derivatives."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from asserts import assert_at_most, assert_close, assert_gradient
from brenier import InputError
from brenier.costs import (
    AbstractDisplacementCost,
    Convex,
    ElasticNet,
    LogCosh,
    Mahalanobis,
    PNorm,
    SquaredEuclidean,
    check_cost,
)

WEIGHTS = np.array([1.0, 0.25], np.float32)

# All are tried on displacements of two columns. A new cost is a line here.
EVERY = [
    SquaredEuclidean(),
    Mahalanobis([[4.0, 1.0], [1.0, 0.5]]),
    PNorm(1.25),
    PNorm(1.5),
    PNorm(3.0),
    PNorm(4.0),
    LogCosh(),
    LogCosh(0.3),
    ElasticNet(0.5),
    Convex(lambda z: 0.5 * (z**2) @ WEIGHTS, lambda z: WEIGHTS * z, lambda p: p / WEIGHTS, strong_convexity=0.25),
]
OWN = EVERY[-1]
every = pytest.mark.parametrize("cost", EVERY, ids=str)
seeds = st.integers(0, 2**32 - 1)
sizes = st.sampled_from([1e-2, 1.0, 30.0])


def away(seed: int, size: float, rows: int = 8) -> np.ndarray:
    """Displacements whose coordinates keep away from zero, where costs may have kinks."""
    rng = np.random.default_rng(seed)
    return size * rng.choice([-1.0, 1.0], (rows, 2)) * rng.uniform(0.3, 3.0, (rows, 2))


def anywhere(seed: int, size: float, rows: int = 64) -> np.ndarray:
    """Displacements of which some are zero in a coordinate or in both."""
    rng = np.random.default_rng(seed)
    return size * rng.standard_normal((rows, 2)) * (rng.random((rows, 2)) < 0.8)


def precise(function, z) -> np.ndarray:
    """A function of a cost in double precision."""
    with jax.enable_x64(True):
        found = function(jnp.asarray(np.asarray(z, np.float64)))
    assert found.dtype == np.float64
    return np.asarray(found)


@every
@pytest.mark.parametrize("size", [1e-2, 1.0, 30.0])
def test_the_gradient_is_that_of_the_value(cost, size):
    for z in away(0, size, 3):
        gradient = precise(cost.gradient, z[None])[0]
        assert_gradient(lambda at: precise(cost.value, at[None])[0], gradient, z, rtol=1e-6, step=1e-4 * size)


@every
def test_automatic_derivatives_are_those_of_the_cost(cost):
    z = away(1, 0.5)
    first = precise(jax.vmap(jax.grad(lambda row: cost.value(row[None])[0])), z)
    assert_close(first, precise(cost.gradient, z), rtol=1e-12, atol=1e-14)
    slopes = precise(jax.vmap(jax.jacfwd(lambda row: cost.gradient(row[None])[0])), z)
    step = 1e-5 * np.eye(2)
    numeric = [(precise(cost.gradient, z + own) - precise(cost.gradient, z - own)) / 2e-5 for own in step]
    assert_close(slopes, np.stack(numeric, axis=2), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("cost", [SquaredEuclidean(), PNorm(2.0), LogCosh(), LogCosh(0.3)], ids=str)
def test_second_derivatives_at_zero_are_those_of_the_squared_distance(cost):
    slopes = precise(jax.vmap(jax.jacfwd(lambda row: cost.gradient(row[None])[0])), np.zeros((1, 2)))
    assert_close(slopes[0], np.eye(2), atol=1e-12)
    if not isinstance(cost, PNorm):  # whose power of an absolute value has none by differentiation
        bends = precise(jax.vmap(jax.hessian(lambda row: cost.value(row[None])[0])), np.zeros((1, 2)))
        assert_close(bends[0], np.eye(2), atol=1e-12)


@every
@pytest.mark.parametrize("size", [1e-2, 0.3])
def test_gradient_and_conjugate_gradient_undo_each_other(cost, size):
    z = away(2, size)
    slopes = precise(cost.gradient, z)
    assert_close(precise(cost.conjugate_gradient, slopes), z, rtol=1e-7)
    # From slopes that were not made by the cost; below 0.3, so that all costs have them.
    given_slopes = away(3, 0.05)
    moves = precise(cost.conjugate_gradient, given_slopes)
    moved = moves != 0.0
    assert_close(precise(cost.gradient, moves)[moved], given_slopes[moved], rtol=1e-9)
    # Where a slope moves nothing, it is a subgradient at zero: no move costs less than the slope gains.
    there, z = given_slopes[:, None], anywhere(4, 1.0)
    gains = np.sum(np.where(moved[:, None], 0.0, there) * z, axis=2)
    assert_at_most(gains, np.broadcast_to(precise(cost.value, z), gains.shape) + 1e-12, "gain of a move")


@every
def test_the_conjugate_is_the_maximum_that_scipy_finds(cost):
    for slope in precise(cost.gradient, away(5, 0.7, 4)):
        with jax.enable_x64(True):
            loss = jax.jit(lambda z, p=slope: cost.value(z[None])[0] - z @ p)
            options = {"xatol": 1e-10, "fatol": 1e-13, "maxiter": 2000}
            found = minimize(lambda z, of=loss: float(of(z)), np.zeros(2), method="Nelder-Mead", options=options)
        assert found.success
        assert_close(precise(cost.conjugate, slope[None])[0], -found.fun, rtol=1e-8)


@given(seed=seeds, size=sizes)
@every
def test_the_fenchel_young_inequality_holds_and_is_tight(cost, seed, size):
    z, other = anywhere(seed, size), anywhere(seed + 1, size)
    slopes = precise(cost.gradient, other)
    upper = precise(cost.value, z) + precise(cost.conjugate, slopes)
    assert_at_most(np.sum(z * slopes, axis=1), upper + 1e-12 * (1.0 + np.abs(upper)), "product of move and slope")
    equal = precise(cost.value, other) + precise(cost.conjugate, slopes)
    assert_close(equal, np.sum(other * slopes, axis=1), rtol=1e-9, atol=1e-12)


@given(seed=seeds, size=sizes, share=st.floats(0.05, 0.95))
@every
def test_the_value_is_strictly_convex_on_segments(cost, seed, size, share):
    one, two = away(seed, size), away(seed + 1, size)
    below = precise(cost.value, share * one + (1 - share) * two)
    chord = share * precise(cost.value, one) + (1 - share) * precise(cost.value, two)
    # Far out, the curvature of `LogCosh` is below rounding.
    strict = 1e-9 * chord if not (isinstance(cost, LogCosh) and size > 1.0) else -1e-12 * chord
    assert_at_most(below + strict, chord, "value on a segment")


@given(seed=seeds, size=sizes, share=st.floats(0.05, 0.95))
@every
def test_the_promised_strong_convexity_holds_on_segments(cost, seed, size, share):
    def rest(z):
        return precise(cost.value, z) - 0.5 * cost.strong_convexity() * np.sum(z**2, axis=1)

    one, two = anywhere(seed, size), anywhere(seed + 1, size)
    chord = share * rest(one) + (1 - share) * rest(two)
    slack = 1e-12 * (precise(cost.value, one) + precise(cost.value, two))
    assert_at_most(rest(share * one + (1 - share) * two), chord + slack, "value on a segment less the quadratic")


@every
def test_the_promised_strong_convexity_is_the_least_curvature(cost):
    least = np.inf
    for size in (1e-8, 1e-4, 1e-2, 1.0, 1e2, 1e4, 1e8):  # powers are flat at zero or far out
        z, step = away(6, size, 16), 1e-4 * size
        ends = [(precise(cost.gradient, z + own) - precise(cost.gradient, z - own)) for own in step * np.eye(2)]
        curvature = np.stack(ends, axis=2) / (2 * step)
        least = min(least, np.linalg.eigvalsh(0.5 * (curvature + curvature.transpose(0, 2, 1))).min())
    assert_close(cost.strong_convexity(), least, rtol=1e-6, atol=2e-3)


@every
def test_single_precision_is_precise_near_zero_and_far_out(cost):
    lengths = np.float32(10.0) ** np.linspace(-6, 4, 41, dtype=np.float32)
    z = np.stack([lengths, -0.5 * lengths], axis=1)
    assert (1e-36 < precise(cost.value, z)).all()
    for function in (cost.value, cost.gradient):
        assert_close(function(jnp.asarray(z)), precise(function, z).astype(np.float32), rtol=1e-5)
    slopes = precise(cost.gradient, z[lengths < 1.0]).astype(np.float32)
    for function in (cost.conjugate_gradient, cost.conjugate):
        assert_close(function(jnp.asarray(slopes)), precise(function, slopes).astype(np.float32), rtol=2e-4)
    zero = jnp.zeros((1, 2))
    for function in (cost.value, cost.gradient, cost.conjugate_gradient, cost.conjugate):
        assert not np.asarray(function(zero)).any()
    assert np.isfinite(precise(cost.value, 1e15 * z)).all()
    assert np.isfinite(precise(cost.gradient, 1e15 * z)).all()


def test_the_conjugate_of_log_cosh_beyond_the_slopes_that_it_has():
    cost = LogCosh(0.3)
    slopes = np.array([[0.3, 0.0], [-0.3, 0.3], [0.31, 0.0], [np.nan, 0.0]])
    found = precise(cost.conjugate, slopes)
    # From -z^2/2 on the maximum of <p, z> - h(z) rises to its limit as z grows.
    far = np.array([[1e3, 0.0], [-1e3, 1e3]])
    assert_close(found[:2], np.sum(far * slopes[:2], axis=1) - precise(cost.value, far), rtol=1e-9)
    assert found[2] == np.inf
    assert np.isnan(found[3])


def test_the_conjugate_of_the_elastic_net_just_above_its_price():
    # It moves by the excess, whose half square is far below the rounding of the product of slope and move.
    slope = 0.5 + 1e-12
    assert_close(precise(ElasticNet(0.5).conjugate, [[slope, 0.0]]), np.array([0.5 * (slope - 0.5) ** 2]), rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PNorm(1.0), r"`p` must be a finite number greater than 1.*got 1\.0"),
        (lambda: PNorm(np.inf), r"`p`.*got inf"),
        (lambda: PNorm("3"), r"`p`.*got '3'"),
        (lambda: ElasticNet(-0.1), r"`l1` must be a number, at least 0.*got -0\.1"),
        (lambda: ElasticNet(np.nan), r"`l1`.*got nan"),
        (lambda: ElasticNet([0.5]), r"`l1`.*got \[0\.5\]"),
        (lambda: LogCosh(0.0), r"`width` must be a positive number.*got 0\.0"),
        (lambda: LogCosh(np.inf), r"`width`.*got inf"),
        (lambda: LogCosh(True), r"`width`.*got True"),
        (lambda: LogCosh(None), r"`width`.*got None"),
        (lambda: Mahalanobis([1.0, 2.0]), r"`A` must be a square matrix.*\(2,\)"),
        (lambda: Mahalanobis(np.ones((2, 3))), r"`A` must be a square matrix.*\(2, 3\)"),
        (lambda: Mahalanobis(np.ones((0, 0))), r"`A` must be a square matrix.*\(0, 0\)"),
        (lambda: Mahalanobis([["a"]]), r"`A` must be a matrix of numbers"),
        (lambda: Mahalanobis([[1.0, 2.0], [3.0]]), r"`A` must be a matrix of numbers"),
        (lambda: Mahalanobis([[1.0, 0.5], [0.4, 1.0]]), r"`A` must be symmetric"),
        (lambda: Mahalanobis([[1.0, 2.0], [2.0, 1.0]]), r"`A` must be positive definite; its least eigenvalue is -1"),
        (lambda: Mahalanobis([[1.0, 1.0], [1.0, 1.0]]), r"`A` must be positive definite"),
        (lambda: Mahalanobis([[np.nan, 0.0], [0.0, 1.0]]), r"`A` has entries that are not finite"),
        (lambda: Mahalanobis(np.eye(3)).value(np.zeros((4, 2))), r"`A` .* 3 columns; these have 2"),
        (lambda: Convex(1.0, np.abs, np.abs), r"`h` must be a function.*got 1\.0"),
        (lambda: Convex(np.abs, None, np.abs), r"`gradient` must be a function"),
        (lambda: Convex(np.abs, np.abs, None), r"`conjugate_gradient` must be a function"),
        (lambda: Convex(np.abs, np.abs, np.abs, strong_convexity=-1.0), r"`strong_convexity`.*got -1\.0"),
        (lambda: Convex(np.abs, np.abs, np.abs, strong_convexity=np.inf), r"`strong_convexity`.*got inf"),
        (lambda: Convex(np.abs, np.abs, np.abs, strong_convexity="1"), r"`strong_convexity`.*got '1'"),
    ],
)
def test_errors_name_the_argument(make, words):
    with pytest.raises(InputError, match=words):
        make()


@every
def test_the_costs_pass_their_own_check(cost):
    check_cost(cost, 2)


@pytest.mark.parametrize("dim", [1, 64, 300])
@pytest.mark.parametrize("cost", [PNorm(1.25), LogCosh(0.01), LogCosh(1e-4), ElasticNet(0.5), PNorm(8.0)], ids=str)
def test_the_check_passes_costs_in_other_dimensions(cost, dim):
    check_cost(cost, dim)
    check_cost(Mahalanobis(np.diag(np.geomspace(0.1, 10.0, dim))), dim)


def own(**changes) -> Convex:
    """The quartic, but for what is changed."""
    given = {
        "h": lambda z: jnp.sum(z**4, axis=1) / 4,
        "gradient": lambda z: z**3,
        "conjugate_gradient": jnp.cbrt,
    }
    return Convex(**(given | changes))


STEEP = own(h=lambda z: jnp.sum(jnp.cosh(1e3 * z), axis=1), gradient=lambda z: 1e3 * jnp.sinh(1e3 * z))


@pytest.mark.parametrize(
    ("cost", "dim", "words"),
    [
        (own(gradient=lambda z: 1.001 * z**3), 2, "`gradient` of the cost .* has the slope .* but `value` rises by"),
        (own(gradient=lambda z: z**3 + 0.1 * (abs(z) > 5)), 2, "`gradient` of .* has the slope"),
        (own(conjugate_gradient=lambda p: 1.001 * jnp.cbrt(p)), 2, "`conjugate_gradient` of .* does not undo"),
        (own(conjugate_gradient=lambda p: p), 2, "`conjugate_gradient` of .* does not undo"),
        (own(conjugate_gradient=lambda p: jnp.abs(p) ** (1 / 3)), 2, "`conjugate_gradient` of .* does not undo"),
        (
            own(conjugate_gradient=lambda p: p ** (1 / 3)),
            2,
            r"`conjugate_gradient` of .* does not undo .* into \[.*nan",
        ),
        (own(h=lambda z: -jnp.sum(z**4, axis=1) / 4, gradient=lambda z: -(z**3)), 2, "`value` .* is not convex"),
        (
            own(h=lambda z: jnp.sum(z**2 - 3 * jnp.cos(z), axis=1), gradient=lambda z: 2 * z + 3 * jnp.sin(z)),
            2,
            "`value` .* is not convex: between .* and .* slope falls at the rate -",
        ),
        (own(strong_convexity=0.1), 2, "`strong_convexity` .* promises 0.1, but .* only"),
        (own(h=lambda z: jnp.sum(z, axis=1), gradient=jnp.ones_like), 2, "`conjugate_gradient` of"),
        (
            Convex(lambda z: jnp.sum(abs(z), axis=1), jnp.sign, lambda p: p),
            2,
            "`conjugate_gradient` of .* finds none .*strictly convex",
        ),
        (own(h=lambda z: jnp.sum(z**4) / 4), 2, r"`value` .* must return shape \(64,\).*got \(\)"),
        (own(h=lambda z: jnp.sum(z**4, axis=0) / 4), 2, r"`value` .* must return shape \(64,\).*got \(2,\).*axis 1"),
        (own(h=lambda z: jnp.sum(z**4, axis=0) / 4), 64, r"`value` .* must return shape \(65,\).*got \(64,\)"),
        (own(gradient=lambda z: jnp.sum(z**3, axis=1)), 2, r"`gradient` .* must return shape \(64, 2\)"),
        (own(conjugate_gradient=lambda p: None), 2, r"`conjugate_gradient` .* must return shape .* got NoneType"),
        (own(h=lambda z: jnp.sum(z.astype(jnp.float32) ** 4, axis=1) / 4), 2, "`value` .* float32 .* double precision"),
        (own(h=lambda z: np.sum(np.asarray(z) ** 4, axis=1) / 4), 2, "`value` .* must take a JAX array"),
        (STEEP, 2, "`value` .* is not finite, inf, at"),
        (
            own(gradient=lambda z: z**3 / (abs(z) < 8)),
            2,
            r"`gradient` .* is not finite, .*at .*displacements of 10 units",
        ),
        (Mahalanobis(np.eye(3)), 2, "`A` of the Mahalanobis cost is for points of 3 columns; these have 2"),
        (OWN, 3, "`value` of the cost .* fails for points of 3 columns: .* another number of columns"),
    ],
)
def test_the_check_says_what_is_wrong(cost, dim, words):
    with pytest.raises(InputError, match=re.compile(words, re.DOTALL)):
        check_cost(cost, dim)


def test_the_check_needs_a_function_of_displacements():
    with pytest.raises(InputError, match="`cost` must be an `AbstractDisplacementCost`"):
        check_cost(lambda x, y: x - y, 2)
    assert all(issubclass(cost, AbstractDisplacementCost) for cost in map(type, EVERY))


def test_the_check_refuses_a_promise_that_is_no_number():
    class Hasty(SquaredEuclidean):
        def strong_convexity(self):
            return np.nan

    with pytest.raises(InputError, match=r"`strong_convexity` .* must be a number, at least 0; got nan"):
        check_cost(Hasty(), 2)
