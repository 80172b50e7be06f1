"""Checks of images and labels: JAX would not complain, but clip or drop what is out of range."""

import numpy as np
from numpy.typing import NDArray

from brenier import InputError

__all__ = ["check_images", "check_labels", "check_sizes"]


def check_images(images: NDArray, shape: tuple[int, int] | None = None) -> NDArray[np.float32]:
    """Images as they are needed here.

    Args:
        images: `(n, h, w)`, at least one, 0 to 1.
        shape: Height and width; any by default.

    Raises:
        InputError: Another shape, or a value outside of the range.
    """
    images = np.asarray(images, np.float32)
    if images.ndim != 3 or 0 in images.shape:
        raise InputError(f"`images` must have shape (n, h, w), at least one image; got {images.shape}.")
    if shape is not None and images.shape[1:] != shape:
        raise InputError(
            f"`images` must be {shape[0]} x {shape[1]}, as in training; got {images.shape[1]} x {images.shape[2]}."
        )
    if not (images.min() >= 0 and images.max() <= 1):  # false for NaN, too
        raise InputError(
            f"`images` must lie between 0 and 1; got {images.min():g} to {images.max():g}. Divide bytes by 255."
        )
    return images


def check_labels(labels: NDArray, count: int, classes: int) -> NDArray[np.int32]:
    """Labels as they are needed here.

    Args:
        labels: `(count,)` whole numbers from 0 to `classes - 1`.
        count: Number of images.
        classes: Number of classes.

    Raises:
        InputError: Another shape, not whole numbers, or a number out of range.
    """
    labels = np.asarray(labels)
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"`labels` must be {count} whole numbers, one an image; got {labels.dtype} of shape {labels.shape}."
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"`labels` must be from 0 to {classes - 1}; got {labels.min()} to {labels.max()}.")
    return labels.astype(np.int32)


def check_sizes(**sizes: int) -> None:
    """Sizes of a network.

    Raises:
        InputError: One is below 1.
    """
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"`{name}` must be at least 1; got {size}.")
