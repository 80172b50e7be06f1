"""`Training`: the settings of the training that few fits change, in one object for all estimators."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from brenier._errors import InputError
from brenier.estimators.spelling import Spelled
from brenier.potentials.activations import ACTIVATIONS
from brenier.solvers import AbstractSolver
from brenier.training import PotentialFactory

__all__ = ["Training", "check_counts", "check_shares"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Training(Spelled):
    """How a fit is trained. Everything is chosen from dimension, sample size and budget where it is not given here.

    It cannot be changed: `dataclasses.replace` makes another one, and `set_params(training__hidden=[32])` of an
    estimator does so in its place. `training__hidden` is the name for grid searches, too, also where an estimator was
    given no `Training`.

    Args:
        batch_size: Pairs of points a step; for densities, points.
        pool_size: Points a side kept with their conjugates, a power of two. Maps only.
        hidden: Units of each hidden layer.
        convexity: Strong-convexity floor of the potential, in (0, 1), in units where the Gaussian map is the identity:
            the map never contracts more than this relative to the Gaussian one.
        learning_rate: Peak of the schedule.
        activation: `"ramp"`, `"celu"`, or `"softplus"` for analytic potentials. `"ramp"` for maps and `"softplus"` for
            densities by default.
        potential: A potential of your own: a function of the number of columns and a NumPy generator that returns an
            `AbstractPotential`, about half the squared norm at the start. `hidden`, `convexity` and `activation` then
            mean nothing. Maps without conditions only; see docs/extending.md.
        solver: Inner solver of the training steps, an `AbstractSolver`. Maps only.

    Example:
        >>> from brenier import BrenierMap, Training
        >>> ot = BrenierMap(training=Training(hidden=[32, 32]))
        >>> ot.set_params(training__batch_size=128).training
        Training(batch_size=128, hidden=[32, 32])
    """

    batch_size: int | None = None
    pool_size: int | None = None
    hidden: Sequence[int] | None = None
    convexity: float = 0.02
    learning_rate: float | None = None
    activation: str | None = None
    potential: PotentialFactory | None = None
    solver: AbstractSolver | None = None

    def __repr__(self) -> str:
        """What differs from the defaults."""
        changed = [
            f"{item.name}={value!r}"
            for item in fields(self)
            if repr(value := getattr(self, item.name)) != repr(item.default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def check(self) -> None:
        """Refuse settings that cannot be used.

        Raises:
            InputError: A setting cannot be used; the message names it.
        """
        check_counts(self, "batch_size", "pool_size", "learning_rate")
        check_shares(self, "convexity")
        if self.activation is not None and self.activation not in ACTIVATIONS:
            raise InputError(f"`activation` must be one of {sorted(ACTIVATIONS)}; got {self.activation!r}.")
        if self.hidden is not None and not (len(self.hidden) and all(width >= 1 for width in self.hidden)):
            raise InputError(f"`hidden` must list the units of at least one layer; got {self.hidden!r}.")
        if self.pool_size is not None and self.pool_size & (self.pool_size - 1):
            raise InputError(f"`pool_size` must be a power of two; got {self.pool_size!r}.")
        if self.potential is not None and not callable(self.potential):
            raise InputError(f"`potential` must be a function that makes a potential, or None; got {self.potential!r}.")
        if self.solver is not None and not isinstance(self.solver, AbstractSolver):
            raise InputError(f"`solver` must be an `AbstractSolver` or None; got {self.solver!r}.")

    def changes(self, activation: str) -> dict[str, Any]:
        """What replaces the settings of the rule, by the names that `TrainingConfig` has for them.

        Args:
            activation: Activation to use where the user chose none.
        """
        given = {
            "batch": self.batch_size,
            "pool": self.pool_size,
            "widths": None if self.hidden is None else tuple(int(width) for width in self.hidden),
            "learning_rate": self.learning_rate,
            "potential": self.potential,
            "solver": self.solver,
        }
        changed = {name: value for name, value in given.items() if value is not None}
        return changed | {"floor": self.convexity, "activation": self.activation or activation}


def check_counts(owner: object, *names: str) -> None:
    """Refuse attributes that are neither positive numbers nor None."""
    for name in names:
        value = getattr(owner, name)
        if value is not None and not (np.isfinite(value) and value > 0):
            raise InputError(f"`{name}` must be a positive number or None; got {value!r}.")


def check_shares(owner: object, *names: str) -> None:
    """Refuse attributes that do not lie between 0 and 1."""
    for name in names:
        if not 0 < getattr(owner, name) < 1:
            raise InputError(f"`{name}` must lie strictly between 0 and 1; got {getattr(owner, name)!r}.")
