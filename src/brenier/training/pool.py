"""The points in use: both pools, their refreshment, and the batches drawn from them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from brenier._types import Array
from brenier.data.streams import PointStream
from brenier.geometry import AbstractGeometry
from brenier.geometry.coupling import coupled_orders
from brenier.training.config import TrainingConfig

__all__ = ["Pool", "scatter", "strata"]


_CLASSES = 1e3
"""Distance between two classes for the coupling, in standard deviations: only points of one class match."""

_NUMBERS = 24.0
"""Half the range of a condition's number for the coupling, in standard deviations of the points: pairs are matched
first to about a sixteenth of the range of the numbers, then by place and number alike."""


class Pool:
    """Source and target points of training, in the new coordinates, with the numbers of their condition behind them.

    Source points are all drawn anew at a refreshment. Target points carry conjugates that cost solves, so only a
    share of them is, in a ring: every target point is used for the same number of cycles.

    Args:
        source, target: Where points come from.
        coordinates: The coordinates of training.
        config: Sizes.
        rng: Randomness of the batches.
    """

    def __init__(
        self,
        source: PointStream,
        target: PointStream,
        coordinates: AbstractGeometry,
        config: TrainingConfig,
        rng: np.random.Generator,
    ) -> None:
        self._source, self._target, self._coordinates = source, target, coordinates
        self._config, self._rng = config, rng
        self._next = 0
        self.x, self.y = self._draw_x(config.pool), self._draw_y(config.pool)

    def _draw_x(self, count: int) -> NDArray[np.float32]:
        return self._blurred(self._coordinates.enter_x(self._source.draw(count)))

    def _draw_y(self, count: int) -> NDArray[np.float32]:
        return self._blurred(self._coordinates.enter_y(self._target.draw(count)))

    def _blurred(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points with fresh noise, where there is to be any."""
        if not self._config.jitter:
            return points
        dim = self._coordinates.dim
        noise = self._rng.standard_normal((len(points), dim), dtype=np.float32)
        noise *= (self._config.jitter * self._coordinates.spread).astype(np.float32)
        points[:, :dim] += noise
        return points

    def refresh(self) -> NDArray[np.intp]:
        """Replace all source points and the oldest share of the target points; returns the slots of the latter."""
        count = max(round(self._config.refresh * self._config.pool / self._config.batch), 1) * self._config.batch
        slots = (self._next + np.arange(count)) % self._config.pool
        self._next = int((self._next + count) % self._config.pool)
        self.x, self.y[slots] = self._draw_x(self._config.pool), self._draw_y(count)
        return slots

    def state(self) -> dict[str, Any]:
        """The points, whose turn it is next, and where the randomness and both sources stand."""
        return {
            "x": self.x.copy(),
            "y": self.y.copy(),
            "next": self._next,
            "rng": self._rng.bit_generator.state,
            "source": self._source.state(),
            "target": self._target.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.x, self.y, self._next = state["x"].copy(), state["y"].copy(), state["next"]
        self._rng.bit_generator.state = state["rng"]
        self._source.restore(state["source"])
        self._target.restore(state["target"])

    def schedule(self, conjugates: Array, steps: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Slots of source and target points for each of the next steps, `(steps, batch)` each.

        Args:
            conjugates: Present preimage of each target point, which decides what matches what.
            steps: How many; each point is used equally often, up to one, as far as batches divide the pool.
        """
        config = self._config
        if config.coupled:
            codes = self.y[:, self._coordinates.dim :]
            targets = np.concatenate([np.asarray(conjugates), codes], axis=1)
            order_x, order_y = coupled_orders(self._keys(self.x), self._keys(targets))
        else:
            order_x, order_y = self._rng.permutation(config.pool), self._rng.permutation(config.pool)
        pairs = strata(self._rng, config.pool, config.batch, steps)
        return order_x[pairs].astype(np.int32), order_y[pairs].astype(np.int32)

    def _keys(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """What decides which points match: their places, before that their classes, and the numbers of conditions."""
        dim = self._coordinates.dim
        if rows.shape[1] == dim:
            return rows
        units = np.full(rows.shape[1], _NUMBERS, np.float32)
        units[:dim], units[dim] = 1.0, _CLASSES
        return rows * units


def strata(rng: np.random.Generator, pool: int, batch: int, steps: int) -> NDArray[np.intp]:
    """Places in an order of `pool` points for each batch, `(steps, batch)`: one in each of equally many runs of it.

    Neighbours in a coupled order are neighbours in space, so that every batch covers it as the pool does. Each place is
    used once before any is used again, but for those that are left over where batches do not divide the pool. Batches
    larger than the pool hold all of it, as often as it fits, and such a choice for the rest.
    """
    if batch > pool:
        whole = np.tile(np.arange(pool), (steps, batch // pool))
        return np.hstack([whole, strata(rng, pool, batch % pool, steps)]) if batch % pool else whole
    length = pool // batch
    batches: list[NDArray[np.intp]] = []
    for _ in range(-(-steps // length)):
        first = rng.integers(pool) if pool % batch else 0  # other places are left over each time
        within = rng.permuted(np.tile(np.arange(length), (batch, 1)), axis=1)
        batches.append(((first + length * np.arange(batch)[:, None] + within) % pool).T)
    return np.concatenate(batches)[:steps]


def scatter(old: Any, slots: NDArray[np.intp], new: Any) -> Any:  # noqa: ANN401
    """Write rows of every array of one pytree into another."""
    return jax.tree.map(lambda a, b: a.at[jnp.asarray(slots)].set(b.reshape(-1, *b.shape[2:])), old, new)
