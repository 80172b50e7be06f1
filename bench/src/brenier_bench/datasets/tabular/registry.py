"""Tables by name."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from brenier._errors import InputError
from brenier.files.atomic import FilePath
from brenier_bench.datasets.tabular.bsds300 import load_bsds300
from brenier_bench.datasets.tabular.gas import load_gas
from brenier_bench.datasets.tabular.hepmass import load_hepmass
from brenier_bench.datasets.tabular.magic import load_magic
from brenier_bench.datasets.tabular.miniboone import load_miniboone
from brenier_bench.datasets.tabular.power import load_power
from brenier_bench.datasets.tabular.result import TabularSet

__all__ = ["TABLES", "load_table"]

_FILES: dict[str, Callable[..., TabularSet]] = {
    "power": load_power,
    "gas": load_gas,
    "hepmass": load_hepmass,
    "miniboone": load_miniboone,
    "bsds300": load_bsds300,
}
_MAGIC = {"magic-gamma": 0, "magic-hadron": 1}
_SKLEARN = ("breast-cancer", "wine", "diabetes")

TABLES = (*_FILES, *_MAGIC, *_SKLEARN)
"""Names that `load_table` knows."""

_SEED, _SMALL = 0, 1000


def load_table(name: str, path: FilePath | None = None, *, cache: FilePath | None = None) -> TabularSet:
    """A table in three parts, by name.

    "power", "gas", "hepmass", "miniboone" and "bsds300" are those of the density-estimation literature, in its parts.
    The others have none of their own: rows are shuffled with `numpy.random.default_rng(0)`, and split into 80, 10 and
    10 per cent, or 64, 16 and 20 where there are fewer than 1,000, the last two rounded down. They are not
    standardised. "magic-gamma" and "magic-hadron" are the two classes of `load_magic`; "breast-cancer", "wine" and
    "diabetes" are the features, all classes together, of the tables that come with scikit-learn, in their units.

    Args:
        name: One of `TABLES`.
        path: The file, as for the loader of that name; None for tables of scikit-learn.
        cache: Folder of downloads, as for the loaders.

    Raises:
        InputError: There is no such name, or the loader cannot read the file.
    """
    if name in _FILES:
        return _FILES[name](path, cache=cache)
    if name in _MAGIC:
        table = load_magic(path, cache=cache)
        return _split(name, table.columns, table.points[table.labels == _MAGIC[name]])
    if name not in _SKLEARN:
        raise InputError(f"`name` must be one of {', '.join(TABLES)}; got {name!r}.")
    if path is not None or cache is not None:
        given = "path" if path is not None else "cache"
        raise InputError(f"`{given}` is not for {name!r}, which comes with scikit-learn. Leave it out.")
    from sklearn import datasets  # takes seconds to import, which only these need

    load = {
        "breast-cancer": datasets.load_breast_cancer,
        "wine": datasets.load_wine,
        # By default it comes centred and scaled.
        "diabetes": lambda: datasets.load_diabetes(scaled=False),
    }[name]
    bunch = load()
    return _split(name, bunch["feature_names"], bunch["data"])


def _split(name: str, columns: Sequence[str], points: NDArray[np.floating]) -> TabularSet:
    count = len(points)
    shares = (16, 20) if count < _SMALL else (10, 10)
    validation, test = (count * share // 100 for share in shares)
    if validation == 0:
        raise InputError(f"`path`: {name!r} has {count} rows, too few to split. Is it the whole file?")
    rows = np.asarray(points, np.float64)[np.random.default_rng(_SEED).permutation(count)]
    steps = (
        "Rows are shuffled with numpy.random.default_rng(0) (brenier's own choice).",
        f"The last {shares[1]} per cent are the test part, and {shares[0]} per cent before them the validation part "
        "(brenier's own choice).",
    )
    first = count - validation - test
    parts = rows[:first], rows[first : count - test], rows[count - test :]
    return TabularSet(name, tuple(str(column) for column in columns), *parts, steps)
