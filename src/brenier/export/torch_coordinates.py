"""Affine coordinates of a map in PyTorch, in float64. Needs PyTorch alone."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

__all__ = ["AffineCoordinates", "ConditionalCoordinates"]

_MARGIN = 0.02
"""Share of its range by which a number of a condition may lie outside of it."""


class AffineCoordinates(nn.Module):
    """The coordinates of a map without conditions, `brenier.geometry.QuadraticGeometry`, in double precision."""

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
        """`(n, 0)`: a map without conditions has no codes.

        Raises:
            ValueError: A condition was given.
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
    """Coordinates for every condition, `brenier.geometry.ConditionalGeometry`.

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
        self.degree = max((sum(degrees) for degrees in powers), default=0)
        self.count, self.numbers, self.classes = count, numbers, [list(labels) for labels in classes]
        dim = len(arrays["scale"])
        # Where each entry of a lower triangle is in its packed form; everything else is in the column after the last.
        places = torch.full((dim, dim), dim * (dim + 1) // 2)
        rows, columns = torch.tril_indices(dim, dim)
        places[rows, columns] = torch.arange(len(rows))
        self.register_buffer("places", places)

    def codes(self, condition: Tensor | None, points: Tensor) -> Tensor:
        """Class and numbers from -1 to 1 over the range of the fit; numbers far outside it are taken as its ends.

        Where the class does not exist, all entries are NaN.

        Raises:
            ValueError: There is no condition, or its shape is not `(n, 1 + numbers)` or `(1, 1 + numbers)`.
        """
        width = 1 + self.numbers
        if condition is None or condition.ndim != 2 or condition.shape[1] != width:
            shape = None if condition is None else tuple(condition.shape)
            raise ValueError(
                f"`condition` must have the shape (n, {width}): the number of the class, then {self.numbers} numbers; "
                f"got {shape}."
            )
        values = condition.to(self.scale).expand(points.shape[0], width)
        label = values[:, 0]
        known = (label >= 0) & (label < self.count) & (label == torch.round(label))
        number = torch.where(known, label, 0.0).to(torch.int64)
        scaled = self._scale(values[:, 1:])
        low, high = (self._scale(ends)[number] for ends in (self.raw_low, self.raw_high))
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

    def _scale(self, numbers: Tensor) -> Tensor:
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
        polynomials = [torch.ones_like(values), values]
        for k in range(1, self.degree):
            polynomials.append(((2 * k + 1) * values * polynomials[k] - k * polynomials[k - 1]) / (k + 1))
        single = torch.stack([(2.0 * k + 1.0) ** 0.5 * column for k, column in enumerate(polynomials)], dim=2)
        basis = values.new_ones(values.shape[0], len(self.powers))
        for variable in range(self.numbers):
            basis = basis * single[:, variable][:, self.powers[:, variable]]
        return basis
