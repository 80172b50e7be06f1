"""Fitted maps in PyTorch: as a module, and as a program in one file that PyTorch alone can run."""

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from brenier._errors import InputError
from brenier.export.description import as_json, check_cost, check_dtype, description, powers
from brenier.files.atomic import FilePath, atomic_write
from brenier.maps import TransportMap
from brenier.potentials import ICNN, MLP, ModulatedICNN, Quadratic

if TYPE_CHECKING:
    from torch import Tensor

    from brenier.export.torch_coordinates import AffineCoordinates
    from brenier.export.torch_coordinates import ConditionalCoordinates as TorchConditionalCoordinates
    from brenier.export.torch_map import TorchMap
    from brenier.export.torch_networks import ConvexNetwork, Potential

__all__ = ["save_torch", "to_torch"]

METADATA = "brenier.json"
"""Name of the description among the extra files of a program."""


def to_torch(map_: TransportMap, *, dtype: str = "float32") -> "TorchMap":
    """A map as a PyTorch module with `forward`, `inverse`, `inverse_with_status` and `log_det`.

    Args:
        map_: The map, for a squared Euclidean or Mahalanobis distance.
        dtype: Type of the weights: `"float32"`, as in the original, or `"float64"`.

    Returns:
        A module on the CPU, without JAX in it: weights are parameters, coordinates buffers in float64. The class is in
        `brenier.export.torch_map`, which needs nothing but PyTorch and two files beside it.

    Raises:
        InputError: PyTorch is not installed, the cost is no squared distance, or the potential is of a class of the
            user's own.
    """
    check_dtype(dtype)
    check_cost(map_)
    _need_torch()
    from brenier.export.torch_map import TorchMap

    def tensor(array: Any) -> "Tensor":  # noqa: ANN401 - arrays of either library
        return _tensor(array, dtype)

    potential = map_.potential
    build = next((build for kind, build in _BUILDERS.items() if type(potential) is kind), None)
    if build is None:
        raise InputError(
            f"`map_` has a potential of type {type(potential).__name__}; those that can be exported are "
            f"{', '.join(kind.__name__ for kind in _BUILDERS)}."
        )
    return TorchMap(_coordinates(map_), build(potential, tensor))


def save_torch(map_: TransportMap, path: FilePath, *, inverse: bool = False, dtype: str = "float32") -> dict[str, Any]:
    """Write a map as a program of `torch.export`, which `torch.export.load(path).module()` runs without brenier.

    Args:
        map_: The map.
        path: File to write, usually `.pt2`, whole or not at all.
        inverse: Write the inverse, which returns points, residuals, converged rows and steps, instead of the forward
            map, which returns points.
        dtype: Type of the weights and of the points: `"float32"` or `"float64"`.

    Returns:
        The description of the program that is among its extra files, under `brenier.json`.

    Raises:
        InputError: As for `to_torch`; or the file cannot be written.
    """
    module = to_torch(map_, dtype=dtype)
    import torch

    from brenier.export.torch_map import InverseProgram

    record = description(map_, "inverse" if inverse else "forward", dtype) | {"torch": str(torch.__version__)}
    rows = torch.export.Dim("rows")
    points = torch.zeros(3, map_.dim, dtype=getattr(torch, dtype))
    arguments, shapes = (points,), ({0: rows},)
    if map_.conditions is not None:
        conditions = torch.zeros(3, 1 + map_.conditions.numbers, dtype=getattr(torch, dtype))
        arguments, shapes = (points, conditions), ({0: rows}, {0: rows})
    program = torch.export.export(InverseProgram(module) if inverse else module, arguments, dynamic_shapes=shapes)
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={METADATA: as_json(record)})
    with atomic_write(path) as file:
        file.write(buffer.getvalue())
    return record


def _need_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise InputError(f"a map in PyTorch needs PyTorch ({error}). Run `pip install 'brenier[torch]'`.") from error


def _tensor(array: Any, dtype: str) -> "Tensor":  # noqa: ANN401
    import torch

    return torch.tensor(np.array(array, dtype, order="C"))


def _coordinates(map_: TransportMap) -> "AffineCoordinates | TorchConditionalCoordinates":
    from brenier.export import torch_coordinates

    record, conditions = map_.geometry.record(), map_.conditions
    fields: Mapping[str, Any] = record.tensors
    if conditions is not None:
        fields = {**fields, "raw_low": conditions.low, "raw_high": conditions.high}
    arrays = {name: _tensor(value, "float64") for name, value in fields.items()}
    if conditions is None:
        return torch_coordinates.AffineCoordinates(arrays)
    terms = powers(conditions.numbers, record.entries["degree"])
    return torch_coordinates.ConditionalCoordinates(arrays, terms, conditions.classes)


Converted = Callable[[Any], "Tensor"]


def _quadratic(u: Quadratic, tensor: Converted) -> "Potential":
    from brenier.export import torch_networks

    return torch_networks.Quadratic({"matrix": tensor(u.matrix), "shift": tensor(u.shift)})


def _mlp(u: MLP, tensor: Converted) -> "Potential":
    from brenier.export import torch_networks

    layers = [{"weight": tensor(layer.weight), "bias": tensor(layer.bias)} for layer in u.layers]
    weights = {"output": tensor(u.output), "diagonal": tensor(u.curvatures())}
    return torch_networks.MLP(weights, layers, u.activation)


def _icnn(u: ICNN, tensor: Converted) -> "ConvexNetwork":
    from brenier.export import torch_networks

    layers = []
    for layer in u.layers:
        weights = dict(vars(layer))
        if layer.root_mix is None:
            weights["root_mix"] = np.zeros((0, len(layer.bias)))
        layers.append({name: tensor(array) for name, array in weights.items()})
    return torch_networks.ConvexNetwork(tensor(u.diagonal), layers, u.floor, u.activation, u.inert)


def _modulated(u: ModulatedICNN, tensor: Converted) -> "Potential":
    from brenier.export import torch_networks

    tables = {"table": tensor(u.table), "classes_as_numbers": tensor(u.classes_as_numbers)}
    layers = [{"weight": tensor(weight)} for weight in u.weights]
    for layer, bias in zip(layers, u.biases, strict=False):
        layer["bias"] = tensor(bias)
    return torch_networks.ModulatedNetwork(_icnn(u.core, tensor), tables, layers)


_BUILDERS: dict[type, Callable[[Any, Converted], "Potential"]] = {
    Quadratic: _quadratic,
    MLP: _mlp,
    ICNN: _icnn,
    ModulatedICNN: _modulated,
}
