"""What all commands share: results go to stdout, everything else to stderr, errors end in a sentence and a code."""

import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TextIO, TypeAlias

import typer
from rich.table import Table
from rich.text import Text

from brenier._errors import (
    CheckpointWarning,
    ConvergenceWarning,
    DataWarning,
    DistributedError,
    InputError,
    SolveError,
)
from brenier._words import console, number, share

__all__ = [
    "INTERRUPTED",
    "Json",
    "carried_line",
    "number",
    "print_error",
    "print_record",
    "print_result",
    "print_table",
    "print_warning",
    "reporting",
    "share",
    "stderr",
    "widths_line",
]

FAILED, INTERRUPTED = 2, 130
"""Exit codes."""

_UNCACHED = "Error (?:reading|writing) persistent compilation cache entry for '.*': (.*)"
"""Warnings of JAX about its cache, one for each program."""

_ARGUMENT = re.compile(r"(?:^|(?<=\. )|(?<=\bof )|(?<=\bgot )|(?<=\bas )|(?<=\band )|(?<=\bwith ))`(\w+)`")
"""Where messages of the library speak of an argument; elsewhere a name is that of a column, which may be the same."""

stderr = console(stderr=True)
_stdout = console()

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else.")]


@contextmanager
def reporting(as_json: bool, **names: Path | str) -> Iterator[None]:
    """Run the body of a command: its warnings become a line each, its errors a message and an exit code.

    Args:
        as_json: Whether errors are printed as JSON, too.
        names: For arguments of the library that messages name, such as `X`, what the user typed instead.
    """

    def rename(message: object) -> str:
        text = " ".join(str(message).split())
        return _ARGUMENT.sub(lambda match: f"`{names.get(match[1], match[1])}`", text)

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Our warnings as one line; those of other libraries as Python shows them."""
        if issubclass(category, CheckpointWarning | DataWarning | ConvergenceWarning):
            print_warning(rename(message))
        elif uncached := re.match(_UNCACHED, str(message), re.DOTALL):
            warnings.filterwarnings("ignore", _UNCACHED)  # said once
            print_warning(
                f"a compiled program could not be read or kept ({uncached[1]}); it is compiled anew. If this happens "
                "again, run `brenier cache clear`, or leave the cache out with `brenier --no-cache`."
            )
        else:
            stderr.print(warnings.formatwarning(message, category, filename, lineno, line), end="")

    with warnings.catch_warnings():
        for category in (CheckpointWarning, DataWarning, ConvergenceWarning):
            warnings.simplefilter("always", category)
        warnings.showwarning = show
        try:
            yield
        except (InputError, SolveError, DistributedError) as error:
            _fail(rename(error), as_json)
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt:
            _fail("interrupted before the work was done.", as_json)
            raise typer.Exit(INTERRUPTED) from None


def print_warning(message: str) -> None:
    """A warning as one line on stderr."""
    stderr.print(Text.assemble(("warning: ", "bold yellow"), message))


def print_result(record: Mapping[str, Any], lines: Sequence[tuple[str, str]], *, as_json: bool) -> None:
    """Print the result of a command.

    Args:
        record: The JSON object; numbers in it that are not finite become null.
        lines: The result for people: a label and a text each.
        as_json: Whether to print the record instead of the lines.
    """
    if as_json:
        _print_json(record)
        return
    width = max(len(label) for label, _ in lines) + 3
    for label, text in lines:
        _stdout.print(Text.assemble((label.ljust(width), "bold"), text))


def print_record(record: Mapping[str, Any]) -> None:
    """One JSON object on stdout; numbers in it that are not finite become null."""
    _print_json(record)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table for people: the first column to the left, numbers to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    _stdout.print(table)


def print_error(message: str) -> None:
    """The JSON object of a command that failed."""
    _print_json({"error": message})


def widths_line(widths: Sequence[float], columns: Sequence[str] | None) -> str:
    """Widths of the noise that a fit added to the columns, as one line for people."""
    names = [f"column {place}" for place in range(len(widths))] if columns is None else columns
    wide = [f"{name} {width:.6g}" for name, width in zip(names, widths, strict=True) if width]
    more = f" and {len(wide) - 8} more" if len(wide) > 8 else ""
    return f"uniform, of width {', '.join(wide[:8])}{more}" if wide else "none: no column is discrete"


def carried_line(carried: Sequence[int], columns: Sequence[str] | None) -> str:
    """Columns that are constant on a side, as one line for people."""
    named = [f"column {place}" if columns is None else columns[place] for place in carried[:8]]
    more = f" and {len(carried) - 8} more" if len(carried) > 8 else ""
    return f"{', '.join(named)}{more}   moved by the difference of the means"


def _fail(message: str, as_json: bool) -> None:
    stderr.print(Text.assemble(("error: ", "bold red"), message))
    if as_json:
        print_error(message)


def _print_json(record: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(_finite(record), allow_nan=False))


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """A value in which None stands for every number that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
