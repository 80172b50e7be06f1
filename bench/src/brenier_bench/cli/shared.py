"""What the commands share: the option `--device`, and a line as each run ends."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import typer

from brenier.cli.console import number, stderr

__all__ = ["Device", "print_run", "use_device"]

Device: TypeAlias = Annotated[str, typer.Option(help="Where JAX runs: cpu, gpu or tpu.")]


def use_device(device: str) -> None:
    """Choose the device before JAX looks for one."""
    import jax

    from brenier._errors import InputError

    jax.config.update("jax_platforms", device)
    try:
        jax.devices()
    except RuntimeError as error:
        raise InputError(f"`--device` {device!r} cannot be used here ({error}). Use cpu.") from error


def print_run(title: str, row: Mapping[str, Any], seconds: str) -> None:
    """One line on stderr about a run: its errors and seconds, or how it failed.

    Args:
        title: What ran.
        row: What came of it.
        seconds: The field of the seconds that it took.
    """
    if "failed" in row:
        stderr.print(f"{title}: failed: {row['failed']}")
        return
    errors = ", ".join(f"{side} {number(row[f'l2_uvp_{side}'], 3)} %" for side in ("forward", "inverse"))
    stderr.print(f"{title}: {errors}, {row[seconds]:.1f} s")
