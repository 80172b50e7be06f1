"""What a solver is, and what is known of a row when it is done."""

import abc
import enum
from typing import Generic, TypeVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from brenier._types import Array, Counts, Int, Mask, Points, RowwiseMap, Scalar, Values

__all__ = ["AbstractSolver", "Solution", "State", "Status"]

State = TypeVar("State")


class Status(enum.Enum):
    """How a point's solve ended. The value is the sentence shown to the user."""

    converged = "The point met its tolerance."
    max_steps_reached = (
        "The step budget ran out before the tolerance was met. Raise `max_steps`, loosen `rtol` or `atol`, "
        "or check whether the point lies far outside the data of the fit."
    )
    nonfinite = "The map is NaN or infinite at the first guess. Check the point, and the map's parameters."
    not_the_best = (
        "A point of the source was found that is a better solution of the inner problem than the one the solver ended "
        "at. Check whether the point lies far outside the data of the fit, or train longer."
    )

    @property
    def code(self) -> int:
        """Its position in the enumeration, which stands for it in arrays."""
        return list(Status).index(self)

    @classmethod
    def of(cls, codes: ArrayLike) -> NDArray[np.object_]:
        """The members at these positions, an object for each."""
        return np.array(list(cls), dtype=object)[np.asarray(codes, np.intp)]


class Solution(eqx.Module):
    """Roots of a row-wise map, with what is known about each point.

    Attributes:
        value: Best point seen, per row.
        residual: Euclidean norm of `fn(value)`, per row, in the units of the values of `fn`.
        norm: The norm that was compared with the tolerance, per row; see `residual_norm`.
        code: Position of each row's `Status` in the enumeration.
        steps: Steps that each row was active for.
        evaluations: Calls of `fn` on a batch (Newton's Jacobians not counted).
    """

    value: Points
    residual: Values
    norm: Values
    code: Counts
    steps: Counts
    evaluations: Int[Array, ""]

    @property
    def converged(self) -> Mask:
        """Rows that met their tolerance."""
        return self.code == Status.converged.code

    @property
    def unconverged_fraction(self) -> Scalar:
        """Share of the rows that did not meet their tolerance."""
        return jnp.mean(~self.converged)

    def statuses(self) -> list[Status]:
        """The status of each row, as enumeration members."""
        return Status.of(self.code).tolist()


class AbstractSolver(eqx.Module, Generic[State]):
    """A rule that proposes, for each row, where to look next.

    `growth` is the safeguard: a trial is accepted where its residual is at most `growth` times the present one.
    Rejected rows stay where they are and try a quarter of the step next.
    """

    growth: eqx.AbstractVar[float]

    @abc.abstractmethod
    def init(self, x: Points) -> State:
        """Memory before the first step. Every array in it has one leading entry a row."""

    @abc.abstractmethod
    def direction(self, fn: RowwiseMap, x: Points, residual: Points, state: State) -> Points:
        """The full step proposed from `x`, where `residual = fn(x)`."""

    @abc.abstractmethod
    def update(self, state: State, step: Points, change: Points) -> State:
        """Memory after a trial that moved `x` by `step` and `fn(x)` by `change` (finite; accepted or not)."""
