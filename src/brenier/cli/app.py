"""The application: which commands there are."""

from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from brenier.cli.cache import Keeping, cache
from brenier.cli.console import print_error
from brenier.cli.demo import demo
from brenier.cli.density import density
from brenier.cli.distance import distance
from brenier.cli.export import export
from brenier.cli.extensions import extension, extension_names
from brenier.cli.fit import fit
from brenier.cli.inspect import inspect
from brenier.cli.logpdf import logpdf
from brenier.cli.report import report
from brenier.cli.sample import sample
from brenier.cli.transform import transform

__all__ = ["app", "main"]


class _Group(TyperGroup):
    """Our commands and those that other distributions add. With `--json`, usage errors are printed as JSON, too."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - typer's own class moves
        names = super().list_commands(ctx)
        return names + [name for name in extension_names() if name not in names]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401
        # Entry points are looked up for names that are not ours only: that reads files of every distribution.
        return super().get_command(ctx, cmd_name) or extension(cmd_name)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        ctx.meta["brenier.json"] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> object:  # noqa: ANN401
        try:
            return super().invoke(ctx)
        except Exception as error:
            # All usage errors have this method; where their common class lives depends on the version of typer.
            message = getattr(error, "format_message", None)
            if message is not None and ctx.meta["brenier.json"]:
                print_error(message())
            raise


app = typer.Typer(
    name="brenier",
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for command in (fit, transform, distance, report, density, logpdf, sample, inspect, export, demo):
    app.command(cls=Keeping)(command)
app.add_typer(cache)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"brenier {version('brenier')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Compile every program anew, and keep none; see `brenier cache`.")
    ] = False,
) -> None:
    """Optimal-transport maps from samples: forward map, inverse, distance and density from one convex potential.

    Distances are W2, neither squared nor halved. Exit codes: 0 the work was done, 2 it could
    not be done and a message says why, 130 interrupted.
    """


def main() -> None:
    """Run the command line."""
    app(prog_name="brenier")
