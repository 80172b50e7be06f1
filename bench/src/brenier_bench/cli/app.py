"""`brenier bench`: accuracy within a wall-clock budget on pairs whose map is known, and densities of tables."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from brenier.cli.console import Json, number, print_result, reporting
from brenier_bench.cli.ablation import ablation
from brenier_bench.cli.peers import peers
from brenier_bench.cli.shared import Device, use_device
from brenier_bench.cli.tabular import tabular

__all__ = ["bench"]

_STARTED = time.perf_counter()
"""As close to the start of the program as its own code can look: before JAX is imported."""

bench = typer.Typer(
    help="Measure accuracy: on pairs whose optimal map is known, and on tables.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)

Pair = Annotated[Path | None, typer.Option("--pair", help="The .npz file of the pair.")]
Seconds = Annotated[float, typer.Option(help="Wall-clock budget; imports, compilation and sampling count.", min=0.0)]
Seed = Annotated[int, typer.Option(help="Seed of the fit and of the samples.", min=0)]
MaxSteps = Annotated[int | None, typer.Option(help="Training steps at most.", min=1)]


@bench.command()
def w2(
    pair: Annotated[Path, typer.Option("--pair", help="The .npz file of the pair.")],
    seconds: Seconds = 60.0,
    seed: Seed = 0,
    max_steps: MaxSteps = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Fit a pair of the Wasserstein-2 benchmark from its own sampler.

    Everything counts in the seconds: imports, compilation, sampling, evaluation. Errors are L2-UVP in percent: 0 is
    the exact map, 100 the map to the mean.

    Example: `brenier bench w2 --pair 16.npz --seconds 60 --seed 0 --json`
    """
    with reporting(as_json):
        use_device(device)
        from brenier.datasets import Wasserstein2Pair
        from brenier_bench.exact import bench_w2

        record = bench_w2(
            Wasserstein2Pair.load(pair), seconds=seconds, seed=seed, started=_STARTED, max_steps=max_steps
        )
        _show(record, as_json)


@bench.command()
def gaussian(
    pair: Pair = None,
    dim: Annotated[int | None, typer.Option(help="Instead of a file: a random pair of this dimension.", min=1)] = None,
    seconds: Seconds = 20.0,
    seed: Seed = 0,
    max_steps: MaxSteps = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Fit a pair of centred Gaussians, whose map has a closed form.

    Example: `brenier bench gaussian --dim 32 --seconds 20 --seed 0 --json`
    """
    with reporting(as_json):
        use_device(device)
        from brenier._errors import InputError
        from brenier.datasets import GaussianPair
        from brenier_bench.exact import bench_gaussian

        if (pair is None) == (dim is None):
            raise InputError("give either `--pair FILE.npz` or `--dim D`.")
        chosen = GaussianPair.load(pair) if pair is not None else GaussianPair.random(dim or 1, seed)
        record = bench_gaussian(chosen, seconds=seconds, seed=seed, started=_STARTED, max_steps=max_steps)
        _show(record, as_json)


bench.command()(peers)
bench.command()(ablation)
bench.command()(tabular)


def _show(record: dict[str, Any], as_json: bool) -> None:
    exact = f", exact {number(record['w2_exact'])}" if "w2_exact" in record else ""
    lines = [
        ("Dimension", f"{record['dim']}, seed {record['seed']}, on {record['device']}"),
        (
            "Forward error",
            f"{record['l2_uvp_forward']:.3f} % L2-UVP (best Gaussian map {record['linear_uvp_forward']:.3g} %)",
        ),
        ("Inverse error", f"{record['l2_uvp_inverse']:.3f} % L2-UVP"),
        ("Cosine", f"{record['cosine_forward']:.5f} forward, {record['cosine_inverse']:.5f} inverse"),
        ("W2", f"{number(record['w2'])}{exact} (neither squared nor halved)"),
        ("Unconverged", f"{100 * record['unconverged_fraction']:.3g} % of the inverse"),
        ("Cost", f"{record['seconds']:.1f} s, {record['steps']} steps, {record['peak_memory_mb']:.0f} MB"),
    ]
    print_result(record, lines, as_json=as_json)
