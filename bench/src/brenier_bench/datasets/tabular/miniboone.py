"""MINIBOONE: electron neutrinos, among muon neutrinos."""

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.files.atomic import FilePath
from brenier_bench.datasets.tabular._files import Opened, locate, open_file
from brenier_bench.datasets.tabular._numbers import read_array, read_lines, read_rows, refuse_pickle
from brenier_bench.datasets.tabular._sources import MINIBOONE
from brenier_bench.datasets.tabular._steps import find_repeating, split_tail, standardise
from brenier_bench.datasets.tabular.result import TabularSet

__all__ = ["load_miniboone"]

_PUBLISHED, _ORIGINAL = 43, 50
_OUTLIER = -100


def load_miniboone(path: FilePath | None = None, *, cache: FilePath | None = None) -> TabularSet:
    """MINIBOONE with the preprocessing of the MAF paper: 43 columns, 29,556, 3,284 and 3,648 rows.

    The steps from `data.npy` on: the last tenth of the rows is for tests, the last tenth of the rest for validation,
    and all three are standardised by means and standard deviations (divided by n) of the first two together. This is
    what published results used, to the row.

    Before `data.npy` there were steps of which a comment in the code tells: rows whose first value is below -100, the
    outliers, were removed, then the columns whose smallest value occurs more than five times (`find_repeating`). The
    comment says neither that only the signal was kept nor in which order the rows were saved. That it was the signal
    follows from the sizes: the original file has 36,499 rows of signal among 130,064, and `data.npy` has 36,488. So the
    original file is read here as: signal, without outliers, without such columns, in the order of the file. Whether
    that is `data.npy` row by row is not known; if its rows were shuffled, the three parts have other rows, of the same
    distribution.

    Args:
        path: `data.npy` of the archive of the MAF paper; the original `MiniBooNE_PID.txt`; or a folder, zip or tar file
            with one of them, of which `data.npy` is preferred. By default the archive is downloaded, once, which needs
            pooch (`pip install "brenier-bench[tabular]"`); every call reads it anew, so that an
            unpacked one loads sooner.
        cache: Folder of downloads; by default the one that the environment variable `BRENIER_DATA` names, or else the
            user's cache folder.

    Raises:
        InputError: The file is not there, cannot be downloaded, or is not what it should be.

    References: Papamakarios, Pavlakou and Murray 2017, "Masked autoregressive flow for density estimation", section 4.2
    and the supplement on the data sets; their code, gpapamak/maf, datasets/miniboone.py. Data: Roe et al. 2005,
    "Boosted decision trees as an alternative to artificial neural networks for particle identification", UCI Machine
    Learning Repository.
    """
    with open_file(MINIBOONE, locate(MINIBOONE, path, cache), MINIBOONE.files) as file:
        refuse_pickle(file, MINIBOONE.files[1])
        where = file.where
        if file.suffix == ".npy":
            rows, columns = read_array(file, _PUBLISHED), None
            steps = ["The rows are those of data.npy (Zenodo, record 1161203)."]
        else:
            rows, columns, steps = _signal(file)
    rest, test = split_tail(rows, where)
    train, validation = split_tail(rest, where)
    train, validation, test = standardise((train, validation, test), rest, 0, where)
    steps += [
        "The last tenth is the test part, and the last tenth of the rest the validation part (gpapamak/maf, "
        "datasets/miniboone.py).",
        "All parts are standardised by means and deviations of the training and validation parts (the same file).",
    ]
    return TabularSet("MINIBOONE", columns, train, validation, test, tuple(steps))


def _signal(file: Opened) -> tuple[NDArray[np.float64], tuple[str, ...], list[str]]:
    """Rows of the original file, the names of their columns, and what was done."""
    lines = read_lines(file)
    counts = next(lines, "").split()
    if len(counts) != 2 or not all(count.isdigit() for count in counts):
        raise InputError(
            f"`{file.where}` does not begin with the numbers of signal and background. Is it the original file?"
        )
    signal = int(counts[0])
    rows = read_rows(lines, file, _ORIGINAL, None, signal)
    if len(rows) != signal:
        raise InputError(f"`{file.where}` is incomplete: it has {len(rows)} of {signal} rows of signal. Get it again.")
    outlier = rows[:, 0] < _OUTLIER
    rows = rows[~outlier]
    if not len(rows):
        raise InputError(f"`{file.where}` has no rows but outliers, below {_OUTLIER}. Is it the original file?")
    drop = find_repeating(rows)
    steps = [
        f"The {signal} rows of signal are kept (from the sizes: no code says so).",
        f"{outlier.sum()} rows whose first value is below {_OUTLIER} are removed (gpapamak/maf, datasets/miniboone.py, "
        "comment in load_data).",
        f"{drop.sum()} columns whose smallest value occurs more than five times are removed (the same comment).",
    ]
    return rows[:, ~drop], tuple(f"pid_{i}" for i in np.flatnonzero(~drop)), steps
