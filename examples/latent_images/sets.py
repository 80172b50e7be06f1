"""The sets of images by name, each in a part to train with and a part to test."""

from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brenier import InputError
from brenier_bench import datasets
from brenier_bench.datasets import LabelledImages

__all__ = ["Name", "epochs_of", "load_set", "points_a_pixel"]

_TESTED = 5
"""One of so many images of a set that has no parts of its own is for the test."""


_FEWEST_STEPS = 1500
"""Steps that a network needs to learn digits, however few they are."""


class Name(StrEnum):
    """A set of images."""

    mnist = "mnist"
    mnist_test = "mnist-test"
    fashion_mnist = "fashion-mnist"
    kmnist = "kmnist"
    usps = "usps"
    digits = "digits"


def load_set(
    name: Name, *, data: Path | None = None, limit: int | None = None, seed: int = 0
) -> tuple[LabelledImages, LabelledImages]:
    """Images to train with, and images to test.

    The digits of scikit-learn, and `mnist-test`, the 10,000 digits that MNIST is tested with, are split at random, four
    to one.

    Args:
        name: Which set.
        data: Folder that holds a folder `name` with the original files, which are downloaded by default. One folder a
            set, because files of different sets have equal names. `mnist-test` reads the folder `mnist`; the digits of
            scikit-learn need none.
        limit: Most images of each part, chosen at random; all by default.
        seed: Seed of that choice, and of the split of sets without parts.

    Raises:
        InputError: The files are not there or not what they should be, or the limit is below one image.
    """
    if limit is not None and limit < 1:
        raise InputError(f"`limit` must be at least 1; got {limit}.")
    rng = np.random.default_rng(seed)
    if name in (Name.digits, Name.mnist_test):
        folder = None if data is None else data / Name.mnist
        whole = datasets.load_digits() if name is Name.digits else datasets.load_mnist("test", path=folder)
        tested = rng.permutation(len(whole.images)) < len(whole.images) // _TESTED
        train, test = _rows(whole, ~tested), _rows(whole, tested)
    else:
        load = getattr(datasets, f"load_{name.replace('-', '_')}")
        folder = None if data is None else data / name
        train, test = load("train", path=folder), load("test", path=folder)
    if limit is not None:
        train, test = (_rows(part, rng.permutation(len(part.images))[:limit]) for part in (train, test))
    return train, test


def points_a_pixel(name: Name) -> int:
    """How many black or white points a pixel is the mean of: 4 x 4 for scikit-learn's digits, as far as is known."""
    return 16 if name is Name.digits else 1


def epochs_of(images: int, least: int, batch: int = 64) -> int:
    """How often to go through so many images: at least so often, and for at least 1,500 steps."""
    return max(least, -(-_FEWEST_STEPS // max(images // batch, 1)))


def _rows(part: LabelledImages, rows: NDArray) -> LabelledImages:
    return LabelledImages(part.images[rows], part.labels[rows], part.names)
