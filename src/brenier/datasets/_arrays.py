"""Reading benchmark files."""

import zipfile
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError

__all__ = ["read_arrays"]


def read_arrays(path: str | PathLike[str], needed: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz file, without pickle.

    Raises:
        InputError: The file cannot be read, or lacks one of the arrays `needed`.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(f"'{path}' cannot be read as an .npz file ({error}).") from error
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise InputError(f"'{path}' is not such a pair: it has no arrays {missing}, only {sorted(arrays)}.")
    return arrays
