"""One training step, and hundreds of them in one compiled call."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from brenier._types import Array, Bool, Float, Int, Points, Scalar
from brenier.conjugates import better_starts
from brenier.geometry.surplus import AbstractSurplus, InnerProduct
from brenier.potentials import AbstractFamily, AbstractFunction
from brenier.solvers import AbstractSolver, Solution, iterate
from brenier.training.calibration import Calibration

__all__ = [
    "AVERAGING",
    "Batches",
    "Context",
    "Pairs",
    "Statistics",
    "TrainingState",
    "dual_gradient",
    "improved",
    "match",
    "remembering",
    "run_steps",
    "solve_pool",
    "start",
]

_STARTS = 512
"""Points of the pool among which fresh targets find their first guesses."""

AVERAGING = 8.0
"""Exponent of the polynomial average of the parameters: about the last ninth of the steps so far."""

_OPTIMIZER = optax.scale_by_adam(b1=0.9, b2=0.99)


class Context(eqx.Module):
    """What stays the same for all the steps of a chunk.

    Attributes:
        solver: Inner solver of the conjugate problems.
        rounds: Fewest and most rounds of it a step.
        unconverged: Share of a batch that may miss the tolerance before further rounds are spent.
        usable: Residual up to which a point takes part in the gradient.
        scale: Standard deviation of each coordinate, the unit of residuals.
        static: The potential, or the family of them, without its arrays.
        x, y: The pools: points, with the numbers of their condition behind them where there is one.
        decay: Share of each parameter taken away a step, as a multiple of the learning rate.
        warm: Whether solves start at the conjugates that the last step with the same points left, and with the solver's
            memory of them; otherwise at the target points themselves, with a fresh memory.
        other_surplus: What takes the place of the inner product, if the cost is not the quadratic one.
    """

    solver: AbstractSolver
    rounds: tuple[int, int] = eqx.field(static=True)
    unconverged: float = eqx.field(static=True)
    usable: float = eqx.field(static=True)
    scale: Float[Array, " d"]
    static: AbstractFamily
    x: Float[Array, "p e"]
    y: Float[Array, "p e"]
    decay: Scalar | float = 0.0  # it follows the number of rows, and other numbers are to need no other program
    warm: bool = eqx.field(static=True, default=True)
    other_surplus: AbstractSurplus | None = None

    @property
    def surplus(self) -> AbstractSurplus:
        """What stands between the two points of a pair: the inner product unless another was given."""
        return InnerProduct(self.static.dim) if self.other_surplus is None else self.other_surplus

    def solve(
        self,
        potential: AbstractFamily,
        rows: Float[Array, "n e"],
        x0: Points,
        memory: Any,  # noqa: ANN401
        tolerance: Scalar,
        max_rounds: int | None = None,
    ) -> tuple[Solution, Any]:
        """Move guesses for preimages towards their roots: cheap rounds, more while too many points miss."""
        u, y = potential.condition(rows)
        return iterate(
            self.solver,
            lambda x: self.surplus.residual(x, u.gradient(x), y),
            x0,
            tolerance=tolerance,
            min_steps=self.rounds[0],
            max_steps=self.rounds[1] if max_rounds is None else max_rounds,
            allowed_unconverged=self.unconverged,
            scale=self.scale,
            state=memory,
        )


class TrainingState(eqx.Module):
    """All that changes: one pytree, so that a checkpoint is one file.

    Attributes:
        parameters: Arrays of the potential being trained.
        average: Their running average, the map that a fit returns.
        optimizer: Moments of the optimizer.
        conjugates: Present solution of `grad u(x) = y` for every target point of the pool.
        memory: What the inner solver remembers of each of them.
        steps: Steps taken.
    """

    parameters: AbstractFamily
    average: AbstractFamily
    optimizer: optax.OptState
    conjugates: Points
    memory: Any
    steps: Int[Array, ""]


class Batches(NamedTuple):
    """What a chunk of steps needs, one leading entry a step; points are left where they are without calibration."""

    source: Int[Array, "k b"]
    target: Int[Array, "k b"]
    rate: Float[Array, " k"]
    tolerance: Float[Array, " k"]
    calibration: Calibration | None = None


class Statistics(NamedTuple):
    """What happened in each step: rounds of the inner solver, and the share of points left out of the gradient."""

    evaluations: Array
    unconverged: Array


@eqx.filter_jit
def start(
    potential: AbstractFamily,
    rows: Float[Array, "p e"],
    solver: AbstractSolver,
    surplus: AbstractSurplus | None = None,
) -> TrainingState:
    """The state before the first step: conjugates start where the baseline has them."""
    y = rows[:, : potential.dim]
    arrays = eqx.filter(potential, eqx.is_inexact_array)
    return TrainingState(
        parameters=arrays,
        average=jax.tree.map(jnp.copy, arrays),
        optimizer=_OPTIMIZER.init(arrays),  # type: ignore[arg-type]
        conjugates=y if surplus is None else surplus.x0(y),
        memory=solver.init(y),
        steps=jnp.zeros((), jnp.int32),
    )


class Pairs(NamedTuple):
    """The pairs of one step, with the preimages of their targets.

    Attributes:
        rows: Source points above preimages, calibrated, both with the numbers of the target's condition behind them.
        usable: Pairs that take part in the gradient.
        solution: The preimages.
        memory: What the inner solver remembers of them.
    """

    rows: Float[Array, "2b e"]
    usable: Bool[Array, " b"]
    solution: Solution
    memory: Any


@eqx.filter_jit(donate="all-except-first")
def run_steps(context: Context, state: TrainingState, batches: Batches) -> tuple[TrainingState, Statistics]:
    """Take one step a batch. Compiled once for each number of steps and batch size.

    References: Park et al. 2026 (arXiv 2605.10792), algorithm 1, for the envelope gradient at detached points.
    """

    def step(state: TrainingState, batch: Batches) -> tuple[TrainingState, Statistics]:
        pairs = match(context, state, batch)
        weight = pairs.usable / jnp.maximum(jnp.sum(pairs.usable), 1)
        new = improved(context, state, dual_gradient(context, state.parameters, pairs.rows, weight), batch.rate)
        new = remembering(new, batch, pairs)
        return new, Statistics(pairs.solution.evaluations, 1.0 - jnp.mean(pairs.usable))

    return jax.lax.scan(step, state, batches)


def match(context: Context, state: TrainingState, batch: Batches) -> Pairs:
    """Find the preimages of the targets of one batch, and the pairs that can be used."""
    potential = eqx.combine(state.parameters, context.static)
    x, y = context.x[batch.source], context.y[batch.target]
    dim = potential.dim
    points, codes = y[:, :dim], y[:, dim:]
    if context.warm:
        memory = jax.tree.map(lambda array: array[batch.target], state.memory)
        guess = state.conjugates[batch.target]
    else:
        memory, guess = context.solver.init(points), context.surplus.x0(points)
    solution, memory = context.solve(potential, y, guess, memory, batch.tolerance)
    # The pair of a point far from its root is left out whole: its value would make the loss unbounded below, and
    # dropping its partner keeps the two halves of the batch matched. Points that only miss the tolerance stay:
    # their bias is at most proportional to the residual, while leaving them out would stop the training just
    # where the map is hardest.
    usable = (solution.norm <= context.usable) & jnp.all(x[:, dim : dim + 1] == y[:, dim : dim + 1], axis=1)

    # Both points of a pair count under the condition of the target, which is about that of the source. A function
    # of the condition alone then cancels pair by pair; otherwise it could make the loss as low as one likes, for
    # no two points of a finite sample have the same condition. Only pairs of one class count.
    sources, preimages = x[:, :dim], solution.value
    if batch.calibration is not None:
        sources, preimages = batch.calibration.source(sources), batch.calibration.target(preimages)
    rows = jnp.concatenate([jnp.concatenate([sources, preimages]), jnp.tile(codes, (2, 1))], axis=1)
    return Pairs(rows, usable, solution, memory)


def dual_gradient(
    context: Context, parameters: AbstractFamily, rows: Float[Array, "2b e"], weight: Float[Array, " b"]
) -> AbstractFamily:
    """Gradient of the negative dual value by the parameters, at detached points.

    Args:
        context: What stays the same.
        parameters: Arrays of the potential.
        rows: As in `Pairs`.
        weight: What each pair counts.
    """

    def loss(parameters: AbstractFamily) -> Scalar:
        u, both = eqx.combine(parameters, context.static).condition(rows)
        values, half = u(both), len(rows) // 2
        return jnp.sum(weight * (values[:half] - values[half:]))

    return eqx.filter_grad(loss)(parameters)


def improved(context: Context, state: TrainingState, gradient: AbstractFamily, rate: Scalar) -> TrainingState:
    """The state after a step of the optimizer; conjugates are left as they are."""
    updates, moments = _OPTIMIZER.update(gradient, state.optimizer)  # type: ignore[arg-type]
    # Decay apart from the gradient's moments (Loshchilov and Hutter 2019).
    parameters = jax.tree.map(lambda p, change: p - rate * (change + context.decay * p), state.parameters, updates)
    steps = state.steps + 1
    # The same share whatever the budget (Shamir and Zhang 2013).
    share = (AVERAGING + 1.0) / (steps + AVERAGING)
    return TrainingState(
        parameters=parameters,
        average=jax.tree.map(lambda mean, p: mean + share * (p - mean), state.average, parameters),
        optimizer=moments,
        conjugates=state.conjugates,
        memory=state.memory,
        steps=steps,
    )


def remembering(state: TrainingState, batch: Batches, pairs: Pairs) -> TrainingState:
    """The state with the preimages of one batch in their places."""
    return eqx.tree_at(
        lambda s: (s.conjugates, s.memory),
        state,
        (
            state.conjugates.at[batch.target].set(pairs.solution.value),
            jax.tree.map(lambda old, part: old.at[batch.target].set(part), state.memory, pairs.memory),
        ),
        is_leaf=lambda node: node is None,  # the memory of solvers that have none
    )


@eqx.filter_jit
def solve_pool(
    context: Context,
    parameters: AbstractFamily,
    rows: Float[Array, "k b e"],
    tolerance: Scalar,
    max_rounds: int,
) -> tuple[Float[Array, "k b d"], Any]:
    """Conjugates and solver memory for fresh target points, a batch after another.

    The baseline's guesses are far from their roots: left there by too few rounds they would bias the first gradients
    that they take part in, towards an inverse map that moves too little, and some would never arrive. Where one
    potential serves all targets, and the cost is quadratic, they start at the best of some points of the pool.
    """
    potential = eqx.combine(parameters, context.static)
    quadratic = isinstance(context.surplus, InnerProduct)
    function = potential if quadratic and isinstance(potential, AbstractFunction) else None

    def solve(_: None, batch: Float[Array, "b e"]) -> tuple[None, tuple[Points, Any]]:
        guess = context.surplus.x0(batch[:, : potential.dim])
        if function is not None:
            guess = better_starts(function, batch, context.x[:_STARTS], guess)
        solution, memory = context.solve(potential, batch, guess, context.solver.init(guess), tolerance, max_rounds)
        return None, (solution.value, memory)

    return jax.lax.scan(solve, None, rows)[1]
