"""Finding the file of a table, in a folder or an archive, and opening it."""

import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, cast

from brenier._errors import InputError
from brenier.files.atomic import FilePath
from brenier_bench.datasets._download import cache_folder, fetch_file
from brenier_bench.datasets.tabular._sources import Source

__all__ = ["Opened", "is_archive", "locate", "open_file"]


_DAMAGE = (
    EOFError,
    lzma.LZMAError,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    RuntimeError,  # encrypted members, and methods of compression that Python lacks
    ValueError,
    OverflowError,
    struct.error,
)


class Opened(NamedTuple):
    """A file of a table, decompressed.

    Attributes:
        handle: Its bytes, from the first.
        suffix: What its name ends with, without `.gz`; it tells the formats apart.
        where: What messages call it.
    """

    handle: BinaryIO
    suffix: str
    where: str


def locate(source: Source, path: FilePath | None, cache: FilePath | None) -> Path:
    """The path that was given, or that of the download.

    Raises:
        InputError: It does not exist, both arguments were given, or nothing can be downloaded.
    """
    if path is not None:
        if cache is not None:
            raise InputError(f"`cache` ({cache}) is for downloads, and `path` needs none. Leave one of the two out.")
        if not Path(path).exists():
            raise InputError(
                f"`path` ({path}) does not exist, or cannot be read. It is {' or '.join(source.files)} of "
                f"{source.title}, or a folder, zip or tar file with it; {source.address} has the original."
            )
        return Path(path)
    file = source.download
    if file is None:
        raise InputError(
            f"`path` is None, but {source.title} cannot be downloaded from here: no checksum of its original file is "
            f"known. Download {source.address} and pass that file, or {source.files[0]} in it, as `path`."
        )
    folder = cache_folder(source.title, file.folder, cache, "tabular", f"pass a file of {source.title} as `path`")
    return fetch_file(
        source.title, file.name, file.urls, file.checksum, folder, "Get it by other means, and pass it as `path`."
    )


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar file; by its content, since names of downloads vary."""
    return path.is_file() and (_starts(path, b"PK\x03\x04") or tarfile.is_tarfile(path))


@contextmanager
def open_file(source: Source, path: Path, names: Sequence[str]) -> Iterator[Opened]:
    """Open one of the files `names` of a data set, the first that exists; a path that is no archive is the file itself.

    Damage that shows up while the block reads is reported too.

    Raises:
        InputError: There is no such file, or it is damaged.
    """
    try:
        with ExitStack() as stack:
            if not path.is_dir() and is_archive(path):
                raw, name, where = _open_member(source, path, names, stack)
            else:
                member = _find(source, path, names) if path.is_dir() else path
                raw, name, where = stack.enter_context(open(member, "rb")), member.name, str(member)
            handle = raw
            if raw.read(2) == b"\x1f\x8b":
                handle = stack.enter_context(gzip.GzipFile(fileobj=raw))
            raw.seek(0)
            yield Opened(cast("BinaryIO", handle), PurePosixPath(name.removesuffix(".gz")).suffix.lower(), where)
    except InputError:  # a ValueError, too
        raise
    except _DAMAGE as error:
        raise InputError(f"`{path}` is damaged or incomplete: {error}. Get it again.") from error
    except OSError as error:
        raise InputError(f"`{path}` cannot be read: {error.strerror or error}. Check the path.") from error


def _find(source: Source, folder: Path, names: Sequence[str]) -> Path:
    """The first of the names in a folder, or in the folders of the archive below it."""
    for name in names:
        for place in (folder, folder / source.folder, folder / "data" / source.folder):
            for spelling in (name, f"{name}.gz"):
                if (place / spelling).is_file():
                    return place / spelling
    raise _missing(source, folder, names)


def _open_member(source: Source, path: Path, names: Sequence[str], stack: ExitStack) -> tuple[BinaryIO, str, str]:
    if _starts(path, b"PK\x03\x04"):
        bundle = stack.enter_context(zipfile.ZipFile(path))
        name = _choose(source, path, bundle.namelist(), names)
        handle = bundle.open(name)
    else:
        bundle = stack.enter_context(tarfile.open(path))
        members = {member.name: member for member in bundle.getmembers() if member.isfile()}
        name = _choose(source, path, list(members), names)
        handle = bundle.extractfile(members[name])
        if handle is None:
            raise _missing(source, path, names)
    return cast("BinaryIO", stack.enter_context(handle)), name, f"{path}:{name}"


def _choose(source: Source, path: Path, members: list[str], names: Sequence[str]) -> str:
    """The member that is one of the names; its folder decides where several are, as of `data.npy`."""
    for name in names:
        alike = [each for each in members if PurePosixPath(each).name in (name, f"{name}.gz")]
        preferred = [each for each in alike if PurePosixPath(each).parent.name == source.folder]
        if preferred or len(alike) == 1:
            return (preferred or alike)[0]
    raise _missing(source, path, names)


def _missing(source: Source, path: Path, names: Sequence[str]) -> InputError:
    return InputError(
        f"`path`: `{path}` has no file {' or '.join(f'`{name}`' for name in names)} of {source.title}. "
        f"{source.address} has the original."
    )


def _starts(path: Path, magic: bytes) -> bool:
    with open(path, "rb") as handle:
        return handle.read(len(magic)) == magic
