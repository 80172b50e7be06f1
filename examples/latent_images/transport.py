"""Move images of one set to another, class by class, in the latent spaces of the autoencoders, and back.

cd examples
python -m latent_images.train --source fashion-mnist --target mnist --output models
python -m latent_images.transport --source fashion-mnist --target mnist --models models

The measures are those of the benchmarks: `pip install ./bench` in the checkout.
"""

import time
from pathlib import Path
from typing import Annotated

import typer

from brenier import BrenierMap, InputError, Training
from brenier.cli.console import Json, number, print_result, print_table, reporting, share, stderr
from brenier.files.atomic import claim_files
from brenier_bench.image_metrics import inception_features
from latent_images.domains import Cloud, Domain
from latent_images.figure import write_figure
from latent_images.measures import Measures, measure
from latent_images.sets import Name

__all__ = ["app", "fit", "move"]

_CONVEXITY = 0.3
"""How much of the Gaussian map the map keeps at least, everywhere. Codes are about normal on both sides, so that the
exact map contracts little beyond the Gaussian one; one that does was drawn to the codes of its training, and its
inverse scatters the others."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def transport(
    source: Annotated[Name, typer.Option(help="Images to move.")] = Name.fashion_mnist,
    target: Annotated[Name, typer.Option(help="Images to reach.")] = Name.mnist,
    models: Annotated[Path, typer.Option(metavar="DIR", help="What `latent_images.train` wrote.")] = Path("models"),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder of the results; that of the models.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(metavar="N", min=1, help="Budget of the fit; 4,096 steps.")] = None,
    seed: Annotated[int, typer.Option(metavar="K", min=0, max=2**32 - 1, help="That of the training.")] = 0,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder with a folder of original files a set; downloaded by default."),
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="That of the training.")] = None,
    inception: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights of Inception: adds the FID that papers publish.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fit one map for all classes between the latent codes of two sets, and judge it on images that nothing has seen.

    Writes the map, and a picture for each direction: images, where they were moved, and what is nearest there.

    Example: `python -m latent_images.transport --source mnist --target digits --models models`
    """
    with reporting(as_json):
        if source == target:
            raise InputError(f"`--source` and `--target` are both {source}. Name two sets.")
        x, y = (Domain.load(name, models, data=data, limit=limit, seed=seed) for name in (source, target))
        _check_pair(x, y)
        if inception is not None:
            inception_features(x.test.images[:1], inception)  # what is missing is said before the fit
        names = {f"{one.name} to {other.name}": f"{one.name}-to-{other.name}.png" for one, other in ((x, y), (y, x))}
        files = claim_files(models if output is None else output, {"map": f"{x.name}-{y.name}.brenier"} | names)
        stderr.print(f"fitting {len(x.train.codes):,} codes to {len(y.train.codes):,}")
        started = time.perf_counter()
        ot = fit(x, y, max_steps=max_steps, seed=seed)
        seconds = time.perf_counter() - started
        ot.map_.save(files["map"])
        found: list[Measures] = []
        for one, other, inverse in ((x, y, False), (y, x, True)):
            stderr.print(f"moving {len(one.test.codes):,} images of {one.name} to {other.name}")
            moved, unconverged = move(ot, one.test, other, inverse=inverse)
            options = {"unconverged": unconverged, "seed": seed, "inception": inception}
            found.append(measure(moved, one.name, other, **options))
            title = f"{one.name} \N{RIGHTWARDS ARROW} {other.name}, class by class"
            pairs = tuple(zip(one.classes, other.classes, strict=True))
            write_figure(files[f"{one.name} to {other.name}"], title, one.test, moved, other.test, pairs)
        record = {
            "steps": ot.n_iter_,
            "gaussian": ot.baseline_,
            "seconds": seconds,
            "directions": [measures.record() for measures in found],
            "files": {role: str(path) for role, path in files.items()},
        }
        lines = [("Fit", f"{ot.n_iter_:,} steps, {seconds:.0f} s{', Gaussian maps' if ot.baseline_ else ''}")]
        lines += [line for measures in found for line in _lines(measures)]
        print_result(record, lines + [("Wrote", str(path)) for path in files.values()], as_json=as_json)
        if not as_json:
            for measures in found:
                _print_classes(measures)


