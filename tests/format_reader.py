"""Map files read after `docs/file-format.md` alone: safetensors, json and NumPy, and nothing of brenier."""

import hashlib
import itertools
import json

import numpy as np
from numpy.polynomial.legendre import Legendre
from safetensors import safe_open


def read(path):
    """Description and tensors, with the checksum verified."""
    with safe_open(path, framework="numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    digest = hashlib.sha256(metadata["brenier"].encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    if digest.hexdigest() != metadata["sha256"]:
        raise ValueError("the checksum does not match")
    return json.loads(metadata["brenier"]), tensors


def forward(path, x, codes=None):
    """Images of points `(n, d)`; conditions as the number of a class and numbers in their own units."""
    description, tensors = read(path)
    if "conditions" in description:
        return np.concatenate([_conditional(description, tensors, *row) for row in zip(x, codes, strict=True)])
    if description["kind"] == "sphere":
        return _on_sphere(description["hyperparameters"], tensors, x)
    inner = (x - tensors["coordinates.mean_x"]) @ tensors["coordinates.to_x"].T
    if "cost" in description:
        return _displaced(description, tensors, x, inner)
    images = _gradient(description, tensors, inner)
    return images @ tensors["coordinates.from_y"].T + tensors["coordinates.mean_y"]


def _displaced(description, tensors, x, inner):
    c = {name.removeprefix("coordinates."): array for name, array in tensors.items() if name.startswith("coord")}
    name, arguments = description["cost"]["name"], description["cost"]["arguments"]
    centres = _cost_slope(name, arguments, (c["mean_x"] - c["mean_y"]) / c["columns"])
    change = inner @ c["bend"] - _gradient(description, tensors, inner)
    p = centres + c["unit"] ** 2 * c["columns"] * (change @ c["to_x"])
    return x - c["columns"] * _displacement(name, arguments, p)


def _on_sphere(shape, tensors, x):
    unit, one = tensors["coordinates.unit"], x / np.linalg.norm(x, axis=1, keepdims=True)
    places = shape["radius"] * one - np.array(shape["centre"])
    slope = _gradient({"kind": shape["kind"], "hyperparameters": shape["inner"]}, tensors, places) - places
    move = unit * slope + tensors["coordinates.pull"]
    move -= np.sum(move * one, axis=1, keepdims=True) * one
    length = np.linalg.norm(move, axis=1, keepdims=True)
    angle = np.minimum(length, np.pi)
    return tensors["coordinates.radius"] * (np.cos(angle) * one + np.sin(angle) * move / length)


def _cost_slope(name, arguments, z):
    if name == "pnorm":
        return np.sign(z) * np.abs(z) ** (arguments["p"] - 1)
    if name == "log-cosh":
        return arguments["width"] * np.tanh(z / arguments["width"])
    if name == "elastic-net":
        return z + arguments["l1"] * np.sign(z)
    raise ValueError(f"no formula for the cost {name}")


def _displacement(name, arguments, p):
    if name == "pnorm":
        return np.sign(p) * np.abs(p) ** (1 / (arguments["p"] - 1))
    if name == "log-cosh":
        width = arguments["width"]
        return width * np.arctanh(np.clip(p / width, -0.999, 0.999))
    return np.sign(p) * np.maximum(np.abs(p) - arguments["l1"], 0)


def _gradient(description, tensors, x):
    arrays = iter([tensors[f"potential.{k}"].astype(np.float64) for k in range(_count(tensors))])
    shape = description["hyperparameters"]
    if description["kind"] == "quadratic":
        return x @ next(arrays) + next(arrays)
    if description["kind"] == "mlp":
        layers = [(next(arrays), next(arrays)) for _ in shape["widths"]]
        output, diagonal = arrays
        hidden, slopes = x, []
        for weight, bias in layers:
            before = hidden @ weight + bias
            hidden = _value(shape["activation"], before)
            slopes.append(_slope(shape["activation"], before))
        back = np.broadcast_to(output, hidden.shape)
        for (weight, _), slope in zip(reversed(layers), reversed(slopes), strict=True):
            back = (back * slope) @ weight.T
        return back + x * (shape.get("start", 0.0) + diagonal)
    layers, diagonal = _layers(shape, arrays)
    return _icnn(layers, diagonal, shape["floor"], shape["activation"], shape["inert"], x)


def _layers(shape, arrays):
    layers = []
    for number in range(len(shape["widths"])):
        quadratic, linear, bias = next(arrays), next(arrays), next(arrays)
        mix = next(arrays) if number else np.zeros((0, len(bias)))
        layers.append([quadratic, linear, bias, mix, next(arrays)])
    return layers, next(arrays)


def _icnn(layers, diagonal, floor, activation, inert, x):
    seen = x.copy()
    seen[:, inert] = 0.0
    hidden, kept = np.zeros((len(x), 0)), []
    for quadratic, linear, bias, mix, _ in layers:
        forms = seen @ quadratic
        before = _bowl(forms) + seen @ linear + bias + hidden @ mix**2
        hidden = _value(activation, before)
        kept.append((_slope(activation, before), _bowl_slope(forms)))
    gradient, above = np.zeros_like(x), 0.0
    for (quadratic, linear, _, mix, output), (slope, bowl) in zip(reversed(layers), reversed(kept), strict=True):
        before = (output**2 + above) * slope
        gradient += (before * bowl) @ quadratic.T + before @ linear.T
        above = before @ (mix**2).T
    gradient[:, inert] = 0.0
    return gradient + x * (floor + np.log1p(np.exp(diagonal + np.log(np.expm1(1.0 - floor)))))


def _conditional(description, tensors, x, code):
    c = {name.removeprefix("coordinates."): array for name, array in tensors.items() if name.startswith("coord")}
    space, number = description["conditions"], int(code[0])
    raw_low, raw_high = (np.array(space[name], float).reshape(len(c["low"]), -1) for name in ("low", "high"))
    lowest, highest = raw_low.min(axis=0), raw_high.max(axis=0)
    values = (2.0 * code[1:] - lowest - highest) / (highest - lowest)
    low, high = c["low"][number], c["high"][number]
    inside = (2.0 * np.clip(values, low, high) - low - high) / (high - low)
    basis = []
    for total in range(description["degree"] + 1):
        for chosen in itertools.combinations_with_replacement(range(len(inside)), total):
            powers = [chosen.count(variable) for variable in range(len(inside))]
            terms = [np.sqrt(2 * k + 1) * Legendre.basis(k)(v) for k, v in zip(powers, inside, strict=True)]
            basis.append(np.prod(terms))
    mean_x, mean_y, packed = (np.array(basis) @ c[name][number] for name in ("mean_x", "mean_y", "factor"))
    lower = np.zeros((len(x), len(x)))
    lower[np.tril_indices(len(x))] = packed
    lower[np.diag_indices(len(x))] = np.exp(np.diag(lower))
    inner = c["rotation"] @ lower.T @ ((x - mean_x) / c["scale"]) / c["unit"]
    image = _modulated(description["hyperparameters"], tensors, number, values, inner[None])[0]
    return (mean_y + c["scale"] * (lower @ (c["unit"] * c["rotation"].T @ image)))[None]


def _modulated(shape, tensors, number, values, x):
    arrays = iter([tensors[f"potential.{k}"].astype(np.float64) for k in range(_count(tensors))])
    layers, diagonal = _layers(shape, arrays)
    table, classes_as_numbers = next(arrays), next(arrays)
    changes = table[number]
    if shape["numbers"]:
        weights, biases = [next(arrays) for _ in range(3)], [next(arrays) for _ in range(2)]
        hidden = np.concatenate([values, classes_as_numbers[number]])
        for weight, bias in zip(weights[:2], biases, strict=True):
            hidden = np.tanh(hidden @ weight + bias)
        changes = changes + hidden @ weights[2]
    for layer in layers:
        width, below = len(layer[2]), len(layer[3])
        quadratic, linear, shift, output, mix, changes = np.split(changes, np.cumsum([width] * 4 + [below]))
        layer[0] = layer[0] * (1.0 + quadratic)
        layer[1] = layer[1] * (1.0 + linear)
        layer[2] = layer[2] + shift
        layer[3] = layer[3] * (1.0 + mix)[:, None]
        layer[4] = layer[4] * (1.0 + output)
    return _icnn(layers, diagonal + changes, shape["floor"], shape["activation"], [], x)


def _count(tensors):
    return sum(name.startswith("potential.") for name in tensors)


def _bowl(t):
    q = np.clip(t / 2, -1, 1) ** 2
    return 4 * q * (1 - q / 6) + 8 / 3 * np.maximum(np.abs(t) - 2, 0)


def _bowl_slope(t):
    s = np.clip(t / 2, -1, 1)
    return 4 * s * (1 - s**2 / 3)


def _value(activation, t):
    if activation == "ramp":
        s = np.clip((t + 1) / 2, 0, 1)
        return s**3 * (2 - s) + np.maximum(t - 1, 0)
    if activation == "celu":
        return np.where(t > 0, t, np.expm1(np.minimum(t, 0)))
    return np.logaddexp(t, 0)


def _slope(activation, t):
    if activation == "ramp":
        s = np.clip((t + 1) / 2, 0, 1)
        return s**2 * (3 - 2 * s)
    if activation == "celu":
        return np.exp(np.minimum(t, 0))
    return 1 / (1 + np.exp(-t))
