"""A set of images with the networks that `latent_images.train` made for it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brenier import InputError
from brenier_bench.datasets import LabelledImages
from latent_images.classifier import Classifier
from latent_images.files import load
from latent_images.sets import Name, load_set
from latent_images.vae import ConditionalVAE

__all__ = ["Cloud", "Domain"]


class Cloud(NamedTuple):
    """Images in several forms, a row an image.

    Attributes:
        images: `(n, h, w)`, 0 to 1.
        labels: `(n,)` numbers of their classes.
        codes: `(n, latent)`.
        features: `(n, width)` of the classifier.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    codes: NDArray[np.float32]
    features: NDArray[np.float32]

    def rows(self, chosen: NDArray) -> "Cloud":
        """Some of the images."""
        return Cloud(*(part[chosen] for part in self))


class Domain(NamedTuple):
    """A set of images and its networks.

    Attributes:
        name: Of the set.
        classes: Their names.
        vae: Autoencoder, which is told the class of an image.
        classifier: Judge of images.
        train: What the networks were trained on.
        test: What nothing was trained on.
    """

    name: str
    classes: tuple[str, ...]
    vae: ConditionalVAE
    classifier: Classifier
    train: Cloud
    test: Cloud

    @classmethod
    def load(cls, name: Name, models: Path, *, data: Path | None, limit: int | None, seed: int) -> "Domain":
        """Read images and networks, and encode the images.

        Args:
            name: Which set.
            models: The folder that `latent_images.train` wrote.
            data: Folder of the original files, as for `load_set`.
            limit: The one of the training.
            seed: The one of the training; with others, images that the networks have seen are among those to test.

        Raises:
            InputError: Files are missing, the networks are for images of another size or number of classes, or a class
                has fewer than two images to train with or to test.
        """
        vae = load(models / f"{name}.vae", ConditionalVAE)
        classifier = load(models / f"{name}.classifier", Classifier)
        seen, unseen = load_set(name, data=data, limit=limit, seed=seed)
        for network in (vae, classifier):
            if network.shape != seen.images.shape[1:] or network.classes != len(seen.names):
                raise InputError(
                    f"`{models}` has a {type(network).__name__} for {network.classes} classes of images of "
                    f"{network.shape[0]} x {network.shape[1]}, but {name} has {len(seen.names)} classes of "
                    f"{seen.images.shape[1]} x {seen.images.shape[2]}. Train it again."
                )
        for part in (seen, unseen):
            counts = np.bincount(part.labels, minlength=len(seen.names))
            if counts.min() < 2:
                raise InputError(
                    f"{name} has {counts.min()} of {len(part.labels):,} images in class {seen.names[counts.argmin()]}, "
                    "too few to compare. Train and move with a higher `--limit`."
                )
        return cls(
            name.value,
            seen.names,
            vae,
            classifier,
            *(_cloud(part, vae, classifier) for part in (seen, unseen)),
        )

    def decoded(self, codes: NDArray, labels: NDArray) -> Cloud:
        """The images of codes."""
        images = self.vae.decode(codes, labels)
        return Cloud(images, np.asarray(labels), np.asarray(codes, np.float32), self.classifier.features(images))


def _cloud(part: LabelledImages, vae: ConditionalVAE, classifier: Classifier) -> Cloud:
    return Cloud(part.images, part.labels, vae.encode(part.images, part.labels), classifier.features(part.images))
