"""`brenier demo`: the main job on real input, in under a minute."""

import time
from pathlib import Path
from typing import Annotated

import typer

from brenier.callbacks import Progress
from brenier.cli.console import INTERRUPTED, Json, print_result, reporting, share
from brenier.cli.progress import Doing, Interrupts

__all__ = ["demo"]


def demo(
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the files; made if missing.")] = Path(
        "brenier-demo"
    ),
    seed: Annotated[int, typer.Option(metavar="K", min=0, max=2**32 - 1, help="Seed of the split and of the fit.")] = 0,
    max_seconds: Annotated[
        float, typer.Option(metavar="S", help="Budget of the fit; the rest takes some 15 seconds.")
    ] = 25.0,
    max_steps: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Budget in steps as well; the first to be used up counts."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Exchange the colours of two photographs: one map, there and back.

    Learns the map from the colours of `china.jpg` to those of `flower.jpg`, which ship with scikit-learn, and repaints
    the first by the map and the second by its inverse. Look at `demo.png` first.

    Example: `brenier demo --out colours`
    """
    with reporting(as_json):
        started = time.perf_counter()
        from brenier.demo import run_demo
        from brenier.training import Stop

        with Doing() as say, Interrupts() as interrupts:
            done = run_demo(
                folder, seed=seed, max_seconds=max_seconds, max_steps=max_steps, callbacks=Progress(), say=say
            )
            if interrupts.count > 1:
                raise KeyboardInterrupt
        interrupted = done.ot.stop_ == Stop.interrupted.value
        seconds = time.perf_counter() - started
        estimate, (clipped, clipped_back) = done.distance, done.clipped
        record = estimate.record() | {
            "baseline": done.ot.baseline_,
            "steps": done.ot.n_iter_,
            "stop": done.ot.stop_,
            "seconds": seconds,
            "interrupted": interrupted,
            "clipped": {"forward": clipped, "inverse": clipped_back},
            "unconverged_pixels": done.unconverged,
            "files": {role: str(path) for role, path in done.files.items()},
        }
        lines = [
            ("Distance", "between the two clouds of colours, 0 to 1 a channel, on held-out pixels"),
            *estimate.lines(),
            ("Clipped", f"{share(clipped)} and {share(clipped_back)} of the channel values, there and back"),
            ("Time", f"{seconds:.0f} s, {done.ot.n_iter_} steps. {done.ot.stop_}"),
            *(("Wrote", str(path)) for path in done.files.values()),
        ]
        print_result(record, lines, as_json=as_json)
        if interrupted:
            raise typer.Exit(INTERRUPTED)
