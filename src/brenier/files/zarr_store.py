"""The one door to arrays of Zarr: zarr sees the metadata that were checked, and ordinary files of the array's folder.

Importing this imports zarr.
"""

import os
from pathlib import Path
from typing import Any

import zarr
from zarr.storage import LocalStore

from brenier.files.zarr_metadata import Described, describe

__all__ = ["create_group", "open_array"]


def open_array(folder: Path) -> tuple[Any, Described] | None:
    """Open an array for reading; None where a folder holds none.

    Raises:
        ValueError: Its metadata ask for more than numbers and text of a fixed length, or for codecs that are not on
            the list; or they are damaged.
        OSError: The metadata cannot be read.
    """
    described = describe(folder)
    if described is None:
        return None
    store = _CheckedStore(folder, described.files)
    array = zarr.open_array(store, mode="r", zarr_format=3 if described.version == 3 else 2)
    if array.shape != described.shape or array.dtype != described.dtype:
        raise ValueError(f"its metadata say {described.shape} of {described.dtype}; zarr reads {array.shape}")
    return array, described


def create_group(folder: Path) -> Any:  # noqa: ANN401
    """Make a group in a new folder."""
    return zarr.open_group(str(folder), mode="w")


class _CheckedStore(LocalStore):
    """The files of one array: metadata as they were checked, and chunks that are ordinary files in its folder."""

    def __init__(self, root: Path, metadata: dict[str, bytes] | None = None, *, read_only: bool = True) -> None:
        super().__init__(root, read_only=read_only)
        self._metadata, self._real = metadata or {}, os.path.realpath(root)

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:  # noqa: ANN401
        kept = self._look_up(key, prototype)
        return await super().get(key, prototype, byte_range) if kept is _CHUNK else kept

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:  # noqa: ANN401
        kept = self._look_up(key, prototype)
        return super().get_sync(key, prototype=prototype, byte_range=byte_range) if kept is _CHUNK else kept

    async def get_partial_values(self, prototype: Any, key_ranges: Any) -> list[Any]:  # noqa: ANN401
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    def _look_up(self, key: str, prototype: Any) -> Any:  # noqa: ANN401
        """What is known without the disk: metadata, None for other files of that kind; a mark for a chunk."""
        if key in self._metadata:
            from zarr.core.buffer import default_buffer_prototype

            return (prototype or default_buffer_prototype()).buffer.from_bytes(self._metadata[key])
        if key.startswith(".z") or key == "zarr.json":
            return None
        path = os.path.join(self._real, key)
        if os.path.realpath(path) != path or (os.path.exists(path) and not os.path.isfile(path)):
            raise ValueError(f"the chunk `{key}` is a link, a pipe or a device, which is not followed")
        return _CHUNK


_CHUNK = object()
