"""One contract for every potential; convexity as a property of random parameters."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asserts import assert_at_most, assert_close, assert_gradient, assert_same
from brenier.potentials import ICNN, MLP, POTENTIALS, Quadratic
from brenier.potentials.activations import ACTIVATIONS, soft_square
from networks import ICNNS, KINDS, double, fresh, perturb, quadratic

every_kind = pytest.mark.parametrize("kind", KINDS)
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS)

evaluate = eqx.filter_jit(lambda u, x: u(x))
gradient = eqx.filter_jit(lambda u, x: u.gradient(x))
both = eqx.filter_jit(lambda u, x: u.value_and_gradient(x))
hessian = eqx.filter_jit(lambda u, x: u.hessian(x))


def trained(kind: str, dim: int = 3, seed: int = 0):
    return perturb(fresh(kind, dim, seed=seed), seed)


def points(rng: np.random.Generator, count: int = 7) -> np.ndarray:
    return rng.standard_normal((count, 3))


@every_kind
def test_shapes_and_precision(kind, rng):
    u, x = trained(kind), jnp.asarray(points(rng), jnp.float32)
    value, slope = both(u, x)
    curvature = hessian(u, x)
    assert (value.shape, slope.shape, curvature.shape) == ((7,), (7, 3), (7, 3, 3))
    assert {value.dtype, slope.dtype, curvature.dtype} == {jnp.dtype(jnp.float32)}


@every_kind
def test_gradient_and_hessian_are_derivatives(kind, rng, x64):
    u, x = double(trained(kind)), points(rng)
    value, slope = both(u, x)
    # The same sums, compiled with and without a backward pass.
    assert_close(value, evaluate(u, x), rtol=1e-13)
    assert_close(slope, gradient(u, x), rtol=1e-13)
    # A sum over rows has the gradients of the rows as its gradient. `ramp` and `celu` are smooth only between joints,
    # where central differences err by the step, 1e-5, instead of its square.
    assert_gradient(lambda z: np.sum(evaluate(u, z)), slope, x, rtol=1e-7)
    matrices = np.asarray(hessian(u, x))
    assert_close(matrices, np.swapaxes(matrices, 1, 2), atol=1e-10)
    for i in range(3):
        assert_gradient(lambda z, i=i: np.sum(gradient(u, z)[:, i]), matrices[:, i], x, rtol=1e-6)


@every_kind
def test_rows_do_not_meet(kind, rng, x64):
    u, x = double(trained(kind)), points(rng)
    value, slope = both(u, x)
    other = 10 * points(rng)
    other[2] = x[2]
    for found, expected in zip(both(u, other), (value, slope), strict=True):
        assert_close(found[2], expected[2], rtol=1e-12)
    order = rng.permutation(7)
    assert_close(gradient(u, x[order]), slope[order], rtol=1e-12)


@every_kind
def test_every_array_is_learned(kind, rng):
    u, x = trained(kind), jnp.asarray(points(rng, 50), jnp.float32)
    gradients = eqx.filter_jit(eqx.filter_grad(lambda u: jnp.sum(jnp.square(u(x)))))(u)
    moved = {jax.tree_util.keystr(path): np.abs(leaf).max() > 0 for path, leaf in jax.tree.leaves_with_path(gradients)}
    assert len(moved) >= 2
    assert {path for path, change in moved.items() if not change} == set()


@every_kind
def test_a_skeleton_filled_with_the_arrays_is_the_potential(kind, rng):
    u = trained(kind)
    described = json.loads(json.dumps(dict(u.hyperparameters())))
    skeleton = POTENTIALS[kind.split("-")[0]].skeleton(**described)
    leaves, structure = jax.tree.flatten(eqx.filter(skeleton, eqx.is_array))
    arrays = jax.tree.leaves(eqx.filter(u, eqx.is_array))
    assert [leaf.shape for leaf in leaves] == [array.shape for array in arrays]
    filled = eqx.combine(jax.tree.unflatten(structure, arrays), skeleton)
    x = jnp.asarray(points(rng), jnp.float32)
    assert_same(evaluate(filled, x), evaluate(u, x))
    assert dict(filled.hyperparameters()) == dict(u.hyperparameters())


@every_kind
def test_the_start_is_next_to_half_the_squared_norm(kind, rng):
    widths = (64, 64, 32)
    u = fresh(kind, 3, widths)
    x = jnp.asarray(points(rng, 500), jnp.float32)
    displacement = np.sqrt(np.mean(np.sum(np.square(gradient(u, x) - x), axis=1)))
    # Each of 160 units of slope four enters the ICNN with weight 0.001, so its map starts within a unit or so of
    # the identity; the others start there exactly, up to rounding.
    assert_at_most(displacement, 1.0 if kind in ICNNS else 1e-5, "distance from the identity")
    assert (displacement > 1e-3) == (kind in ICNNS)


@pytest.mark.parametrize(("kind", "floor"), list(zip(ICNNS, [0.01, 0.05, 0.5], strict=True)))
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.3, 1.0, 3.0]))
def test_an_icnn_is_strongly_convex_whatever_its_parameters(kind, floor, seed, size):
    with jax.enable_x64(True):
        u = double(perturb(fresh(kind, 3, seed=0, floor=floor), seed, size))
        assert float(u.convexity_floor()) == floor
        check_convexity(u, floor, seed)


@given(seed=st.integers(0, 2**32 - 1), lowest=st.floats(1e-3, 10))
def test_a_quadratic_is_as_convex_as_its_smallest_eigenvalue(seed, lowest):
    with jax.enable_x64(True):
        axes = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
        u = quadratic((axes * [lowest, 11.0, 12.0]) @ axes.T, [1.0, -1.0, 0.0])
        assert_close(u.convexity_floor(), lowest, rtol=1e-9)
        check_convexity(u, lowest, seed)


def check_convexity(u, floor: float, seed: int) -> None:
    """Strong convexity along random chords, and of the Hessian at their ends, up to rounding of the values."""
    rng = np.random.default_rng(seed)
    x, y, t = 3 * rng.standard_normal((20, 3)), 3 * rng.standard_normal((20, 3)), rng.random((20, 1))
    ends_x, ends_y, middle = np.split(np.asarray(evaluate(u, np.concatenate([x, y, (1 - t) * x + t * y]))), 3)
    t = t[:, 0]
    gap = (1 - t) * ends_x + t * ends_y - middle
    size = np.abs(ends_x) + np.abs(ends_y)
    assert_at_most(0.5 * floor * t * (1 - t) * np.sum((x - y) ** 2, axis=1), gap + 1e-13 * size, "strong convexity")
    matrices = np.asarray(hessian(u, x))
    eigenvalues = np.linalg.eigvalsh(matrices)
    assert_at_most(floor, eigenvalues[:, 0] + 1e-13 * eigenvalues[:, -1], "smallest eigenvalue")


def test_what_is_not_known_to_be_convex_has_no_floor():
    assert MLP(2, (3,), rng=np.random.default_rng(0)).convexity_floor() is None
    assert quadratic(np.diag([1.0, -0.1])).convexity_floor() is None
    assert quadratic(np.diag([1.0, 0.0])).convexity_floor() is None


def test_a_quadratic_uses_the_symmetric_part(rng):
    matrix, x = rng.standard_normal((3, 3)), rng.standard_normal((5, 3)).astype(np.float32)
    u = quadratic(matrix, [1.0, 2.0, 3.0])
    # Single precision, sums of four products.
    assert_close(u.gradient(x), x @ (matrix + matrix.T) / 2 + [1.0, 2.0, 3.0], atol=1e-5)
    assert_close(u(x), np.sum(x * (x @ matrix), axis=1) / 2 + x @ [1.0, 2.0, 3.0], atol=1e-5)
    assert_same(Quadratic.identity(3).gradient(x), x)


@pytest.mark.parametrize("floor", [0.0, 1.0, -0.1, 2.0, np.nan])
def test_a_floor_outside_its_range_is_refused(floor):
    with pytest.raises(ValueError, match=r"`floor` must lie in \(0, 1\); got"):
        ICNN(2, rng=np.random.default_rng(0), floor=floor)


@pytest.mark.parametrize("kind", [ICNN, MLP])
def test_an_unknown_activation_is_refused_with_the_list_of_known_ones(kind):
    with pytest.raises(ValueError, match=r"\['celu', 'ramp', 'softplus'\]; got 'relu'"):
        kind(2, rng=np.random.default_rng(0), activation="relu")


@every_activation
def test_activations_have_the_derivatives_they_say_and_are_convex(activation, x64):
    x = np.linspace(-6, 6, 241) + 0.0123  # off the joints at -1, 0 and 1, where second derivatives jump
    total = jax.jit(lambda z: jnp.sum(activation(z)))
    slope = jax.jit(jax.grad(total))
    curvature = jax.jit(jax.grad(lambda z: jnp.sum(slope(z))))
    first, second = np.asarray(slope(x)), np.asarray(curvature(x))
    assert_gradient(total, first, x, rtol=1e-8)
    assert_at_most(0.0, first, "slope")
    assert_at_most(0.0, second, "second derivative")
    assert_at_most(0.0, np.diff(first), "change of the slope")
    assert_gradient(lambda z: np.sum(slope(z)), second, x, rtol=1e-7)
    joints = np.array([-1.0, 0.0, 1.0])
    below, above = joints - 1e-9, joints + 1e-9
    assert_close(activation(jnp.asarray(below)), activation(jnp.asarray(above)), atol=1e-8)
    assert_close(slope(below), slope(above), atol=1e-8)


def test_activations_at_their_known_values():
    x = np.array([-40.0, -1.0, 0.0, 1.0, 40.0], np.float32)
    # Single precision; `ramp` at 0 is twice the integral of 3 t^2 - 2 t^3 up to the middle.
    assert_close(ACTIVATIONS["ramp"](x), [0.0, 0.0, 0.1875, 1.0, 40.0], atol=1e-6)
    assert_close(ACTIVATIONS["celu"](x), [-1.0, np.exp(-1) - 1, 0.0, 1.0, 40.0], atol=1e-6)
    assert_close(ACTIVATIONS["softplus"](x), np.logaddexp(0, x), atol=1e-6)


@every_activation
def test_activations_are_finite_far_out(activation):
    far = jnp.asarray([-1e30, 1e30], jnp.float32)
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(activation)))(far)
    assert_close(value[1], 1e30, rtol=1e-6)
    assert_close(slope, [0.0, 1.0], atol=1e-6)


def test_the_bowl_is_a_square_at_the_bottom_straight_outside_and_smooth_at_its_rim(x64):
    # Its value by integrating its curvature 2 - x^2 / 2 twice, its slope by finite differences.
    x = np.linspace(-5, 5, 201) + 0.0123
    slope = jax.jit(jax.grad(lambda z: jnp.sum(soft_square(z))))
    curvature = np.asarray(jax.jit(jax.grad(lambda z: jnp.sum(slope(z))))(x))
    inside = np.abs(x) < 2
    assert_close(soft_square(jnp.asarray(x))[inside], (x**2 - x**4 / 24)[inside], rtol=1e-12)
    assert_close(soft_square(jnp.asarray(x))[~inside], (8 / 3 * np.abs(x) - 2)[~inside], rtol=1e-12)
    assert_gradient(lambda z: np.sum(soft_square(z)), slope(x), x, rtol=1e-7)
    assert_close(curvature, np.maximum(2 - x**2 / 2, 0), atol=1e-12)


@pytest.mark.parametrize("floor", [0.02, 0.5])
def test_an_icnn_without_weights_is_half_the_squared_norm(floor, rng):
    u, x = fresh("icnn-ramp", 3, floor=floor), jnp.asarray(points(rng), jnp.float32)
    zero = jax.tree.map(jnp.zeros_like, eqx.filter(u, eqx.is_inexact_array))
    gradient = eqx.combine(zero, eqx.filter(u, eqx.is_inexact_array, inverse=True)).gradient(x)
    assert_close(gradient, x, rtol=1e-6)


def test_the_floor_of_an_icnn_is_reached_but_not_passed(rng):
    u, x = fresh("icnn-ramp", 3, floor=0.05), jnp.asarray(points(rng), jnp.float32)
    outputs = tuple(layer.root_output for layer in u.layers)
    worst = eqx.tree_at(
        lambda u: (u.diagonal, *(layer.root_output for layer in u.layers)),
        u,
        (jnp.full(3, -30.0), *(jnp.zeros_like(output) for output in outputs)),
    )
    # Single precision, of numbers of size one.
    assert_close(hessian(worst, x), np.broadcast_to(0.05 * np.eye(3), (7, 3, 3)), atol=1e-7)


def test_inert_columns_are_scaled_and_meet_nothing_else(rng):
    u = perturb(fresh("icnn-ramp", 3, inert=(1,)), 0)
    x = points(rng).astype(np.float32)
    moved = x + np.array([0.0, 2.0, 0.0], np.float32)
    first, second = (np.asarray(u.gradient(jnp.asarray(side))) for side in (x, moved))
    assert_same(first[:, [0, 2]], second[:, [0, 2]])
    slope = first[:, 1] / x[:, 1]
    assert_close(slope, np.full(7, slope[0]), rtol=1e-5)
    assert_close(second[:, 1], slope[0] * moved[:, 1], rtol=1e-5)


@pytest.mark.parametrize("inert", [(3,), (-1,)])
def test_inert_columns_must_exist(inert):
    with pytest.raises(ValueError, match="`inert` must list columns from 0 to 2"):
        ICNN(3, rng=np.random.default_rng(0), inert=inert)
