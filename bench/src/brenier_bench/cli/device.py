"""The option `--device` of commands that measure."""

from typing import Annotated, TypeAlias

import typer

__all__ = ["Device", "use_device"]

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
