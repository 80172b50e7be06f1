"""HEPMASS: collisions that make a new particle, among those that do not."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.files.atomic import FilePath
from brenier_bench.datasets.tabular._files import is_archive, locate, open_file
from brenier_bench.datasets.tabular._numbers import read_lines, read_rows, refuse_pickle
from brenier_bench.datasets.tabular._sources import HEPMASS
from brenier_bench.datasets.tabular._steps import find_repeating, keep, split_tail, standardise
from brenier_bench.datasets.tabular.result import TabularSet

__all__ = ["load_hepmass"]

_MOST = (700_000, 350_000)
"""Rows of the two files that count: a tenth of the original ones."""


def load_hepmass(path: FilePath | None = None, *, cache: FilePath | None = None) -> TabularSet:
    """HEPMASS with the preprocessing of the MAF paper: 21 columns, 315,123, 35,013 and 174,987 rows.

    The steps: of the data for a particle of mass 1000, the first tenth of both files counts (700,000 rows to train,
    350,000 to test, so that the files of the archive are read whole); rows of class 1, the signal, are kept, and the
    class is dropped; the last column of the test file goes too where it has one more than the other ("because the data
    set is messed up"); all is standardised by means and standard deviations (divided by n - 1) of the training file's
    signal; columns whose smallest value occurs more than five times there are removed (see `find_repeating`); the last
    tenth of the training file's signal is for validation. Nothing is shuffled.

    Args:
        path: Folder, zip or tar file with `1000_train.csv` and `1000_test.csv`, or one of the two; `.gz` may follow.
            Those of the archive of the MAF paper and the original ones both do. By default the archive is downloaded,
            once, which needs pooch (`pip install "brenier-bench[tabular]"`); every call reads it anew, so that an
            unpacked one loads sooner.
        cache: Folder of downloads; by default the one that the environment variable `BRENIER_DATA` names, or else the
            user's cache folder.

    Raises:
        InputError: A file is not there, cannot be downloaded, or is not what it should be.

    References: Papamakarios, Pavlakou and Murray 2017, "Masked autoregressive flow for density estimation", section 4.2
    and the supplement on the data sets; their code, gpapamak/maf, datasets/hepmass.py. Data: Baldi et al. 2016,
    "Parameterized neural networks for high-energy physics", UCI Machine Learning Repository.
    """
    place = locate(HEPMASS, path, cache)
    if place.is_file() and not is_archive(place):
        place = place.parent
    (names, train), (others, test) = (_signal(place, i) for i in range(2))
    steps = [
        "The first 700,000 and 350,000 rows of the two files, a tenth, count (gpapamak/maf, datasets/hepmass.py).",
        "Rows of class 1 are kept, and the class is dropped (the same file).",
    ]
    if len(others) == len(names) + 1:
        others, test = others[:-1], test[:, :-1]
        steps.append("The last column of the test file, which the other file lacks, is dropped (the same file).")
    if names != others:
        raise InputError(
            f"`{place}`: the columns of `1000_train.csv`, {list(names)}, are not those of `1000_test.csv`, "
            f"{list(others)}. Get both again."
        )
    # The original counts after standardising, which keeps what is smallest and how often it occurs.
    drop = find_repeating(train)
    train, test = train[:, ~drop], test[:, ~drop]
    train, test = standardise((train, test), train, 1, str(place))
    train, validation = split_tail(train, str(place))
    gone = ", ".join(name for name, dropped in zip(names, drop, strict=True) if dropped) or "none"
    steps += [
        "All is standardised by means and deviations of the training file's signal (the same file).",
        f"Columns whose smallest value occurs there more than five times are removed: {gone} (the same file).",
        "The last tenth of the training file's signal is the validation part (the same file).",
    ]
    return TabularSet("HEPMASS", keep(names, drop), train, validation, test, tuple(steps))


def _signal(place: Path, which: int) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Names and features of the rows of class 1."""
    with open_file(HEPMASS, place, (HEPMASS.files[which],)) as file:
        refuse_pickle(file, HEPMASS.files[which])
        lines = read_lines(file)
        names = tuple(name.strip() for name in next(lines, "").split(","))
        if "label" not in names[0] or len(names) < 2:
            raise InputError(
                f"`{file.where}` does not begin with a line of names such as `# label,f0,f1`. Is it the original file?"
            )
        rows = read_rows(lines, file, len(names), ",", _MOST[which])
    rows = rows[rows[:, 0] == 1, 1:]
    if not len(rows):
        raise InputError(f"`{file.where}` has no rows of class 1. Is it the original file?")
    return names[1:], rows
