"""Pages that are made from something else, so that they cannot go stale: the command line's, and the benchmarks'.

They are written into `generated/` before Sphinx reads anything. Links between Markdown files of the repository, which
work where these are read as they are, are turned into links between pages.
"""

import os
import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any

import typer

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent

COPIES = {
    "benchmarks/README.md": "generated/benchmarks.md",
    "benchmarks/ABLATION.md": "generated/ablation.md",
    "benchmarks/NOTES.md": "generated/notes.md",
}
"""Pages for files that lie elsewhere in the repository."""

_OPTION = re.compile(r"(`[^`]*`)|(?<![\w-])(--[a-z][\w-]*)")

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)\s]+)\)")


def setup(app: Any) -> dict[str, bool]:  # noqa: ANN401 - Sphinx is not there where only the pages are tested
    """Register with Sphinx."""
    app.connect("builder-inited", lambda _: write_pages(DOCS / "generated"))
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}


def write_pages(folder: Path) -> None:
    """Write every generated page that has changed, so that Sphinx reads no others again."""
    folder.mkdir(exist_ok=True)
    pages = {
        Path(page).name: linked((ROOT / source).read_text(), (ROOT / source).parent, folder)
        for source, page in COPIES.items()
    } | {"commands.md": commands()}
    for name, text in pages.items():
        if not (folder / name).exists() or (folder / name).read_text() != text:
            (folder / name).write_text(text)


def linked(text: str, source: Path, page: Path) -> str:
    """The text of a Markdown file in `source`, with links for a page in the folder `page`.

    A link to a folder becomes its text: there is no page for it.
    """

    def replace(found: re.Match[str]) -> str:
        image, label, (target, mark, anchor) = found[1], found[2], found[3].partition("#")
        path = Path(os.path.normpath(source / target))
        if path.is_dir():
            return f"`{label}`"
        if path.is_relative_to(ROOT):
            copy = COPIES.get(path.relative_to(ROOT).as_posix())
            path = path if copy is None else DOCS / copy
        return f"{image}[{label}]({os.path.relpath(path, page)}{mark}{anchor})"

    return _LINK.sub(replace, text)


def _read(app: Any, name: str, content: list[str]) -> None:  # noqa: ANN401
    """Correct the links of pages that are written by hand."""
    path = Path(app.env.doc2path(name))
    if path.suffix == ".md" and not name.startswith("generated/"):
        content[0] = linked(present(content[0]), path.parent, path.parent)


def present(text: str) -> str:
    """A page without those entries of its table of contents that end in a star and match no page.

    Sphinx would warn of them. The gallery, for instance, is not there where its scripts are left out.
    """
    optional = re.findall(r"^([\w/-]+)\*$", text, flags=re.MULTILINE)
    for entry in optional:
        if not any(path.suffix in (".md", ".rst") for path in DOCS.glob(f"{entry}*")):
            text = text.replace(f"\n{entry}*\n", "\n")
    return text


def commands() -> str:
    """What every command does and takes, as it says of itself."""
    from brenier.cli.app import app

    root = typer.main.get_command(app)
    parts = ["# Commands", cleandoc(root.help or ""), "Every command prints this page's text for itself with `--help`."]
    for path, command in _walk(root, ("brenier",)):
        parts += [f"## `{' '.join(path)}`", *_command(path, command)]
    return "\n\n".join(parts) + "\n"


def _walk(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "commands"):
            yield from _walk(command, (*path, name))
        else:
            yield (*path, name), command


def _command(path: tuple[str, ...], command: Any) -> Iterator[str]:  # noqa: ANN401
    parameters = [parameter for parameter in command.params if not parameter.hidden]
    arguments = [_value(own) for own in parameters if own.param_type_name == "argument"]
    yield "```\n" + " ".join([*path, *arguments, "[OPTIONS]"]) + "\n```"
    yield _prose(command.help)
    yield "\n".join(["| | what it is | default |", "|---|---|---|", *map(_row, parameters)])


def _prose(text: str | None) -> str:
    """Help as Markdown: options are code, where they are not yet; otherwise their dashes would become one."""
    return _OPTION.sub(lambda found: found[1] or f"`{found[2]}`", cleandoc(text or ""))


def _value(parameter: Any) -> str:  # noqa: ANN401
    """What stands for the value of an argument or option."""
    return parameter.metavar or parameter.name.upper()


def _row(parameter: Any) -> str:  # noqa: ANN401
    """One argument or option, in a table."""
    if parameter.param_type_name == "argument":
        name, flag = _value(parameter), False
    else:
        flag = bool(parameter.is_flag)
        name = ", ".join([*parameter.opts, *parameter.secondary_opts]) + ("" if flag else f" {_value(parameter)}")
    default = parameter.default
    if parameter.required:
        shown = "required"
    elif flag:
        shown = "yes" if default else "no"
    else:
        shown = "" if default is None else f"`{getattr(default, 'value', default)}`"
    text = _prose(parameter.help).replace("|", r"\|")
    return f"| {f'`{name}`'.replace('|', chr(92) + '|')} | {text} | {shown} |"
