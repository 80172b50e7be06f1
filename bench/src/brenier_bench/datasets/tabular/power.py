"""POWER: electric power used by one household, minute by minute."""

from collections.abc import Iterable, Iterator

import numpy as np

from brenier._errors import InputError
from brenier.files.atomic import FilePath
from brenier_bench.datasets.tabular._files import Opened, locate, open_file
from brenier_bench.datasets.tabular._numbers import read_array, read_lines, read_rows, refuse_pickle
from brenier_bench.datasets.tabular._sources import POWER
from brenier_bench.datasets.tabular._steps import split_tail, standardise
from brenier_bench.datasets.tabular.result import TabularSet

__all__ = ["load_power"]

_COLUMNS = (
    "global_active_power",
    "global_reactive_power",
    "voltage",
    "global_intensity",
    "sub_metering_1",
    "sub_metering_2",
    "sub_metering_3",
    "minute_of_day",
)
"""Columns of `data.npy`, read off the noise in the code of the MAF paper, which lists them in this order."""

_DROPPED = (1, 3)
_SEED = 42
_STEPS = (
    "The columns global_reactive_power and global_intensity are dropped (gpapamak/maf, datasets/power.py).",
    "Rows are shuffled with numpy.random.RandomState(42) (the same file).",
    "Uniform noise of the same generator is added: up to 0.01 to the voltage, then up to 0.001 to the active power, "
    "then up to 1 to the three meters; none to the time (the same file, drawn in this order).",
    "The last tenth is the test part, and the last tenth of the rest the validation part (the same file).",
    "All parts are standardised by means and deviations of the training and validation parts (the same file).",
)


def load_power(path: FilePath | None = None, *, cache: FilePath | None = None) -> TabularSet:
    """POWER with the preprocessing of the MAF paper: 6 columns, 1,659,917, 184,435 and 204,928 rows.

    The steps: global reactive power and global intensity are dropped; rows are shuffled with
    `numpy.random.RandomState(42)`; the same generator draws uniform noise of up to 0.01 for the voltage, 0.001 for the
    active power, and 1 for each of the three meters, in this order (the time gets none); the last tenth of the rows is
    for tests, the last tenth of the rest for validation; and all three are standardised by the means and standard
    deviations (divided by n) of the first two parts together.

    `data.npy` is what published results used. How it was made of the original file no code says: its 2,049,280 rows
    are those of the original without missing values, and its eight columns leave room for one of the date and the time.
    Reading the original takes this to be the minute of the day, and the order to be that of the file; if the authors
    had another, the shuffled rows differ from theirs, but not their distribution.

    Args:
        path: `data.npy` of the archive of the MAF paper; the original `household_power_consumption.txt`, of which rows
            with missing values, marked by `?`, are dropped, dates too, and times become minutes since midnight; or a
            folder, zip or tar file with one of them, of which `data.npy` is preferred. By default the archive is
            downloaded, once, which needs pooch (`pip install "brenier-bench[tabular]"`); every call reads it anew, so
            that an unpacked one loads sooner.
        cache: Folder of downloads; by default the one that the environment variable `BRENIER_DATA` names, or else the
            user's cache folder.

    Raises:
        InputError: The file is not there, cannot be downloaded, or is not what it should be.

    References: Papamakarios, Pavlakou and Murray 2017, "Masked autoregressive flow for density estimation", section 4.2
    and the supplement on the data sets; their code, gpapamak/maf, datasets/power.py. Data: Hebrail and Berard 2006,
    UCI Machine Learning Repository.
    """
    with open_file(POWER, locate(POWER, path, cache), POWER.files) as file:
        refuse_pickle(file, POWER.files[1])
        if file.suffix == ".npy":
            rows, first = read_array(file, len(_COLUMNS)), "The rows are those of data.npy (Zenodo, record 1161203)."
        else:
            rows = read_rows(_drop_gaps(read_lines(file), file), file, len(_COLUMNS), ";")
            first = (
                "Rows with missing values are dropped, dates too, and times become minutes since midnight (from the "
                "shape of data.npy: no code says so)."
            )
        where = file.where

    # The legacy generator: its stream is frozen, and is that of the published rows.
    rng = np.random.RandomState(_SEED)
    rng.shuffle(rows)
    rows = np.delete(rows, _DROPPED, axis=1)
    count = len(rows)
    voltage, active, meters = 0.01 * rng.rand(count), 0.001 * rng.rand(count), rng.rand(count, 3)
    rows[:, 0] += active
    rows[:, 1] += voltage
    rows[:, 2:5] += meters

    rest, test = split_tail(rows, where)
    train, validation = split_tail(rest, where)
    train, validation, test = standardise((train, validation, test), rest, 0, where)
    columns = tuple(name for i, name in enumerate(_COLUMNS) if i not in _DROPPED)
    return TabularSet("POWER", columns, train, validation, test, (first, *_STEPS))


def _drop_gaps(lines: Iterable[str], file: Opened) -> Iterator[str]:
    """Lines as `data.npy` has the rows: seven measurements and the minute, without rows that lack one."""
    for number, line in enumerate(lines):
        fields = line.strip().split(";")
        if len(fields) != 9:
            raise InputError(
                f"`{file.where}`, row {number}: {len(fields)} columns between semicolons, not 9. Is it the original "
                "file?"
            )
        if number == 0 and fields[0] == "Date":
            continue
        if "?" in fields or "" in fields:
            continue
        hour, _, rest = fields[1].partition(":")
        minute = rest.partition(":")[0]
        if not (hour.isdigit() and minute.isdigit()):
            raise InputError(f"`{file.where}`, row {number}: {fields[1]!r} is no time such as 17:24:00.")
        yield ";".join((*fields[2:], str(60 * int(hour) + int(minute))))
