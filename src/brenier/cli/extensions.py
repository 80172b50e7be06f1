"""Commands of other distributions: each is an entry point of the group `brenier.commands`, a `typer.Typer`."""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer

from brenier.cli.console import reporting

__all__ = ["extension", "extension_names"]

GROUP = "brenier.commands"

_SEPARATE = {
    "bench": "`brenier bench` is a distribution of its own, brenier-bench, which is not installed. "
    "Run `pip install ./bench` in a checkout of brenier, or `pip install brenier-bench`."
}
"""Commands of ours that are installed separately, and what is said where they are not."""


def extension_names() -> list[str]:
    """Names of the commands that are installed, in alphabetical order."""
    return sorted(entry_points(group=GROUP).names)


def extension(name: str) -> Any:  # noqa: ANN401 - typer's own class of commands moves
    """The command of a name, or `None` if there is none.

    One that cannot be loaded, or is ours and not installed, is a command that says so and fails.
    """
    for point in entry_points(group=GROUP, name=name):
        return _load(point)
    return _stub(name, _SEPARATE[name]) if name in _SEPARATE else None


def _load(point: EntryPoint) -> Any:  # noqa: ANN401
    origin = f"`brenier {point.name}` is `{point.value}` of another distribution, which"
    try:
        app = point.load()
    except Exception as error:  # noqa: BLE001 - whatever the code of others raises, it is told
        reason = f"{type(error).__name__}: {error}"
        return _stub(point.name, f"{origin} cannot be imported ({reason}). Install what it needs, or remove it.")
    if not isinstance(app, typer.Typer):
        kind = type(app).__name__
        return _stub(point.name, f"{origin} is no `typer.Typer` but a {kind}. Its authors can mend it.")
    command = typer.main.get_command(app)
    command.name = point.name
    return command


def _stub(name: str, message: str) -> Any:  # noqa: ANN401
    """A command that takes any arguments, and fails with a message whatever they are."""
    app = typer.Typer(add_completion=False)

    @app.command(
        name,
        help=message,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def fail(context: typer.Context) -> None:
        from brenier._errors import InputError

        with reporting("--json" in context.args):
            raise InputError(message)

    return typer.main.get_command(app)
