"""Files that appear whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

from brenier._errors import InputError

__all__ = ["FilePath", "atomic_write", "check_writable", "claim_files"]

FilePath: TypeAlias = str | os.PathLike[str]


@contextmanager
def atomic_write(path: FilePath) -> Iterator[BinaryIO]:
    """Open a file for writing that takes the place of `path` only once the block has ended well.

    The bytes go to a temporary file in the same folder, which is removed if the block raises; an existing file at
    `path` then stays as it was. A symbolic link stays a link, and an existing file keeps its permissions.

    Raises:
        InputError: The target cannot be written, or the disk is full.
    """
    target, temporary = _claim(path)
    try:
        with open(temporary, "wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: FilePath) -> None:
    """Try now whether `atomic_write` could write `path` later, and leave nothing behind.

    Raises:
        InputError: The folder is missing or read-only, or the target is not an ordinary, writable file.
    """
    _, temporary = _claim(path)
    temporary.unlink()


def claim_files(folder: FilePath, names: Mapping[str, str]) -> dict[str, Path]:
    """Files that can be written, in a folder that is made if missing: found out before the work, not after it.

    Args:
        folder: Where they shall be.
        names: Their names, by what they are for.

    Raises:
        InputError: The folder cannot be made, or one of the files cannot be written.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"`{folder}` cannot be made a folder: {error.strerror or error}. Name another.") from error
    files = {role: Path(folder) / name for role, name in names.items()}
    for path in files.values():
        check_writable(path)
    return files


def _claim(path: FilePath) -> tuple[Path, Path]:
    """The file to be replaced, and an empty temporary file beside it."""
    try:
        target = _target(path)
        # Not `tempfile`: its files are private, while this one is to get the user's default permissions.
        temporary = target.with_name(f".brenier-{secrets.token_hex(8)}.tmp")
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise _cannot_write(path, error) from error
    return target, temporary


def _target(path: FilePath) -> Path:
    """The file behind a path, where it can be replaced."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise InputError(f"`{path}` is a folder. Name a file in it.")
    if not target.parent.is_dir():
        raise InputError(f"`{path}` cannot be written: there is no folder `{target.parent}`. Create it first.")
    if target.exists() and not target.is_file():
        raise InputError(f"`{path}` is not an ordinary file, and would be replaced by one. Name another file.")
    if target.exists() and not os.access(target, os.W_OK):
        raise InputError(f"`{path}` is read-only. Change its permissions, or name another file.")
    return target


def _cannot_write(path: FilePath, error: OSError) -> InputError:
    return InputError(f"`{path}` cannot be written: {error.strerror or error}. Name another file, or free the way.")
