"""A transport map as a PyTorch module: forward, inverse with status, log determinants. Needs PyTorch alone."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from brenier.export.torch_coordinates import AffineCoordinates, ConditionalCoordinates
from brenier.export.torch_networks import Potential

__all__ = ["InverseProgram", "InverseResult", "TorchMap"]

_GROWTH = 1.0 - 1e-4
"""A step is taken where it leaves at most this share of the residual."""

_SHORTEST = 1e-10
"""Share of a Newton step below which a point is left as it is: rounding, not the way, is the obstacle."""

_ENTRIES = 1 << 24
"""Numbers in the Jacobians of the points that are solved together."""


class InverseResult(NamedTuple):
    """Preimages, and whether each was found.

    Attributes:
        points: `(n, d)` the best points found.
        residual: `(n,)` Euclidean norms of `T(x) - y`, in units of the target.
        converged: `(n,)` whether each met its tolerance.
        steps: `(n,)` Newton steps tried.
    """

    points: Tensor
    residual: Tensor
    converged: Tensor
    steps: Tensor


class TorchMap(nn.Module):
    """A transport map in both directions: a `brenier.TransportMap`, with its condition where it has some.

    The weights of the potential are parameters, in float32 or float64; the coordinates are buffers in float64, so that
    data far from the origin lose no digits. Results have the type of the points.

    Args:
        coordinates: Affine coordinates around the potential.
        potential: Its gradient is the map in these coordinates.
    """

    def __init__(self, coordinates: AffineCoordinates | ConditionalCoordinates, potential: Potential) -> None:
        super().__init__()
        self.coordinates, self.potential = coordinates, potential

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Images `(n, d)` of source points.

        Args:
            x: `(n, d)` source points.
            condition: For maps with conditions, `(n, 1 + numbers)` or one row for all: the number of the class,
                then the numbers in their own units.
        """
        codes = self.coordinates.codes(condition, x)
        inner = self._cast(self.coordinates.enter_x(x, codes))
        return self.coordinates.leave_y(self.potential.gradient(inner, self._network(codes)), codes).to(x.dtype)

    def inverse(
        self,
        y: Tensor,
        condition: Tensor | None = None,
        *,
        rtol: float = 3e-6,
        atol: float = 3e-6,
        max_steps: int = 100,
    ) -> Tensor:
        """Preimages `(n, d)` of target points; NaN where one was not found; see `inverse_with_status`.

        Differentiable in the points and in the weights, by the implicit function theorem.
        """
        result = self.inverse_with_status(y, condition, rtol=rtol, atol=atol, max_steps=max_steps)
        return torch.where(result.converged[:, None], result.points, torch.nan)

    def inverse_with_status(
        self,
        y: Tensor,
        condition: Tensor | None = None,
        *,
        rtol: float = 3e-6,
        atol: float = 3e-6,
        max_steps: int = 100,
    ) -> InverseResult:
        """Preimages with residual, status and steps for each row.

        Newton's method with exact Hessians; a step is shortened until it decreases the residual.

        Args:
            y: `(n, d)` target points.
            condition: As for `forward`.
            rtol: A point is solved when its residual is at most `atol + rtol * |y|`, both as root mean squares over
                the inner coordinates in units of their standard deviations.
            atol: The absolute part of the tolerance, see `rtol`. Below 1e-6, use a map in float64.
            max_steps: Largest number of Newton steps of a point.

        Note: Cost of a step and point: a Hessian, `d^2` products for each unit of the network, and a factor, `d^3 / 3`.
        """
        codes = self.coordinates.codes(condition, y)
        widest = max(parameter.shape[-1] for parameter in self.potential.parameters())
        rows = max(1, _ENTRIES // (max(widest, y.shape[1]) * y.shape[1]))
        parts = [
            self._solve(part, code, rtol, atol, max_steps)
            for part, code in zip(torch.split(y, rows), torch.split(codes, rows), strict=True)
        ]
        return InverseResult(*(torch.cat(list(field)) for field in zip(*parts, strict=True)))

    def log_det(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """`(n,)` logarithms of the Jacobian determinant at source points; NaN where that is not positive."""
        codes = self.coordinates.codes(condition, x)
        inner = self._cast(self.coordinates.enter_x(x, codes))
        sign, size = torch.linalg.slogdet(self.potential.gradient_and_hessian(inner, self._network(codes))[1])
        size = torch.where(sign > 0, size, torch.nan)
        return (size.to(codes) + self.coordinates.log_det(codes)).to(x.dtype)

    def start(self, y: Tensor, codes: Tensor) -> tuple[Tensor, ...]:
        """The state of all rows before their first step, as `step` takes it."""
        target = self._cast(self.coordinates.enter_y(y, codes))
        x0 = target.clone()
        residual = self.potential.gradient(x0, self._network(codes)) - target
        steps = torch.zeros_like(target[:, 0], dtype=torch.int64)
        return x0, residual, self._norm(residual), torch.ones_like(target[:, 0]), steps

    def step(
        self, state: tuple[Tensor, ...], y: Tensor, codes: Tensor, bound: Tensor, max_steps: int
    ) -> tuple[Tensor, ...]:
        """One safeguarded Newton step of the rows that need one.

        The state of rows: points, residuals, their norms, the share of the next step to take, and steps so far.
        """
        x, residual, norm, damping, steps = state
        target = self._cast(self.coordinates.enter_y(y, codes))
        active = self.active(state, bound, max_steps)
        _, hessian = self.potential.gradient_and_hessian(x, self._network(codes))
        newton = torch.linalg.solve_ex(hessian, residual[:, :, None]).result[:, :, 0]
        trial = x - damping[:, None] * newton
        change = self.potential.gradient(trial, self._network(codes)) - target
        size = self._norm(change)
        accepted = active & (size <= _GROWTH * norm)
        moved = accepted[:, None]
        shorter = torch.where(active, 0.25 * damping, damping)
        return (
            torch.where(moved, trial, x),
            torch.where(moved, change, residual),
            torch.where(accepted, size, norm),
            torch.where(accepted, torch.clamp(2.0 * damping, max=1.0), shorter),
            steps + active.to(steps.dtype),
        )

    def active(self, state: tuple[Tensor, ...], bound: Tensor, max_steps: int) -> Tensor:
        """Which rows need another step and may take one; points that are not finite never will."""
        _, _, norm, damping, steps = state
        return (norm > bound) & torch.isfinite(norm) & (damping > _SHORTEST) & (steps < max_steps)

    def bound(self, y: Tensor, codes: Tensor, rtol: float, atol: float) -> Tensor:
        """Norm of the residual at which each row is solved."""
        return atol + rtol * self._norm(self._cast(self.coordinates.enter_y(y, codes)))

    def finish(self, state: tuple[Tensor, ...], y: Tensor, codes: Tensor, bound: Tensor) -> InverseResult:
        """The preimages of rows that need no more steps, with residuals and status."""
        x, residual, norm, _, steps = state
        reached = self.coordinates.leave_y(residual + self._cast(self.coordinates.enter_y(y, codes)), codes)
        distance = torch.linalg.vector_norm(reached - y.to(reached.dtype), dim=1)
        points = self.coordinates.leave_x(x, codes)
        return InverseResult(points.to(y.dtype), distance.to(y.dtype), norm <= bound, steps)

    def _solve(self, y: Tensor, codes: Tensor, rtol: float, atol: float, max_steps: int) -> InverseResult:
        with torch.no_grad():
            bound, state = self.bound(y, codes, rtol, atol), self.start(y, codes)
            while bool(self.active(state, bound, max_steps).any()):
                state = self.step(state, y, codes, bound, max_steps)
            result = self.finish(state, y, codes, bound)
        if not torch.is_grad_enabled():
            return result
        # One more Newton step, of length zero: its derivatives are those of the solution.
        target = self._cast(self.coordinates.enter_y(y, codes))
        gradient, hessian = self.potential.gradient_and_hessian(state[0], self._network(codes))
        step = torch.linalg.solve_ex(hessian.detach(), (gradient - target)[:, :, None]).result[:, :, 0]
        inner = torch.where(result.converged[:, None], state[0] - (step - step.detach()), state[0])
        return result._replace(points=self.coordinates.leave_x(inner, codes).to(y.dtype))

    def _norm(self, residual: Tensor) -> Tensor:
        """Root mean square over the coordinates, in units of their spread."""
        return torch.sqrt(torch.mean(torch.square(residual / self._cast(self.coordinates.spread)), dim=1))

    def _cast(self, values: Tensor) -> Tensor:
        """In the type of the network."""
        return values.to(next(self.potential.parameters()).dtype)

    def _network(self, codes: Tensor) -> Tensor:
        """Codes as the network takes them: with a class for every row, even where none exists."""
        return self._cast(torch.nan_to_num(codes))


class InverseProgram(nn.Module):
    """The inverse as a module whose loop is part of the graph, for `torch.export`.

    Args:
        map_: The map.
        rtol, atol, max_steps: As for `TorchMap.inverse_with_status`; fixed in the program.
    """

    def __init__(self, map_: TorchMap, *, rtol: float = 3e-6, atol: float = 3e-6, max_steps: int = 100) -> None:
        super().__init__()
        self.map_, self.rtol, self.atol, self.max_steps = map_, rtol, atol, max_steps

    def forward(self, y: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Points, residuals, converged rows and steps, as the fields of `InverseResult`."""
        # A prototype of PyTorch, found from 2.6 on at this place.
        from torch._higher_order_ops.while_loop import while_loop

        with torch.no_grad():
            codes = self.map_.coordinates.codes(condition, y)
            bound = self.map_.bound(y, codes, self.rtol, self.atol)

            def unfinished(*state: Tensor) -> Tensor:
                return self.map_.active(state, bound, self.max_steps).any()

            def turn(*state: Tensor) -> tuple[Tensor, ...]:
                return self.map_.step(state, y, codes, bound, self.max_steps)

            state = while_loop(unfinished, turn, self.map_.start(y, codes))
            result = self.map_.finish(state, y, codes, bound)
            return result.points, result.residual, result.converged, result.steps
