"""MAGIC: showers of light in the atmosphere, seen by a telescope."""

from collections.abc import Iterable, Iterator

import numpy as np

from brenier._errors import InputError
from brenier.data.table import shorten
from brenier.files.atomic import FilePath
from brenier_bench.datasets.tabular._files import Opened, locate, open_file
from brenier_bench.datasets.tabular._numbers import read_lines, read_rows, refuse_pickle
from brenier_bench.datasets.tabular._sources import MAGIC
from brenier_bench.datasets.tabular.result import LabelledTable

__all__ = ["load_magic"]

_COLUMNS = ("fLength", "fWidth", "fSize", "fConc", "fConc1", "fAsym", "fM3Long", "fM3Trans", "fAlpha", "fDist")
_CLASSES = {"g": 0, "h": 1}


def load_magic(path: FilePath | None = None, *, cache: FilePath | None = None) -> LabelledTable:
    """The MAGIC gamma telescope data: 10 features of 12,332 gamma and 6,688 hadron showers, as the file has them.

    Args:
        path: The original `magic04.data`; or a folder, zip or tar file with it. By default it is downloaded, once,
            which needs pooch (`pip install "brenier-bench[tabular]"`).
        cache: Folder of downloads; by default the one that the environment variable `BRENIER_DATA` names, or else the
            user's cache folder.

    Raises:
        InputError: The file is not there, cannot be downloaded, or is not what it should be.

    References: Bock et al. 2004, "Methods for multidimensional event classification: a case study using images from a
    Cherenkov gamma-ray telescope", UCI Machine Learning Repository.
    """
    with open_file(MAGIC, locate(MAGIC, path, cache), MAGIC.files) as file:
        refuse_pickle(file, MAGIC.files[0])
        rows = read_rows(_number_classes(read_lines(file), file), file, len(_COLUMNS) + 1, ",")
    names = ("gamma", "hadron")
    return LabelledTable(np.ascontiguousarray(rows[:, :-1]), rows[:, -1].astype(np.int64), _COLUMNS, names)


def _number_classes(lines: Iterable[str], file: Opened) -> Iterator[str]:
    """Lines with the numbers of the classes in place of their letters."""
    for number, line in enumerate(lines):
        features, _, letter = line.strip().rpartition(",")
        if letter not in _CLASSES:
            raise InputError(
                f"`{file.where}`, row {number}: the class {shorten(letter)!r} is neither 'g' nor 'h'. Is it the "
                "original file?"
            )
        yield f"{features},{_CLASSES[letter]}"
