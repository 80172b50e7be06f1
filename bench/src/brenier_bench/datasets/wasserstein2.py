"""Pairs of the Wasserstein-2 benchmark: a mixture of Gaussians and its image under the gradient of a convex network."""

from collections.abc import Callable
from os import PathLike
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._chunks import map_batches
from brenier._errors import InputError
from brenier._products import contract, product
from brenier._types import Array, Points, Values
from brenier_bench.datasets._arrays import read_arrays

__all__ = ["Wasserstein2Pair"]

_BATCH = 8192
_LAYERS = 3

_ANCHORS, _SHARPNESS = 10, 5.0
"""Of random pairs: how many points attract, and the spread of the heights that decide which."""

_TEST_KEY, _TEST_POINTS = 2**32 - 5, 16384


class _Layer(eqx.Module):
    """`sum_r (x . quadratic_r)^2 + linear x + bias`; above the first layer, `celu` of that plus `mix` times below."""

    quadratic: Array
    linear: Array
    bias: Array
    mix: Array | None

    def __call__(self, x: Points, below: Array | None) -> Array:
        forms = jnp.sum(jnp.square(contract("nd,drh->nrh", x, self.quadratic)), axis=1)
        forms = forms + product(x, self.linear.T) + self.bias
        return forms if below is None or self.mix is None else jax.nn.celu(product(below, self.mix.T) + forms)


class _Potential(eqx.Module):
    """The convex function whose gradient is the map."""

    networks: tuple[tuple[tuple[_Layer, ...], Array], ...]
    shift: Array
    scale: float
    strong_convexity: float

    def __call__(self, x: Points) -> Values:
        total = product(x, self.shift)
        for layers, final in self.networks:
            hidden = layers[0](x, None)
            for layer in layers[1:]:
                hidden = layer(x, hidden)
            total = total + product(hidden, final[0]) + 0.5 * self.strong_convexity * jnp.sum(jnp.square(x), axis=1)
        return self.scale * total


class _Anchors(eqx.Module):
    """`strong_convexity |x|^2 / 2` plus the smooth maximum of affine functions: points are drawn to their anchors."""

    anchors: Array
    offsets: Array
    sharpness: float
    strong_convexity: float

    def __call__(self, x: Points) -> Values:
        heights = self.sharpness * (product(x, self.anchors.T) + self.offsets)
        smooth = jax.nn.logsumexp(heights, axis=1) / self.sharpness
        return smooth + 0.5 * self.strong_convexity * jnp.sum(jnp.square(x), axis=1)


class Wasserstein2Pair(NamedTuple):
    """Source `mu`, a mixture of three Gaussians, and target `T(mu)` with the known optimal map `T = grad U`.

    Attributes:
        potential: `U`, from `(n, d)` points to `(n,)` values.
        centers, maps, noise: The mixture: component k is `maps[k] @ normal * noise + centers[k]`.
        test_x, test_y: Points on which errors are measured, `test_y = T(test_x)`.
        var_x, var_y: Total variances of the two sides, the units of L2-UVP.

    References:
        Korotin et al. 2021, "Do neural optimal transport solvers work? A continuous Wasserstein-2 benchmark",
        section 4.2: the pairs "Mix3toMix10".
    """

    potential: Callable[[Points], Values]
    centers: NDArray[np.float32]
    maps: NDArray[np.float32]
    noise: float
    test_x: NDArray[np.float32]
    test_y: NDArray[np.float32]
    var_x: float
    var_y: float

    @property
    def dim(self) -> int:
        """Number of columns."""
        return self.centers.shape[1]

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Wasserstein2Pair":
        """Read a pair from an .npz file.

        Raises:
            InputError: The file is not such a pair; the message names what is missing.
        """
        arrays = read_arrays(path, ("centers", "maps", "noise_std", "scale", "shift", "strong_convexity"))
        try:
            networks = tuple(_network(arrays, name) for name in ("a", "b"))
            return cls(
                _Potential(
                    networks, jnp.asarray(arrays["shift"]), float(arrays["scale"]), float(arrays["strong_convexity"])
                ),
                arrays["centers"],
                arrays["maps"],
                float(arrays["noise_std"]),
                arrays["test_x"],
                arrays["test_y"],
                float(arrays["var_x"]),
                float(arrays["var_y"]),
            )
        except KeyError as error:
            raise InputError(f"'{path}' is not a Wasserstein-2 benchmark pair: it has no array {error}.") from error

    @classmethod
    def random(cls, dim: int, seed: int) -> "Wasserstein2Pair":
        """A pair of the same kind for any dimension, whose map draws three Gaussians towards ten anchors.

        The best affine map leaves 15 to 40 % of the target's variance, more in more dimensions. All that is not affine
        happens in the space that the anchors span, so that beyond ten dimensions it is easier than the files' pairs.
        """
        rng = np.random.default_rng(seed)
        anchors = rng.standard_normal((_ANCHORS, dim))
        potential = _Anchors(
            jnp.asarray(anchors, jnp.float32),
            jnp.asarray(0.5 * rng.standard_normal(_ANCHORS), jnp.float32),
            _SHARPNESS / dim**0.5,
            0.3,
        )
        centers = 0.7 * rng.standard_normal((3, dim))
        axes = np.linalg.qr(rng.standard_normal((3, dim, dim)))[0]
        maps = axes * 2.0 ** rng.uniform(-1.0, 1.0, (3, 1, dim))
        sides = centers.astype(np.float32), maps.astype(np.float32), 0.7
        empty = np.zeros((0, dim), np.float32)
        pair = cls(potential, *sides, empty, empty, 1.0, 1.0)
        x = pair.sample_source(jnp.asarray([seed, _TEST_KEY], jnp.uint32), _TEST_POINTS)
        y = pair.transport(x)
        return pair._replace(test_x=x, test_y=y, var_x=float(np.sum(np.var(x, 0))), var_y=float(np.sum(np.var(y, 0))))

    def sample_source(self, key: Array, n: int) -> NDArray[np.float32]:
        """`n` points of the mixture."""
        rng = np.random.default_rng(np.asarray(key))
        points = rng.standard_normal((n, self.dim), dtype=np.float32) * np.float32(self.noise)
        component = np.sort(rng.integers(len(self.centers), size=n))
        for k, (matrix, center) in enumerate(zip(self.maps, self.centers, strict=True)):
            rows = slice(*np.searchsorted(component, [k, k + 1]))
            points[rows] = points[rows] @ matrix.T + center
        return points[rng.permutation(n)]

    def sample_target(self, key: Array, n: int) -> NDArray[np.float32]:
        """`n` points of the target: images of fresh source points."""
        return self.transport(self.sample_source(key, n))

    def transport(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Images under the exact map."""
        return map_batches(lambda part: _gradient(self.potential, part), x, batch=_BATCH, least=_BATCH)


def _network(arrays: dict[str, NDArray[np.float32]], name: str) -> tuple[tuple[_Layer, ...], Array]:
    layers = []
    for i in range(_LAYERS):
        mix = None if i == 0 else jnp.asarray(arrays[f"{name}_conv{i - 1}"])
        parts = (jnp.asarray(arrays[f"{name}_{part}{i}"]) for part in ("quad", "lin", "bias"))
        layers.append(_Layer(*parts, mix=mix))
    return tuple(layers), jnp.asarray(arrays[f"{name}_final"])


@eqx.filter_jit
def _gradient(potential: Callable[[Points], Values], x: Points) -> Points:
    return jax.grad(lambda points: jnp.sum(potential(points)))(x)
