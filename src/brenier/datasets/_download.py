"""Fetching the files of a data set into a cache, once."""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from brenier._errors import InputError
from brenier.data.atomic import FilePath
from brenier.datasets._archives import Archive, File, Split

if TYPE_CHECKING:
    from requests.exceptions import RequestException

__all__ = ["fetch"]

_CACHE_VARIABLE = "BRENIER_DATA"
"""Environment variable that names the folder of all downloads."""


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
    if importlib.util.find_spec("pooch") is None:
        raise InputError(
            f'downloading {archive.title} needs pooch. Run `pip install "brenier[images]"`, or pass the folder that '
            "has the files as `path`."
        )
    import pooch

    root = cache or os.environ.get(_CACHE_VARIABLE) or pooch.os_cache("brenier")
    folder = Path(root) / archive.folder
    return [_fetch_file(archive, file, split, folder) for file in archive.files(split)]


def _fetch_file(archive: Archive, file: File, split: Split, folder: Path) -> Path:
    import pooch
    from requests.exceptions import RequestException

    failures: list[tuple[str, Exception]] = []
    for mirror in archive.mirrors:
        url = mirror + file.name
        try:
            # The download gets its name only once its checksum is right.
            return Path(pooch.retrieve(url, known_hash=f"sha256:{file.sha256}", fname=file.name, path=folder))
        except RequestException as error:
            failures.append((f"{url} cannot be reached ({_reason(error)})", error))
        except ValueError as error:
            failures.append((f"{url} gave a file with another SHA-256 than {file.sha256}, which was dropped", error))
        except OSError as error:
            raise InputError(
                f"`{folder}` cannot hold downloads: {error.strerror or error}. Name another folder as `cache`, or in "
                f"the environment variable {_CACHE_VARIABLE}."
            ) from error
    names = " and ".join(f"`{each.name}`" for each in archive.files(split))
    raise InputError(
        f"`{file.name}` of {archive.title} could not be downloaded: {'; '.join(text for text, _ in failures)}. "
        f"Download {names} by other means, put them into a folder under these names, and pass it as `path`."
    ) from failures[-1][1]


def _reason(error: "RequestException") -> str:
    if error.response is None:
        return type(error).__name__
    error.response.close()  # pooch leaves the connection open
    return f"HTTP status {error.response.status_code}"
