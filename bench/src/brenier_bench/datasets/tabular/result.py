"""The results of loading a table."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["LabelledTable", "TabularSet"]


class TabularSet(NamedTuple):
    """A table in three parts, as density estimation uses it.

    The code of the MAF paper and of its followers rounds the parts to single precision last; here they are not rounded.

    Attributes:
        name: What papers call the data set, or the name it was asked for by.
        columns: Names of the columns; `None` where the file does not say.
        train: `(n, d)` points to learn from.
        validation: `(m, d)` points to choose with.
        test: `(k, d)` points to report on.
        steps: What was done to the rows of the file, a sentence each with its source, in this order.
    """

    name: str
    columns: tuple[str, ...] | None
    train: NDArray[np.float64]
    validation: NDArray[np.float64]
    test: NDArray[np.float64]
    steps: tuple[str, ...]

    @property
    def dim(self) -> int:
        """Number of columns."""
        return self.train.shape[1]


class LabelledTable(NamedTuple):
    """Rows of numbers and the class of each.

    Attributes:
        points: `(n, d)` features, in the order of the file.
        labels: `(n,)` numbers of the classes, from 0.
        columns: Names of the features.
        names: Names of the classes: row `i` is a `names[labels[i]]`.
    """

    points: NDArray[np.float64]
    labels: NDArray[np.int64]
    columns: tuple[str, ...]
    names: tuple[str, ...]
