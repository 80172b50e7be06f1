"""How far apart two clouds of images are, by features of a network."""

import importlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.data.checks import as_points
from brenier.data.table import Unchecked
from brenier.files.atomic import FilePath

__all__ = ["frechet_distance", "inception_features"]

_WEIGHTS = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
"""The weights of the published distances, converted from TensorFlow; the name ends in the start of their SHA-256."""

_SIZE = 299
"""Height and width of the images that Inception takes."""

_BATCH = 64
"""Images at once."""


def frechet_distance(a: Unchecked, b: Unchecked) -> float:
    """Squared Wasserstein-2 distance between the Gaussians fitted to two clouds.

    It is `|mean_a - mean_b|^2 + trace(cov_a + cov_b - 2 (cov_a cov_b)^(1/2))`, with covariances that divide by the
    number of rows less one. Of the features of `inception_features`, this is the Frechet Inception distance, FID.

    Args:
        a: `(n, d)` points or features, at least two rows.
        b: `(m, d)`; the sizes may differ.

    Returns:
        The distance, not halved and without a root, in squared units of the columns; 0 where both moments agree.

    Raises:
        InputError: Not two-dimensional, a single row, other columns in `b` than in `a`, or entries that are no finite
            numbers.

    Note:
        The fewer the rows, the larger it is (Chong and Forsyth 2020, "Effectively unbiased FID"): compare only
        distances of equally many. Cost: `O((n + m) d^2 + d^3)`.

    References:
        Dowson and Landau 1982, "The Frechet distance between multivariate normal distributions"; Heusel et al. 2017,
        "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", equation 6.
    """
    first = as_points(a, "a").values
    second = as_points(b, "b").values
    for name, values in (("a", first), ("b", second)):
        if len(values) < 2:
            raise InputError(f"`{name}` has 1 row, which has no covariance. Pass at least 2.")
    if first.shape[1] != second.shape[1]:
        raise InputError(
            f"`a` and `b` must have the same columns; got {first.shape[1]} and {second.shape[1]}. "
            "Take both features from one network."
        )
    # With cov = root^T root on both sides, cov_a cov_b has the eigenvalues of root_a root_b^T times its transpose: the
    # trace of its square root is a sum of singular values, exact to rounding for singular covariances, too.
    root_a, root_b = _covariance_root(first), _covariance_root(second)
    cross = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    shift = np.sum(np.square(first.mean(axis=0) - second.mean(axis=0)))
    return max(float(shift + np.sum(root_a**2) + np.sum(root_b**2) - 2.0 * cross), 0.0)


def inception_features(images: NDArray[np.floating], weights: FilePath) -> NDArray[np.float32]:
    """Features of the Inception-v3 network with which Frechet Inception distances are published.

    Needs pytorch-fid, which brings torch and torchvision: `pip install pytorch-fid`. The weights are no part of it;
    they have to be downloaded once, from the address that the error of a missing file gives.

    Args:
        images: `(n, h, w)` grey or `(n, h, w, 3)` coloured, 0 to 1. They are resized to 299 x 299.
        weights: The file of the weights. It is read without running code from it.

    Returns:
        `(n, 2048)` features, for `frechet_distance`.

    Raises:
        InputError: Images of another shape or range, no file of weights or another one than for this network, or
            packages that are missing.

    Note:
        pytorch-fid resizes images in another way than the original code in TensorFlow; its authors found distances
        that differ by a tenth of a percent. Cost: minutes for some thousand images on a CPU.

    References:
        Heusel et al. 2017; Seitzer 2020, "pytorch-fid: FID score for PyTorch", version 0.3.0.
    """
    images = _check_images(images)
    if not Path(weights).is_file():
        raise InputError(f"`weights`: there is no file `{weights}`. Download {_WEIGHTS} and pass its path.")
    torch = _optional("torch")
    network = _network(torch, weights)
    with torch.inference_mode():
        parts = (images[start : start + _BATCH] for start in range(0, len(images), _BATCH))
        return np.concatenate([_forward(torch, network, part) for part in parts])


def _covariance_root(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`root` of at most `d` rows with `root^T root` the covariance."""
    return np.linalg.qr(values - values.mean(axis=0), mode="r") / np.sqrt(len(values) - 1)


def _check_images(images: NDArray[np.floating]) -> NDArray[np.float32]:
    """Coloured images, `(n, h, w, 3)`."""
    images = np.asarray(images, np.float32)
    if images.ndim == 3:
        images = np.repeat(images[..., None], 3, axis=3)
    if images.ndim != 4 or images.shape[3] != 3 or images.size == 0:
        raise InputError(f"`images` must have shape (n, h, w) or (n, h, w, 3), not empty; got {images.shape}.")
    if not (images.min() >= 0 and images.max() <= 1):  # false for NaN, too
        raise InputError(
            f"`images` must lie between 0 and 1; got {images.min():g} to {images.max():g}. Divide bytes by 255."
        )
    return images


def _optional(module: str) -> Any:  # noqa: ANN401 - a module that need not be installed
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"Inception features need pytorch-fid, torch and torchvision ({error}). Run `pip install pytorch-fid`."
        ) from error


def _network(torch: Any, weights: FilePath) -> Any:  # noqa: ANN401
    """Inception with these weights, up to its features."""
    blocks, original = _optional("pytorch_fid.inception"), _optional("torchvision.models.inception")
    # The pooling of these blocks differs from torchvision's, and once more in the very last block.
    network = original.Inception3(
        num_classes=1008,
        aux_logits=False,
        init_weights=False,
        inception_blocks=[
            original.BasicConv2d,
            blocks.FIDInceptionA,
            original.InceptionB,
            blocks.FIDInceptionC,
            original.InceptionD,
            blocks.FIDInceptionE_1,
            original.InceptionAux,
        ],
    )
    network.Mixed_7c = blocks.FIDInceptionE_2(2048)
    try:
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except (OSError, EOFError, RuntimeError, TypeError, pickle.UnpicklingError) as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise InputError(
            f"`weights`: `{weights}` does not hold the weights of this network ({reason}). Download {_WEIGHTS}."
        ) from error
    network.fc = torch.nn.Identity()  # the features are what the last layer gets
    return network.eval()


def _forward(torch: Any, network: Any, images: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: ANN401
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    resized = torch.nn.functional.interpolate(pixels, size=(_SIZE, _SIZE), mode="bilinear", align_corners=False)
    return network(2.0 * resized - 1.0).numpy()
