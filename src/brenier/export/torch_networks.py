r"""Potentials in PyTorch, with gradients and Hessians written out: the forward map needs no automatic differentiation.

With :math:`b_i` the values before the activations and :math:`t_i, s_i` the derivatives of the potential by what comes
after and before activation i, the gradient is the backward pass, and the Hessian the sum of
:math:`J_i^\top \operatorname{diag}(t_i\, a''(b_i))\, J_i` over the layers, :math:`J_i` the Jacobian of :math:`b_i`;
quadratic forms add a term of their own.

This file, `torch_coordinates.py` and `torch_map.py` need PyTorch alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["MLP", "ConvexNetwork", "ModulatedNetwork", "Potential", "Quadratic"]

Weights = Mapping[str, Tensor]
Function = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


def _soft_square(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A square near zero, straight beyond 2; value, slope and curvature."""
    t = torch.clamp(x / 2.0, -1.0, 1.0)
    q = torch.square(t)
    value = 4.0 * q * (1.0 - q / 6.0) + 8.0 / 3.0 * torch.relu(torch.abs(x) - 2.0)
    return value, 4.0 * t * (1.0 - q / 3.0), 2.0 * (1.0 - q)


def _smooth_relu(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    t = torch.clamp(0.5 * x + 0.5, 0.0, 1.0)
    return t**3 * (2.0 - t) + torch.relu(x - 1.0), t * t * (3.0 - 2.0 * t), 3.0 * t * (1.0 - t)


def _celu(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    slope = torch.exp(torch.clamp(x, max=0.0))
    return torch.relu(x) + slope - 1.0, slope, torch.where(x < 0.0, slope, 0.0)


def _softplus(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    # PyTorch's own softplus is the identity beyond 20, which double precision can tell.
    slope = torch.sigmoid(x)
    return torch.logaddexp(x, torch.zeros_like(x)), slope, slope * (1.0 - slope)


ACTIVATIONS: dict[str, Function] = {"ramp": _smooth_relu, "celu": _celu, "softplus": _softplus}


class Potential(nn.Module):
    """A function of points `(n, d)`, or a family with one function for every row of `codes` `(n, k)`."""

    def gradient(self, x: Tensor, codes: Tensor) -> Tensor:
        """`(n, d)` gradients."""
        raise NotImplementedError

    def gradient_and_hessian(self, x: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """`(n, d)` gradients and `(n, d, d)` Hessians."""
        raise NotImplementedError


class Quadratic(Potential):
    """Half `x^T A x`, plus `b^T x`."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.matrix, self.shift = nn.Parameter(weights["matrix"]), nn.Parameter(weights["shift"])

    def gradient(self, x: Tensor, codes: Tensor) -> Tensor:
        return x @ self._symmetric() + self.shift

    def gradient_and_hessian(self, x: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        return self.gradient(x, codes), self._symmetric().expand(x.shape[0], -1, -1).clone()

    def _symmetric(self) -> Tensor:
        return (self.matrix + self.matrix.t()) / 2.0


class MLP(Potential):
    """A plain network plus a weighted square; not convex."""

    def __init__(self, weights: Weights, layers: Sequence[Weights], activation: str) -> None:
        super().__init__()
        self.weights = nn.ParameterList([layer["weight"] for layer in layers])
        self.biases = nn.ParameterList([layer["bias"] for layer in layers])
        self.output, self.diagonal = nn.Parameter(weights["output"]), nn.Parameter(weights["diagonal"])
        self.activation = activation

    def gradient(self, x: Tensor, codes: Tensor) -> Tensor:
        return self._derivatives(x, False)[0]

    def gradient_and_hessian(self, x: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        gradient, parts = self._derivatives(x, True)
        return gradient, torch.diag(self.diagonal) + _products(parts)

    def _derivatives(self, x: Tensor, second: bool) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Gradients; and Jacobians with the weight of each of their rows, if they are asked for."""
        hidden, slopes, curvatures, jacobians = x, [], [], []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            if second:
                below = None if not slopes else slopes[-1][:, :, None] * jacobians[-1]
                jacobians.append(weight.t().expand(x.shape[0], -1, -1) if below is None else weight.t() @ below)
            hidden, slope, curvature = ACTIVATIONS[self.activation](hidden @ weight + bias)
            slopes.append(slope)
            curvatures.append(curvature)
        after, parts = self.output.expand(x.shape[0], -1), []
        for layer in reversed(range(len(slopes))):
            if second:
                parts.append((jacobians[layer], after * curvatures[layer]))
            after = (after * slopes[layer]) @ self.weights[layer].t()
        return after + x * self.diagonal, parts


class Changes(NamedTuple):
    """Changes of one layer by the condition of each point: factors of its parts, and a shift of its units."""

    quadratic: Tensor
    linear: Tensor
    shift: Tensor
    output: Tensor
    mix: Tensor


class _Layer(nn.Module):
    """Weights of one layer; `root_mix` has no rows in the first."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.quadratic, self.linear = nn.Parameter(weights["quadratic"]), nn.Parameter(weights["linear"])
        self.bias, self.root_mix = nn.Parameter(weights["bias"]), nn.Parameter(weights["root_mix"])
        self.root_output = nn.Parameter(weights["root_output"])

    def no_changes(self, x: Tensor) -> Changes:
        one = x.new_ones(1, 1)
        return Changes(one, one, x.new_zeros(1, 1), one, one)


class ConvexNetwork(Potential):
    """An input-convex network with quadratic forms, `brenier.potentials.ICNN`."""

    seen: Tensor

    def __init__(
        self, diagonal: Tensor, layers: Sequence[Weights], floor: float, activation: str, degenerate: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList([_Layer(layer) for layer in layers])
        self.diagonal = nn.Parameter(diagonal)
        seen = torch.ones_like(diagonal)
        seen[list(degenerate)] = 0.0
        self.register_buffer("seen", seen)
        self.floor, self.activation = floor, activation

    def gradient(self, x: Tensor, codes: Tensor) -> Tensor:
        return self.differentiate(x, None, None, False)[0]

    def gradient_and_hessian(self, x: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        return self.differentiate(x, None, None, True)

    def parts(self) -> list[_Layer]:
        """The layers, from the input to the output."""
        return [layer for layer in self.layers if isinstance(layer, _Layer)]

    def differentiate(
        self, x: Tensor, changes: Sequence[Changes] | None, curvature: Tensor | None, second: bool
    ) -> tuple[Tensor, Tensor]:
        """Gradients under changes of all layers, and Hessians, which are empty unless `second`."""
        layers = self.parts()
        rows = [layer.no_changes(x) for layer in layers] if changes is None else changes
        points, hidden = x * self.seen, x.new_zeros(x.shape[0], 0)
        slopes, curvatures, bends, jacobians = [], [], [], []
        for layer, change in zip(layers, rows, strict=True):
            form, form_slope, form_curvature = _soft_square((points @ layer.quadratic) * change.quadratic)
            mix = torch.square(layer.root_mix)
            before = form + (points @ layer.linear) * change.linear + layer.bias + change.shift
            before = before + (hidden * torch.square(change.mix)) @ mix
            if second:
                jacobian = (form_slope * change.quadratic)[:, :, None] * layer.quadratic.t()
                jacobian = jacobian + change.linear[:, :, None] * layer.linear.t()
                if jacobians:
                    below = (slopes[-1] * torch.square(change.mix))[:, :, None] * jacobians[-1]
                    jacobian = jacobian + mix.t() @ below
                jacobians.append(jacobian)
            hidden, slope, bend = ACTIVATIONS[self.activation](before)
            slopes.append(slope)
            curvatures.append(bend)
            bends.append((form_slope, form_curvature))
        gradient = torch.zeros_like(x)
        parts: list[tuple[Tensor, Tensor]] = []
        from_above: Tensor | None = None
        for number in reversed(range(len(rows))):
            layer, change = layers[number], rows[number]
            after = (torch.square(change.output) * torch.square(layer.root_output)).expand(x.shape[0], -1)
            after = after if from_above is None else after + from_above
            before = after * slopes[number]
            form_slope, form_curvature = bends[number]
            through_form = (before * form_slope * change.quadratic) @ layer.quadratic.t()
            gradient = gradient + through_form + (before * change.linear) @ layer.linear.t()
            if second:
                forms = layer.quadratic.t().expand(x.shape[0], -1, -1)
                parts.append((jacobians[number], after * curvatures[number]))
                parts.append((forms, before * form_curvature * torch.square(change.quadratic)))
            from_above = (before @ torch.square(layer.root_mix).t()) * torch.square(change.mix)
        start = math.log(math.expm1(1.0 - self.floor))
        raw = self.diagonal + start if curvature is None else self.diagonal + curvature + start
        diagonal = self.floor + torch.logaddexp(raw, torch.zeros_like(raw))
        gradient = gradient * self.seen + x * diagonal
        if not second:
            return gradient, x.new_zeros(0)
        hessian = _products(parts) * self.seen[:, None] * self.seen
        return gradient, hessian + torch.diag_embed(diagonal.expand(x.shape))


class ModulatedNetwork(Potential):
    """A convex network whose units a condition changes, `brenier.potentials.ModulatedICNN`."""

    def __init__(self, core: ConvexNetwork, tables: Weights, layers: Sequence[Weights]) -> None:
        super().__init__()
        self.core = core
        self.table, self.classes_as_numbers = nn.Parameter(tables["table"]), nn.Parameter(tables["classes_as_numbers"])
        self.weights = nn.ParameterList([layer["weight"] for layer in layers])
        self.biases = nn.ParameterList([layer["bias"] for layer in layers if "bias" in layer])
        self.sizes: list[int] = []
        for layer in core.parts():
            below, width = layer.root_mix.shape
            self.sizes += [width, width, width, width, below]
        self.sizes.append(len(core.diagonal))

    def gradient(self, x: Tensor, codes: Tensor) -> Tensor:
        return self.core.differentiate(x, *self.changes(codes), False)[0]

    def gradient_and_hessian(self, x: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        return self.core.differentiate(x, *self.changes(codes), True)

    def changes(self, codes: Tensor) -> tuple[list[Changes], Tensor]:
        """Changes of each layer and of the curvatures, for codes `(n, 1 + q)`: class, then numbers."""
        number = codes[:, 0].to(torch.int64)
        changes = self.table[number]
        if len(self.weights):
            hidden = torch.cat([codes[:, 1:], self.classes_as_numbers[number]], dim=1)
            for weight, bias in zip(self.weights, self.biases, strict=False):
                hidden = torch.tanh(hidden @ weight + bias)
            changes = changes + hidden @ self.weights[-1]
        parts = torch.split(changes, self.sizes, dim=1)
        layers = []
        for first in range(0, len(parts) - 1, len(Changes._fields)):
            quadratic, linear, shift, output, mix = parts[first : first + len(Changes._fields)]
            layers.append(Changes(1.0 + quadratic, 1.0 + linear, shift, 1.0 + output, 1.0 + mix))
        return layers, parts[-1]


def _products(parts: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The sum of `J^T diag(w) J` over Jacobians `(n, w, d)` and weights `(n, w)`."""
    return torch.stack([jacobian.transpose(1, 2) @ (weight[:, :, None] * jacobian) for jacobian, weight in parts]).sum(
        dim=0
    )
