"""GAS: readings of chemical sensors in mixtures of ethylene and carbon monoxide."""

import itertools

import numpy as np

from brenier.files.atomic import FilePath
from brenier_bench.datasets.tabular._files import locate, open_file
from brenier_bench.datasets.tabular._numbers import read_lines, read_rows, refuse_pickle
from brenier_bench.datasets.tabular._sources import GAS
from brenier_bench.datasets.tabular._steps import find_correlated, split_tail, standardise
from brenier_bench.datasets.tabular.result import TabularSet

__all__ = ["load_gas"]

_OTHERS, _SENSORS = 3, 16
_SHARE, _SEED = 0.25, 42


def load_gas(path: FilePath | None = None, *, cache: FilePath | None = None) -> TabularSet:
    """GAS with the preprocessing of the MAF paper: 8 columns, 852,174, 94,685 and 105,206 rows.

    The steps: time and both concentrations are dropped; the first column that correlates above 0.98 with any other one
    is removed, again and again, until none does; columns are standardised by means and standard deviations (divided by
    n - 1) of all rows, those for tests among them; the last tenth of the rows is for tests, the last tenth of the rest
    for validation. Nothing is shuffled after the quarter of the rows was drawn.

    The rows are not those of the published results: the authors drew a quarter of the file (pandas,
    `sample(frac=0.25)`) without saying with which seed, and published it as a pickle alone, which is not read here
    since it can run any code. Instead a quarter, in random order, is drawn with `numpy.random.RandomState(42)`: as
    many rows of the same distribution, but others.

    Args:
        path: The original `ethylene_CO.txt`; or a folder, zip or tar file with it. It is never downloaded, since no
            checksum of it is known.
        cache: Not used; here for the sake of the other loaders.

    Raises:
        InputError: The file is not given, not there, a pickle, or not what it should be.

    References: Papamakarios, Pavlakou and Murray 2017, "Masked autoregressive flow for density estimation", section 4.2
    and the supplement on the data sets; their code, gpapamak/maf, datasets/gas.py. Data: Fonollosa et al. 2015, UCI
    Machine Learning Repository.
    """
    with open_file(GAS, locate(GAS, path, cache), GAS.files) as file:
        refuse_pickle(file, GAS.files[0])
        # Above the numbers there is one line of names, which does not name every column.
        lines = itertools.islice(read_lines(file), 1, None)
        rows = read_rows(lines, file, _OTHERS + _SENSORS, None)
        where = file.where

    order = np.random.RandomState(_SEED).permutation(len(rows))
    rows = rows[order[: round(_SHARE * len(rows))], _OTHERS:]
    drop = find_correlated(rows)
    names = [f"sensor_{i + 1}" for i in range(_SENSORS)]
    steps = (
        "A quarter of the rows is drawn at random with numpy.random.RandomState(42), in place of the authors' quarter, "
        "of which no seed is known (gpapamak/maf, datasets/gas.py, comment in load_data).",
        "Time and both concentrations are dropped (the same file).",
        f"Until no correlation is above 0.98, the first column with one is removed: "
        f"{', '.join(names[i] for i in drop) or 'none'} (the same file).",
        "Columns are standardised by means and deviations of all rows, those for tests among them (the same file).",
        "The last tenth is the test part, and the last tenth of the rest the validation part (the same file).",
    )
    rows = np.delete(rows, drop, axis=1)
    (rows,) = standardise((rows,), rows, 1, where)
    rest, test = split_tail(rows, where)
    train, validation = split_tail(rest, where)
    columns = tuple(name for i, name in enumerate(names) if i not in drop)
    return TabularSet("GAS", columns, train, validation, test, steps)
