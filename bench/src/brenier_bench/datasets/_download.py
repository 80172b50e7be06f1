"""Fetching the files of a data set into a cache, once."""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from brenier._errors import InputError
from brenier.files.atomic import FilePath
from brenier_bench.datasets._archives import Archive, Split

if TYPE_CHECKING:
    from requests.exceptions import RequestException

__all__ = ["cache_folder", "fetch", "fetch_file"]

_CACHE_VARIABLE = "BRENIER_DATA"
"""Environment variable that names the folder of all downloads."""

_ALGORITHMS = {"sha256": "SHA-256", "md5": "MD5"}
"""What messages call the algorithms of checksums."""


def fetch(archive: Archive, split: Split, cache: FilePath | None) -> list[Path]:
    """The files of one part of a data set, downloaded unless the cache has them with the right checksums.

    Args:
        archive: Where the files are, and what they must be.
        split: Which part.
        cache: Folder of all downloads; `None` is the one in the environment variable `BRENIER_DATA`, or else the
            user's cache folder.

    Raises:
        InputError: pooch is not installed, the cache cannot be written, or no mirror gave a file with its checksum.
            Nothing is left in the cache then that is not what it should be.
    """
    names = " and ".join(f"`{each.name}`" for each in archive.files(split))
    folder = cache_folder(
        archive.title, archive.folder, cache, "images", "pass the folder that has the files as `path`"
    )
    advice = f"Download {names} by other means, put them into a folder under these names, and pass it as `path`."
    return [
        fetch_file(
            archive.title,
            file.name,
            [mirror + file.name for mirror in archive.mirrors],
            f"sha256:{file.sha256}",
            folder,
            advice,
        )
        for file in archive.files(split)
    ]


def cache_folder(title: str, name: str, cache: FilePath | None, extra: str, otherwise: str) -> Path:
    """Folder of the downloads of one data set.

    Args:
        title: What messages call the data set.
        name: Its folder in the cache.
        cache: Folder of all downloads, as of `fetch`.
        extra: Which optional dependencies of brenier bring pooch.
        otherwise: What to do without pooch.

    Raises:
        InputError: pooch is not installed.
    """
    if importlib.util.find_spec("pooch") is None:
        raise InputError(
            f'downloading {title} needs pooch. Run `pip install "brenier-bench[{extra}]"`, or {otherwise}.'
        )
    import pooch

    return Path(cache or os.environ.get(_CACHE_VARIABLE) or pooch.os_cache("brenier")) / name


def fetch_file(title: str, name: str, urls: Sequence[str], checksum: str, folder: Path, advice: str) -> Path:
    """One file, downloaded from the first address that gives it with its checksum, unless the folder has it.

    Args:
        title: What messages call the data set.
        name: Name of the file in the folder.
        urls: Addresses, in the order in which they are tried.
        checksum: The algorithm, a colon and hexadecimal digits; `sha256:...` or `md5:...`.
        folder: Where the file goes.
        advice: What to do if no address gave it; a sentence.

    Raises:
        InputError: The folder cannot be written, or no address gave the file.
    """
    import pooch
    from requests.exceptions import RequestException

    algorithm, _, digest = checksum.partition(":")
    failures: list[tuple[str, Exception]] = []
    for url in urls:
        try:
            # The download gets its name only once its checksum is right.
            return Path(pooch.retrieve(url, known_hash=checksum, fname=name, path=folder))
        except RequestException as error:
            failures.append((f"{url} cannot be reached ({_reason(error)})", error))
        except ValueError as error:
            called = _ALGORITHMS[algorithm]
            failures.append((f"{url} gave a file with another {called} than {digest}, which was dropped", error))
        except OSError as error:
            raise InputError(
                f"`{folder}` cannot hold downloads: {error.strerror or error}. Name another folder as `cache`, or in "
                f"the environment variable {_CACHE_VARIABLE}."
            ) from error
    raise InputError(
        f"`{name}` of {title} could not be downloaded: {'; '.join(text for text, _ in failures)}. {advice}"
    ) from failures[-1][1]


def _reason(error: "RequestException") -> str:
    if error.response is None:
        return type(error).__name__
    error.response.close()  # pooch leaves the connection open
    return f"HTTP status {error.response.status_code}"
