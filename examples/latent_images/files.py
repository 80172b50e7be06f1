"""Networks as files that run no code: a line of JSON, then the arrays as NumPy writes them."""

import json
from pathlib import Path
from typing import TypeVar

import equinox as eqx

from brenier import InputError
from brenier.files.atomic import FilePath, atomic_write
from latent_images.classifier import Classifier
from latent_images.start import skeleton
from latent_images.vae import ConditionalVAE

__all__ = ["load", "save"]

Network = TypeVar("Network", ConditionalVAE, Classifier)

_MOST = 10_000
"""Bytes of the first line; a file that is something else may have no line's end for long."""


def save(path: FilePath, network: ConditionalVAE | Classifier) -> None:
    """Write a network, whole or not at all.

    Raises:
        InputError: The path cannot be written.
    """
    description = {"kind": type(network).__name__, "hyperparameters": network.hyperparameters()}
    with atomic_write(path) as file:
        file.write(json.dumps(description, sort_keys=True).encode() + b"\n")
        eqx.tree_serialise_leaves(file, network)


def load(path: FilePath, kind: type[Network]) -> Network:
    """Read a network.

    Args:
        path: What `save` wrote.
        kind: `ConditionalVAE` or `Classifier`.

    Raises:
        InputError: The file is missing, cut off, or holds no network of this kind.
    """
    if not Path(path).is_file():
        raise InputError(f"there is no file `{path}`. `python -m latent_images.train` writes such files.")
    try:
        with open(path, "rb") as file:
            description = json.loads(file.readline(_MOST))
            found, sizes = description["kind"], description["hyperparameters"]
            if found == kind.__name__:
                return eqx.tree_deserialise_leaves(file, skeleton(kind, **sizes))
    except (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError) as error:
        raise InputError(f"`{path}` is not a whole {kind.__name__} ({error}). Train it again.") from error
    raise InputError(f"`{path}` holds a {found}, not a {kind.__name__}. Name another file.")
