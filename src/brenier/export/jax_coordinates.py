"""Affine coordinates of a map in JAX, for programs; what `TransportMap` computes in NumPy. All in float64."""

from types import SimpleNamespace
from typing import Protocol

import jax.numpy as jnp
import jax.scipy.linalg
import numpy as np

from brenier._types import Array, Bool, Float, Points
from brenier.conditions import ConditionSpace
from brenier.export.description import MARGIN, powers
from brenier.maps import TransportMap

__all__ = ["AbstractAffine", "affine"]


class AbstractAffine(Protocol):
    """The coordinate changes of a map in JAX: between the units of the data and the coordinates of its potential."""

    def codes(self, condition: Float[Array, "n k"] | None, points: Points) -> Float[Array, "n k"]:
        """Codes of conditions, NaN where a class does not exist."""
        ...

    def enter_x(self, x: Points, codes: Float[Array, "n k"]) -> Points:
        """`(n, d)` source points of the data in the coordinates of the potential."""
        ...

    def enter_y(self, y: Points, codes: Float[Array, "n k"]) -> Points:
        """`(n, d)` target points of the data in the coordinates of the potential."""
        ...

    def leave_x(self, x: Points, codes: Float[Array, "n k"]) -> Points:
        """`(n, d)` source points of the potential in the units of the data."""
        ...

    def leave_y(self, y: Points, codes: Float[Array, "n k"]) -> Points:
        """`(n, d)` target points of the potential in the units of the data."""
        ...


def affine(map_: TransportMap) -> AbstractAffine:
    """The coordinate changes of a map, with or without conditions."""
    record = map_.geometry.record()
    parts = SimpleNamespace(**record.entries, **record.tensors)
    return _Plain(parts) if map_.conditions is None else _Conditional(parts, map_.conditions)


class _Plain:
    def __init__(self, coordinates: SimpleNamespace) -> None:
        self.c = coordinates

    def codes(self, condition: Float[Array, "n k"] | None, points: Points) -> Float[Array, "n k"]:
        return jnp.zeros((points.shape[0], 0))

    def enter_x(self, x: Points, codes: Float[Array, "n k"]) -> Points:
        return (_double(x) - self.c.mean_x) @ self.c.to_x.T

    def enter_y(self, y: Points, codes: Float[Array, "n k"]) -> Points:
        return (_double(y) - self.c.mean_y) @ self.c.to_y.T

    def leave_x(self, x: Points, codes: Float[Array, "n k"]) -> Points:
        return _double(x) @ self.c.from_x.T + self.c.mean_x

    def leave_y(self, y: Points, codes: Float[Array, "n k"]) -> Points:
        return _double(y) @ self.c.from_y.T + self.c.mean_y


class _Conditional:
    def __init__(self, coordinates: SimpleNamespace, space: ConditionSpace) -> None:
        self.c, self.space = coordinates, space
        self.powers = powers(space.numbers, coordinates.degree)

    def codes(self, condition: Float[Array, "n k"] | None, points: Points) -> Float[Array, "n k"]:
        values = _double(condition)
        label = values[:, 0]
        known: Bool[Array, " n"] = (label >= 0) & (label < len(self.space.classes)) & (label == jnp.round(label))
        number = jnp.where(known, label, 0.0).astype(jnp.int32)
        lowest, highest = self.space.low.min(axis=0), self.space.high.max(axis=0)
        scaled = (2.0 * values[:, 1:] - lowest - highest) / np.where(highest > lowest, highest - lowest, 1.0)
        low, high = (jnp.asarray(ends)[number] for ends in self.space.scaled_ranges)
        wide = MARGIN * (high - low)
        beyond = jnp.any((scaled < low - wide) | (scaled > high + wide), axis=1, keepdims=True)
        scaled = jnp.where(beyond, jnp.clip(scaled, low, high), scaled)
        codes = jnp.concatenate([_double(number)[:, None], scaled], axis=1)
        return jnp.where(known[:, None], codes, jnp.nan)

    def enter_x(self, x: Points, codes: Float[Array, "n k"]) -> Points:
        mean, lower = self._at(codes, self.c.mean_x)
        inner = (_double(x) - mean) / self.c.scale
        return jnp.einsum("nji,nj->ni", lower, inner) @ self.c.rotation.T / self.c.unit

    def enter_y(self, y: Points, codes: Float[Array, "n k"]) -> Points:
        mean, lower = self._at(codes, self.c.mean_y)
        inner = (_double(y) - mean) / self.c.scale
        return _solve(lower, inner, False) @ self.c.rotation.T / self.c.unit

    def leave_x(self, x: Points, codes: Float[Array, "n k"]) -> Points:
        mean, lower = self._at(codes, self.c.mean_x)
        return mean + self.c.scale * _solve(lower, (self.c.unit * _double(x)) @ self.c.rotation, True)

    def leave_y(self, y: Points, codes: Float[Array, "n k"]) -> Points:
        mean, lower = self._at(codes, self.c.mean_y)
        inner = (self.c.unit * _double(y)) @ self.c.rotation
        return mean + self.c.scale * jnp.einsum("nij,nj->ni", lower, inner)

    def _at(self, codes: Float[Array, "n k"], means: np.ndarray) -> tuple[Points, Float[Array, "n d d"]]:
        """Centres and factors of each condition."""
        number = jnp.nan_to_num(codes[:, 0]).astype(jnp.int32)
        low, high = jnp.asarray(self.c.low)[number], jnp.asarray(self.c.high)[number]
        inside = jnp.clip(codes[:, 1:], low, high)
        basis = self._legendre((2.0 * inside - low - high) / jnp.where(high > low, high - low, 1.0))
        # A class that does not exist has no points: NaN goes on from here.
        mean = jnp.einsum("np,npd->nd", basis, jnp.asarray(means)[number]) + 0.0 * codes[:, :1]
        packed = jnp.einsum("np,npe->ne", basis, jnp.asarray(self.c.factor)[number])
        rows, columns = np.tril_indices(mean.shape[1])
        lower = jnp.zeros((*mean.shape, mean.shape[1])).at[:, rows, columns].set(packed)
        diagonal = jnp.arange(mean.shape[1])
        return mean, lower.at[:, diagonal, diagonal].set(jnp.exp(lower[:, diagonal, diagonal]))

    def _legendre(self, values: Float[Array, "n q"]) -> Float[Array, "n p"]:
        """Products of orthonormal Legendre polynomials, by their recursion."""
        polynomials = [jnp.ones_like(values), values]
        for k in range(1, self.c.degree):
            polynomials.append(((2 * k + 1) * values * polynomials[k] - k * polynomials[k - 1]) / (k + 1))
        columns = []
        for term in self.powers:
            column = jnp.ones_like(values, shape=values.shape[:1])
            for variable, power in enumerate(term):
                column = column * np.sqrt(2.0 * power + 1.0) * polynomials[power][:, variable]
            columns.append(column)
        return jnp.stack(columns, axis=1)


def _double(values: Array | None) -> Array:
    return jnp.asarray(values).astype(jnp.float64)


def _solve(lower: Float[Array, "n d d"], values: Points, transposed: bool) -> Points:
    """`L^-1 values`, or `L^-T values`, row by row."""
    solve = jax.scipy.linalg.solve_triangular
    return solve(lower, values[:, :, None], lower=True, trans=1 if transposed else 0)[:, :, 0]
