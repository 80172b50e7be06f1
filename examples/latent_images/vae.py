"""A convolutional variational autoencoder that is told the class of each image.

The decoder knows the class, so the latent code need not hold it: one code stands for one style in every class.
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from brenier import InputError
from brenier._chunks import map_batches
from latent_images.inputs import check_images, check_labels, check_sizes
from latent_images.start import fresh
from latent_images.training import Callback, train

__all__ = ["ConditionalVAE", "train_vae"]

_BATCH = 1024
"""Images in one compiled call outside of training."""

_WARM = 0.25
"""Share of the training over which the weight of the divergence rises to one. From the start at one, it can switch
latent dimensions off before the decoder has learned to use them: on 8,000 digits of MNIST one of 15 then varied half as
much as the others."""


class ConditionalVAE(eqx.Module):
    """Encoder and decoder.

    The encoder halves the image twice, by convolutions of stride 2; the decoder doubles it twice, by convolutions to
    four times the channels that are then laid out as blocks of 2 x 2 pixels (Shi et al. 2016, section 2.2), which on a
    CPU train three times as fast as transposed convolutions. Sizes that are no multiple of 4 are filled up with black.

    Args:
        shape: Height and width of the images.
        latent: Dimension of the latent space.
        classes: Number of classes.
        channels: Channels at half of the size; twice as many at a quarter.
        hidden: Units of the layer between the convolutions and the latent space.
        key: Randomness of the start.

    References:
        Kingma and Welling 2014, "Auto-encoding variational Bayes"; Kingma, Mohamed, Rezende and Welling 2014,
        "Semi-supervised learning with deep generative models", model M2 with every label known.
    """

    down: list[eqx.nn.Conv2d]
    inwards: eqx.nn.Linear
    moments: eqx.nn.Linear
    outwards: list[eqx.nn.Linear]
    up: list[eqx.nn.Conv2d]
    shape: tuple[int, int] = eqx.field(static=True)
    latent: int = eqx.field(static=True)
    classes: int = eqx.field(static=True)
    channels: int = eqx.field(static=True)
    hidden: int = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        latent: int = 15,
        classes: int = 10,
        channels: int = 32,
        hidden: int = 256,
        key: PRNGKeyArray,
    ) -> None:
        check_sizes(height=shape[0], width=shape[1], latent=latent, classes=classes, channels=channels, hidden=hidden)
        self.shape, self.latent, self.classes = (int(shape[0]), int(shape[1])), latent, classes
        self.channels, self.hidden = channels, hidden
        keys = iter(jax.random.split(key, 8))
        flat = 2 * channels * self._quarter[0] * self._quarter[1]
        self.down = [
            eqx.nn.Conv2d(1, channels, 4, stride=2, padding=1, key=next(keys)),
            eqx.nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1, key=next(keys)),
        ]
        self.inwards = eqx.nn.Linear(flat + classes, hidden, key=next(keys))
        self.moments = eqx.nn.Linear(hidden, 2 * latent, key=next(keys))
        self.outwards = [
            eqx.nn.Linear(latent + classes, hidden, key=next(keys)),
            eqx.nn.Linear(hidden, flat, key=next(keys)),
        ]
        self.up = [
            eqx.nn.Conv2d(2 * channels, 4 * channels, 3, padding=1, key=next(keys)),
            eqx.nn.Conv2d(channels, 4, 3, padding=1, key=next(keys)),
        ]

    def hyperparameters(self) -> dict[str, Any]:
        """The arguments that make a network of the same sizes, as JSON values."""
        return {name: getattr(self, name) for name in ("shape", "latent", "classes", "channels", "hidden")}

    @property
    def _quarter(self) -> tuple[int, int]:
        """Height and width at a quarter of the size, after filling up."""
        return -(-self.shape[0] // 4), -(-self.shape[1] // 4)

    def posterior(
        self, image: Float[Array, "h w"], label: Int[Array, ""]
    ) -> tuple[Float[Array, " latent"], Float[Array, " latent"]]:
        """Mean and log-variance of the latent code of one image."""
        filled = [(0, 4 * quarter - size) for quarter, size in zip(self._quarter, self.shape, strict=True)]
        out = jnp.pad(image, filled)[None]
        for layer in self.down:
            out = jax.nn.silu(layer(out))
        out = jax.nn.silu(self.inwards(jnp.append(out.ravel(), jax.nn.one_hot(label, self.classes))))
        mean, log_variance = jnp.split(self.moments(out), 2)
        return mean, log_variance

    def logits(self, code: Float[Array, " latent"], label: Int[Array, ""]) -> Float[Array, "h w"]:
        """Log-odds of white for each pixel of one image."""
        out = jnp.append(code, jax.nn.one_hot(label, self.classes))
        for linear in self.outwards:
            out = jax.nn.silu(linear(out))
        out = out.reshape(2 * self.channels, *self._quarter)
        out = jax.nn.silu(_to_pixels(self.up[0](out)))
        return _to_pixels(self.up[1](out))[0, : self.shape[0], : self.shape[1]]

    def encode(self, images: NDArray, labels: NDArray) -> NDArray[np.float32]:
        """Latent codes: `(n, latent)` posterior means of `(n, h, w)` images, 0 to 1, with `(n,)` labels.

        Raises:
            InputError: Images of another size than in training, values out of range, or labels that are no classes.
        """
        images = check_images(images, self.shape)
        return map_batches(self._means, images, check_labels(labels, len(images), self.classes), batch=_BATCH)

    def decode(self, latent: NDArray, labels: NDArray) -> NDArray[np.float32]:
        """Images: `(n, h, w)`, 0 to 1, of `(n, latent)` codes with `(n,)` labels.

        Raises:
            InputError: Codes of another dimension, or labels that are no classes.
        """
        latent = np.asarray(latent, np.float32)
        if latent.ndim != 2 or latent.shape[1] != self.latent or len(latent) == 0:
            raise InputError(f"`latent` must have shape (n, {self.latent}), at least one code; got {latent.shape}.")
        return map_batches(self._pixels, latent, check_labels(labels, len(latent), self.classes), batch=_BATCH)

    @eqx.filter_jit
    def _means(self, images: Array, labels: Array) -> Array:
        return jax.vmap(self.posterior)(images, labels)[0]

    @eqx.filter_jit
    def _pixels(self, latent: Array, labels: Array) -> Array:
        return jax.nn.sigmoid(jax.vmap(self.logits)(latent, labels))


def train_vae(
    images: NDArray,
    labels: NDArray,
    *,
    latent: int = 15,
    classes: int = 10,
    channels: int = 32,
    hidden: int = 256,
    epochs: int = 20,
    batch: int = 64,
    rate: float = 3e-3,
    counts: int = 1,
    seed: int = 0,
    callback: Callback | None = None,
) -> ConditionalVAE:
    """Train an autoencoder.

    Args:
        images: `(n, h, w)`, 0 to 1.
        labels: `(n,)` whole numbers below `classes`.
        latent: Dimension of the latent space.
        classes: Number of classes.
        channels: Channels of the first convolution.
        hidden: Units of the layer between the convolutions and the latent space.
        epochs: How often every image is used.
        batch: Images a step.
        rate: Learning rate at the start; it falls to zero.
        counts: How many points, black or white, a pixel is the mean of. The more, the more exactly it is known, and the
            more of the code is used to draw it.
        seed: One seed, one result on one machine.
        callback: Called after every epoch.

    Raises:
        InputError: No such images or labels, or a size below 1.
    """
    images = check_images(images)
    sizes = {"latent": latent, "classes": classes, "channels": channels, "hidden": hidden}
    check_sizes(counts=counts)
    start = fresh(ConditionalVAE, seed, shape=images.shape[1:], **sizes)
    steps = {"epochs": epochs, "batch": batch, "rate": rate, "seed": seed}
    return train(
        start, partial(negative_elbo, counts=counts), images, labels, classes=classes, **steps, callback=callback
    )


def negative_elbo(
    model: ConditionalVAE,
    images: Float[Array, "n h w"],
    labels: Int[Array, " n"],
    progress: Float[Array, ""],
    key: PRNGKeyArray,
    counts: int = 1,
) -> Float[Array, ""]:
    """Cross-entropy, summed over pixels, plus the divergence of the posterior from a standard normal; a mean.

    A pixel is binomial: so many trials as it counts points, of which its value is the share. What does not depend on
    the network is left out. The divergence has a weight that rises from zero to one over the first quarter of the
    training.

    References: Kingma and Welling 2014, equation 10, with one draw an image; Sonderby et al. 2016, "Ladder variational
    autoencoders", section 2.3, for the weight.
    """
    mean, log_variance = jax.vmap(model.posterior)(images, labels)
    codes = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
    logits = jax.vmap(model.logits)(codes, labels)
    reconstruction = jnp.sum(optax.sigmoid_binary_cross_entropy(logits, images), axis=(1, 2))
    divergence = 0.5 * jnp.sum(jnp.exp(log_variance) + mean**2 - 1.0 - log_variance, axis=1)
    return jnp.mean(counts * reconstruction + jnp.minimum(progress / _WARM, 1.0) * divergence)


def _to_pixels(blocks: Float[Array, "c4 h w"]) -> Float[Array, "c h2 w2"]:
    """Every four channels as one of twice the height and width."""
    channels, height, width = blocks.shape
    split = blocks.reshape(channels // 4, 2, 2, height, width)
    return split.transpose(0, 3, 1, 4, 2).reshape(channels // 4, 2 * height, 2 * width)
