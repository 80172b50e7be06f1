"""Pairs of the Wasserstein-2 benchmark: a mixture of Gaussians and its image under the gradient of a convex network."""

from os import PathLike
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier._types import Array, Points, Values
from brenier.batches import map_batches
from brenier.datasets._arrays import read_arrays

__all__ = ["Wasserstein2Pair"]

_BATCH = 8192
_LAYERS = 3


class _Layer(eqx.Module):
    """`sum_r (x . quadratic_r)^2 + linear x + bias`; above the first layer, `celu` of that plus `mix` times below."""

    quadratic: Array
    linear: Array
    bias: Array
    mix: Array | None

    def __call__(self, x: Points, below: Array | None) -> Array:
        forms = jnp.sum(jnp.square(jnp.einsum("nd,drh->nrh", x, self.quadratic)), axis=1)
        forms = forms + x @ self.linear.T + self.bias
        return forms if below is None or self.mix is None else jax.nn.celu(below @ self.mix.T + forms)


class _Potential(eqx.Module):
    """The convex function whose gradient is the map."""

    networks: tuple[tuple[tuple[_Layer, ...], Array], ...]
    shift: Array
    scale: float
    strong_convexity: float

    def __call__(self, x: Points) -> Values:
        total = x @ self.shift
        for layers, final in self.networks:
            hidden = layers[0](x, None)
            for layer in layers[1:]:
                hidden = layer(x, hidden)
            total = total + hidden @ final[0] + 0.5 * self.strong_convexity * jnp.sum(jnp.square(x), axis=1)
        return self.scale * total


class Wasserstein2Pair(NamedTuple):
    """Source `mu`, a mixture of three Gaussians, and target `T(mu)` with the known optimal map `T = grad U`.

    Attributes:
        potential: `U`.
        centers, maps, noise: The mixture: component k is `maps[k] @ normal * noise + centers[k]`.
        test_x, test_y: Points on which errors are measured, `test_y = T(test_x)`.
        var_x, var_y: Total variances of the two sides, the units of L2-UVP.

    References:
        Korotin et al. 2021, "Do neural optimal transport solvers work? A continuous Wasserstein-2 benchmark",
        section 4.2: the pairs "Mix3toMix10".
    """

    potential: _Potential
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
def _gradient(potential: _Potential, x: Points) -> Points:
    return jax.grad(lambda points: jnp.sum(potential(points)))(x)
