"""How good images are that were moved to a set: still what they were, and spread like the set."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier.certificates.mismatch import mismatch
from brenier.metrics import sliced_w2
from brenier_bench.image_metrics import frechet_distance, inception_features
from latent_images.domains import Cloud, Domain

__all__ = ["ClassMeasures", "Measures", "measure"]


@dataclass(frozen=True)
class ClassMeasures:
    """Images of one class that were moved, against images of the class that nothing was trained on.

    Every distance has one beside it between these and as many other images of the set as were moved, or all that there
    are: what chance alone makes of so many.

    Attributes:
        name: The class.
        moved, held_out: Number of images.
        accuracy: Share of the moved images that the classifier takes for what they were.
        sliced_w2: Between their codes; neither squared nor halved.
        sliced_w2_itself: The same of other images of the set.
        mmd: Root of the maximum mean discrepancy between the codes, zero where its estimate is negative.
        mmd_p_value: Share of random relabellings of the two clouds with a discrepancy as large.
        pixels_w2: Sliced W2 between the images themselves, in units of a black pixel beside a white one.
        pixels_w2_itself: The same of other images of the set, autoencoded, as the moved ones are.
    """

    name: str
    moved: int
    held_out: int
    accuracy: float
    sliced_w2: float
    sliced_w2_itself: float
    mmd: float
    mmd_p_value: float
    pixels_w2: float
    pixels_w2_itself: float


@dataclass(frozen=True)
class Measures:
    """The same over all classes.

    Attributes:
        source, target: Names of the sets.
        accuracy: Share of the moved images that the classifier of the target takes for what they were.
        accuracy_target: What it makes of true images of the target.
        accuracy_autoencoded: What it makes of these when they are autoencoded.
        ratio: The mean over classes of the sliced W2 between codes, over that of the target to itself.
        ratio_pixels: The same between images.
        fid: Frechet distance between features of the classifier, of moved and held-out images.
        fid_itself: The same with as many other images of the target, autoencoded.
        unconverged: Share of the codes that no preimage was found for; zero for the forward map.
        classes: Class by class.
        inception, inception_itself: As `fid` and `fid_itself`, with features of Inception; None without its weights.
    """

    source: str
    target: str
    accuracy: float
    accuracy_target: float
    accuracy_autoencoded: float
    ratio: float
    ratio_pixels: float
    fid: float
    fid_itself: float
    unconverged: float
    classes: tuple[ClassMeasures, ...]
    inception: float | None = None
    inception_itself: float | None = None

    @property
    def preserved(self) -> float:
        """Accuracy on moved images, over that on true ones; not a number where none of these is recognised."""
        return self.accuracy / self.accuracy_target if self.accuracy_target else math.nan

    def record(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self) | {"preserved": self.preserved}


def measure(
    moved: Cloud, source: str, target: Domain, *, unconverged: float, seed: int, inception: Path | None = None
) -> Measures:
    """Judge images that were moved.

    Args:
        moved: The images, decoded; their labels are those that they had.
        source: Name of the set that they come from.
        target: Where they should be.
        unconverged: Share of the codes without a preimage.
        seed: Of the choice of images that the target is compared to itself with.
        inception: Weights for `inception_features`.
    """
    held_out = target.test
    autoencoded = target.decoded(held_out.codes, held_out.labels)
    others = _as_many(target.train, moved.labels, np.random.default_rng(seed))
    drawn = target.decoded(others.codes, others.labels)
    classes = tuple(
        _class_measures(
            name, *(cloud.rows(cloud.labels == number) for cloud in (moved, held_out, others, drawn)), target
        )
        for number, name in enumerate(target.classes)
        if (moved.labels == number).any()
    )
    return Measures(
        source=source,
        target=target.name,
        accuracy=_accuracy(target, moved),
        accuracy_target=_accuracy(target, held_out),
        accuracy_autoencoded=_accuracy(target, autoencoded),
        ratio=float(np.mean([own.sliced_w2 / own.sliced_w2_itself for own in classes])),
        ratio_pixels=float(np.mean([own.pixels_w2 / own.pixels_w2_itself for own in classes])),
        fid=frechet_distance(moved.features, held_out.features),
        fid_itself=frechet_distance(drawn.features, held_out.features),
        unconverged=unconverged,
        classes=classes,
        **({} if inception is None else _inception(moved, drawn, held_out, inception)),
    )


def _inception(moved: Cloud, drawn: Cloud, held_out: Cloud, weights: Path) -> dict[str, float]:
    features = [inception_features(cloud.images, weights) for cloud in (moved, drawn, held_out)]
    names = ("inception", "inception_itself")
    return {name: frechet_distance(own, features[2]) for name, own in zip(names, features[:2], strict=True)}


def _class_measures(
    name: str, moved: Cloud, held_out: Cloud, others: Cloud, drawn: Cloud, target: Domain
) -> ClassMeasures:
    codes = mismatch(_flat(moved.codes), _flat(held_out.codes))
    return ClassMeasures(
        name=name,
        moved=len(moved.labels),
        held_out=len(held_out.labels),
        accuracy=_accuracy(target, moved),
        sliced_w2=codes.sliced_w2,
        sliced_w2_itself=sliced_w2(_flat(others.codes), _flat(held_out.codes)),
        mmd=codes.mmd,
        mmd_p_value=codes.p_value,
        pixels_w2=sliced_w2(_flat(moved.images), _flat(held_out.images)),
        pixels_w2_itself=sliced_w2(_flat(drawn.images), _flat(held_out.images)),
    )


def _accuracy(target: Domain, cloud: Cloud) -> float:
    return float(np.mean(target.classifier.classes_of(cloud.features) == cloud.labels))


def _as_many(cloud: Cloud, labels: NDArray, rng: np.random.Generator) -> Cloud:
    """Random images, of each class as many as there are labels of it, or all where there are fewer."""
    chosen = []
    for number, count in enumerate(np.bincount(labels)):
        own = np.flatnonzero(cloud.labels == number)
        chosen.append(rng.permutation(own)[:count])
    return cloud.rows(np.concatenate(chosen))


def _flat(rows: NDArray) -> NDArray[np.float64]:
    return np.asarray(rows, np.float64).reshape(len(rows), -1)
