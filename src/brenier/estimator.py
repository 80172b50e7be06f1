"""`BrenierMap`: the scikit-learn face. Checks what comes in, calls the functional core, and keeps what it learned."""

import time
from collections.abc import Sequence
from os import PathLike
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, TargetTags

from brenier._errors import InputError
from brenier.callbacks import Callbacks
from brenier.callbacks.running import Running
from brenier.checkpoint.keeping import Resumed, open_checkpoints, seeded
from brenier.conditional.fitting import fit_conditional
from brenier.conditions.space import ConditionSpace, Kinds
from brenier.costs import AbstractCost, SquaredEuclidean
from brenier.data.dequantize import Widths, dequantized
from brenier.data.table import Matrix, Unchecked
from brenier.data.trim import trimmed
from brenier.density.bases import with_base
from brenier.fitted import FittedMap
from brenier.fitting import Fitted, Request, fit_pair
from brenier.integrations.anndata import opened, recorded
from brenier.maps import TransportMap
from brenier.parameters import (
    changed_settings,
    check_counts,
    check_network,
    check_second_sample,
    check_shares,
    keep_outcome,
    warn_outcome,
)
from brenier.solvers import AbstractSolver
from brenier.training import PotentialFactory
from brenier.training.shards import chosen_shards

__all__ = ["BrenierMap"]


