"""A transport map as a PyTorch module: forward, inverse with status, log determinants. Needs PyTorch alone."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from brenier.export.torch_networks import Potential

__all__ = ["AffineCoordinates", "ConditionalCoordinates", "InverseProgram", "InverseResult", "TorchMap"]

_GROWTH = 1.0 - 1e-4
"""A step is taken where it leaves at most this share of the residual."""

_SHORTEST = 1e-10
"""Share of a Newton step below which a point is left as it is: rounding, not the way, is the obstacle."""

_MARGIN = 0.02
"""Share of its range by which a number of a condition may lie outside of it."""

_ENTRIES = 1 << 24
"""Numbers in the Jacobians of the points that are solved together."""


class InverseResult(NamedTuple):
    """Preimages with what is known about each.

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


class AffineCoordinates(nn.Module):
    """The coordinates of a map without conditions, `brenier.coordinates.BuresCoordinates`, in double precision."""

    mean_x: Tensor
    mean_y: Tensor
    to_x: Tensor
    to_y: Tensor
    from_x: Tensor
    from_y: Tensor
    spread: Tensor

    def __init__(self, arrays: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name in ("mean_x", "mean_y", "to_x", "to_y", "from_x", "from_y", "spread"):
            self.register_buffer(name, arrays[name])

    def codes(self, condition: Tensor | None, points: Tensor) -> Tensor:
        """No numbers for each point.

        Raises:
            ValueError: There is a condition.
        """
        if condition is not None:
            raise ValueError("`condition` was given, but this map has no conditions. Leave it out.")
        return self.spread.new_zeros(points.shape[0], 0)

    def enter_x(self, x: Tensor, codes: Tensor) -> Tensor:
        return (x.to(self.spread.dtype) - self.mean_x) @ self.to_x.t()

    def enter_y(self, y: Tensor, codes: Tensor) -> Tensor:
        return (y.to(self.spread.dtype) - self.mean_y) @ self.to_y.t()

    def leave_x(self, x: Tensor, codes: Tensor) -> Tensor:
        return x.to(self.spread.dtype) @ self.from_x.t() + self.mean_x

    def leave_y(self, y: Tensor, codes: Tensor) -> Tensor:
        return y.to(self.spread.dtype) @ self.from_y.t() + self.mean_y

    def log_det(self, codes: Tensor) -> Tensor:
        """Logarithm of the volume change of the affine parts together."""
        return torch.linalg.slogdet(self.from_y @ self.to_x).logabsdet


class ConditionalCoordinates(nn.Module):
    """Coordinates for every condition, `brenier.conditional.coordinates.ConditionalCoordinates`.

    A condition is the number of its class, counted from 0 as in `classes`, and then its numbers in their own units.
    """

    mean_x: Tensor
    mean_y: Tensor
    factor: Tensor
    low: Tensor
    high: Tensor
    raw_low: Tensor
    raw_high: Tensor
    rotation: Tensor
    unit: Tensor
    spread: Tensor
    scale: Tensor
    powers: Tensor
    places: Tensor

    def __init__(
        self, arrays: Mapping[str, Tensor], powers: Sequence[Sequence[int]], classes: Sequence[Sequence[str]]
    ) -> None:
        super().__init__()
        for name, tensor in arrays.items():
            self.register_buffer(name, tensor)
        count, numbers = arrays["low"].shape
        self.register_buffer("powers", torch.tensor(powers, dtype=torch.int64).reshape(len(powers), numbers))
        self.degree = max((sum(own) for own in powers), default=0)
        self.count, self.numbers, self.classes = count, numbers, [list(labels) for labels in classes]
        dim = len(arrays["scale"])
        # Where each entry of a lower triangle is in its packed form; everything else is in the column after the last.
        places = torch.full((dim, dim), dim * (dim + 1) // 2)
        rows, columns = torch.tril_indices(dim, dim)
        places[rows, columns] = torch.arange(len(rows))
        self.register_buffer("places", places)

    def codes(self, condition: Tensor | None, points: Tensor) -> Tensor:
        """Class and numbers from -1 to 1 over the range of the fit; numbers far outside it are taken as its ends.

        NaN in all numbers and in the class where that does not exist.

        Raises:
            ValueError: No condition, or one of another shape than `(n, 1 + numbers)` or `(1, 1 + numbers)`.
        """
        width = 1 + self.numbers
        if condition is None or condition.ndim != 2 or condition.shape[1] != width:
            shape = None if condition is None else tuple(condition.shape)
            raise ValueError(
                f"`condition` must have the shape (n, {width}): the number of the class, then {self.numbers} numbers; "
                f"got {shape}."
            )
        values = condition.to(self.scale).expand(points.shape[0], width)
        own = values[:, 0]
        known = (own >= 0) & (own < self.count) & (own == torch.round(own))
        number = torch.where(known, own, 0.0).to(torch.int64)
        scaled = self._scaled(values[:, 1:])
        low, high = (self._scaled(ends)[number] for ends in (self.raw_low, self.raw_high))
        wide = _MARGIN * (high - low)
        beyond = ((scaled < low - wide) | (scaled > high + wide)).any(dim=1, keepdim=True)
        scaled = torch.where(beyond, torch.clamp(scaled, low, high), scaled)
        codes = torch.cat([number[:, None].to(scaled), scaled], dim=1)
        return torch.where(known[:, None], codes, torch.nan)

    def enter_x(self, x: Tensor, codes: Tensor) -> Tensor:
        mean, lower = self._at(codes, self.mean_x)
        inner = (x.to(self.scale) - mean) / self.scale
        return (inner[:, None] @ lower)[:, 0] @ self.rotation.t() / self.unit

    def enter_y(self, y: Tensor, codes: Tensor) -> Tensor:
        mean, lower = self._at(codes, self.mean_y)
        inner = (y.to(self.scale) - mean) / self.scale
        solved = torch.linalg.solve_triangular(lower, inner[:, :, None], upper=False)[:, :, 0]
        return solved @ self.rotation.t() / self.unit

    def leave_x(self, x: Tensor, codes: Tensor) -> Tensor:
        mean, lower = self._at(codes, self.mean_x)
        inner = (self.unit * x.to(self.scale)) @ self.rotation
        return (
            mean
            + self.scale * torch.linalg.solve_triangular(lower.transpose(1, 2), inner[:, :, None], upper=True)[:, :, 0]
        )

    def leave_y(self, y: Tensor, codes: Tensor) -> Tensor:
        mean, lower = self._at(codes, self.mean_y)
        inner = (self.unit * y.to(self.scale)) @ self.rotation
        return mean + self.scale * (lower @ inner[:, :, None])[:, :, 0]

    def log_det(self, codes: Tensor) -> Tensor:
        """Logarithm of the volume change of the affine parts together, for each condition."""
        lower = self._at(codes, self.mean_x)[1]
        return 2.0 * torch.log(torch.diagonal(lower, dim1=1, dim2=2)).sum(dim=1)

    def _scaled(self, numbers: Tensor) -> Tensor:
        """From -1 to 1 over the range of all classes."""
        low, high = self.raw_low.amin(dim=0), self.raw_high.amax(dim=0)
        return (2.0 * numbers - low - high) / torch.where(high > low, high - low, 1.0)

    def _at(self, codes: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
        """Centres `(n, d)` and factors `(n, d, d)` of each condition."""
        number = torch.nan_to_num(codes[:, 0]).to(torch.int64)
        low, high = self.low[number], self.high[number]
        inside = torch.clamp(codes[:, 1:], low, high)
        inside = (2.0 * inside - low - high) / torch.where(high > low, high - low, 1.0)
        basis = self._legendre(inside)[:, None]
        # A class that does not exist has no points: NaN goes on from here.
        mean = (basis @ means[number])[:, 0] + 0.0 * codes[:, :1]
        packed = (basis @ self.factor[number])[:, 0]
        lower = torch.cat([packed, torch.zeros_like(packed[:, :1])], dim=1)[:, self.places]
        diagonal = torch.diagonal(lower, dim1=1, dim2=2)
        return mean, lower + torch.diag_embed(torch.exp(diagonal) - diagonal)

    def _legendre(self, values: Tensor) -> Tensor:
        """`(n, p)` products of orthonormal Legendre polynomials."""
        found = [torch.ones_like(values), values]
        for k in range(1, self.degree):
            found.append(((2 * k + 1) * values * found[k] - k * found[k - 1]) / (k + 1))
        single = torch.stack([(2.0 * k + 1.0) ** 0.5 * own for k, own in enumerate(found)], dim=2)
        basis = values.new_ones(values.shape[0], len(self.powers))
        for variable in range(self.numbers):
            basis = basis * single[:, variable][:, self.powers[:, variable]]
        return basis


class TorchMap(nn.Module):
    """A transport map in both directions: `brenier.TransportMap`, or `brenier.ConditionalMap` with its condition.

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
        """Preimages `(n, d)` of target points; NaN where one was not found. `inverse_with_status` has the best found.

        Differentiable in the points and in the weights, by the implicit function theorem.
        """
        found = self.inverse_with_status(y, condition, rtol=rtol, atol=atol, max_steps=max_steps)
        return torch.where(found.converged[:, None], found.points, torch.nan)

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
            atol: See there. Below 1e-6, use a map in float64.
            max_steps: Steps at most.

        Note: Cost a step and point: a Hessian, `d^2` products for each unit of the network, and a factor, `d^3 / 3`.
        """
        codes = self.coordinates.codes(condition, y)
        widest = max(parameter.shape[-1] for parameter in self.potential.parameters())
        rows = max(1, _ENTRIES // (max(widest, y.shape[1]) * y.shape[1]))
        parts = [
            self._solved(own, code, rtol, atol, max_steps)
            for own, code in zip(torch.split(y, rows), torch.split(codes, rows), strict=True)
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
        """The state of rows before their first step; see `step`."""
        target = self._cast(self.coordinates.enter_y(y, codes))
        guess = target.clone()
        residual = self.potential.gradient(guess, self._network(codes)) - target
        steps = torch.zeros_like(target[:, 0], dtype=torch.int64)
        return guess, residual, self._norm(residual), torch.ones_like(target[:, 0]), steps

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
        found = self.potential.gradient(trial, self._network(codes)) - target
        found_norm = self._norm(found)
        accepted = active & (found_norm <= _GROWTH * norm)
        moved = accepted[:, None]
        shorter = torch.where(active, 0.25 * damping, damping)
        return (
            torch.where(moved, trial, x),
            torch.where(moved, found, residual),
            torch.where(accepted, found_norm, norm),
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

    def finished(self, state: tuple[Tensor, ...], y: Tensor, codes: Tensor, bound: Tensor) -> InverseResult:
        """What is known of rows that will not be moved any more."""
        x, residual, norm, _, steps = state
        reached = self.coordinates.leave_y(residual + self._cast(self.coordinates.enter_y(y, codes)), codes)
        distance = torch.linalg.vector_norm(reached - y.to(reached.dtype), dim=1)
        points = self.coordinates.leave_x(x, codes)
        return InverseResult(points.to(y.dtype), distance.to(y.dtype), norm <= bound, steps)

    def _solved(self, y: Tensor, codes: Tensor, rtol: float, atol: float, max_steps: int) -> InverseResult:
        with torch.no_grad():
            bound, state = self.bound(y, codes, rtol, atol), self.start(y, codes)
            while bool(self.active(state, bound, max_steps).any()):
                state = self.step(state, y, codes, bound, max_steps)
            result = self.finished(state, y, codes, bound)
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
            return tuple(self.map_.finished(state, y, codes, bound))
