"""`--checkpoint` of the commands that fit: the option, what SIGTERM does, and how a resumed fit is reported."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from brenier.cli.console import print_error, stderr

__all__ = ["Checkpoint", "ending_on_sigterm", "resumed_lines", "resumed_record"]

Checkpoint: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Save the fit to this folder as it goes; the same command again goes on from there, to the same map.",
    ),
]


@contextmanager
def ending_on_sigterm(folder: Path | None, as_json: bool) -> Iterator[None]:
    """With a folder of checkpoints, SIGTERM saves the fit and then ends the command; without, it ends it at once.

    Args:
        folder: Where the fit is saved, if it is.
        as_json: Whether the command prints JSON.

    Raises:
        typer.Exit: With code 143 after SIGTERM, once a message has said what was saved.
    """
    if folder is None:
        yield
        return
    from brenier.checkpoint import Terminated, saved_on_sigterm

    with saved_on_sigterm():
        try:
            yield
        except Terminated as end:
            stderr.print(end.said)
            if as_json:
                print_error(end.said)
            raise typer.Exit(int(str(end.code))) from None


def resumed_record(fitted: Any) -> dict[str, Any] | None:  # noqa: ANN401 - either estimator
    """Where an earlier process had left the fit, as JSON values."""
    return None if fitted.resumed_ is None else fitted.resumed_._asdict()


def resumed_lines(fitted: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - either estimator
    """Where an earlier process had left the fit, for people: a label and a text, or nothing."""
    return [] if fitted.resumed_ is None else [("Checkpoint", fitted.resumed_.describe())]
