"""Small images with labels: handwritten digits, clothes and characters."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.files.atomic import FilePath
from brenier_bench.datasets._archives import DIGITS, FASHION_MNIST, KMNIST, MNIST, USPS, Archive, File, Split
from brenier_bench.datasets._compressed import read_decompressed
from brenier_bench.datasets._download import fetch
from brenier_bench.datasets._idx import parse_idx
from brenier_bench.datasets._usps import parse_usps

__all__ = ["LabelledImages", "load_digits", "load_fashion_mnist", "load_kmnist", "load_mnist", "load_usps"]


class LabelledImages(NamedTuple):
    """Grey images of one size, and what each of them shows.

    Attributes:
        images: `(n, height, width)` brightness, from 0 to 1, in the order of the files.
        labels: `(n,)` numbers of the classes, from 0.
        names: Names of the classes: image `i` shows a `names[labels[i]]`.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    names: tuple[str, ...]


def load_mnist(
    split: Split = "train", *, path: FilePath | None = None, cache: FilePath | None = None
) -> LabelledImages:
    """The handwritten digits of MNIST, of 28 x 28 pixels; ink is bright.

    Args:
        split: Which part: "train" (60,000 images) or "test" (10,000).
        path: Folder that holds the original files, or one of them; the network is not used then. They may be
            decompressed, and `.idx` may stand for `-idx` in their names. Checksums are not compared: copies that were
            compressed again have others. By default the files are downloaded, once, and must have the known
            checksums, which needs pooch (`pip install "brenier-bench[images]"`).
        cache: Folder of downloads, in which every data set has a folder of its own. By default the one that the
            environment variable `BRENIER_DATA` names, or else the user's cache folder.

    Raises:
        InputError: The files are not there, cannot be downloaded, or are not what they should be; the message says
            which, and what to do.

    References: LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document recognition".
    """
    return _load_idx(MNIST, split, path, cache)


def load_fashion_mnist(
    split: Split = "train", *, path: FilePath | None = None, cache: FilePath | None = None
) -> LabelledImages:
    """Pictures of clothes, in the format and sizes of MNIST; `split`, `path` and `cache` as for `load_mnist`.

    References: Xiao, Rasul and Vollgraf 2017, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms" (arXiv 1708.07747). Licence: MIT.
    """
    return _load_idx(FASHION_MNIST, split, path, cache)


def load_kmnist(
    split: Split = "train", *, path: FilePath | None = None, cache: FilePath | None = None
) -> LabelledImages:
    """Characters of old Japanese handwriting, in the format and sizes of MNIST; arguments as of `load_mnist`.

    References: Clanuwat et al. 2018, "Deep learning for classical Japanese literature" (arXiv 1812.01718). Licence:
    CC BY-SA 4.0.
    """
    return _load_idx(KMNIST, split, path, cache)


def load_usps(split: Split = "train", *, path: FilePath | None = None, cache: FilePath | None = None) -> LabelledImages:
    """Digits from envelopes, of 16 x 16 pixels: 7,291 to train with, 2,007 to test; arguments as of `load_mnist`.

    References: Hull 1994, "A database for handwritten text recognition research", as published with LIBSVM.
    """
    (file,) = _locate(USPS, split, path, cache)
    images, labels = parse_usps(read_decompressed(file), file)
    return LabelledImages(images, labels, USPS.names)


def load_digits() -> LabelledImages:
    """The 1,797 digits of 8 x 8 pixels that come with scikit-learn; nothing is downloaded.

    References: Alpaydin and Kaynak 1998, "Cascading classifiers", through `sklearn.datasets.load_digits`.
    """
    from sklearn.datasets import load_digits as load

    pixels, labels = load(return_X_y=True)
    images = np.asarray(pixels, np.float32).reshape(-1, 8, 8) / np.float32(16)
    return LabelledImages(images, np.asarray(labels, np.int64), DIGITS)


def _load_idx(archive: Archive, split: Split, path: FilePath | None, cache: FilePath | None) -> LabelledImages:
    files = _locate(archive, split, path, cache)
    pixels, labels = (parse_idx(read_decompressed(file), ndim, file) for file, ndim in zip(files, (3, 1), strict=True))
    if len(pixels) != len(labels):
        raise InputError(
            f"`{files[0]}` has {len(pixels)} images, but `{files[1]}` has {len(labels)} labels. They are not of one "
            "data set; get both again."
        )
    if labels.max() >= len(archive.names):
        raise InputError(
            f"`{files[1]}` has the label {labels.max()}, but {archive.title} has {len(archive.names)} classes, from 0. "
            "Is it the original file?"
        )
    images = pixels.astype(np.float32)
    images /= 255
    return LabelledImages(images, labels.astype(np.int64), archive.names)


def _locate(archive: Archive, split: Split, path: FilePath | None, cache: FilePath | None) -> list[Path]:
    """The files of one part, downloaded or not."""
    if split not in ("train", "test"):
        raise InputError(f"`split` must be 'train' or 'test'; got {split!r}.")
    if path is None:
        return fetch(archive, split, cache)
    if cache is not None:
        raise InputError(f"`cache` ({cache}) is for downloads, and `path` needs none. Leave one of the two out.")
    if not os.path.exists(path):
        raise InputError(f"`path` ({path}) does not exist, or cannot be read. It is the folder of the original files.")
    folder = Path(path) if os.path.isdir(path) else Path(path).parent
    return [_find(file, folder, archive) for file in archive.files(split)]


def _find(file: File, folder: Path, archive: Archive) -> Path:
    """The file in a folder, under any of its names."""
    plain, compression = os.path.splitext(file.name)
    stems = dict.fromkeys((plain, plain.replace("-idx", ".idx")))
    names = [stem + suffix for stem in stems for suffix in ("", compression)]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"`path`: the folder `{folder}` has no file {' or '.join(f'`{name}`' for name in names)} of {archive.title}. "
        f"Download {archive.mirrors[0]}{file.name} into it."
    )
