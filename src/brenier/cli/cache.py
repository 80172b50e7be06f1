"""`brenier cache`: the compiled programs that the command line keeps."""

import os
import time
from typing import Any

import typer
from typer.core import TyperCommand

from brenier._cache import MOST_BYTES, cache_root, claim_cache, jax_settings, kept_programs
from brenier._errors import InputError
from brenier._text import duration
from brenier.cli.console import Json, print_result, print_warning, reporting

__all__ = ["Keeping", "cache"]

cache = typer.Typer(
    name="cache", help="Compiled programs, kept so that the next command starts sooner.", no_args_is_help=True
)


class Keeping(TyperCommand):
    """A command that keeps the programs it compiles, unless `--no-cache` was given before its name."""

    def invoke(self, ctx: Any) -> object:  # noqa: ANN401 - typer's own class moves
        if ctx.find_root().params["no_cache"]:
            os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
        elif _foreign() is None:
            _keep()
        return super().invoke(ctx)


@cache.command()
def info(as_json: Json = False) -> None:
    """Say where compiled programs are kept, how many there are, and how much room they take.

    Example: `brenier cache info --json`
    """
    with reporting(as_json):
        programs, root = kept_programs(cache_root()), cache_root()
        total = sum(program.bytes for program in programs)
        foreign = _foreign()
        record = {
            "folder": str(root),
            "programs": len(programs),
            "bytes": total,
            "max_bytes": MOST_BYTES,
            "jax_folder": foreign,
        }
        lines = [
            ("Folder", str(root)),
            ("Programs", f"{len(programs):,}   {total / 1e6:,.1f} MB; at most {MOST_BYTES / 1e6:,.0f} MB are kept"),
        ]
        if programs:
            lines.append(("Oldest", f"last used {duration(max(time.time() - programs[0].used, 0.0))} ago"))
        if foreign is not None:
            lines.append(("Not in use", f"JAX_COMPILATION_CACHE_DIR is set: commands keep programs in {foreign}"))
        print_result(record, lines, as_json=as_json)


@cache.command()
def clear(as_json: Json = False) -> None:
    """Remove the compiled programs that brenier keeps, and no other file.

    Commands that run meanwhile are not disturbed: they compile what they miss.

    Example: `brenier cache clear`
    """
    with reporting(as_json):
        root = cache_root()
        programs = kept_programs(root)
        try:
            for program in programs:
                program.path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"`{error.filename}` cannot be removed: {error.strerror}.") from error
        total = sum(program.bytes for program in programs)
        record = {"folder": str(root), "removed": len(programs), "bytes": total}
        lines = [("Removed", f"{len(programs):,} programs, {total / 1e6:,.1f} MB, from {root}")]
        print_result(record, lines, as_json=as_json)


def _foreign() -> str | None:
    """The folder of JAX's cache, where the user chose it for all programs of JAX and not for ours alone."""
    return None if os.environ.get("BRENIER_CACHE_DIR") else os.environ.get("JAX_COMPILATION_CACHE_DIR") or None


def _keep() -> None:
    """Choose the folder of the cache in JAX's own environment variables, which it reads when it is first imported."""
    try:
        folder = claim_cache(cache_root(), MOST_BYTES)
    except InputError as error:
        print_warning(f"{error} Without, each command compiles its programs anew.")
        return
    os.environ |= {name.upper(): str(value) for name, value in jax_settings(folder).items()}