class BrenierMap(FittedMap, BaseEstimator):
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
        batch_size: Pairs of points a step; chosen from dimension, sample size and budget by default.
        pool_size: Points a side kept with their conjugates, a power of two; chosen in the same way by default.
        shards: Parts of pool and batches, each with points of its own, over which devices share the work: as many as
            divide them evenly, all that JAX has where there are several processes. A result depends on the number of
            parts, not of devices, up to rounding. 1 by default, one a device where there are several processes; see
            docs/distributed.md.
        hidden: Units of each hidden layer; chosen from the dimension by default.
        convexity: Strong-convexity floor of the potential, in (0, 1), in units where the Gaussian map is the identity:
            the map never contracts more than this relative to the Gaussian one.
        learning_rate: Peak of the schedule; chosen from the dimension by default.
        activation: `"ramp"`, `"celu"`, or `"softplus"` for analytic potentials.
        potential: A potential of your own: a function of the number of columns and a NumPy generator that returns an
            `AbstractPotential`, about half the squared norm at the start. `hidden`, `convexity` and `activation` then
            mean nothing. Without conditions only; see docs/extending.md.
        solver: Inner solver of the training steps, an `AbstractSolver`; chosen from the dimension by default.
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
        random_state: Seed, generator, or None for a new result each time.
        checkpoint: Folder in which the fit is saved as it goes, so that the same call in another process goes on from
            there, to the same map bit for bit. It must be new or empty, or that of the same fit; other data or settings
            are refused. None saves nothing. Needs Orbax: `pip install "brenier[checkpoint]"`. See docs/checkpoints.md.
        callbacks: Functions that are called with a `Row` at every look at the held-out points, or objects that are told
            of start and end as well; one or a sequence. A true result ends the fit; see `brenier.callbacks`.

    Attributes:
        map_: The learned `TransportMap`.
        history_: List of `Row`, one for each look at the held-out points.
        n_iter_: Training steps taken; those of a second fit are not counted.
        stop_: Why the fit ended, a sentence.
        gaussian_: Whether the result is the closed-form Gaussian map, because no network beat it significantly on
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

    history_: list[Any]
    n_iter_: int
    stop_: str
    gaussian_: bool
    resumed_: Resumed | None
    n_features_in_: int

    def __init__(
        self,
        *,
        cost: AbstractCost | None = None,
        scale: str | ArrayLike = "auto",
        max_steps: int | None = None,
        max_seconds: float | None = None,
        batch_size: int | None = None,
        pool_size: int | None = None,
        shards: int | None = None,
        hidden: Sequence[int] | None = None,
        convexity: float = 0.02,
        learning_rate: float | None = None,
        activation: str = "ramp",
        potential: PotentialFactory | None = None,
        solver: AbstractSolver | None = None,
        holdout: float = 0.1,
        refit: bool = True,
        condition_types: Kinds = None,
        dequantize: Widths | None = None,
        trim: float = 0.0,
        layer: str | None = None,
        obsm: str | None = None,
        random_state: int | np.random.RandomState | None = None,
        checkpoint: str | PathLike[str] | None = None,
        callbacks: Callbacks | None = None,
    ) -> None:
        self.cost = cost
        self.scale = scale
        self.max_steps = max_steps
        self.max_seconds = max_seconds
        self.batch_size = batch_size
        self.pool_size = pool_size
        self.shards = shards
        self.hidden = hidden
        self.convexity = convexity
        self.learning_rate = learning_rate
        self.activation = activation
        self.potential = potential
        self.solver = solver
        self.holdout = holdout
        self.refit = refit
        self.condition_types = condition_types
        self.dequantize = dequantize
        self.trim = trim
        self.layer = layer
        self.obsm = obsm
        self.random_state = random_state
        self.checkpoint = checkpoint
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
    ) -> Self:
        """Learn the map from the distribution of `X` to that of `Y`, or one for every value of a condition.

        Args:
            X: Source: `(n, d)` array, frame, tensor or AnnData, a sampler `(key, n) -> points`, or an iterable of
                arrays, see docs/inputs.md; with a condition no sampler or iterable. `"normal"` for the standard normal
                distribution, which makes the map a density of the other side; `BrenierDensity` fits densities by
                maximum likelihood.
            Y: Target: the same, `(m, d)`; rows are not paired with those of `X`, and the sizes may differ.
            x_condition: Condition of each source point: labels, numbers, or a frame or two-dimensional array of both.
                Text and truth values are labels, and so are up to 20 different integers; see `condition_types`. Of an
                AnnData, a name or a list of names of columns of `obs`; so it is with all conditions and weights.
            y_condition: Condition of each target point, with the same columns.
            x_weight: How much each row of an array `X` counts, as a share of the sum; equal by default. Rows without
                weight are left out, negative weights refused. Settings follow Kish's effective number of rows.
            y_weight: The same for `Y`.

        Raises:
            InputError: An argument cannot be used.
            Terminated: SIGTERM came within `brenier.checkpoint.saved_on_sigterm`, with a `checkpoint`.

        Warns:
            CheckpointWarning: A checkpoint could not be written, or a damaged one was passed over.
            DataWarning: The data limit what the map can be worth; among others, columns are discrete (at most 100
                different values, 20 rows a value on average) and `dequantize` is None.
            ConvergenceWarning: The fit had to go back to an earlier state, or was interrupted.
        """
        started = time.perf_counter()
        self._check_parameters()
        cells = recorded(self, X, Y)
        X, x_condition, x_weight = opened(self, X, "X", x_condition, x_weight)
        Y, y_condition, y_weight = opened(self, Y, "Y", y_condition, y_weight)
        check_second_sample(Y)
        running = Running(self.callbacks, started)
        X, Y, base = with_base(X, Y)
        if base and not (x_condition is None and y_condition is None):
            raise InputError("'normal' as `X` or `Y` has no conditions. Draw samples, and give them conditions.")
        with open_checkpoints(self.checkpoint) as checkpoints, running:
            generator = seeded(self.random_state, checkpoints)
            first, second, third = (int(seed) for seed in generator.randint(2**31 - 1, size=3))
            X, Y, widths = dequantized(X, Y, self.dequantize, generator)
            x_weight, y_weight = trimmed(X, Y, self.trim, (x_weight, y_weight))
            request = Request(
                scale=self.scale,
                changes=changed_settings(
                    self,
                    batch="batch_size",
                    pool="pool_size",
                    learning_rate="learning_rate",
                    potential="potential",
                    solver="solver",
                )
                | chosen_shards(self.shards),
                holdout=self.holdout,
                refit=self.refit,
                seeds=(first, second, third),
                started=started,
                running=running,
                cost=self.cost,
                weights=(x_weight, y_weight),
                checkpoints=checkpoints,
            )
            if x_condition is None and y_condition is None:
                fitted, space = fit_pair(X, Y, request), None
            elif x_condition is None or y_condition is None:
                missing = "x_condition" if x_condition is None else "y_condition"
                raise InputError(f"`{missing}` is missing: conditions must be given for both sides, or for neither.")
            else:
                if not isinstance(self.cost, SquaredEuclidean | None):
                    raise InputError(f"conditions need the quadratic cost; got `cost`={self.cost}. Fit each condition.")
                fitted, space = fit_conditional(X, Y, x_condition, y_condition, self.condition_types, request)
            self._keep(fitted, space, widths, base | cells)
            self.resumed_ = running.resumed
            running.finish(self)
        warn_outcome(fitted.outcome)
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags = TargetTags(required=True, one_d_labels=False, two_d_labels=True, single_output=False)
        return tags

    def _check_parameters(self) -> None:
        check_counts(self, "max_steps", "max_seconds", "batch_size", "pool_size", "learning_rate")
        check_shares(self, "convexity", "holdout")
        check_network(self.activation, self.hidden)
        if self.pool_size is not None and self.pool_size & (self.pool_size - 1):
            raise InputError(f"`pool_size` must be a power of two; got {self.pool_size!r}.")
        if not isinstance(self.cost, AbstractCost | None):
            raise InputError(f"`cost` must be one of `brenier.costs`, or None; got {self.cost!r}.")
        if self.potential is not None and not callable(self.potential):
            raise InputError(f"`potential` must be a function that makes a potential, or None; got {self.potential!r}.")
        if self.solver is not None and not isinstance(self.solver, AbstractSolver):
            raise InputError(f"`solver` must be an `AbstractSolver` or None; got {self.solver!r}.")

    def _keep(self, fitted: Fitted, space: ConditionSpace | None, widths: Matrix | None, base: dict[str, Any]) -> None:
        """Set every learned attribute, so that a second fit forgets the first."""
        outcome, columns = fitted.outcome, fitted.columns
        info = keep_outcome(self, outcome, fitted.config, columns, fitted.coordinates.dim, fitted.data) | base
        self.widths_ = np.zeros(fitted.coordinates.dim) if widths is None else widths
        if widths is not None:
            info["dequantized"] = widths.tolist()
        if self.trim:
            info["trimmed"] = self.trim
        names = None if columns is None else tuple(columns)
        self.map_ = TransportMap(fitted.coordinates, outcome.potential, space, names, info)
