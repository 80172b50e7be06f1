"""Adam over shuffled batches: the loop that all networks here share.

One compiled call a step, not a scan over an epoch: on CPUs, XLA has no fast convolutions inside loops
(https://github.com/jax-ml/jax/issues/12868), and a step took 14 times as long there.
"""

import time
from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from brenier import InputError
from latent_images.inputs import check_images, check_labels

__all__ = ["Callback", "Epoch", "train"]

Model = TypeVar("Model", bound=eqx.Module)


class Epoch(NamedTuple):
    """How far a training is.

    Attributes:
        number: Epochs done.
        epochs: Epochs in all.
        loss: Mean of the loss over the batches of this epoch.
        seconds: Wall-clock since the start, compilation included.
    """

    number: int
    epochs: int
    loss: float
    seconds: float


Callback: TypeAlias = Callable[[Epoch], None]
"""Called after every epoch."""

Loss: TypeAlias = Callable[
    [Model, Float[Array, "batch h w"], Int[Array, " batch"], Float[Array, ""], PRNGKeyArray],
    Float[Array, ""],
]
"""Mean loss of a batch of images and labels. What follows them: the share of the training that is done, and a key for
what the loss draws at random."""


def train(
    model: Model,
    loss: Loss[Model],
    images: NDArray,
    labels: NDArray,
    *,
    classes: int,
    epochs: int,
    batch: int,
    rate: float,
    seed: int,
    callback: Callback | None = None,
) -> Model:
    """Minimise a loss over the parameters of a network.

    The learning rate falls from `rate` to zero along a half cosine. Every epoch goes through the images in a new
    order, and leaves out the last few, which fill no batch.

    Args:
        model: The network at its start.
        loss: What to minimise.
        images: `(n, h, w)`, 0 to 1.
        labels: `(n,)` whole numbers below `classes`.
        classes: Number of classes.
        epochs: How often every image is used.
        batch: Images a step; all of them where there are fewer.
        rate: Learning rate at the start.
        seed: One seed, one result on one machine.
        callback: Called after every epoch.

    Raises:
        InputError: No such images or labels, no epoch, or no image a batch.
    """
    if epochs < 1 or batch < 1:
        raise InputError(f"`epochs` and `batch` must be at least 1; got {epochs} and {batch}.")
    images, labels = check_images(images), check_labels(labels, len(images), classes)
    started = time.perf_counter()
    batch = min(batch, len(images))
    steps = len(images) // batch
    optimiser = optax.adam(optax.cosine_decay_schedule(rate, epochs * steps))
    arrays, static = eqx.partition(model, eqx.is_array)
    state = optimiser.init(arrays)

    @jax.jit
    def step(arrays: Model, state: optax.OptState, images: Array, labels: Array, rows: Array, number: Array) -> tuple:
        def objective(arrays: Model) -> Array:
            key = jax.random.fold_in(jax.random.key(seed), number)
            return loss(eqx.combine(arrays, static), images[rows], labels[rows], number / (epochs * steps), key)

        value, gradient = jax.value_and_grad(objective)(arrays)
        updates, state = optimiser.update(gradient, state)
        return eqx.apply_updates(arrays, updates), state, value

    # On the device once, and arguments of the compiled function, which would hold a copy of what it closes over.
    data = jnp.asarray(images), jnp.asarray(labels)
    rng = np.random.default_rng(seed)
    for epoch in range(epochs):
        values = []
        order = rng.permutation(len(images))[: steps * batch].reshape(steps, batch)
        for number, rows in enumerate(order, start=epoch * steps):
            arrays, state, value = step(arrays, state, *data, rows, number)
            values.append(value)
        mean = float(jnp.mean(jnp.stack(values)))
        if callback is not None:
            callback(Epoch(epoch + 1, epochs, mean, time.perf_counter() - started))
    return eqx.combine(arrays, static)
