"""`BrenierMap`: the scikit-learn face of optimal-transport maps."""

from os import PathLike
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Tags, TargetTags

from brenier._errors import InputError
from brenier.callbacks import Callbacks
from brenier.conditions.space import Kinds
from brenier.costs import AbstractCost
from brenier.data.table import Unchecked
from brenier.estimators.dequantizer import Widths
from brenier.estimators.fitted import FittedMap
from brenier.estimators.intake import Given, intake
from brenier.estimators.parameters import Parameters
from brenier.estimators.training import Training

__all__ = ["BrenierMap"]


class BrenierMap(FittedMap, Parameters):
    """Learn the optimal-transport map from samples of two distributions, in both directions.

    The cost is half the squared Euclidean distance, `|(x - y) / scale|^2 / 2`, unless another is given. Distances are
    reported as `W2`, neither squared nor halved, in the same units; other costs as they are, with no root.

    Args:
        cost: What moving a point costs: one of `brenier.costs`, of points whose columns are in units of `scale`. Half
            the squared Euclidean distance by default. Maps for other costs than that and `Mahalanobis` have a
            network that need not be convex; see docs/costs.md.
        scale: Units of the columns in the cost: `"none"` for those of the data, `"pooled"` for each column's standard
            deviation, or one number a column. `"auto"` takes `"pooled"`, and says so in a warning, where standard
            deviations differ by more than a factor of 100 between columns; with another cost, `"none"`.
        max_steps: Budget in training steps; 4,096 unless `max_seconds` is given. One seed then gives one result, bit
            for bit, on one machine.
        max_seconds: Budget in seconds of wall-clock, compilation included; how far training gets then depends on the
            machine and the moment, so results no longer repeat. With `max_steps`, whichever is used up first.
        holdout: Share of the samples kept aside to choose the best state; at most 4,096 points a side. With `refit`,
            at least 500 points are, where that is no more than 30 % of the samples.
        refit: Train again on all samples, for as many steps as were best on those held out. Arrays of up to 16,384
            rows only; a fit takes twice as long.
        condition_types: Whether conditions are `"label"` or `"number"`: one word for all columns, one a column, or a
            mapping from names; detected by default.
        dequantize: Noise that `fit` adds to both sides, uniform within the steps of discrete columns, so that tied
            points can be told apart: `"auto"`, one width for all columns, one a column, or a mapping from names; see
            `Dequantizer`. `"auto"` takes the larger step of the two sides. Arrays and frames
            only. None adds nothing. Points given to `transform` and the other methods are moved as they are.
        trim: Share of each side, in [0, 0.5), to leave aside: the rows that lie farthest from the median in units of
            the range of the middle half. For heavy tails, which otherwise decide coordinates and map; 0.01 helps
            log-normal ones, 0.05 those of a Cauchy distribution. Arrays only; see docs/tables.md.
        layer: Layer that holds the points of an AnnData; see docs/anndata.md.
        obsm: Key of `obsm` that holds them, `"X_pca"` for instance. Without either, `.X`.
        training: How the network is trained: a `brenier.Training` with batch size, hidden layers, learning rate and so
            on, for what is not to be chosen from dimension, sample size and budget.
        random_state: Seed, generator, or None for a new result each time.
        verbose: 1 shows the fit on stderr as it runs, as the command line does: the share of the budget used, the
            distance on held-out points and the time left. 0 shows nothing.
        callbacks: Functions that are called with a `HistoryRow` at every validation, that is, each time that the fit is
            evaluated on held-out points, or objects that are told of start and end as well; one or a sequence. A true
            result ends the fit; see `brenier.callbacks`.

    Attributes:
        map_: The learned `TransportMap`.
        history_: List of `HistoryRow`, one for each validation on the held-out points.
        n_iter_: Training steps taken; those of a second fit are not counted.
        stop_: Why the fit ended, a sentence.
        baseline_: Whether the result is the closed-form Gaussian map, because no network beat it significantly on
            held-out points; with another cost a translation, on the sphere the map of a linear potential.
        widths_: Widths of the noise that the fit added to the columns, 0 where none.
        resumed_: Where an earlier process had left the fit, a `Resumed` with `step`, `refit` and `finished`; None for a
            fit from its start.
        n_features_in_: Number of columns.
        feature_names_in_: Names of the columns, if the data had string names.

    References:
        Park, Gelphman, Osher, Wu Fung 2026, "Implicit Neural Optimal Transport via Fixed-Point Optimization",
        arXiv 2605.10792.

    Example:
        >>> import numpy as np
        >>> from brenier import BrenierMap
        >>> rng = np.random.default_rng(0)
        >>> X, Y = rng.normal(size=(2000, 2)), 2.0 * rng.normal(size=(3000, 2)) + 5.0
        >>> ot = BrenierMap(max_steps=256, random_state=0).fit(X, Y)
        >>> bool(np.abs(ot.transform([[1.0, 0.0]]) - [[7.0, 5.0]]).max() < 0.2)
        True
    """

    def __init__(
        self,
        *,
        cost: AbstractCost | None = None,
        scale: str | ArrayLike = "auto",
        max_steps: int | None = None,
        max_seconds: float | None = None,
        holdout: float = 0.1,
        refit: bool = True,
        condition_types: Kinds = None,
        dequantize: Widths | None = None,
        trim: float = 0.0,
        layer: str | None = None,
        obsm: str | None = None,
        training: Training | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        callbacks: Callbacks | None = None,
    ) -> None:
        self.cost = cost
        self.scale = scale
        self.max_steps = max_steps
        self.max_seconds = max_seconds
        self.holdout = holdout
        self.refit = refit
        self.condition_types = condition_types
        self.dequantize = dequantize
        self.trim = trim
        self.layer = layer
        self.obsm = obsm
        self.training = training
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks

    def fit(
        self,
        X: Unchecked,
        Y: Unchecked,
        *,
        x_condition: Unchecked = None,
        y_condition: Unchecked = None,
        x_weight: Unchecked = None,
        y_weight: Unchecked = None,
        checkpoint: str | PathLike[str] | None = None,
        shards: int | None = None,
    ) -> Self:
        """Learn the map from the distribution of `X` to that of `Y`, or one for every value of a condition.

        Args:
            X: Source: `(n, d)` array, frame, tensor or AnnData, a sampler `(key, n) -> points`, or an iterable of
                arrays, see docs/inputs.md; with a condition no sampler or iterable. `"normal"` for the standard normal
                distribution, which makes the map a density of the other side; `BrenierDensity` fits densities by
                maximum likelihood.
            Y: Target, `(m, d)`, in any form that `X` may have; rows are not paired with those of `X`, sizes may differ.
            x_condition: Condition of each source point: labels, numbers, or a frame or two-dimensional array of both.
                Text and truth values are labels, and so are up to 20 different integers; see `condition_types`. Of an
                AnnData, a name or a list of names of columns of `obs`; so it is with all conditions and weights.
            y_condition: Condition of each target point, with the same columns.
            x_weight: How much each row of an array `X` counts, as a share of the sum; equal by default. Rows without
                weight are left out, negative weights refused. Settings follow Kish's effective number of rows.
            y_weight: Weights of the rows of `Y`, as for `X`.
            checkpoint: Folder in which the fit is saved as it goes, so that the same call in another process goes on
                from there, to the same map bit for bit. It must be new or empty, or that of the same fit; other data
                or settings are refused. None saves nothing. See docs/checkpoints.md.
            shards: Parts of pool and batches, each with points of its own, over which devices share the work: as many
                as divide them evenly, all that JAX has where there are several processes. A result depends on the
                number of parts, not of devices, up to rounding. 1 by default, one a device where there are several
                processes; see docs/distributed.md.

        Raises:
            InputError: An argument cannot be used.
            Terminated: SIGTERM came within `brenier.checkpoint.saved_on_sigterm`, with a `checkpoint`.

        Warns:
            CheckpointWarning: A checkpoint could not be written, or a damaged one was passed over.
            DataWarning: The data limit what the map can be worth; among others, columns are discrete (at most 100
                different values, 20 rows a value on average) and `dequantize` is None.
            ConvergenceWarning: The fit had to go back to an earlier state, or was interrupted.
        """
        sides = Given("X", X, x_condition, x_weight), Given("Y", Y, y_condition, y_weight)
        asked = {"cost": self.cost, "scale": self.scale, "condition_types": self.condition_types}
        self._fit(
            lambda generator: intake(self, *sides, generator=generator, trim=self.trim, **asked),
            activation="ramp",
            checkpoint=checkpoint,
            shards=shards,
        )
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags = TargetTags(required=True, one_d_labels=False, two_d_labels=True, single_output=False)
        return tags

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not isinstance(self.cost, AbstractCost | None):
            raise InputError(f"`cost` must be one of `brenier.costs`, or None; got {self.cost!r}.")
