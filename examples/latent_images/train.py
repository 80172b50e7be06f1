"""Train an autoencoder and a classifier for each of two sets of images, and save them to a folder.

cd examples
python -m latent_images.train --source fashion-mnist --target mnist --output models
"""

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from brenier.cli.console import Json, number, print_result, reporting, stderr
from brenier.files.atomic import claim_files
from brenier_bench.datasets import LabelledImages
from latent_images.classifier import train_classifier
from latent_images.files import save
from latent_images.sets import Name, epochs_of, load_set, points_a_pixel
from latent_images.training import Callback, Epoch
from latent_images.vae import train_vae

__all__ = ["app"]

_EPOCHS = (20, 10)
"""How often autoencoder and classifier see every image, at least."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def train(
    source: Annotated[Name, typer.Option(help="Images to move.")] = Name.fashion_mnist,
    target: Annotated[Name, typer.Option(help="Images to reach.")] = Name.mnist,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder; made if missing.")] = Path(
        "models"
    ),
    epochs: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="How often each autoencoder sees an image: 20 times, small sets more."),
    ] = None,
    classifier_epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="The same of the classifiers: 10 times, small sets more.")
    ] = None,
    latent: Annotated[int, typer.Option(metavar="N", min=1, help="Dimension of both latent spaces.")] = 15,
    seed: Annotated[int, typer.Option(metavar="K", min=0, max=2**32 - 1, help="One seed, one result.")] = 0,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder with a folder of original files a set; downloaded by default."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Images a set to train with, and to test, at most.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train what the transport between two sets of images needs, and say how good it is on images not seen.

    For each set: `SET.vae`, an autoencoder that is told the class of an image, and `SET.classifier`.

    Example: `python -m latent_images.train --source digits --target digits --epochs 5 --output models`
    """
    with reporting(as_json):
        # All are read first: files that are missing then cost no training.
        sets = {name: load_set(name, data=data, limit=limit, seed=seed) for name in dict.fromkeys((source, target))}
        kinds = ("vae", "classifier")
        files = claim_files(output, {f"{name}.{kind}": f"{name}.{kind}" for name in sets for kind in kinds})
        records = {}
        for name, (seen, unseen) in sets.items():
            stderr.print(f"{name}: {len(seen.images):,} images to train with, {len(unseen.images):,} to test")
            own = {kind: files[f"{name}.{kind}"] for kind in kinds}
            records[name.value] = _train_set(
                name, seen, unseen, own, epochs=(epochs, classifier_epochs), latent=latent, seed=seed
            )
        lines = [line for name, record in records.items() for line in _lines(name, record)]
        print_result({"sets": records}, lines, as_json=as_json)


def _train_set(
    name: Name,
    seen: LabelledImages,
    unseen: LabelledImages,
    files: dict[str, Path],
    *,
    epochs: tuple[int | None, int | None],
    latent: int,
    seed: int,
) -> dict[str, Any]:
    """Train and save both networks of a set; what they are worth on the images to test."""
    started = time.perf_counter()
    sizes: dict[str, Any] = {"classes": len(seen.names), "seed": seed}
    often = [given or epochs_of(len(seen.images), least) for given, least in zip(epochs, _EPOCHS, strict=True)]
    vae = train_vae(
        seen.images,
        seen.labels,
        latent=latent,
        epochs=often[0],
        counts=points_a_pixel(name),
        callback=_progress(name, "vae"),
        **sizes,
    )
    classifier = train_classifier(
        seen.images, seen.labels, epochs=often[1], callback=_progress(name, "classifier"), **sizes
    )
    save(files["vae"], vae)
    save(files["classifier"], classifier)
    codes = vae.encode(unseen.images, unseen.labels)
    decoded = vae.decode(codes, unseen.labels)
    return {
        "train": len(seen.images),
        "test": len(unseen.images),
        "error": _error(decoded, unseen.images),
        "error_of_class_means": _error(_class_means(seen)[unseen.labels], unseen.images),
        "latent_spread": sorted(float(spread) for spread in codes.std(axis=0)),
        "accuracy": classifier.accuracy(unseen.images, unseen.labels),
        "accuracy_reconstructed": classifier.accuracy(decoded, unseen.labels),
        "seconds": time.perf_counter() - started,
        "files": {role: str(path) for role, path in files.items()},
    }


def _lines(name: str, record: dict[str, Any]) -> list[tuple[str, str]]:
    """The record of a set for people."""
    spread = record["latent_spread"]
    return [
        (name, f"{record['test']:,} images not seen in training; {record['seconds']:.0f} s"),
        ("Autoencoder", f"squared error {number(record['error'], 3)} a pixel"),
        ("Class means", f"squared error {number(record['error_of_class_means'], 3)} a pixel, instead of autoencoding"),
        ("Codes", f"standard deviations from {number(spread[0], 2)} to {number(spread[-1], 2)}"),
        ("Classifier", f"{100 * record['accuracy']:.2f} % right"),
        ("Both", f"{100 * record['accuracy_reconstructed']:.2f} % right on autoencoded images"),
        *(("Wrote", path) for path in record["files"].values()),
    ]


def _progress(name: Name, network: str) -> Callback:
    def show(epoch: Epoch) -> None:
        done = f"epoch {epoch.number} of {epoch.epochs}  loss {number(epoch.loss)}  {epoch.seconds:.0f} s"
        stderr.print(f"{name} {network}  {done}")

    return show


def _error(found: NDArray[np.float32], images: NDArray[np.float32]) -> float:
    return float(np.mean(np.square(found - images), dtype=np.float64))


def _class_means(part: LabelledImages) -> NDArray[np.float32]:
    """The mean image of each class; black for a class without images."""
    groups = (part.images[part.labels == label] for label in range(len(part.names)))
    return np.stack([group.sum(axis=0) / np.float32(max(len(group), 1)) for group in groups])


if __name__ == "__main__":
    app()
