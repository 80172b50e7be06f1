"""Photographs as clouds of colours: one point in the unit cube a pixel."""

import struct
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as pillow
from PIL import ImageOps

from brenier._errors import InputError
from brenier.files.atomic import FilePath, atomic_write

__all__ = ["is_image", "read_image", "to_colours", "to_image", "write_image"]

Image = NDArray[np.uint8]

_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}

_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"}
"""Pillow's modes of 8 bits a channel, all of which it converts to RGB itself."""

_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RuntimeError,
    EOFError,
    ZeroDivisionError,
    struct.error,
    pillow.DecompressionBombError,
    pillow.DecompressionBombWarning,
)
"""What Pillow raises where a file is damaged, or would take more memory than it allows."""

_QUALITY = 95
"""JPEG and WebP quality: no visible blocks in smooth areas."""


def is_image(path: FilePath) -> bool:
    """Whether the suffix is that of an image format that can be read and written here."""
    return Path(path).suffix.lower() in _FORMATS


def read_image(path: FilePath) -> Image:
    """Read an image as `(height, width, 3)` red, green, blue.

    Grey becomes three equal channels, 16-bit grey is rounded to 8 bits, transparency is dropped, and the orientation
    stored by cameras is applied.

    Raises:
        InputError: Not an image, damaged, animated or of several pages, or of a pixel type without a range.
    """
    _format(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata, which are not looked at
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            upright, rgb, frames = _read(path)
    except _DAMAGE as error:
        reason = str(getattr(error, "strerror", None) or error)[:200]
        raise InputError(f"`{path}` cannot be read as an image: {reason}. Check the path, or save it again.") from error
    if frames > 1:
        raise InputError(f"`{path}` is animated or has pages ({frames} frames). Save one of them as a file.")
    if rgb is not None:
        return np.array(rgb, np.uint8)
    pixels = np.array(upright)
    if upright.mode.startswith("I") and pixels.min() >= 0 and pixels.max() <= 65535:
        grey = np.round(pixels / 257).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    raise InputError(f"`{path}` has pixels of the mode {upright.mode!r}, whose range is unknown. Save it as 8-bit RGB.")


def _read(path: FilePath) -> tuple[pillow.Image, pillow.Image | None, int]:
    """An image upright, the same in RGB where its pixels have 8 bits, and the number of its frames."""
    with pillow.open(path) as image:
        # Cameras append previews of the same picture in the MPO format.
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        image.load()
        upright = ImageOps.exif_transpose(image)
        # By way of RGBA, since entries of palettes can be transparent.
        return upright, upright.convert("RGBA").convert("RGB") if upright.mode in _MODES else None, frames


def write_image(path: FilePath, image: NDArray[np.generic]) -> None:
    """Write an image, whole or not at all.

    Args:
        path: Its suffix chooses the format; .jpg and .webp lose a little, .png keeps every value.
        image: `(height, width, 3)` of 8 bits, as `to_image` makes it.

    Raises:
        InputError: Another suffix, another shape or type, or a target that cannot be written.
    """
    kind = _format(path)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InputError(
            f"`image` must be uint8 of shape (height, width, 3); got {image.dtype} of shape {image.shape}. "
            "`to_image` makes one from colours."
        )
    with atomic_write(path) as handle:
        pillow.fromarray(image).save(handle, format=kind, quality=_QUALITY)


def to_colours(image: Image) -> NDArray[np.float64]:
    """The pixels of an image, row by row, as `(n, 3)` points in the unit cube."""
    return image.reshape(-1, 3) / 255.0


def to_image(colours: NDArray[np.floating], shape: tuple[int, ...]) -> tuple[Image, float]:
    """Colours as an image, the inverse of `to_colours`.

    Args:
        colours: `(height * width, 3)`, 0 to 1. What lies outside is moved to the nearest end.
        shape: Begins with height and width.

    Returns:
        The image, and the share of the values that lay outside by more than rounding.

    Raises:
        InputError: Another number of pixels, or NaN among the colours.
    """
    height, width = shape[:2]
    if colours.shape != (height * width, 3):
        raise InputError(
            f"`colours` must have shape ({height * width}, 3) for an image of {height} x {width}; got {colours.shape}."
        )
    if np.isnan(colours).any():
        raise InputError(f"`colours` has NaN in {int(np.isnan(colours).any(axis=1).sum())} pixels. Check the map.")
    levels = np.round(np.asarray(colours, np.float64) * 255.0)
    clipped = np.clip(levels, 0, 255)
    return clipped.astype(np.uint8).reshape(height, width, 3), float(np.mean(levels != clipped))


def _format(path: FilePath) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in _FORMATS:
        raise InputError(f"`{path}` must end in {', '.join(_FORMATS)}; got {suffix!r}. Rename or convert the image.")
    return _FORMATS[suffix]
