"""Reading files that may be compressed."""

import bz2
import gzip
import io
import zlib
from pathlib import Path

from brenier._errors import InputError
from brenier.data.memory import check_expansion, most_contents

__all__ = ["read_decompressed"]


def read_decompressed(path: Path) -> bytes:
    """The bytes of a file, decompressed where they begin as gzip or bzip2 do.

    The name does not count: browsers decompress some downloads and leave the name as it was.

    Raises:
        InputError: The file cannot be read, or is a damaged or incomplete gzip or bzip2 file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"`{path}` cannot be read: {error.strerror or error}. Check the path.") from error
    try:
        if content.startswith(b"\x1f\x8b"):
            return _read(gzip.GzipFile(fileobj=io.BytesIO(content)), len(content), path)
        if content.startswith(b"BZh"):
            return _read(bz2.BZ2File(io.BytesIO(content)), len(content), path)
    except InputError:  # a ValueError, too
        raise
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"`{path}` is damaged or incomplete: {error}. Download it again.") from error
    return content


def _read(file: gzip.GzipFile | bz2.BZ2File, stored: int, path: Path) -> bytes:
    """All of a compressed file, unless it is far larger than its compressed form."""
    with file:
        content = file.read(most_contents(stored) + 1)
    check_expansion(len(content), stored, str(path))
    return content
