"""A small convolutional classifier, which judges images of a set and gives features to compare clouds of them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from brenier._chunks import map_batches
from latent_images.inputs import check_images, check_labels, check_sizes
from latent_images.start import fresh
from latent_images.training import Callback, train

__all__ = ["Classifier", "train_classifier"]

_BATCH = 1024
"""Images in one compiled call outside of training."""

_SHIFT = 1 / 14
"""Share of the size by which images are shifted in training, rounded down to whole pixels: 2 of 28, none of 8."""


class Classifier(eqx.Module):
    """Two convolutions of stride 2, a layer of features, and a layer of classes.

    Args:
        shape: Height and width of the images.
        classes: Number of classes.
        channels: Channels at half of the size; twice as many at a quarter.
        width: Number of features.
        key: Randomness of the start.
    """

    down: list[eqx.nn.Conv2d]
    inner: eqx.nn.Linear
    outer: eqx.nn.Linear
    shape: tuple[int, int] = eqx.field(static=True)
    classes: int = eqx.field(static=True)
    channels: int = eqx.field(static=True)
    width: int = eqx.field(static=True)

    def __init__(
        self, shape: tuple[int, int], *, classes: int = 10, channels: int = 32, width: int = 128, key: PRNGKeyArray
    ) -> None:
        check_sizes(height=shape[0], width=shape[1], classes=classes, channels=channels, features=width)
        self.shape, self.classes, self.channels, self.width = (int(shape[0]), int(shape[1])), classes, channels, width
        keys = jax.random.split(key, 4)
        self.down = [
            eqx.nn.Conv2d(1, channels, 5, stride=2, padding=2, key=keys[0]),
            eqx.nn.Conv2d(channels, 2 * channels, 5, stride=2, padding=2, key=keys[1]),
        ]
        quarter = -(-self.shape[0] // 4) * -(-self.shape[1] // 4)
        self.inner = eqx.nn.Linear(2 * channels * quarter, width, key=keys[2])
        self.outer = eqx.nn.Linear(width, classes, key=keys[3])

    def hyperparameters(self) -> dict[str, Any]:
        """The arguments that make a network of the same sizes, as JSON values."""
        return {name: getattr(self, name) for name in ("shape", "classes", "channels", "width")}

    def penultimate(self, image: Float[Array, "h w"]) -> Float[Array, " width"]:
        """Features of one image."""
        out = image[None]
        for layer in self.down:
            out = jax.nn.relu(layer(out))
        return jax.nn.relu(self.inner(out.ravel()))

    def features(self, images: NDArray) -> NDArray[np.float32]:
        """Features, from which the last layer tells the classes: `(n, width)` for `(n, h, w)` images, 0 to 1.

        Raises:
            InputError: Images of another size than in training, or values out of range.
        """
        return map_batches(self._features, check_images(images, self.shape), batch=_BATCH)

    def predict(self, images: NDArray) -> NDArray[np.int64]:
        """The most likely class of each image: `(n,)` for `(n, h, w)` images, 0 to 1.

        Raises:
            InputError: Images of another size than in training, or values out of range.
        """
        return self.classes_of(self.features(images))

    def classes_of(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """The most likely class that features belong to: `(n,)` for `(n, width)`."""
        return np.argmax(features @ np.asarray(self.outer.weight).T + np.asarray(self.outer.bias), axis=1)

    def accuracy(self, images: NDArray, labels: NDArray) -> float:
        """Share of the images whose most likely class is their label.

        Raises:
            InputError: Images of another size than in training, values out of range, or labels that are no classes.
        """
        return float(np.mean(self.predict(images) == check_labels(labels, len(images), self.classes)))

    @eqx.filter_jit
    def _features(self, images: Array) -> Array:
        return jax.vmap(self.penultimate)(images)


def train_classifier(
    images: NDArray,
    labels: NDArray,
    *,
    classes: int = 10,
    channels: int = 32,
    width: int = 128,
    epochs: int = 10,
    batch: int = 64,
    rate: float = 2e-3,
    seed: int = 0,
    callback: Callback | None = None,
) -> Classifier:
    """Train a classifier.

    Args:
        images: `(n, h, w)`, 0 to 1.
        labels: `(n,)` whole numbers below `classes`.
        classes: Number of classes.
        channels: Channels of the first convolution.
        width: Number of features.
        epochs: How often every image is used.
        batch: Images a step.
        rate: Learning rate at the start; it falls to zero.
        seed: One seed, one result on one machine.
        callback: Called after every epoch.

    Raises:
        InputError: No such images or labels, or a size below 1.
    """
    images = check_images(images)
    sizes = {"classes": classes, "channels": channels, "width": width}
    start = fresh(Classifier, seed, shape=images.shape[1:], **sizes)
    steps = {"epochs": epochs, "batch": batch, "rate": rate, "seed": seed}
    return train(start, cross_entropy, images, labels, classes=classes, **steps, callback=callback)


def cross_entropy(
    model: Classifier,
    images: Float[Array, "n h w"],
    labels: Int[Array, " n"],
    progress: Float[Array, ""],
    key: PRNGKeyArray,
) -> Float[Array, ""]:
    """Mean negative log-likelihood of the labels of randomly shifted images; the progress changes nothing."""
    scores = jax.vmap(lambda image: model.outer(model.penultimate(image)))(_shifted(images, key))
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(scores, labels))


def _shifted(images: Float[Array, "n h w"], key: PRNGKeyArray) -> Float[Array, "n h w"]:
    """Images, each moved by up to `_SHIFT` of its size both ways; black comes in."""
    shape = images.shape[1:]
    most = [int(_SHIFT * size) for size in shape]
    if max(most) == 0:
        return images
    padded = jnp.pad(images, [(0, 0), *((step, step) for step in most)])
    starts = jax.random.randint(key, (len(images), 2), 0, 2 * jnp.array(most) + 1)
    return jax.vmap(lambda image, start: jax.lax.dynamic_slice(image, start, shape))(padded, starts)