def fit(x: Domain, y: Domain, *, max_steps: int | None = None, seed: int = 0) -> BrenierMap:
    """One map for all classes, between the codes of the images that the networks were trained on.

    Raises:
        InputError: The sets have different numbers of classes, or codes of different dimensions.
    """
    _check_pair(x, y)
    ot = BrenierMap(
        max_steps=max_steps, random_state=seed, condition_types="label", training=Training(convexity=_CONVEXITY)
    )
    return ot.fit(x.train.codes, y.train.codes, x_condition=x.train.labels, y_condition=y.train.labels)


def move(ot: BrenierMap, images: Cloud, target: Domain, *, inverse: bool) -> tuple[Cloud, float]:
    """Images in the style of the target, and the share of the codes that no preimage was found for.

    Args:
        ot: The map.
        images: Of its source, or of its target where it is to be inverted.
        target: Where they should go.
        inverse: Whether to invert the map.
    """
    if not inverse:
        return target.decoded(ot.transform(images.codes, condition=images.labels), images.labels), 0.0
    back = ot.inverse_transform(images.codes, condition=images.labels, return_status=True)
    return target.decoded(back.points, images.labels), float(1.0 - back.converged.mean())


def _check_pair(x: Domain, y: Domain) -> None:
    """Two sets that a map can lead between."""
    if len(x.classes) != len(y.classes):
        raise InputError(
            f"`--source` {x.name} has {len(x.classes)} classes, and `--target` {y.name} has {len(y.classes)}. Classes "
            "belong together by number; name sets with equally many."
        )
    if x.vae.latent != y.vae.latent:
        raise InputError(
            f"The codes of {x.name} have {x.vae.latent} dimensions, and those of {y.name} {y.vae.latent}. Train both "
            "with one `--latent`."
        )


def _lines(found: Measures) -> list[tuple[str, str]]:
    """Measures for people."""
    lines = [
        (
            f"{found.source} to {found.target}",
            f"{100 * found.accuracy:.2f} % are still what they were; of true images {100 * found.accuracy_target:.2f} "
            f"% are recognised, of autoencoded ones {100 * found.accuracy_autoencoded:.2f} %",
        ),
        ("Codes", f"sliced W2 to the target {found.ratio:.3f} times that of the target to itself"),
        ("Images", f"the same of pixels: {found.ratio_pixels:.3f} times"),
        ("Features", f"Frechet distance {number(found.fid)}; of the target to itself {number(found.fid_itself)}"),
    ]
    if found.inception is not None:
        lines.append(("FID", f"{number(found.inception)}; of the target to itself {number(found.inception_itself)}"))
    if found.unconverged:
        lines.append(("Unconverged", f"{share(found.unconverged)} of the codes"))
    return lines


def _print_classes(found: Measures) -> None:
    """A table of at most 80 columns: wider ones are cut off where the output is no terminal."""
    print_table(
        (f"to {found.target}", "images", "still", "codes", "ratio", "MMD", "p", "pixels", "ratio"),
        [
            (
                own.name,
                str(own.moved),
                f"{100 * own.accuracy:.1f} %",
                number(own.sliced_w2, 3),
                f"{own.sliced_w2 / own.sliced_w2_itself:.2f}",
                f"{own.mmd:.3f}",
                f"{own.mmd_p_value:.3f}",
                number(own.pixels_w2, 3),
                f"{own.pixels_w2 / own.pixels_w2_itself:.2f}",
            )
            for own in found.classes
        ],
    )


if __name__ == "__main__":
    app()
