"""Commands that several processes run together, each with its own devices."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, TypeAlias

import typer

from brenier._errors import ConvergenceWarning, DataWarning, InputError

__all__ = ["Coordinator", "Distributed", "Process", "Processes", "Shards", "join", "leaving_together"]

Distributed: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--distributed",
        help="Train together with the other processes that were started with this command, on all of their devices. "
        "SLURM, Open MPI, Kubernetes and TPU clusters are recognised.",
    ),
]
Shards: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Parts of pool and batches that devices share; with --distributed, one a device by default."
    ),
]
Coordinator: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Where the first process listens; for clusters that are not recognised."),
]
Processes: TypeAlias = Annotated[
    int | None, typer.Option(metavar="N", help="How many processes there are; for clusters that are not recognised.")
]
Process: TypeAlias = Annotated[
    int | None, typer.Option(metavar="I", help="Which of them this is, from 0; for clusters that are not recognised.")
]

_PATIENCE = 60
"""Seconds to wait for the other processes to appear."""

_HEARTBEAT = 30
"""Seconds without a sign of life after which a process counts as gone."""


def join(distributed: bool, coordinator: str | None, processes: int | None, process: int | None) -> bool:
    """Connect to the other processes of a distributed command, before JAX looks for its devices.

    Returns:
        Whether this process leads: only the leader prints and writes files.

    Raises:
        InputError: The other processes cannot be found.
    """
    given = {"--coordinator": coordinator, "--processes": processes, "--process": process}
    if not distributed:
        alone = [name for name, value in given.items() if value is not None]
        if alone:
            raise InputError(f"`{alone[0]}` needs `--distributed`. Add it, or leave `{alone[0]}` out.")
        return True
    import jax

    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            initialization_timeout=_PATIENCE,
            heartbeat_timeout_seconds=_HEARTBEAT,
        )
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"`--distributed`: the processes did not find each other ({error}). Outside of SLURM, Open MPI, Kubernetes "
            "and TPU clusters, give each of them `--coordinator HOST:PORT`, `--processes N` and its own `--process I`."
        ) from error
    from brenier._processes import any_of

    with _stdout_to_stderr():  # libraries below JAX say there that they are connected
        any_of(False)
    leads = jax.process_index() == 0
    if not leads:
        for category in (DataWarning, ConvergenceWarning):  # the first process gives the same ones
            warnings.simplefilter("ignore", category)
    return leads


@contextmanager
def leaving_together(distributed: bool) -> Iterator[None]:
    """Run a block, then exit so that no process waits for another: in order after success, at once after failure.

    JAX would wait for the others at the exit, while they wait for this process in a step.
    """
    if not distributed:
        yield
        return
    try:
        yield
    finally:
        error = sys.exception()
        code = error.exit_code if isinstance(error, typer.Exit) else int(error is not None)
        if error is not None and not isinstance(error, typer.Exit):
            sys.excepthook(type(error), error, error.__traceback__)
        if code:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        import jax

        jax.distributed.shutdown()


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Send what compiled code prints to stderr: stdout is for results."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
