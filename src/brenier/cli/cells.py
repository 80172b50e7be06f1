"""AnnData on the command line: which part of .h5ad files holds the points."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from brenier._errors import InputError

if TYPE_CHECKING:
    from brenier.cli.clouds import Cloud

__all__ = ["Layer", "Obsm", "is_cells", "key_of", "part", "part_record"]

Obsm: TypeAlias = Annotated[
    str | None, typer.Option(metavar="KEY", help="Part of .h5ad files that holds the points, X_pca for instance.")
]
Layer: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Layer of .h5ad files that holds the points. By default that of the fit, or X."),
]


def part(obsm: str | None, layer: str | None, *paths: Path) -> str | None:
    """The key of the part of .h5ad files that `--obsm` or `--layer` names; None if neither is given.

    Raises:
        InputError: Both are given, or none of the files is an .h5ad file.
    """
    if obsm is None and layer is None:
        return None
    if obsm is not None and layer is not None:
        raise InputError(f"`--obsm` ({obsm!r}) and `--layer` ({layer!r}) are both given. Leave one out.")
    if not any(is_cells(path) for path in paths):
        name, listing = ("--layer" if obsm is None else "--obsm"), " and ".join(f"`{path}`" for path in paths)
        raise InputError(f"`{name}` is for .h5ad files, and {listing} is none. Leave it out.")
    return f"layers/{layer}" if obsm is None else f"obsm/{obsm}"


def is_cells(path: Path) -> bool:
    """Whether the name of a file ends in `.h5ad`, so that it holds, or will hold, an AnnData object."""
    return path.suffix.lower() == ".h5ad"


def key_of(path: Path, key: str | None, cells: str | None) -> str | None:
    """The key to read a file by: `cells` for an .h5ad file, `key` for any other.

    Raises:
        InputError: `key` is given for an .h5ad file.
    """
    if not is_cells(path):
        return key
    if key is not None:
        raise InputError(
            f"`--key` ({key!r}) is for .npz archives. Choose a part of `{path}` with `--obsm` or `--layer`."
        )
    return cells


def part_record(clouds: Sequence["Cloud"]) -> dict[str, str]:
    """The entry of a map's `info` that says where in its .h5ad files the points were; empty without such files."""
    parts = [cloud.part for cloud in clouds if cloud.part is not None]
    return {"anndata": parts[0]} if parts else {}
